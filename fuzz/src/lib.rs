//! The bodies of the fuzz targets, as plain functions.
//!
//! `fuzz_targets/` hands them to libFuzzer. The tests of the crates include the same files by path, and run them on
//! stable over `corpus/` and mutations of it, so that CI needs no nightly compiler.

pub mod resp;
