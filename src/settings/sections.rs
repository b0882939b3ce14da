//! Reads each section into its checked type: which keys there are.
//!
//! The rule: read all keys first, then use `?`, so that one fault hides no other.
//! Rules between keys are in `rules`.

use secrecy::{ExposeSecret, SecretString};

use super::checked::{
    Audit, History, Http, Log, Objective, Prove, Qlik, Retry, Rotation, Settings, Vault, Worker,
};
use super::database::database;
use super::parse::{address, choice, count, duration, flag, interval, log_filter, path, share};
use super::profiles::profiles;
use super::proxy;
use super::ranges::{
    AUDIT_EVERY, BASE, CANARY, CAP, CONCURRENCY, CONNECT_TIMEOUT, GIVE_UP_AFTER, KEEP, LEASE, OVERLAP,
    PATIENCE, PER_HOUR, POLL, READ_TIMEOUT, READY_WITHIN, REQUEST_TIMEOUT, ROTATE_EVERY, SETTLE,
};
use super::reader::{Read, Reader};
use super::regions::regions;
use super::rules;
use super::traces::traces;
use crate::domain::proof::Proof;
use crate::domain::rollout::Bounds;
use crate::domain::tenant::RepairScope;
use crate::telemetry::logs::Format;

/// Everything, in the order of `config/default.toml`.
pub(super) fn settings(from: &mut Reader<'_>) -> Read<Settings> {
    let (database, worker, retry) = (database(from), worker(from), retry(from));
    let (qlik, regions, profiles) = (qlik(from), regions(from), profiles(from));
    let (vault, prove, rotation) = (vault(from), prove(from), rotation(from));
    let (audit, bounds) = (audit(from), bounds(from));
    let (history, objective, http) = (history(from), objective(from), http(from));
    let (traces, log) = (traces(from), log(from));
    rules::check(from);
    Ok(Settings {
        database: database?,
        worker: worker?,
        retry: retry?,
        qlik: qlik?,
        regions: regions?,
        profiles: profiles?,
        vault: vault?,
        prove: prove?,
        rotation: rotation?,
        audit: audit?,
        bounds: bounds?,
        history: history?,
        objective: objective?,
        http: http?,
        traces: traces?,
        log: log?,
    })
}

fn worker(from: &mut Reader<'_>) -> Read<Worker> {
    let concurrency = from.required("worker.concurrency", count(CONCURRENCY));
    let lease = from.required("worker.lease", duration(LEASE));
    let poll = from.required("worker.poll", duration(POLL));
    Ok(Worker { concurrency: concurrency?, lease: lease?, poll: poll? })
}

fn retry(from: &mut Reader<'_>) -> Read<Retry> {
    let base = from.required("retry.base", duration(BASE));
    let cap = from.required("retry.cap", duration(CAP));
    let give_up_after = from.required("retry.give_up_after", duration(GIVE_UP_AFTER));
    Ok(Retry { base: base?, cap: cap?, give_up_after: give_up_after? })
}

pub(super) fn qlik(from: &mut Reader<'_>) -> Read<Qlik> {
    let request_timeout = from.required("qlik.request_timeout", duration(REQUEST_TIMEOUT));
    let connect_timeout = from.required("qlik.connect_timeout", duration(CONNECT_TIMEOUT));
    let read_timeout = from.required("qlik.read_timeout", duration(READ_TIMEOUT));
    let settle = from.required("qlik.settle", duration(SETTLE));
    let ca_file = from.optional("qlik.ca_file", path);
    let connect_to = from.optional("qlik.connect_to", address);
    let proxy = proxy(from);
    let revoke_by_filter = from.required("qlik.revoke_by_filter", flag);
    Ok(Qlik {
        request_timeout: request_timeout?,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
        settle: settle?,
        ca_file: ca_file?,
        connect_to: connect_to?,
        proxy: proxy?,
        revoke_by_filter: revoke_by_filter?,
    })
}

