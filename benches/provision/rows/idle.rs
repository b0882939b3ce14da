//! What a daemon takes that has nothing to do, and one with 1,000 tenants in hand.
//!
//! `--fleet 100000 --seconds 120 --flight 1000`: some four minutes.

use std::time::Duration;

use crate::Options;
use crate::report::Report;
use crate::stage::Stage;

pub(super) fn run(options: &Options) {
    let (fleet, flight) = (options.number("--fleet", 100_000), options.number("--flight", 1000));
    let window = Duration::from_secs(options.number("--seconds", 120).into());
    let mut report = Report::new("idle", "what a daemon takes that has nothing to do");
    // A call of a second keeps all of them in hand at once.
    let stage = Stage::new(Duration::from_secs(1), flight.min(1024), &["autovacuum=on"]);
    let database = stage.fresh_database(0);
    stage.fill(&database, fleet);

    let daemon = stage.spawn(&database);
    std::thread::sleep(Duration::from_secs(10));
    let fresh = daemon.memory().0;
    let (client, postgres) = (daemon.cpu(), stage.postgres_cpu());
    std::thread::sleep(window);
    let share = |used: Duration| format!("{:.2} %", used.as_secs_f64() / window.as_secs_f64() * 100.0);
    let (client, postgres) =
        (share(daemon.cpu().saturating_sub(client)), share(stage.postgres_cpu().saturating_sub(postgres)));
    let idle = daemon.memory().0;

    stage.insert(&database, 1, flight);
    stage.wait_until_ready(&database, fleet + flight);
    let (worked, most) = daemon.memory();
    report.line(&format!(
        "{fleet} ready tenants, nothing due; over {} s. Then {flight} tenants at a time.\n",
        window.as_secs()
    ));
    report.table(
        &["", "of a core, daemon", "of a core, Postgres", "RSS, MB"],
        &[
            vec!["just started".into(), String::new(), String::new(), format!("{fresh:.0}")],
            vec!["idle".into(), client, postgres, format!("{idle:.0}")],
            vec![
                format!("{flight} in flight, at the most"),
                String::new(),
                String::new(),
                format!("{most:.0}"),
            ],
            vec!["afterwards".into(), String::new(), String::new(), format!("{worked:.0}")],
        ],
    );
    report.write();
}
