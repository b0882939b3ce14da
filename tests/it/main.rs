//! The integration tests: one binary, so that one server serves them all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]

mod crash_points;
mod engine;
mod layers;
mod support;
