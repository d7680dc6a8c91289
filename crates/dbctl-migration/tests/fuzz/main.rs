//! Whatever lies in a folder of migrations: no reader panics, hangs, or fails without saying where.

#![cfg(test)]

mod deep;
mod files;
mod folders;
mod mutate;
mod scripts;

use proptest::test_runner::Config;

/// So many cases of every 256 that `PROPTEST_CASES` asks for.
fn cases(of_256: u32) -> Config {
    let asked = Config::default();
    Config { cases: (asked.cases * of_256).div_ceil(256), failure_persistence: None, ..asked }
}
