//! What a collector of traces hears of tenants, from daemons that know nothing of each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tenantd::domain::blame::Blame;
use tenantd::domain::ids::Holder;
use tenantd::domain::trace::TraceParent;
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan, World};
use tenantd::system::SystemClock;
use tenantd::telemetry::traces::span::{Parent, Span};
use tenantd::telemetry::traces::{self, Traces};
use tenantd::vault::KeyKind;
use uuid::Uuid;

use crate::support::collector::{Collector, Heard};
use crate::support::fleet::Fleet;
use crate::support::process::{Home, eventually, page};
use crate::support::rig::{Replica, Rig, terms};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A replica that sends this share of its traces there.
async fn traced(rig: &Rig, collector: &Collector, share: f64) -> Replica {
    with_traces(rig.replica().await, collector, share)
}

fn with_traces(mut replica: Replica, collector: &Collector, share: f64) -> Replica {
    rustls::crypto::ring::default_provider().install_default().ok();
    let to = traces::Collector::new(&collector.endpoint, &[]).unwrap();
    let engine = Arc::get_mut(&mut replica).unwrap();
    engine.traces = Traces::start(to, share, engine.store.holder());
    replica
}

async fn label(rig: &Rig, traceparent: &str) {
    rig.write(format!(
        "UPDATE tenantd.tenants SET labels = jsonb_build_object('plan', 'gold', 'traceparent', '{traceparent}')"
    ))
    .await;
}

/// What a scrape says of spans with this outcome.
fn counted(scrape: &str, outcome: &str) -> u64 {
    let line = format!("tenantd_trace_spans_total{{outcome=\"{outcome}\"}} ");
    scrape.lines().find_map(|it| it.strip_prefix(&line)).map_or(0, |it| it.trim().parse().unwrap())
}

/// Tenants become ready and the daemon ends, while their collector is like that: so many spans
/// were sent, and so many dropped.
async fn sent_and_dropped(collector: &Collector) -> (u64, u64) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape: PrometheusHandle = recorder.handle();
    // For this thread, where all tasks of the test run.
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let rig = Rig::plain().await;
    let replica = traced(&rig, collector, 1.0).await;
    for name in ["a", "b", "c"] {
        rig.given_tenant(name).await;
    }
    rig.work_until_quiet(&replica).await;
    replica.traces.finish().await;

    assert_eq!(ready(&rig).await, 3);
    let scrape = scrape.render();
    (counted(&scrape, "sent"), counted(&scrape, "dropped"))
}

async fn ready(rig: &Rig) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE phase = 'ready'")
        .fetch_one(rig.pool())
        .await
        .unwrap()
}

fn named<'a>(spans: &'a [Heard], name: &str) -> Vec<&'a Heard> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test]
async fn the_way_of_a_tenant_is_one_trace_whoever_took_it_on() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    let (one, other) = (traced(&rig, &collector, 0.0).await, traced(&rig, &collector, 0.0).await);
    let host = rig.given_tenant("acme").await;
    label(&rig, &format!("00-{TRACE}-{PARENT}-01")).await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);

    rig.advance(Duration::from_secs(5)).await;
    rig.work_once(&one).await;
    rig.work_until_quiet(&other).await;
    one.traces.finish().await;
    other.traces.finish().await;

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own: {spans:#?}");
    let [root] = named(&spans, "tenant ready")[..] else { panic!("{spans:#?}") };
    assert_eq!((root.parent.as_str(), root.is_parent_remote), (PARENT, true));
    let visits = named(&spans, "visit");
    let senders = [&one, &other].map(|replica| replica.store.holder().to_string());
    assert_eq!(
        visits.iter().map(|it| it.sender.as_str()).collect::<BTreeSet<_>>(),
        senders.iter().map(String::as_str).collect()
    );
    for visit in &visits {
        assert_eq!(
            (visit.parent.as_str(), visit.get("tenantd.holder")),
            (root.id.as_str(), visit.sender.as_str())
        );
    }
    assert_eq!((visits[0].get("tenantd.rest"), visits[0].get("tenantd.reason")), ("waits", "Retrying"));

    let acts: Vec<&str> =
        spans.iter().filter(|it| !it.get("tenantd.effect").is_empty()).map(|it| it.name.as_str()).collect();
    assert_eq!(acts, ["create", "trust", "trust", "prove"]);
    let [failed, done] = named(&spans, "trust")[..] else { panic!("{spans:#?}") };
    let kept: (Option<i16>, Option<String>) =
        sqlx::query_as("SELECT http_status, trace_id FROM tenantd.attempts WHERE outcome = 'transient'")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(kept.0, Some(503));
    assert!(kept.1.as_ref().is_some_and(|id| !id.is_empty()), "{kept:?}");
    assert_eq!(failed.parent, visits[0].id);
    assert!(failed.has_failed && !done.has_failed, "{failed:?} {done:?}");
    for (name, first, second) in [
        ("http.response.status_code", "503", ""),
        ("qlik.trace_id", kept.1.as_deref().unwrap(), ""),
        ("error.type", "transient", ""),
        ("tenantd.outcome", "transient", "done"),
        ("tenantd.attempt", "1", "2"),
        ("server.address", host.as_str(), host.as_str()),
        ("tenantd.region", "us", "us"),
        ("tenant.external_id", "acme", "acme"),
    ] {
        assert_eq!((failed.get(name), done.get(name)), (first, second), "{name}");
    }
}

