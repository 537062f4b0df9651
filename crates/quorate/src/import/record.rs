//! What is imported: one key.

/// A key that holds a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Numbered database.
    pub(crate) database: u32,
    /// Name.
    pub(crate) key: Vec<u8>,
    /// Value.
    pub(crate) value: Vec<u8>,
    /// When it expires, in milliseconds since 1970, if it does.
    pub(crate) expires_at_ms: Option<i64>,
}

impl Record {
    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }

    /// Whether it has expired by a time. A key lives up to its last millisecond, not through it.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}
