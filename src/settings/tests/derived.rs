//! Defaults give way to what was written, and only what was written contradicts.

use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::derived::between;
use super::super::parse::shown;
use super::super::ranges::*;
use super::super::{InvalidSettings, Layered, Settings, Warning};
use super::{LEAST, layered};

/// Every duration there is, with its range.
const DURATIONS: [(&str, RangeInclusive<Duration>); 14] = [
    ("worker.lease", LEASE),
    ("worker.poll", POLL),
    ("retry.base", BASE),
    ("retry.cap", CAP),
    ("retry.give_up_after", GIVE_UP_AFTER),
    ("qlik.request_timeout", REQUEST_TIMEOUT),
    ("qlik.connect_timeout", CONNECT_TIMEOUT),
    ("qlik.read_timeout", READ_TIMEOUT),
    ("qlik.settle", SETTLE),
    ("prove.patience", PATIENCE),
    ("rotation.every", ROTATE_EVERY),
    ("rotation.overlap", OVERLAP),
    ("audit.every", AUDIT_EVERY),
    ("history.keep", KEEP),
];

/// Every whole number there is, with its range.
const NUMBERS: [(&str, u32, u32); 5] = [
    ("database.max_connections", *MAX_CONNECTIONS.start(), *MAX_CONNECTIONS.end()),
    ("worker.concurrency", 1, 1024),
    ("budget.removals_per_hour", *PER_HOUR.start(), *PER_HOUR.end()),
    ("budget.changes_per_hour", *PER_HOUR.start(), *PER_HOUR.end()),
    ("canary.size", *CANARY.start(), *CANARY.end()),
];

/// Everything else that has more than one value, each value in TOML.
const WORDS: [(&str, &[&str]); 9] = [
    ("rotation.every", &["\"never\""]),
    ("audit.every", &["\"never\""]),
    ("audit.repair", &["true", "false"]),
    ("qlik.revoke_by_filter", &["true", "false"]),
    ("prove.method", &["\"none\"", "\"client_credentials\""]),
    ("canary.max_failure_ratio", &["0.0", "0.5", "1.0"]),
    ("log.format", &["\"text\"", "\"json\""]),
    ("log.level", &["\"off\"", "\"trace\"", "\"info,sqlx=debug\""]),
    ("http.listen", &["\"127.0.0.1:0\"", "\"127.0.0.2:9464\"", "\"[::1]:1\""]),
];

fn with(written: &[(&str, String)]) -> Layered {
    let lines: String = written.iter().flat_map(|(key, value)| [*key, " = ", value, "\n"]).collect();
    // Without a table of its own, so that its other key may be among the lines.
    let least = LEAST.replace("[database]\n    url", "database.url");
    assert_ne!(least, LEAST);
    layered(&format!("{lines}{least}"), &[])
}

fn read(written: &[(&str, String)]) -> Result<(Settings, Vec<Warning>), InvalidSettings> {
    with(written).settings()
}

/// A duration of this range, both ends and all orders of magnitude alike, in whole milliseconds.
fn any_duration(range: &RangeInclusive<Duration>) -> impl Strategy<Value = String> + use<> {
    let (least, most) = (range.start().as_millis(), range.end().as_millis());
    let (least, most) = (u64::try_from(least).unwrap(), u64::try_from(most).unwrap());
    let orders = 64 - most.leading_zeros();
    let any = (0..=orders, any::<u64>()).prop_map(move |(order, bits)| {
        let magnitude = 1_u64.checked_shl(order).unwrap_or(most);
        (bits % magnitude).clamp(least, most)
    });
    prop_oneof![Just(least), Just(most), any]
        .prop_map(|millis| format!("{:?}", shown(Duration::from_millis(millis))))
}

/// Any one setting with any value that its own range allows.
fn any_setting() -> impl Strategy<Value = (&'static str, String)> {
    let durations = select(&DURATIONS[..])
        .prop_flat_map(|(key, range)| any_duration(&range).prop_map(move |value| (key, value)));
    let numbers = select(&NUMBERS[..]).prop_flat_map(|(key, least, most)| {
        prop_oneof![Just(least), Just(most), least..=most].prop_map(move |value| (key, value.to_string()))
    });
    let words = select(&WORDS[..])
        .prop_flat_map(|(key, values)| select(values).prop_map(move |value| (key, value.to_owned())));
    prop_oneof![4 => durations, 2 => numbers, 1 => words]
}

