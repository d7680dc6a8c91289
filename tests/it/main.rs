//! End-to-end tests of the real binary, on real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod support;

mod atriz;
mod judges;
