//! An engine in memory, for testing the runner.
