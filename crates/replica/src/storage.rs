//! Between Raft's terms and the records of the log on disk, which knows nothing of Raft.
