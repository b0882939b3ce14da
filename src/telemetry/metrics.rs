//! Every metric there is, in one list.
//!
//! The rule: a name, its labels and its unit are part of the contract
//! (`docs/metrics.md`, checked against this list): they are added to, never
//! changed. A label takes few values; no tenant, host or client ever is one.

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Gauge by `phase`: tenants in each phase.
pub const TENANTS: &str = "tenantd_tenants";
/// Gauge by `reason`: tenants that wait for somebody.
pub const PARKED: &str = "tenantd_parked";
/// Counter by `effect` and `outcome`: effects tried.
pub const EFFECTS_TOTAL: &str = "tenantd_effects_total";
/// Histogram by `effect`, in seconds: how long effects take.
pub const EFFECT_DURATION_SECONDS: &str = "tenantd_effect_duration_seconds";
/// Counter: tenants claimed.
pub const CLAIMS_TOTAL: &str = "tenantd_claims_total";
/// Counter: leases that another replica took over.
pub const LEASES_LOST_TOTAL: &str = "tenantd_leases_lost_total";
/// Counter by `endpoint` and `status`: requests to Qlik.
pub const QLIK_REQUESTS_TOTAL: &str = "tenantd_qlik_requests_total";
/// Histogram by `endpoint`, in seconds: how long Qlik takes.
pub const QLIK_REQUEST_DURATION_SECONDS: &str = "tenantd_qlik_request_duration_seconds";
/// Gauge by `region`: 1 while the region's breaker is open.
pub const BREAKER_OPEN: &str = "tenantd_breaker_open";
/// Gauge by `region` and `effect`: 1 while the region lacks the right to it.
pub const RIGHT_MISSING: &str = "tenantd_right_missing";
/// Gauge, in seconds: how long the oldest due tenant has been due.
pub const OLDEST_DUE_SECONDS: &str = "tenantd_oldest_due_seconds";
/// Gauge: tenants whose client differed at its last audit, by kind of drift.
pub const DRIFTED: &str = "tenantd_drifted";
/// Gauge: removals that wait for their budget.
pub const REMOVALS_AWAITING: &str = "tenantd_removals_awaiting";
/// Gauge: 1 while a rollout has halted, by kind.
pub const ROLLOUT_HALTED: &str = "tenantd_rollout_halted";
/// Gauge: 1 while deletions at Qlik are held.
pub const DELETIONS_HELD: &str = "tenantd_deletions_held";
/// Gauge: 1 while all changes at Qlik are held.
pub const CHANGES_HELD: &str = "tenantd_changes_held";
/// Counter: tenants that met a defect and were parked for it.
pub const DEFECTS_TOTAL: &str = "tenantd_defects_total";
/// Histogram, in seconds: from the row's insert to the first ready of each life.
pub const TIME_TO_READY_SECONDS: &str = "tenantd_time_to_ready_seconds";
/// Histogram by `part`, in seconds: whose that time was; the parts of a tenant add up to it.
pub const TIME_TO_READY_PART_SECONDS: &str = "tenantd_time_to_ready_part_seconds";
/// Counter by `outcome`: tenants judged by the objective, `met` or `missed`.
pub const OBJECTIVE_TENANTS_TOTAL: &str = "tenantd_objective_tenants_total";
/// Its outcome of those that were ready in time.
pub const MET: &str = "met";
/// And of those that were not.
pub const MISSED: &str = "missed";
/// Gauge, in seconds since 1970: when the gauges were last read from the database.
pub const FLEET_READ_TIMESTAMP_SECONDS: &str = "tenantd_fleet_read_timestamp_seconds";
/// Counter by `outcome`: how reading the configuration anew went, `done` or `failed`.
pub const CONFIG_RELOADS_TOTAL: &str = "tenantd_config_reloads_total";
/// Its outcome where all of it was taken over.
pub const RELOADED: &str = "done";
/// And where nothing was.
pub const UNCHANGED: &str = "failed";
/// Gauge: 1 while the configuration was to be read anew and could not be.
pub const CONFIG_STALE: &str = "tenantd_config_stale";
/// Gauge: settings that were found changed and wait for a restart.
pub const CONFIG_RESTART_PENDING: &str = "tenantd_config_restart_pending";
/// Counter by `outcome`: spans of traces, `sent` or `dropped`.
pub const TRACE_SPANS_TOTAL: &str = "tenantd_trace_spans_total";
/// Its outcome of those that the collector took.
pub const SENT: &str = "sent";
/// And of those that it did not, or that found the queue full.
pub const DROPPED: &str = "dropped";
/// Gauge by `version`: always 1.
pub const BUILD_INFO: &str = "tenantd_build_info";

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

impl Kind {
    /// The spelling in Prometheus and in the docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, described.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, one of the constants above.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// Its labels, in the order of the docs.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub unit: Unit,
    /// One sentence for Prometheus and the docs.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    unit: Unit,
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, unit, help }
}

