//! What must hold at every step: one file a property.
