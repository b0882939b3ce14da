//! Rules between keys: each says why, with the numbers as they stand.
//!
//! The rule: values are only peeked at, so that a key that is wrong in itself is
//! told once.

use std::time::Duration;

use super::parse::{duration, interval, shown};
use super::reader::Reader;

/// Checks every rule; faults are recorded against the key that should move.
pub(super) fn check(from: &mut Reader<'_>) {
    lease_outlasts_requests(from);
    first_wait_fits_under_the_cap(from);
    connecting_is_part_of_the_request(from);
    reading_is_part_of_the_request(from);
    previous_secret_is_gone_before_the_next(from);
}

/// Any duration: the range was checked where the key was read.
pub(super) fn peek_duration(from: &Reader<'_>, key: &str) -> Option<Duration> {
    from.peek(key, duration(Duration::ZERO..=Duration::MAX))
}

fn pair(from: &Reader<'_>, one: &str, other: &str) -> Option<(Duration, Duration)> {
    Some((peek_duration(from, one)?, peek_duration(from, other)?))
}

/// A worker needs the time of one request left on its lease before it sends, and
/// the request itself must end before another may take the tenant over.
fn lease_outlasts_requests(from: &mut Reader<'_>) {
    let Some((lease, timeout)) = pair(from, "worker.lease", "qlik.request_timeout") else { return };
    let both = timeout.saturating_mul(2);
    if lease <= both {
        let (lease, timeout, both) = (shown(lease), shown(timeout), shown(both));
        from.fault(
            "worker.lease",
            format!("is {lease}, not more than twice qlik.request_timeout ({timeout})"),
            format!("raise it above {both}, or lower qlik.request_timeout"),
        );
    }
}

fn first_wait_fits_under_the_cap(from: &mut Reader<'_>) {
    let Some((base, cap)) = pair(from, "retry.base", "retry.cap") else { return };
    if base > cap {
        let (base, cap) = (shown(base), shown(cap));
        from.fault(
            "retry.base",
            format!("is {base}, more than retry.cap ({cap})"),
            "lower it, or raise retry.cap",
        );
    }
}

fn connecting_is_part_of_the_request(from: &mut Reader<'_>) {
    let Some((connect, request)) = pair(from, "qlik.connect_timeout", "qlik.request_timeout") else { return };
    if connect >= request {
        let (connect, request) = (shown(connect), shown(request));
        from.fault(
            "qlik.connect_timeout",
            format!("is {connect}, not less than qlik.request_timeout ({request})"),
            "lower it: the request's time includes connecting",
        );
    }
}

fn reading_is_part_of_the_request(from: &mut Reader<'_>) {
    let Some((read, request)) = pair(from, "qlik.read_timeout", "qlik.request_timeout") else { return };
    if read > request {
        let (read, request) = (shown(read), shown(request));
        from.fault(
            "qlik.read_timeout",
            format!("is {read}, more than qlik.request_timeout ({request})"),
            "lower it: the request's time includes reading the answer",
        );
    }
}

/// Qlik keeps at most five secrets; overlapping rotations would fill them up.
/// Jitter may bring a rotation forward by a tenth.
fn previous_secret_is_gone_before_the_next(from: &mut Reader<'_>) {
    let any = interval(Duration::ZERO..=Duration::MAX);
    let Some(Some(every)) = from.peek("rotation.every", any) else { return };
    let Some(overlap) = peek_duration(from, "rotation.overlap") else { return };
    if overlap >= every.saturating_sub(every / 10) {
        let (overlap, every) = (shown(overlap), shown(every));
        from.fault(
            "rotation.overlap",
            format!("is {overlap}, not less than nine tenths of rotation.every ({every})"),
            "lower it: the previous secret must retire before the next is made, up to a tenth early",
        );
    }
}
