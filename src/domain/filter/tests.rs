//! What a filter means, what it prints, and each thing that may be wrong with one.

use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::domain::phase::Phase;

fn read(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn fault(text: &str) -> Fault {
    Filter::parse(text).expect_err(text)
}

#[test]
fn every_key_is_read_with_its_alternatives_and_its_negation() {
    let filter = read(
        r#"phase:creating,created -reason:Queued region:us,"" label.team:"a b",* label."a:b":c ready:no since:90m host:a.b.c profile:gold paused:yes -parked:yes acme,"x:y""#,
    );
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let text = |text: &str| Wanted::Text(text.to_owned());
    let expected = [
        (false, About::Phase(vec![Phase::Creating, Phase::Created])),
        (true, About::Reason(vec!["Queued"])),
        (false, About::Region(texts(&["us", ""]))),
        (false, About::Label("team".to_owned(), vec![text("a b"), Wanted::Any])),
        (false, About::Label("a:b".to_owned(), vec![text("c")])),
        (false, About::Ready(false)),
        (false, About::Since(Since::For(Duration::from_mins(90)))),
        (false, About::Host(texts(&["a.b.c"]))),
        (false, About::Profile(texts(&["gold"]))),
        (false, About::Paused(true)),
        (false, About::Parked(false)),
        (false, About::Word(texts(&["acme", "x:y"]))),
    ];

    let terms: Vec<_> = filter.terms().iter().map(|term| (term.is_negated(), term.about().clone())).collect();

    assert_eq!(terms, expected);
    assert!(read(" \n\t").is_empty());
}

#[test]
fn there_is_one_form_of_each_filter() {
    for (typed, printed) in [
        ("  phase:ready\t -ready:no ", "phase:ready ready:yes"),
        ("phase:ready,ready phase:ready", "phase:ready"),
        ("since:120m", "since:2h"),
        ("since:1h1s", "since:3601s"),
        ("since:0h", "since:0s"),
        ("since:24h", "since:1d"),
        ("since:2027-01-31T09:00:00+01:00", "since:2027-01-31T08:00:00Z"),
        (r#"label."team":"a""#, "label.team:a"),
        (r#"label.a.b:"*""#, r#"label.a.b:"*""#),
        (r#"label."":"""#, r#"label."":"""#),
        (r#"-"-a""#, r#"-"-a""#),
        (r"label.a:x\y", r"label.a:x\y"),
        (r#"label.a:"\"\\ ""#, r#"label.a:"\"\\ ""#),
        (r#"region:"""#, r#"region:"""#),
    ] {
        assert_eq!(read(typed).to_string(), printed, "{typed}");
        assert_eq!(read(printed), read(typed), "{typed}");
    }
}

#[test]
fn every_fault_names_its_place_its_word_and_what_would_be_right() {
    let long = "x".repeat(MOST_CHARACTERS + 1);
    let many = (0..=MOST_TERMS).map(|n| format!("label.k:{n}")).collect::<Vec<_>>().join(" ");
    for (text, at, word, problem, expected) in [
        ("phsae:ready", 0, "phsae", "no key \"phsae\"", "did you mean phase? one of phase, reason"),
        ("ready:yes org:42", 10, "org", "no key \"org\"", r#"begins so: "org:42""#),
        ("labels.team:a", 0, "labels.team", "no key", "did you mean label.team?"),
        ("label:a", 0, "label", "no key", "did you mean label.KEY?"),
        ("é phase:raedy", 8, "raedy", "no phase \"raedy\"", "did you mean ready? one of pending, creating"),
        ("reason:Queued,queud", 14, "queud", "no reason \"queud\"", "did you mean Queued?"),
        ("phase:xylophone", 6, "xylophone", "no phase", "one of pending"),
        ("phase:", 6, "", "a value is missing", "a value"),
        ("phase:ready, x", 12, "", "a value is missing", "\"\""),
        (",a", 0, "", "a value is missing", "\"\""),
        ("ready:true", 6, "true", "knows no \"true\"", "yes or no"),
        ("paused:yes,no", 11, "no", "takes one value", "yes or no"),
        ("parked:", 7, "", "a value is missing", ""),
        ("since:15", 6, "15", "no time", "15m, 2h or 3d"),
        ("since:10001d", 6, "10001d", "no time", "at most 10000d"),
        ("since:99999999999999999999d", 6, "99999999999999999999d", "no time", "15m"),
        ("since:9999-12-31T23:59:59-01:00", 6, "9999-12-31T23:59:59-01:00", "no time", "RFC 3339"),
        ("since:1h,2h", 9, "2h", "takes one value", "15m"),
        ("label.:a", 0, "label.", "no key", "label.KEY:VALUE"),
        (r#"label."a""#, 0, r#"label."a""#, "no value", "label.KEY:VALUE"),
        (r#"host:"""#, 5, r#""""#, "nobody is called", "one character"),
        (r#"a "b"#, 2, r#""b"#, "not closed", "another quote"),
        (r#"a"b"#, 1, "\"", "within a word", "around the whole value"),
        (r#""a"b"#, 3, "b", "beside the quotes", "a blank, or a comma"),
        (r#""a\b""#, 2, r"\", "a backslash", r"\\"),
        ("a - b", 2, "-", "a hyphen negates", "-phase:ready"),
        ("--yes", 0, "--yes", "two hyphens", "quotes where"),
        ("a --config=/etc/x b", 2, "--config=/etc/x", "two hyphens", "one hyphen"),
        ("ab\0c", 2, "\0", "NUL", "without"),
        (&long, MOST_CHARACTERS, "", "more than 1000 characters", "at most"),
        (&many, 166, "label.k:16", "one term more than 16", "at most 16"),
    ] {
        let found = fault(text);

        assert_eq!((found.at(), found.word()), (at, word), "{text}: {found}");
        assert!(found.problem().contains(problem), "{text}: {found}");
        assert!(found.expected().contains(expected), "{text}: {found}");
    }
}

#[test]
fn a_fault_can_be_pointed_at_also_behind_what_is_not_shown_as_it_is() {
    let text = "a\u{1b} phsae:ready";

    let [line, marks] = fault(text).pointed(text);

    assert_eq!(line, r"a\u{1b} phsae:ready");
    assert_eq!(marks, "         ^^^^^".split_at(1).1);
    assert_eq!(fault("phase:").pointed("phase:")[1], "      ^");
}

#[test]
fn a_term_is_added_once() {
    let filter = read("acme phase:ready").and(Term::phase(Phase::Ready)).and(Term::parked(true));

    assert_eq!(filter.to_string(), "acme phase:ready parked:yes");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c*:,\" \\\\\\-\n]{0,4}", "\\PC{0,6}"]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(any_text().prop_filter("says something", |text| !text.is_empty()), 1..3)
        .prop_map(each_once)
}

fn each_once<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    all.into_iter().fold(Vec::new(), |mut kept, one| {
        if !kept.contains(&one) {
            kept.push(one);
        }
        kept
    })
}

fn any_about() -> impl Strategy<Value = About> {
    let wanted = prop_oneof![Just(Wanted::Any), any_text().prop_map(Wanted::Text)];
    let phases = proptest::sample::subsequence(Phase::ALL.to_vec(), 1..4);
    let reasons = proptest::sample::subsequence(crate::domain::choices::reasons(), 1..4);
    let since = prop_oneof![
        (0..864_000_001_u64).prop_map(|seconds| Since::For(Duration::from_secs(seconds))),
        (0..4_000_000_000_i64, 0..1_000_000_000_u32)
            .prop_filter_map("is an instant", |(s, n)| DateTime::from_timestamp(s, n).map(Since::At)),
    ];
    prop_oneof![
        texts().prop_map(About::Word),
        phases.prop_map(About::Phase),
        reasons.prop_map(About::Reason),
        texts().prop_map(About::Region),
        texts().prop_map(About::Host),
        texts().prop_map(About::Profile),
        (any_text(), proptest::collection::vec(wanted, 1..3))
            .prop_map(|(key, wanted)| About::Label(key, each_once(wanted))),
        any::<bool>().prop_map(About::Ready),
        any::<bool>().prop_map(About::Parked),
        any::<bool>().prop_map(About::Paused),
        since.prop_map(About::Since),
    ]
}

proptest! {
    #[test]
    fn what_a_filter_prints_is_that_filter(terms in proptest::collection::vec((any::<bool>(), any_about()), 0..8)) {
        let terms = terms.into_iter().map(|(is_negated, about)| Term::new(is_negated, about));
        let filter = terms.fold(Filter::default(), Filter::and);

        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn every_text_is_a_filter_or_is_told_where_it_is_none(
        text in prop_oneof!["\\PC{0,40}", "((-?(phase|label\\.|label\\.a|since|ready|region)?:?[a-z\"\\\\,*:0]{0,4})[ ]?){0,6}"],
    ) {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(fault) => {
                let there: String =
                    text.chars().skip(fault.at()).take(fault.word().chars().count()).collect();
                prop_assert_eq!(there, fault.word());
                prop_assert!(!fault.problem().is_empty() && !fault.expected().is_empty());
            }
        }
    }
}