/// Every metric.
pub const ALL: [Metric; 26] = [
    metric(
        TENANTS,
        Kind::Gauge,
        &["phase"],
        Unit::Count,
        "Tenants in each phase; estimated from a sample while more than 20,000 are under way, their sum exact.",
    ),
    metric(PARKED, Kind::Gauge, &["reason"], Unit::Count, "Tenants that wait until somebody acts."),
    metric(
        EFFECTS_TOTAL,
        Kind::Counter,
        &["effect", "outcome"],
        Unit::Count,
        "Effects tried, by what came of them.",
    ),
    metric(
        EFFECT_DURATION_SECONDS,
        Kind::Histogram,
        &["effect"],
        Unit::Seconds,
        "How long an effect took, its requests included.",
    ),
    metric(CLAIMS_TOTAL, Kind::Counter, &[], Unit::Count, "Tenants claimed by this process."),
    metric(
        LEASES_LOST_TOTAL,
        Kind::Counter,
        &[],
        Unit::Count,
        "Leases of this process that another one took over.",
    ),
    metric(
        QLIK_REQUESTS_TOTAL,
        Kind::Counter,
        &["endpoint", "status"],
        Unit::Count,
        "Requests to Qlik, by endpoint and HTTP status.",
    ),
    metric(
        QLIK_REQUEST_DURATION_SECONDS,
        Kind::Histogram,
        &["endpoint"],
        Unit::Seconds,
        "How long Qlik took to answer.",
    ),
    metric(
        BREAKER_OPEN,
        Kind::Gauge,
        &["region"],
        Unit::Count,
        "1 while the region's credential is taken for refused, else 0.",
    ),
    metric(
        RIGHT_MISSING,
        Kind::Gauge,
        &["region", "effect"],
        Unit::Count,
        "1 while the region's OAuth client is known to lack the right to this effect, else 0.",
    ),
    metric(
        OLDEST_DUE_SECONDS,
        Kind::Gauge,
        &[],
        Unit::Seconds,
        "How long the tenant that is due longest has been due, of the next 10,000 of each region.",
    ),
    metric(DRIFTED, Kind::Gauge, &["kind"], Unit::Count, "Tenants whose client differed at its last audit."),
    metric(
        REMOVALS_AWAITING,
        Kind::Gauge,
        &[],
        Unit::Count,
        "Removals that wait for their place in the hourly budget.",
    ),
    metric(
        ROLLOUT_HALTED,
        Kind::Gauge,
        &["kind"],
        Unit::Count,
        "1 while a rollout has halted because too many of its tenants failed, else 0.",
    ),
    metric(
        DELETIONS_HELD,
        Kind::Gauge,
        &[],
        Unit::Count,
        "1 while nothing is deleted at Qlik because the database may have forgotten something, else 0.",
    ),
    metric(
        CHANGES_HELD,
        Kind::Gauge,
        &[],
        Unit::Count,
        "1 while nothing is changed at Qlik because this may be a copy of the real database, else 0.",
    ),
    metric(
        DEFECTS_TOTAL,
        Kind::Counter,
        &[],
        Unit::Count,
        "Tenants that were parked because their row could not be read or written.",
    ),
    metric(
        TIME_TO_READY_SECONDS,
        Kind::Histogram,
        &[],
        Unit::Seconds,
        "From the insert of a row to its first ready.",
    ),
    metric(
        TIME_TO_READY_PART_SECONDS,
        Kind::Histogram,
        &["part"],
        Unit::Seconds,
        "Whose the time was from the insert of a row to its first ready.",
    ),
    metric(
        OBJECTIVE_TENANTS_TOTAL,
        Kind::Counter,
        &["outcome"],
        Unit::Count,
        "Tenants whose time to become ready (`objective.ready_within`) is over, by whether they were.",
    ),
    metric(
        FLEET_READ_TIMESTAMP_SECONDS,
        Kind::Gauge,
        &[],
        Unit::Seconds,
        "When this process last read the gauges from the database, in seconds since 1970.",
    ),
    metric(
        TRACE_SPANS_TOTAL,
        Kind::Counter,
        &["outcome"],
        Unit::Count,
        "Spans of traces, by whether the collector took them.",
    ),
    metric(
        CONFIG_RELOADS_TOTAL,
        Kind::Counter,
        &["outcome"],
        Unit::Count,
        "How often this process was to read its configuration anew, by what came of it.",
    ),
    metric(
        CONFIG_STALE,
        Kind::Gauge,
        &[],
        Unit::Count,
        "1 while this process goes on under its configuration of before because the new one has a fault, else 0.",
    ),
    metric(
        CONFIG_RESTART_PENDING,
        Kind::Gauge,
        &[],
        Unit::Count,
        "Settings that a reload found changed and only a restart of this process takes over.",
    ),
    metric(
        BUILD_INFO,
        Kind::Gauge,
        &["version"],
        Unit::Count,
        "Always 1; the label says which version runs.",
    ),
];