#[tokio::test]
async fn the_root_has_the_times_of_the_row_and_parts_that_add_up() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    let replica = traced(&rig, &collector, 1.0).await;
    rig.given_tenant("acme").await;

    rig.advance(Duration::from_micros(61_234_567)).await;
    rig.work_until_quiet(&replica).await;
    replica.traces.finish().await;

    let (created, ready): (i64, i64) = sqlx::query_as(
        "SELECT (extract(epoch FROM created_at) * 1000000)::bigint, (extract(epoch FROM ready_at) * 1000000)::bigint
           FROM tenantd.tenants",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    let spans = collector.spans();
    let [root] = named(&spans, "tenant ready")[..] else { panic!("{spans:#?}") };
    assert_eq!((root.began, root.ended), (created.try_into().unwrap(), ready.try_into().unwrap()));
    assert_eq!((root.parent.as_str(), root.has_failed), ("", false));
    let parts = Blame::ALL
        .map(|blame| root.get(&format!("tenantd.part_us.{}", blame.as_str())).parse::<u64>().unwrap());
    assert_eq!(parts.iter().sum::<u64>(), root.ended - root.began);
    assert_eq!(parts[0], 61_234_567, "it waited in the queue: {parts:?}");
}

#[tokio::test]
async fn who_began_the_trace_and_the_ratio_say_what_is_sent() {
    let sent = async |share, traceparent: Option<&str>| {
        let (rig, collector) = (Rig::plain().await, Collector::start().await);
        let replica = traced(&rig, &collector, share).await;
        rig.given_tenant("acme").await;
        if let Some(traceparent) = traceparent {
            label(&rig, traceparent).await;
        }
        rig.work_until_quiet(&replica).await;
        replica.traces.finish().await;
        collector.spans().into_iter().map(|span| span.trace).collect::<BTreeSet<_>>()
    };

    assert!(sent(1.0, Some(&format!("00-{TRACE}-{PARENT}-00"))).await.is_empty(), "its owner keeps it not");
    assert!(sent(0.0, None).await.is_empty(), "a share of none");
    let malformed = sent(1.0, Some(&format!("00-{TRACE}-{PARENT}"))).await;
    assert!(malformed.len() == 1 && !malformed.contains(TRACE), "{malformed:?}");
}

