//! The write-ahead log of a node.

mod damage;
pub mod data_dir;
pub mod decision;
mod error;
pub mod format;
mod index;
mod log;
mod record;
mod recovery;
mod reserve;
mod segment;

pub use crate::damage::{Damage, Why};
pub use crate::data_dir::{DataDir, DataDirError};
pub use crate::error::{OpenError, WalError};
pub use crate::log::{Options, Preparation, Space, Wal};
pub use crate::record::{Identity, Record, RecordKind};
pub use crate::recovery::{GroupLog, Recovery, TornTail};