/// From one fast request to the longest timeout that is sensible.
const REQUEST_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// From a smooth start to a week of outage.
const READY_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0, 604_800.0];

/// A part of it may be next to nothing.
const PART_BUCKETS: [f64; 10] = [0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0, 604_800.0];

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("could not set up metrics: {0}")]
pub struct InstallError(#[from] BuildError);

/// What was recorded, for whoever serves it.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording for the whole process.
    ///
    /// # Errors
    ///
    /// [`InstallError`], when this process records already.
    pub fn install() -> Result<Self, InstallError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Everything recorded so far, in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Sorts new observations into their buckets. To be called every few seconds:
    /// otherwise they pile up until somebody reads.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// Metrics that record nothing but what runs inside `metrics::with_local_recorder`.
    #[cfg(test)]
    pub(crate) fn local() -> (metrics_exporter_prometheus::PrometheusRecorder, Self) {
        let recorder = builder().unwrap().build_recorder();
        let handle = Self(recorder.handle());
        (recorder, handle)
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(TIME_TO_READY_PART_SECONDS.to_owned()), &PART_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(TIME_TO_READY_SECONDS.to_owned()), &READY_BUCKETS)
}

/// Describes every metric, and shows those that have a value from the start: an
/// alert on a counter that does not exist yet would miss its first increase.
fn describe() {
    for Metric { name, kind, unit, help, .. } in ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
    metrics::counter!(CLAIMS_TOTAL).increment(0);
    metrics::counter!(LEASES_LOST_TOTAL).increment(0);
    metrics::counter!(DEFECTS_TOTAL).increment(0);
    for outcome in [MET, MISSED] {
        metrics::counter!(OBJECTIVE_TENANTS_TOTAL, "outcome" => outcome).increment(0);
    }
    for outcome in [SENT, DROPPED] {
        metrics::counter!(TRACE_SPANS_TOTAL, "outcome" => outcome).increment(0);
    }
    for outcome in [RELOADED, UNCHANGED] {
        metrics::counter!(CONFIG_RELOADS_TOTAL, "outcome" => outcome).increment(0);
    }
    metrics::gauge!(CONFIG_STALE).set(0.0);
    metrics::gauge!(CONFIG_RESTART_PENDING).set(0.0);
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/metrics.md");

    fn row(metric: &Metric) -> String {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.as_str(),
            labels.join(", "),
            metric.unit.as_str(),
            metric.help,
        )
    }

    #[test]
    fn the_docs_list_every_metric_as_it_is_and_no_other() {
        let listed: Vec<&str> = DOCS.lines().filter(|line| line.starts_with("| `tenantd_")).collect();

        let expected: Vec<String> = ALL.iter().map(row).collect();

        assert_eq!(listed, expected, "\n{}", expected.join("\n"));
    }

    #[test]
    fn the_docs_explain_every_label() {
        for label in ALL.iter().flat_map(|metric| metric.labels) {
            assert!(DOCS.contains(&format!("* `{label}`: ")), "{label} is not explained");
        }
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for Metric { name, kind, unit, .. } in ALL {
            assert!(name.starts_with("tenantd_"), "{name}");
            assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
        }
    }

    #[test]
    fn counters_of_few_series_and_the_version_are_there_from_the_start() {
        let (recorder, metrics) = Metrics::local();

        metrics::with_local_recorder(&recorder, describe);
        let text = metrics.render();

        let version = format!("{BUILD_INFO}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        for line in [
            "tenantd_claims_total 0",
            "tenantd_leases_lost_total 0",
            "tenantd_defects_total 0",
            "tenantd_objective_tenants_total{outcome=\"met\"} 0",
            "tenantd_objective_tenants_total{outcome=\"missed\"} 0",
            "tenantd_trace_spans_total{outcome=\"sent\"} 0",
            "tenantd_trace_spans_total{outcome=\"dropped\"} 0",
            "tenantd_config_reloads_total{outcome=\"done\"} 0",
            "tenantd_config_reloads_total{outcome=\"failed\"} 0",
            "tenantd_config_stale 0",
            "tenantd_config_restart_pending 0",
            version.as_str(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn durations_are_histograms_with_buckets_and_not_summaries() {
        let (recorder, metrics) = Metrics::local();

        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!(EFFECT_DURATION_SECONDS, "effect" => "create").record(0.3);
            metrics::histogram!(TIME_TO_READY_SECONDS).record(4.0);
        });
        let text = metrics.render();

        for line in [
            "tenantd_effect_duration_seconds_bucket{effect=\"create\",le=\"0.25\"} 0",
            "tenantd_effect_duration_seconds_bucket{effect=\"create\",le=\"0.5\"} 1",
            "tenantd_time_to_ready_seconds_bucket{le=\"5\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