/// Some of the settings that depend on one another.
fn some_that_depend() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    const DEPENDENT: [usize; 9] = [0, 2, 3, 5, 6, 7, 8, 10, 11];
    let each = DEPENDENT.map(|place| {
        let (key, range) = &DURATIONS[place];
        proptest::option::of(any_duration(range)).prop_map(|value| value.map(|value| (*key, value)))
    });
    each.prop_map(|all| all.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_single_setting_within_its_range_is_refused_because_of_a_default((key, value) in any_setting()) {
        let read = read(&[(key, value.clone())]);

        let (_, warnings) = read.map_err(|error| TestCaseError::fail(format!("{key} = {value}: {error}")))?;
        for warning in warnings {
            prop_assert_eq!(&warning.key, key, "{} = {}: {}", key, value, warning);
        }
    }

    #[test]
    fn what_runs_keeps_every_rule_and_what_does_not_names_only_what_was_written(written in some_that_depend()) {
        match read(&written) {
            Ok((it, _)) => {
                prop_assert!(it.worker.lease > it.qlik.request_timeout * 2, "{:?}", it);
                prop_assert!(it.qlik.connect_timeout < it.qlik.request_timeout, "{:?}", it);
                prop_assert!(it.qlik.read_timeout <= it.qlik.request_timeout, "{:?}", it);
                prop_assert!(it.retry.base <= it.retry.cap, "{:?}", it);
                let every = it.rotation.every;
                prop_assert!(every.is_none_or(|every| it.rotation.overlap < every / 10 * 9), "{:?}", it);
            }
            Err(error) => {
                for fault in error.faults() {
                    let sentence = format!("{} {}", fault.key, fault.problem);
                    let named = DURATIONS.iter().filter(|(key, _)| sentence.contains(key));
                    let named: Vec<_> = named.map(|(key, _)| key).collect();
                    prop_assert!(named.len() > 1, "{}", fault);
                    for key in named {
                        prop_assert!(written.iter().any(|(it, _)| it == key), "{written:?}: {fault}");
                    }
                    prop_assert_eq!(fault.origin.as_deref(), Some("config/prod.toml"));
                    prop_assert!(fault.problem.contains(", config/prod.toml)"), "{}", fault);
                }
            }
        }
    }
}

#[test]
fn a_default_that_follows_is_shown_with_the_setting_that_it_follows_from() {
    for (key, value, followers) in [
        (
            "qlik.request_timeout",
            "\"3s\"",
            &[("qlik.connect_timeout", "1s 500ms"), ("qlik.read_timeout", "3s")][..],
        ),
        ("qlik.request_timeout", "\"5m\"", &[("worker.lease", "15m"), ("qlik.settle", "5m")]),
        (
            "worker.lease",
            "\"10s\"",
            &[
                ("qlik.request_timeout", "3s 333ms"),
                ("qlik.connect_timeout", "1s 666ms"),
                ("qlik.read_timeout", "3s 333ms"),
            ],
        ),
        ("qlik.connect_timeout", "\"1m\"", &[("qlik.request_timeout", "2m"), ("worker.lease", "6m")]),
        (
            "qlik.read_timeout",
            "\"10m\"",
            &[("qlik.request_timeout", "10m"), ("worker.lease", "30m"), ("qlik.settle", "10m")],
        ),
        ("retry.cap", "\"1s\"", &[("retry.base", "1s")]),
        ("retry.base", "\"1h\"", &[("retry.cap", "1h")]),
        ("rotation.every", "\"5d\"", &[("rotation.overlap", "4d")]),
        ("budget.changes_per_hour", "2", &[("canary.size", "2")]),
    ] {
        let rows = with(&[(key, value.to_owned())]).rows();

        let origin = format!("default (from {key})");
        let derived = rows.iter().filter(|row| row.origin.starts_with("default (from"));
        let mut derived: Vec<_> = derived.map(|row| (row.key.as_str(), row.value.as_str())).collect();
        let mut expected = followers.to_vec();
        derived.sort_unstable();
        expected.sort_unstable();
        assert_eq!(derived, expected, "{key} = {value}");
        assert!(rows.iter().all(|row| row.origin != origin || row.key != key));
        assert_eq!(rows.iter().filter(|row| row.origin == origin).count(), followers.len(), "{rows:?}");
    }
}

#[test]
fn what_fits_leaves_every_default_as_it_is() {
    let written = [
        ("qlik.request_timeout", "\"20s\""),
        ("worker.lease", "\"60s\""),
        ("qlik.connect_timeout", "\"19s\""),
        ("retry.cap", "\"2s\""),
        ("rotation.every", "\"90d\""),
        ("budget.changes_per_hour", "5"),
    ];
    let rows = with(&written.map(|(key, value)| (key, value.to_owned()))).rows();

    assert!(rows.iter().all(|row| !row.origin.starts_with("default (from")), "{rows:?}");
}

#[test]
fn a_value_out_of_its_range_is_told_once_and_nothing_follows_from_it() {
    for (key, value) in
        [("qlik.request_timeout", "\"1ms\""), ("worker.lease", "\"2h\""), ("retry.cap", "\"1 week\"")]
    {
        let error = read(&[(key, value.to_owned())]).unwrap_err();

        assert!(error.faults().len() == 1 && error.faults()[0].key == key, "{error}");
    }
}

#[test]
fn one_command_reads_the_same_default_as_the_daemon() {
    let layered = with(&[("rotation.every", "\"2h\"".to_owned())]);

    let (whole, _) = layered.settings().unwrap();

    assert_eq!(layered.rotation().unwrap().overlap, whole.rotation.overlap);
    assert_eq!(whole.rotation.overlap, Duration::from_mins(96));
}

#[test]
fn a_request_is_put_between_its_parts_and_the_half_of_a_lease_where_there_is_room() {
    let seconds = Duration::from_secs;

    assert_eq!(between(seconds(25), seconds(60)), Some(Duration::from_millis(27_500)));
    assert_eq!((between(seconds(30), seconds(60)), between(seconds(31), seconds(60))), (None, None));
    let (settings, _) =
        read(&[("worker.lease", "\"60s\"".to_owned()), ("qlik.connect_timeout", "\"25s\"".to_owned())])
            .unwrap();
    assert_eq!(settings.qlik.request_timeout, Duration::from_millis(27_500));
}
