//! The runner on the fake engine: plans, and what becomes of them whatever the engine does.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

#[path = "runner/fixture.rs"]
mod fixture;

#[path = "runner/checks.rs"]
mod checks;
#[path = "runner/execution.rs"]
mod execution;
#[path = "runner/locations.rs"]
mod locations;
#[path = "runner/planning.rs"]
mod planning;
#[path = "runner/random.rs"]
mod random;
