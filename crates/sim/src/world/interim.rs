//! Stands in for the judges.
use crate::judges::{Fact, Shadow, Violation};
use replica::Replica;
#[derive(Default)]
pub(super) struct Judges {}
impl Judges {
    pub(super) fn see(&mut self, _: &Fact<'_>, _: &Shadow) -> Result<(), Violation> {
        Ok(())
    }
    pub(super) fn finish(&mut self, _: &[&Replica], _: &Shadow) -> Result<(), Violation> {
        Ok(())
    }
}