fn proxy(from: &mut Reader<'_>) -> Read<Option<SecretString>> {
    let Some(given) = from.secret("qlik.proxy")? else { return Ok(None) };
    match proxy::check(given.text()) {
        Ok(()) => Ok(Some(given.secret)),
        Err(misfit) => Err(given.fault(from, &misfit)),
    }
}

pub(super) fn vault(from: &mut Reader<'_>) -> Read<Vault> {
    if let Some(keyring_file) = from.optional("vault.keyring_file", path)? {
        return Ok(Vault { keyring_file });
    }
    let remedy = "make a keyring with `tenantd keys generate` and set this to its path";
    Err(from.not_set("vault.keyring_file", remedy))
}

fn prove(from: &mut Reader<'_>) -> Read<Prove> {
    let words = [("client_credentials", Proof::Token), ("none", Proof::Waived)];
    let method = from.required("prove.method", choice(words));
    let patience = from.required("prove.patience", duration(PATIENCE));
    Ok(Prove { method: method?, patience: patience? })
}

pub(super) fn rotation(from: &mut Reader<'_>) -> Read<Rotation> {
    let every = from.required("rotation.every", interval(ROTATE_EVERY));
    let overlap = from.required("rotation.overlap", duration(OVERLAP));
    Ok(Rotation { every: every?, overlap: overlap? })
}

fn audit(from: &mut Reader<'_>) -> Read<Audit> {
    let every = from.required("audit.every", interval(AUDIT_EVERY));
    let repair = from.required("audit.repair", flag);
    // Consent, and duplicates of our own, are mended either way.
    let scope = |all| if all { RepairScope::All } else { RepairScope::Consent };
    Ok(Audit { every: every?, repair: scope(repair?) })
}

/// `[budget]` and `[canary]`
pub(super) fn bounds(from: &mut Reader<'_>) -> Read<Bounds> {
    let removals_per_hour = from.optional("budget.removals_per_hour", count(PER_HOUR));
    let changes_per_hour = from.required("budget.changes_per_hour", count(PER_HOUR));
    let canary = from.required("canary.size", count(CANARY));
    let max_failure_ratio = from.required("canary.max_failure_ratio", share);
    Ok(Bounds {
        removals_per_hour: removals_per_hour?,
        changes_per_hour: changes_per_hour?,
        canary: canary?,
        max_failure_ratio: max_failure_ratio?,
    })
}

fn history(from: &mut Reader<'_>) -> Read<History> {
    let keep = from.required("history.keep", duration(KEEP));
    Ok(History { keep: keep? })
}

/// The key of the token of those who act.
const ACT: &str = "http.act_token_file";

fn objective(from: &mut Reader<'_>) -> Read<Objective> {
    let ready_within = from.required("objective.ready_within", duration(READY_WITHIN));
    Ok(Objective { ready_within: ready_within? })
}

pub(super) fn http(from: &mut Reader<'_>) -> Read<Http> {
    from.keep_secret("http.token");
    from.keep_secret("http.act_token");
    let listen = from.required("http.listen", address);
    let looks = from.token_file("http.token_file");
    let acts = from.token_file(ACT);
    let (looks, acts) = (looks?, acts?);
    if let (Some((_, looks)), Some((_, acts))) = (&looks, &acts)
        && looks.token.expose_secret() == acts.token.expose_secret()
    {
        let remedy = "give it another: whoever may only look must not act";
        return Err(from.fault(ACT, "holds the same token as http.token_file", remedy));
    }
    Ok(Http { listen: listen?, looks: looks.map(|(file, _)| file), acts: acts.map(|(file, _)| file) })
}

pub(super) fn log(from: &mut Reader<'_>) -> Read<Log> {
    let format = from.required("log.format", choice([("text", Format::Text), ("json", Format::Json)]));
    let level = from.required("log.level", log_filter);
    Ok(Log { format: format?, level: level? })
}
