//! No secret in the clear, anywhere: a sentinel that begins every secret of the
//! simulated Qlik Cloud, and the region's own, is searched for in everything that
//! the program leaves behind or shows.

use std::process::Command;
use std::time::Duration;

use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan, Spoil, World};

use crate::support::bundle::unpacked;
use crate::support::collector::Collector;
use crate::support::fleet::Fleet;
use crate::support::process::{Home, eventually, files_holding, holds};

const SENTINEL: &str = "s3ntinel0f";

/// Every command that shows something of a tenant, as programs see it.
const COMMANDS: [&[&str]; 15] = [
    &["tenant", "list", "--output", "json"],
    &["tenant", "show", "customer-1", "--output", "json"],
    &["tenant", "history", "customer-1", "--output", "json"],
    &["tenant", "wait", "customer-1", "--output", "json"],
    &["config", "show", "--output", "json"],
    &["config", "check"],
    &["keys", "list", "--output", "json"],
    &["migrate", "--status", "--output", "json"],
    &["doctor", "--output", "json"],
    &["tenant", "explain", "customer-2", "--output", "json"],
    &["tenant", "drift", "--all", "--output", "json"],
    &["tenant", "tokens", "list", "customer-2", "--output", "json"],
    &["fleet", "status", "--output", "json"],
    &["rejoin", "--status", "--output", "json"],
    &["census", "--output", "json"],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_logs_dumps_output_or_command_lines() {
    let faults = FaultPlan::none()
        .with_share(Endpoint::CreateClient, 0.1, Fault::close_after())
        .with_share(Endpoint::CreateClient, 0.2, Fault::spoilt(Spoil::MissingField))
        .with_share(Endpoint::CreateClient, 0.2, Fault::spoilt(Spoil::DuplicateKeys))
        .with_share(Endpoint::ClientToken, 0.2, Fault::status(401));
    let behaviour = Behaviour { sentinel: SENTINEL.into(), ..Behaviour::default() };
    let world = World::new(behaviour, faults, 19).with_region("eu.qlikcloud.com", "eu-client", SENTINEL);
    let fleet = Fleet::new(world).await;
    let collector = Collector::start().await;
    let home = Home::for_fleet(&fleet, "plaintext", &settings(&collector));
    fleet.given_tenants(20).await;

    let daemon = home.daemon("daemon.log");
    let command_line = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid())).unwrap();
    eventually("all quiet", Duration::from_mins(1), || fleet.is_quiet()).await;
    // A further secret each, and one tenant that goes.
    let turned = "UPDATE tenantd.tenants
        SET desired_version = 2,
            desired_state = CASE external_id WHEN 'customer-20' THEN 'absent' ELSE 'present' END";
    sqlx::query(turned).execute(fleet.pool()).await.unwrap();
    let are_turned = "SELECT count(*) = 20 FROM tenantd.tenants
        WHERE current_version = 2 AND phase = 'ready' OR phase = 'removed'";
    eventually("all rotated, one removed", Duration::from_mins(1), || async {
        sqlx::query_scalar(are_turned).fetch_one(fleet.pool()).await.unwrap()
    })
    .await;
    for arguments in COMMANDS {
        let output = home.output(arguments);
        // 3: differences were found.
        let is_done = output.status.success() || output.status.code() == Some(3);
        assert!(is_done, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(home.path(&format!("{}.out", arguments.join("-"))), &output.stdout).unwrap();
        std::fs::write(home.path(&format!("{}.err", arguments.join("-"))), &output.stderr).unwrap();
    }
    unpack_support_bundle(&home).await;
    let dump = Command::new("pg_dump").arg(&fleet.db.url).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    std::fs::write(home.path("dump.sql"), &dump.stdout).unwrap();
    assert!(daemon.terminate().await.success());
    let traced = collector.bodies();
    assert!(holds(&traced, b"customer-20") && holds(&traced, b"tenant ready"), "traces are on");
    std::fs::write(home.path("traces"), traced).unwrap();

    let log = std::fs::metadata(home.path("daemon.log")).unwrap().len();
    assert!(log > 10_000, "the log at trace has only {log} bytes");
    assert!(holds(&dump.stdout, b"customer-20"), "the dump holds the tenants");
    assert!(!holds(&command_line, SENTINEL.as_bytes()) && !holds(&environment, SENTINEL.as_bytes()));
    // The configuration is where the operator wrote it: the one file that may hold it.
    assert_eq!(files_holding(&home.directory, SENTINEL.as_bytes()), [home.path("tenantd.toml")]);

    let revealed = home.output(&["secret", "reveal", "customer-1", "--yes"]);
    std::fs::write(home.path("planted"), &revealed.stdout).unwrap();
    let mut found = files_holding(&home.directory, SENTINEL.as_bytes());
    found.sort();
    assert_eq!(found, [home.path("planted"), home.path("tenantd.toml")], "the search finds what is there");
}

/// Everything that a support bundle tells of two tenants and of the running daemon.
async fn unpack_support_bundle(home: &Home) {
    let (bundle, address) = (home.path("bundle.tar.gz"), home.address("daemon.log").await);
    let tenants = ["--tenant", "customer-1", "--tenant", "customer-20"];
    let mut command =
        home.command(&[&["support-bundle", "--out", bundle.to_str().unwrap()], &tenants[..]].concat());
    let ran = command.env("TENANTD_HTTP__LISTEN", address).output().unwrap();
    assert!(
        ran.status.success() && ran.stderr.starts_with(b"wrote "),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let parts = unpacked(&bundle);
    assert!(
        parts["daemon/metrics.txt"].contains("tenantd_build_info") && parts["daemon/readyz.txt"] == "ready\n"
    );
    assert!(parts["tenants/2/show.json"].contains("customer-20"));
    for (file, text) in parts {
        std::fs::write(home.path(&format!("bundle-{}", file.replace('/', "-"))), text).unwrap();
    }
}

/// Of a daemon that logs all it can, is hasty, and sends traces.
fn settings(collector: &Collector) -> String {
    let endpoint = &collector.endpoint;
    format!(
        r#"
        log.level = "trace,sqlx=trace,hyper=trace,reqwest=trace,rustls=trace"
        qlik.settle = "1s"
        retry.base = "100ms"
        retry.cap = "500ms"
        traces.endpoint = "{endpoint}"
        [[regions]]
        name = "eu"
        hosts = ["*.eu.qlikcloud.com"]
        client_id = "eu-client"
        client_secret = "{SENTINEL}"
        "#
    )
}
