//! What the program says about itself: logs, panics, metrics, traces.
//!
//! The rule: **no secret gets out this way**. Values of ours redact themselves;
//! what cannot (other people's libraries, a panic's text) is never written.

pub mod colour;
mod fleet;
mod lines;
pub mod logs;
pub mod metrics;
pub mod panics;
pub mod traces;

pub use fleet::{count_judged, report_care, report_fleet, report_read};
pub use metrics::{
    BREAKER_OPEN, BUILD_INFO, CLAIMS_TOTAL, CONFIG_RELOADS_TOTAL, CONFIG_RESTART_PENDING, CONFIG_STALE,
    DEFECTS_TOTAL, EFFECT_DURATION_SECONDS, EFFECTS_TOTAL, LEASES_LOST_TOTAL, OLDEST_DUE_SECONDS, PARKED,
    QLIK_REQUEST_DURATION_SECONDS, QLIK_REQUESTS_TOTAL, RIGHT_MISSING, TENANTS, TIME_TO_READY_PART_SECONDS,
    TIME_TO_READY_SECONDS,
};
