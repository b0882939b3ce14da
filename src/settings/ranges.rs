//! What each number and duration may be, for those who read it and those who derive it.

use std::ops::RangeInclusive;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

type Durations = RangeInclusive<Duration>;
type Numbers = RangeInclusive<u32>;

pub(super) const MAX_CONNECTIONS: Numbers = 2..=500;
pub(super) const CONCURRENCY: RangeInclusive<usize> = 1..=1024;
pub(super) const LEASE: Durations = SECOND..=HOUR;
pub(super) const POLL: Durations = Duration::from_millis(10)..=Duration::from_mins(10);
pub(super) const BASE: Durations = Duration::from_millis(10)..=HOUR;
pub(super) const CAP: Durations = Duration::from_millis(10)..=DAY;
pub(super) const GIVE_UP_AFTER: Durations = SECOND..=Duration::from_hours(24 * 30);
pub(super) const REQUEST_TIMEOUT: Durations = Duration::from_millis(100)..=Duration::from_mins(10);
pub(super) const CONNECT_TIMEOUT: Durations = Duration::from_millis(10)..=MINUTE;
pub(super) const READ_TIMEOUT: Durations = Duration::from_millis(100)..=Duration::from_mins(10);
pub(super) const SETTLE: Durations = SECOND..=DAY;
pub(super) const PATIENCE: Durations = Duration::ZERO..=DAY;
pub(super) const ROTATE_EVERY: Durations = HOUR..=Duration::from_hours(24 * 3650);
pub(super) const OVERLAP: Durations = MINUTE..=YEAR;
pub(super) const AUDIT_EVERY: Durations = MINUTE..=YEAR;
pub(super) const PER_HOUR: Numbers = 1..=1_000_000;
pub(super) const CANARY: Numbers = 0..=10_000;
pub(super) const READY_WITHIN: Durations = SECOND..=Duration::from_hours(24 * 7);
pub(super) const KEEP: Durations = HOUR..=Duration::from_hours(24 * 3650);