/// A label is whatever somebody wrote into it.
#[tokio::test]
async fn a_label_that_is_no_traceparent_is_as_none() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    let replica = traced(&rig, &collector, 1.0).await;
    let labels = [
        String::from("null"),
        "17".into(),
        format!(r#"["00-{TRACE}-{PARENT}-01"]"#),
        format!(r#"{{"00-{TRACE}-{PARENT}-01": {{}}}}"#),
        format!(r#""00-{TRACE}-{PARENT}-01\r\nauthorization: x""#),
        format!(r#""00-{TRACE}-{PARENT}-\u00e9""#),
        format!(r#""{}""#, "00-".repeat(5000)),
        r#""'; DROP TABLE tenantd.tenants; --""#.into(),
    ];
    for (number, label) in labels.iter().enumerate() {
        rig.given_tenant(&format!("t{number}")).await;
        let label = label.replace('\'', "''");
        rig.write(format!(
            "UPDATE tenantd.tenants SET labels = '{{\"traceparent\": {label}}}' WHERE external_id = 't{number}'"
        ))
        .await;
    }

    rig.work_until_quiet(&replica).await;
    replica.traces.finish().await;

    let spans = collector.spans();
    let roots = named(&spans, "tenant ready");
    assert!(roots.iter().all(|root| root.parent.is_empty() && root.trace != TRACE), "{roots:#?}");
    let traces: BTreeSet<&str> = roots.iter().map(|root| root.trace.as_str()).collect();
    assert_eq!(traces.len(), labels.len());
}

#[tokio::test]
async fn a_duty_is_a_trace_of_its_own_and_a_quiet_audit_is_none() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    let mut terms = terms();
    terms.policy.audit_every = Some(Duration::from_hours(1));
    let replica = with_traces(rig.replica_with(terms, KeyKind::Symmetric).await, &collector, 1.0);
    rig.given_tenant("acme").await;
    label(&rig, &format!("00-{TRACE}-{PARENT}-01")).await;
    rig.work_once(&replica).await;

    for _ in 0..2 {
        rig.work_once(&replica).await;
    }
    rig.write("UPDATE tenantd.tenants SET desired_version = 2").await;
    rig.work_once(&replica).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    rig.advance(Duration::from_mins(1)).await;
    replica.store.admit_removals(None).await.unwrap();
    rig.work_once(&replica).await;
    replica.traces.finish().await;

    let audits: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.attempts WHERE effect = 'audit'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(audits, 2);
    let spans = collector.spans();
    assert!(named(&spans, "audit").is_empty(), "{spans:#?}");
    let journeys: Vec<(&str, bool)> =
        named(&spans, "visit").into_iter().map(|it| (it.get("tenantd.journey"), it.trace == TRACE)).collect();
    assert_eq!(journeys, [("way", true), ("rotation", false), ("removal", false)]);
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 3);
    for duty in &named(&spans, "visit")[1..] {
        assert_eq!(duty.links, [(TRACE.to_owned(), PARENT.to_owned())]);
        assert_eq!(duty.parent, "");
    }
    assert_eq!(named(&spans, "tenant ready").len(), 1);
}

#[tokio::test]
async fn a_visit_tells_where_it_rests_only_if_that_was_written() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    let replica = traced(&rig, &collector, 1.0).await;
    for (name, taken_over) in [("written", 0), ("fenced", 1)] {
        let id = rig.given_tenant(name).await;
        rig.write(format!("UPDATE tenantd.tenants SET profile = 'unknown' WHERE external_id = '{name}'"))
            .await;
        let claimed = rig.claim(&replica).await.expect(&id);
        // Somebody else has it meanwhile, or nobody.
        rig.write(format!(
            "UPDATE tenantd.tenants SET lease_epoch = lease_epoch + {taken_over} WHERE external_id = '{name}'"
        ))
        .await;

        rig.work_on(&replica, claimed).await;
    }
    replica.traces.finish().await;

    let spans = collector.spans();
    let visits = named(&spans, "visit");
    let rests: Vec<_> =
        visits.iter().map(|it| (it.get("tenant.external_id"), it.get("tenantd.rest"))).collect();
    assert_eq!(rests, [("written", "parked"), ("fenced", "")]);
}

/// In real time: nobody waits for an answer, and the end for five seconds at most.
#[tokio::test]
async fn a_collector_that_never_answers_holds_up_nobody() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    collector.answers(0);
    let replica = traced(&rig, &collector, 1.0).await;
    let clock = SystemClock::start();
    for number in 0..20 {
        rig.given_tenant(&format!("t{number}")).await;
    }

    rig.work_until_quiet(&replica).await;
    let worked = clock.elapsed();
    let ending = SystemClock::start();
    replica.traces.finish().await;
    let ended = ending.elapsed();

    assert_eq!(ready(&rig).await, 20);
    assert!(worked < Duration::from_secs(10), "one request to it alone may take ten: {worked:?}");
    assert!(ended < Duration::from_secs(8), "{ended:?}");
}

#[tokio::test]
async fn spans_that_a_collector_takes_not_are_counted_and_harm_no_tenant() {
    let collector = Collector::start().await;
    let (sent, dropped) = sent_and_dropped(&collector).await;
    assert_eq!((sent, dropped), (collector.spans().len() as u64, 0));

    for answer in [503, 400] {
        collector.answers(answer);
        assert_eq!(sent_and_dropped(&collector).await, (0, sent), "it answers {answer}");
    }
    assert_eq!(sent_and_dropped(&Collector::gone().await).await, (0, sent), "nobody listens");
    // Cut off after the five seconds for which the end of a daemon waits.
    collector.answers(0);
    assert_eq!(sent_and_dropped(&collector).await, (0, sent), "it never answers");
}

