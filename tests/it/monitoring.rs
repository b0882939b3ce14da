//! `deploy/monitoring/` tells the truth: what it names is there, and each alert leads somebody
//! to a page that says what to do.
//!
//! The rule: no word of it is believed that the code, or another page, does not say. That the
//! expressions mean what they say is shown by `make monitoring`, with Prometheus itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tenantd::telemetry::metrics::{self, Kind};

const ALERTS: &str = include_str!("../../deploy/monitoring/alerts.yaml");
const CASES: &str = concat!(
    include_str!("../../deploy/monitoring/alerts_test.yaml"),
    include_str!("../../deploy/monitoring/alerts_slow_test.yaml")
);
const DASHBOARD: &str = include_str!("../../deploy/monitoring/dashboard.json");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");
const MONITORING: &str = include_str!("../../docs/monitoring.md");
const METRICS: &str = include_str!("../../docs/metrics.md");

/// Names that begin so, wherever they stand in a text that is no comment.
fn named<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split(|c| !is_name(c)));
    words.filter(|word| word.starts_with(prefix) && *word != prefix).collect()
}

fn is_metric(name: &str) -> bool {
    metrics::ALL.iter().any(|metric| {
        let series = ["_bucket", "_sum", "_count"];
        let of_histogram = || series.iter().any(|end| name.strip_suffix(end) == Some(metric.name));
        if metric.kind == Kind::Histogram { of_histogram() } else { metric.name == name }
    })
}

/// Each alert's lines, by its name.
fn alerts() -> BTreeMap<&'static str, &'static str> {
    let rules = ALERTS.split("\n      - alert: ").skip(1);
    rules.map(|rule| (rule.lines().next().unwrap(), rule)).collect()
}

/// What stands under a key, on its line or folded below it; its first line is enough.
fn value<'a>(rule: &'a str, key: &str) -> Option<&'a str> {
    let key = format!("{key}: ");
    let mut lines = rule.lines().map(str::trim);
    let text = lines.find_map(|line| line.strip_prefix(&key))?;
    if text == ">-" { lines.next() } else { Some(text) }
}

/// All pages of the runbook, one after the other.
fn runbook() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| std::fs::read_to_string(path).unwrap()).chain([RUNBOOK.to_owned()]).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_one_of_ours() {
    for (file, text) in [
        ("alerts.yaml", ALERTS),
        ("alerts_test.yaml, alerts_slow_test.yaml", CASES),
        ("dashboard.json", DASHBOARD),
        ("docs/metrics.md", METRICS),
        ("docs/monitoring.md", MONITORING),
        ("docs/runbook", &runbook()),
    ] {
        let unknown: Vec<_> = named(text, "tenantd_").into_iter().filter(|name| !is_metric(name)).collect();
        let unknown: Vec<_> = unknown
            .into_iter()
            // A histogram's own name is none of its series, and prose may use it.
            .filter(|name| {
                !file.starts_with("docs/") || !metrics::ALL.iter().any(|metric| metric.name == *name)
            })
            .collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{file}");
    }
}

#[test]
fn every_recorded_series_that_is_asked_for_is_recorded() {
    let recorded: BTreeSet<&str> =
        ALERTS.split("- record: ").skip(1).map(|rest| rest.lines().next().unwrap()).collect();
    assert!(recorded.len() > 5, "{recorded:?}");

    for text in [ALERTS, DASHBOARD, MONITORING, &runbook()] {
        for name in named(text, "tenantd:") {
            assert!(recorded.contains(name), "{name} is not recorded");
        }
    }
}

#[test]
fn every_alert_says_what_it_means_and_leads_to_its_page_of_the_runbook() {
    let all = alerts();
    assert!(all.len() > 20, "{}", all.len());

    for (alert, rule) in &all {
        for key in ["summary", "description", "action"] {
            assert!(value(rule, key).is_some_and(|text| text.len() > 10), "{alert} has no {key}: {rule}");
        }
        let page = format!("docs/runbook/{alert}.md");
        assert_eq!(value(rule, "runbook_url"), Some(page.as_str()), "{alert}");
        let severity = value(rule, "severity");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&page);
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{page} is not there"));
        let said = text.lines().find_map(|line| line.strip_prefix('*')?.split(".*").next());
        assert!(matches!(severity, Some("page" | "ticket")), "{alert}: {severity:?}");
        assert_eq!(said, severity, "{alert}: the runbook has another severity");
    }
}

/// That the cases hold is for promtool to say; here, that there are both of each.
#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let fires = |alert| format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"");
    for alert in alerts().into_keys() {
        let cases: Vec<&str> = CASES.split("\n  - name: ").filter(|case| case.starts_with(alert)).collect();
        let of = |end: &str| cases.iter().find(|case| case.starts_with(&format!("{alert} {end}")));
        let firing = of("fires").unwrap_or_else(|| panic!("no case where {alert} fires"));
        let silent = of("is silent").unwrap_or_else(|| panic!("no case where {alert} is silent"));
        assert!(firing.contains(&format!("labels: '{}", fires(alert))), "{alert}: {firing}");
        assert!(silent.contains("exp_samples: []") && !silent.contains("labels: '"), "{alert}: {silent}");
        assert!(silent.contains(&fires(alert)), "{alert} is asked for nothing: {silent}");
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_asks_for_something() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels: Vec<&Value> =
        dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() > 25, "{}", panels.len());

    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let text = |value: &Value| value.as_str().map(str::len).unwrap_or_default();
        assert!(text(&panel["description"]) > 20, "{title} has no description");
        assert!(text(&panel["fieldConfig"]["defaults"]["unit"]) > 0, "{title} has no unit");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} asks for nothing");
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("job=~\"$job\""), "{title} mixes installations: {expr}");
            assert!(text(&target["legendFormat"]) > 0, "{title} has a nameless series");
        }
    }
}

/// What is new to a page, metric by metric, should be looked at by somebody.
#[test]
fn every_metric_is_on_the_dashboard() {
    let shown = named(DASHBOARD, "tenantd_");
    let is_shown = |name: &str| {
        shown
            .iter()
            .any(|it| *it == name || ["_bucket", "_sum"].iter().any(|end| it.strip_suffix(end) == Some(name)))
    };

    for metric in metrics::ALL {
        assert!(is_shown(metric.name), "{} is on no panel", metric.name);
    }
}
