//! Rules between keys: each says why, with the numbers as they stand and where.
//!
//! The rules: only what somebody wrote is compared, since defaults follow from that
//! (`derived`). A key that is wrong in itself has been told already, so it is passed over
//! here.

use std::time::Duration;

use super::derived::between;
use super::parse::{address, duration, interval, path, shown};
use super::reader::Reader;

/// Checks every rule; faults are recorded against the key that should move.
pub(super) fn check(from: &mut Reader<'_>) {
    lease_outlasts_requests(from);
    first_wait_fits_under_the_cap(from);
    connecting_is_part_of_the_request(from);
    reading_is_part_of_the_request(from);
    parts_of_a_request_fit_into_the_lease(from);
    one_way_leads_to_qlik(from);
    previous_secret_is_gone_before_the_next(from);
    no_door_is_open_to_all(from);
}

/// Any duration: the range was checked where the key was read.
pub(super) fn peek_duration(from: &Reader<'_>, key: &str) -> Option<Duration> {
    from.peek(key, duration(Duration::ZERO..=Duration::MAX))
}

fn written(from: &Reader<'_>, key: &str) -> Option<Duration> {
    peek_duration(from, key).filter(|_| from.is_written(key))
}

fn pair(from: &Reader<'_>, one: &str, other: &str) -> Option<(Duration, Duration)> {
    Some((written(from, one)?, written(from, other)?))
}

/// A setting in parentheses: its value, and where it was written.
fn told(from: &Reader<'_>, key: &str, value: Duration) -> String {
    format!("{key} ({}, {})", shown(value), from.origin(key).unwrap_or_default())
}

/// A worker needs the time of one request left on its lease before it sends, and
/// the request itself must end before another may take the tenant over.
fn lease_outlasts_requests(from: &mut Reader<'_>) {
    const LEASE: &str = "worker.lease";
    const REQUEST: &str = "qlik.request_timeout";
    let Some((lease, timeout)) = pair(from, LEASE, REQUEST) else { return };
    let both = timeout.saturating_mul(2);
    if lease <= both {
        let problem = format!("is {}, not more than twice {}", shown(lease), told(from, REQUEST, timeout));
        from.fault(LEASE, problem, format!("raise it above {}, or lower {REQUEST}", shown(both)));
    }
}

fn first_wait_fits_under_the_cap(from: &mut Reader<'_>) {
    let Some((base, cap)) = pair(from, "retry.base", "retry.cap") else { return };
    if base > cap {
        let problem = format!("is {}, more than {}", shown(base), told(from, "retry.cap", cap));
        from.fault("retry.base", problem, "lower it, or raise retry.cap");
    }
}

fn connecting_is_part_of_the_request(from: &mut Reader<'_>) {
    const CONNECT: &str = "qlik.connect_timeout";
    const REQUEST: &str = "qlik.request_timeout";
    let Some((connect, request)) = pair(from, CONNECT, REQUEST) else { return };
    if connect >= request {
        let problem = format!("is {}, not less than {}", shown(connect), told(from, REQUEST, request));
        from.fault(CONNECT, problem, "lower it: the request's time includes connecting");
    }
}

fn reading_is_part_of_the_request(from: &mut Reader<'_>) {
    const READ: &str = "qlik.read_timeout";
    const REQUEST: &str = "qlik.request_timeout";
    let Some((read, request)) = pair(from, READ, REQUEST) else { return };
    if read > request {
        let problem = format!("is {}, more than {}", shown(read), told(from, REQUEST, request));
        from.fault(READ, problem, "lower it: the request's time includes reading the answer");
    }
}

/// Where nobody wrote how long a request may take, what was written of its parts and
/// of the lease must leave room for it.
fn parts_of_a_request_fit_into_the_lease(from: &mut Reader<'_>) {
    const LEASE: &str = "worker.lease";
    let Some(lease) = written(from, LEASE) else { return };
    if from.is_written("qlik.request_timeout") {
        return;
    }
    for part in ["qlik.connect_timeout", "qlik.read_timeout"] {
        let Some(value) = written(from, part) else { continue };
        if value.saturating_mul(2) >= lease || between(value, lease).is_none() {
            let lease = told(from, LEASE, lease);
            let problem = format!(
                "is {}, and a request, which takes longer, must fit twice into {lease}",
                shown(value)
            );
            let remedy = format!("lower it, or raise {LEASE} above {}", shown(value.saturating_mul(2)));
            from.fault(part, problem, remedy);
        }
    }
}

/// Behind a proxy it is the proxy that connects.
fn one_way_leads_to_qlik(from: &mut Reader<'_>) {
    const FIXED: &str = "qlik.connect_to";
    let Some(proxy) = ["qlik.proxy", "qlik.proxy_file"].into_iter().find(|key| from.is_written(key)) else {
        return;
    };
    if from.is_written(FIXED) {
        let problem = format!("is given, and so is {proxy} ({})", from.origin(proxy).unwrap_or_default());
        from.fault(FIXED, problem, "keep one of the two: they exclude each other");
    }
}

/// Qlik keeps at most five secrets; overlapping rotations would fill them up.
/// Jitter may bring a rotation forward by a tenth.
fn previous_secret_is_gone_before_the_next(from: &mut Reader<'_>) {
    const EVERY: &str = "rotation.every";
    let any = interval(Duration::ZERO..=Duration::MAX);
    let every = from.peek(EVERY, any).flatten().filter(|_| from.is_written(EVERY));
    let (Some(every), Some(overlap)) = (every, written(from, "rotation.overlap")) else { return };
    if overlap >= every.saturating_sub(every / 10) {
        let every = told(from, EVERY, every);
        from.fault(
            "rotation.overlap",
            format!("is {}, not less than nine tenths of {every}", shown(overlap)),
            "lower it: the previous secret must retire before the next is made, up to a tenth early",
        );
    }
}

/// Whoever reaches the port reads of every tenant.
fn no_door_is_open_to_all(from: &mut Reader<'_>) {
    const LISTEN: &str = "http.listen";
    let Some(listen) = from.peek(LISTEN, address) else { return };
    let has_token = from.peek("http.token_file", path).is_some();
    if !listen.ip().to_canonical().is_loopback() && !has_token {
        from.fault(
            LISTEN,
            format!("is {listen}, which other machines may reach, and no token is asked for"),
            "set http.token_file, or listen on 127.0.0.1",
        );
    }
}
