//! The runner on the fake engine: plans, and what becomes of them whatever the engine does.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

#[path = "runner/fixture.rs"]
mod fixture;

#[path = "runner/atomic.rs"]
mod atomic;
#[path = "runner/baseline.rs"]
mod baseline;
#[path = "runner/checks.rs"]
mod checks;
#[path = "runner/connections.rs"]
mod connections;
#[path = "runner/execution.rs"]
mod execution;
#[path = "runner/frozen.rs"]
mod frozen;
#[path = "runner/history.rs"]
mod history;
#[path = "runner/killed.rs"]
mod killed;
#[path = "runner/locations.rs"]
mod locations;
#[path = "runner/planning.rs"]
mod planning;
#[path = "runner/random.rs"]
mod random;
#[path = "runner/requires.rs"]
mod requires;
#[path = "runner/runs.rs"]
mod runs;
#[path = "runner/seeds.rs"]
mod seeds;
#[path = "runner/simulation.rs"]
mod simulation;
#[path = "runner/sources.rs"]
mod sources;
