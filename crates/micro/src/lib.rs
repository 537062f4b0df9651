//! Benchmarks only: the parts of a command's way, each alone and without I/O, but for the log's.
//!
//! `cargo bench -p micro` runs them all, `cargo bench -p micro --bench consensus` one. Figures are in
//! docs/benchmarks.md.
