//! From `INSERT` to the event `ready`, 20 tenants a second, beside the four calls alone at the
//! same pace.
//!
//! `--seconds 30`: two minutes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::{milliseconds, quantile};
use crate::floor::Calls;
use crate::report::Report;
use crate::simulator::SUFFIX;
use crate::stage::Stage;
use crate::{CONCURRENCY, LATENCY, Options};

const PACE: Duration = Duration::from_millis(50);

pub(super) fn run(options: &Options) {
    let tenants = options.number("--seconds", 30) * 20;
    let mut report = Report::new("latency", "from insert to ready");
    report.line(&format!("{tenants} tenants, one every {PACE:?}, until the event `ready` has arrived.\n"));
    let mut rows = Vec::new();
    for latency in [Duration::ZERO, LATENCY] {
        let stage = Stage::new(latency, CONCURRENCY, &[]);
        let calls = calls(&stage, tenants);
        let database = stage.fresh_database(0);
        let daemon = stage.spawn(&database);
        stage.wait_until(&database, "SELECT EXISTS (SELECT FROM tenantd.regions)");
        std::thread::sleep(Duration::from_secs(2));
        let ready = stage.block_on(ready(&database, tenants));
        drop(daemon);
        for (what, times) in [("the four calls alone", &calls), ("insert to ready", &ready)] {
            let at = |share| milliseconds(quantile(times, share));
            rows.push(vec![format!("{latency:?}"), what.to_owned(), at(0.5), at(0.9), at(0.99), at(1.0)]);
        }
        let more = |share| milliseconds(quantile(&ready, share).saturating_sub(quantile(&calls, share)));
        rows.push(vec![format!("{latency:?}"), "more".into(), more(0.5), more(0.9), more(0.99), more(1.0)]);
    }
    report.table(&["a call", "", "p50", "p90", "p99", "longest"], &rows);
    report.write();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the machine's clock")]
fn calls(stage: &Stage, tenants: u32) -> Vec<Duration> {
    let calls = Arc::new(Calls::new(&stage.ca_file(), stage.address.parse().expect("an address")));
    stage.block_on(async {
        let mut ticks = tokio::time::interval(PACE);
        let mut made = JoinSet::new();
        for number in 1..=tenants {
            ticks.tick().await;
            let calls = Arc::clone(&calls);
            made.spawn(async move {
                let begun = Instant::now();
                calls.make(&format!("alone{number}.{SUFFIX}")).await;
                begun.elapsed()
            });
        }
        sorted(made.join_all().await)
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures by the machine's clock")]
async fn ready(database: &str, tenants: u32) -> Vec<Duration> {
    let mut events = PgListener::connect(database).await.expect("the database");
    events.listen("tenantd_events").await.expect("the channel");
    let heard = tokio::spawn(async move {
        let mut heard = HashMap::new();
        while heard.len() < tenants as usize {
            let event = events.recv().await.expect("an event");
            let event: serde_json::Value = serde_json::from_str(event.payload()).expect("JSON");
            assert_eq!(event["event"], "ready", "{event}");
            heard.insert(event["external_id"].as_str().expect("a key").to_owned(), Instant::now());
        }
        heard
    });
    let mut connection = PgConnection::connect(database).await.expect("the database");
    let mut ticks = tokio::time::interval(PACE);
    let mut begun = HashMap::new();
    for number in 1..=tenants {
        ticks.tick().await;
        let key = format!("paced-{number}");
        begun.insert(key.clone(), Instant::now());
        sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2)")
            .bind(&key)
            .bind(format!("paced{number}.{SUFFIX}"))
            .execute(&mut connection)
            .await
            .expect("the row");
    }
    let heard = heard.await.expect("the listener ends");
    sorted(heard.into_iter().map(|(key, at)| at - begun[&key]).collect())
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}