#[tokio::test]
async fn what_a_collector_takes_not_now_is_sent_again() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    collector.answers(503);
    let replica = traced(&rig, &collector, 1.0).await;
    rig.given_tenant("acme").await;

    rig.work_until_quiet(&replica).await;
    let limit = Duration::from_secs(20);
    eventually("it is asked", limit, || async { collector.asked() > 0 }).await;
    collector.answers(200);

    let is_told = || async { !named(&collector.spans(), "tenant ready").is_empty() };
    eventually("it is asked again", limit, is_told).await;
}

#[tokio::test]
async fn a_collector_is_asked_again_no_sooner_than_it_says() {
    let (rig, collector) = (Rig::plain().await, Collector::start().await);
    collector.answers(503);
    collector.asks_to_wait(3);
    let replica = traced(&rig, &collector, 1.0).await;
    rig.given_tenant("acme").await;

    rig.work_until_quiet(&replica).await;
    let limit = Duration::from_secs(20);
    eventually("it is asked again", limit, || async { collector.asked() > 1 }).await;

    let pause = collector.first_pause();
    assert!(pause >= Duration::from_secs(3), "the first pause of its own is a second: {pause:?}");
}

/// More than the queue holds, and the one who gives them waits for nobody.
#[tokio::test]
async fn spans_that_find_the_queue_full_are_dropped_and_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    rustls::crypto::ring::default_provider().install_default().ok();
    let collector = Collector::start().await;
    let to = traces::Collector::new(&collector.endpoint, &[]).unwrap();
    let traces = Traces::start(to, 1.0, Holder(Uuid::nil()));
    let owner = TraceParent::parse(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
    let began = SystemClock::start().now();
    let span = Span {
        trace: owner.trace,
        id: owner.span,
        parent: Parent::None,
        link: None,
        name: "visit",
        is_call: false,
        began,
        ended: began,
        attributes: vec![],
        failure: None,
    };

    // No other task of this thread runs meanwhile.
    (0..5000).for_each(|_| traces.send(span.clone()));
    traces.finish().await;

    let scrape = recorder.handle().render();
    assert_eq!((counted(&scrape, "sent"), counted(&scrape, "dropped")), (4096, 904));
    assert_eq!(collector.spans().len(), 4096);
}

/// Also not where somebody told all programs of the machine of a collector.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_an_endpoint_sends_nothing() {
    let collector = Collector::start().await;
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 3)).await;
    let home = Home::for_fleet(&fleet, "untraced", "traces.ratio = 1.0");
    let mut command = home.command(&["run"]);
    let base = collector.endpoint.strip_suffix("/v1/traces").unwrap();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", base)
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.endpoint);
    let daemon = home.daemon_by(command, "daemon.log");
    let address = home.address("daemon.log").await;

    fleet.given_tenants(3).await;
    eventually("all quiet", Duration::from_secs(30), || fleet.is_quiet()).await;
    let scrape = page(&address, "/metrics").await;
    assert!(daemon.terminate().await.success());

    assert_eq!(collector.asked(), 0);
    assert!(scrape.contains("tenantd_trace_spans_total"), "{scrape}");
    assert_eq!((counted(&scrape, "sent"), counted(&scrape, "dropped")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_counts_what_a_collector_refuses_and_says_so_once() {
    let collector = Collector::start().await;
    collector.answers(400);
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 3)).await;
    let extra = format!(
        "traces.endpoint = \"{}\"\ntraces.headers = \"Authorization=Bearer%20t0ken\"",
        collector.endpoint
    );
    let home = Home::for_fleet(&fleet, "traces", &extra);
    let daemon = home.daemon("daemon.log");
    let address = home.address("daemon.log").await;
    let count = async |outcome: &str| counted(&page(&address, "/metrics").await, outcome);

    fleet.given_tenants(5).await;
    eventually("spans are dropped", Duration::from_secs(30), || async { count("dropped").await > 0 }).await;
    fleet.given_more_tenants(6, 10).await;
    eventually("all quiet", Duration::from_secs(30), || fleet.is_quiet()).await;
    collector.answers(200);
    fleet.given_more_tenants(11, 12).await;
    eventually("spans are sent", Duration::from_secs(30), || async { count("sent").await > 0 }).await;
    assert!(daemon.terminate().await.success());

    let log = std::fs::read_to_string(home.path("daemon.log")).unwrap();
    assert_eq!(log.matches("takes no spans: it answers 400").count(), 1, "{log}");
    assert_eq!(log.matches("takes spans again").count(), 1, "{log}");
    assert!(!log.contains("t0ken"), "{log}");
    assert_eq!(collector.authorization().as_deref(), Some("Bearer t0ken"));
    assert!(!named(&collector.spans(), "tenant ready").is_empty());
}
