//! Tenants per second of one, two and four daemons, 16 tenants at a time each, where a call
//! takes 50 ms.
//!
//! `--tenants 2400`: some 90 s.

use std::time::Duration;

use crate::report::Report;
use crate::stage::Stage;
use crate::{CALLS, LATENCY, Options};

const EACH: u32 = 16;
/// Between the first and the last tenth: without starting up and running out.
const RATE: &str = "
    SELECT (0.8 * count(*) / extract(epoch FROM percentile_disc(0.9) WITHIN GROUP (ORDER BY ready_at)
                                               - percentile_disc(0.1) WITHIN GROUP (ORDER BY ready_at)))::float8
      FROM tenantd.status WHERE ready";

pub(super) fn run(options: &Options) {
    let tenants = options.number("--tenants", 2400);
    let mut report = Report::new("replicas", "what another replica brings");
    let ideal = f64::from(EACH) / (LATENCY * CALLS).as_secs_f64();
    report.line(&format!(
        "{tenants} tenants, {EACH} at a time in each daemon, {LATENCY:?} a call: at best {ideal:.0}/s each.\n"
    ));
    let stage = Stage::new(LATENCY, EACH, &[]);
    let mut one = 0.0;
    let mut rows = Vec::new();
    for replicas in [1_u32, 2, 4] {
        let database = stage.fresh_database(tenants);
        let daemons: Vec<_> = (0..replicas).map(|_| stage.spawn(&database)).collect();
        stage.wait_until_ready(&database, tenants);
        drop(daemons);
        let rate: f64 = stage.one(&database, RATE);
        if replicas == 1 {
            one = rate;
        }
        let times = |of: f64| format!("{:.2}", rate / of);
        rows.push(vec![
            replicas.to_string(),
            format!("{rate:.1}"),
            times(one),
            times(ideal * f64::from(replicas)),
        ]);
        std::thread::sleep(Duration::from_secs(1));
    }
    report.table(&["replicas", "tenants/s", "× one", "× the best"], &rows);
    report.write();
}
