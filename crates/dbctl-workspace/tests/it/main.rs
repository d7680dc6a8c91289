//! The manifest as a user writes it, against what comes of it.

#![cfg(test)]

mod env_files;
mod environments;
mod errors;
mod example;
mod files;
mod fuzz;
mod hooks;
mod locate;
#[path = "../../../dbctl-migration/tests/fuzz/mutate.rs"]
mod mutate;
mod references;
mod secrets;
mod select;
mod sources;
mod sqlite;
mod support;
mod yaml;
