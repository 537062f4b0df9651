//! What happened in a run, shown to people: as text, and as a picture.

pub mod html;
pub mod text;
