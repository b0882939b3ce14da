//! `tenantd run`: from its first line to its last word, as a service manager sees it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan, World};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream, UnixDatagram};
use tokio::process::{Child, ChildStderr, Command};

use super::support::{Bench, Scratch};
use crate::support::fleet::Fleet;
use crate::support::process::{eventually, page, status};
use crate::support::rig::SUFFIX;

/// Nothing here takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_mins(1);

/// A running daemon and its log.
pub(super) struct Daemon {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
}

impl Daemon {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log, said: Vec::new() }
    }

    /// Reads the log up to a line with this part in it.
    async fn says(&mut self, part: &str) -> String {
        let found = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                self.said.push(line.clone());
                if line.contains(part) {
                    return line;
                }
            }
            panic!("{part:?} was never said: {:#?}", self.said)
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("{part:?} is not said"))
    }

    /// Where it serves HTTP.
    pub(super) async fn address(&mut self) -> String {
        let line = self.says("serves /healthz").await;
        line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
    }

    /// The exit code, and the rest of the log.
    async fn ends(mut self) -> (Option<i32>, String) {
        let rest = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                self.said.push(line);
            }
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(LIMIT, rest).await.expect("the daemon ends");
        (code, self.said.join("\n"))
    }
}

async fn given_fleet() -> (Fleet, Scratch, PathBuf) {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::default(), 7)).await;
    let scratch = Scratch::new();
    let ca = scratch.file("ca.pem", fleet.server.ca_pem());
    let config = scratch
        .config(&format!(
            "[qlik]\nca_file = \"{}\"\nconnect_to = \"{}\"\n",
            ca.display(),
            fleet.server.addr()
        ))
        .await;
    (fleet, scratch, config)
}

fn command(scratch: &Scratch, url: &str, config: &Path, words: &[&str]) -> Command {
    let mut command = scratch.command(words);
    command.env("TENANTD_DATABASE__URL", url).env("TENANTD_CONFIG", config);
    command
}

#[tokio::test]
async fn a_tenant_added_by_hand_becomes_ready_and_the_daemon_stops_with_its_last_word() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(1).await;
    let socket = UnixDatagram::bind(scratch.path("notify")).unwrap();
    let mut run = command(&scratch, &fleet.db.url, &config, &["run"]);
    run.env("NOTIFY_SOCKET", scratch.path("notify")).env("WATCHDOG_USEC", "200000");
    let mut daemon = Daemon::start(run);
    let address = daemon.address().await;

    let waited =
        command(&scratch, &fleet.db.url, &config, &["tenant", "wait", "customer-1", "--timeout", "1m"])
            .output()
            .await
            .unwrap();
    let pages = (status(&address, "/healthz").await, status(&address, "/readyz").await);
    let told = told_until(&socket, "WATCHDOG=1").await;
    daemon.signal("HUP").await;
    let reloading = told_until(&socket, "RELOADING=1").await;
    let reloaded = told_until(&socket, "READY=1").await;
    daemon.signal("TERM").await;
    let stopping = told_until(&socket, "STOPPING=1").await;
    let (code, log) = daemon.ends().await;

    assert_eq!(
        (waited.status.code(), String::from_utf8_lossy(&waited.stdout).trim()),
        (Some(0), "customer-1 is ready")
    );
    assert_eq!(pages, (200, 200));
    assert!(told.contains("READY=1") && stopping.contains("STOPPING=1"), "{told} {stopping}");
    assert!((reloading.clone() + &reloaded).contains("MONOTONIC_USEC="), "{reloading} {reloaded}");
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped: 1 of 1 tenant ready, none waits; 0 leases left"), "{log}");
    assert!(!log.contains("region-secret"));
}

/// Everything systemd is told up to this word.
async fn told_until(socket: &UnixDatagram, word: &str) -> String {
    let mut all = String::new();
    let told = async {
        while !all.contains(word) {
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).await.unwrap();
            all.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    };
    tokio::time::timeout(LIMIT, told).await.unwrap_or_else(|_| panic!("{word} is not told"));
    all
}

#[tokio::test]
async fn whoever_finds_the_daemon_ready_finds_the_numbers_of_its_fleet() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(3).await;
    let mut daemon = Daemon::start(command(&scratch, &fleet.db.url, &config, &["run"]));
    let address = daemon.address().await;
    let ready = async { while status(&address, "/readyz").await != 200 {} };
    tokio::time::timeout(LIMIT, ready).await.expect("it is ready in the end");

    let shown = page(&address, "/metrics").await;

    for gauge in [
        "tenantd_tenants{phase=\"removed\"} 0",
        "tenantd_parked{reason=\"NameTaken\"} 0",
        "tenantd_breaker_open{region=\"us\"} 0",
        "tenantd_right_missing{region=\"us\",effect=\"create\"} 0",
        "tenantd_oldest_due_seconds ",
        "tenantd_drifted{kind=\"consent\"} 0",
        "tenantd_rollout_halted{kind=\"rotation\"} 0",
        "tenantd_removals_awaiting 0",
        "tenantd_deletions_held 0",
    ] {
        assert!(shown.lines().any(|line| line.starts_with(gauge)), "{gauge} is missing in:\n{shown}");
    }
}

#[tokio::test]
async fn probes_are_answered_while_more_connections_than_there_is_room_for_hang_half_open() {
    let (fleet, scratch, config) = given_fleet().await;
    let mut daemon = Daemon::start(command(&scratch, &fleet.db.url, &config, &["run"]));
    let address = daemon.address().await;
    daemon.says("ready: claiming due tenants").await;
    let mut held = Vec::new();
    for _ in 0..260 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
        held.push(stream);
    }

    for _ in 0..10 {
        let alive = tokio::time::timeout(Duration::from_secs(1), status(&address, "/healthz")).await;
        assert_eq!(alive.ok(), Some(200), "/healthz is not answered within a second");
    }
    let ready = tokio::time::timeout(Duration::from_secs(5), status(&address, "/readyz")).await;

    assert_eq!(ready.ok(), Some(200), "/readyz is not answered");
    daemon.signal("TERM").await;
    assert_eq!(daemon.ends().await.0, Some(0));
}

#[tokio::test]
async fn the_daemon_waits_for_its_database_and_says_so_once_while_its_port_answers() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    // Takes what is said first, and hangs up.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://tenantd@{}/tenants?sslmode=disable", closed.local_addr().unwrap());
    let (knocks, mut knocked) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = closed.accept().await.unwrap();
            let said = stream.read(&mut [0; 512]).await.unwrap();
            assert!(said > 0, "somebody knocked and said nothing");
            drop(stream);
            knocks.send(()).await.ok();
        }
    });
    let run = command(&bench.scratch, &url, &config, &["run"]);
    let mut daemon = Daemon::start(run);
    let address = daemon.address().await;
    daemon.says("waiting for the database").await;

    let pages = (status(&address, "/healthz").await, status(&address, "/readyz").await);
    while knocked.try_recv().is_ok() {}
    for _ in 0..3 {
        tokio::time::timeout(LIMIT, knocked.recv()).await.unwrap().unwrap();
    }
    daemon.signal("INT").await;
    let (code, log) = daemon.ends().await;

    assert_eq!(pages, (200, 503));
    assert_eq!((code, log.matches("waiting for the database").count()), (Some(0), 1), "{log}");
    assert!(log.contains("stopped before the database could be used"), "{log}");
}

#[tokio::test]
async fn a_second_signal_breaks_off_and_says_what_was_left_behind() {
    let bench = Bench::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = bench
        .scratch
        .config(&format!(
            "[qlik]\nconnect_to = \"{}\"\nrequest_timeout = \"25s\"\nread_timeout = \"25s\"\nconnect_timeout = \"20s\"\n",
            silent.local_addr().unwrap()
        ))
        .await;
    bench.given_tenant("customer-1").await;
    let mut daemon = Daemon::start(command(&bench.scratch, &bench.db.url, &config, &["run"]));
    // It connects, and is never answered.
    let (_stream, _) = tokio::time::timeout(LIMIT, silent.accept()).await.unwrap().unwrap();

    daemon.signal("TERM").await;
    daemon.says("a second signal breaks off").await;
    daemon.signal("TERM").await;
    let (code, log) = daemon.ends().await;

    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("error: broke off with 1 lease left"), "{log}");
}

#[tokio::test]
async fn a_second_signal_breaks_off_even_while_the_database_does_not_answer() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let mut daemon = Daemon::start(command(&bench.scratch, &bench.db.url, &config, &["run"]));
    daemon.says("claiming due tenants").await;
    let mut lock = bench.db.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let is_stuck = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(is_stuck).fetch_one(&bench.db.pool).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    daemon.signal("TERM").await;
    daemon.says("a second signal breaks off").await;
    daemon.signal("TERM").await;
    let ended = tokio::time::timeout(Duration::from_secs(6), daemon.ends()).await;
    lock.rollback().await.unwrap();

    let (code, log) = ended.expect("sooner than the server gives up the lock");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("what is left cannot be told"), "{log}");
}

#[tokio::test]
async fn a_run_of_once_on_a_database_that_only_reads_fails_and_says_what_it_needs() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    bench.given_tenant("customer-1").await;
    let separator = if bench.db.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}options=-c%20default_transaction_read_only%3Don", bench.db.url);

    let run = command(&bench.scratch, &url, &config, &["run", "--once"]).output();
    let ran = tokio::time::timeout(LIMIT, run).await.expect("it does not wait").unwrap();

    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("read-only") && said.contains("check database.url"), "{said}");
}

#[tokio::test]
async fn a_run_of_once_ends_with_0_when_nothing_is_left_and_4_when_a_tenant_is_parked() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(2).await;

    let done = command(&scratch, &fleet.db.url, &config, &["run", "--once"]).output().await.unwrap();
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('x', 'x.elsewhere.example')")
        .execute(fleet.pool())
        .await
        .unwrap();
    let parked = command(&scratch, &fleet.db.url, &config, &["run", "--once"]).output().await.unwrap();

    let said = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), "2 of 2 tenants ready, none waits\n"));
    assert_eq!(parked.status.code(), Some(4));
    assert_eq!(
        said(&parked),
        "2 of 3 tenants ready, none waits, 1 parked (`tenantd tenant list --parked` says why)\n"
    );
    fleet.assert_true_to_the_ledger(2).await;
}

/// As of a terminal that is closed under it.
#[tokio::test]
async fn a_run_of_once_finishes_its_steps_at_a_hangup() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(1).await;
    fleet.world.script(
        &format!("t1.{SUFFIX}"),
        Endpoint::CreateClient,
        [Fault::delay(Duration::from_secs(5))],
    );
    let mut once = Daemon::start(command(&scratch, &fleet.db.url, &config, &["run", "--once"]));
    let is_under_way = || async {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM tenantd.tenants WHERE phase = 'creating')")
            .fetch_one(fleet.pool())
            .await
            .unwrap()
    };
    eventually("it creates", LIMIT, is_under_way).await;

    once.signal("HUP").await;
    once.says("stopping: the steps under way are finished").await;
    once.signal("HUP").await;
    let (code, log) = once.ends().await;

    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped: 0 of 1 tenant ready, 1 waits, next now; 0 leases left"), "{log}");
    let phase: String =
        sqlx::query_scalar("SELECT phase FROM tenantd.tenants").fetch_one(fleet.pool()).await.unwrap();
    assert_eq!(phase, "created");
}

#[tokio::test]
async fn a_run_of_once_ends_with_4_where_the_region_lacks_a_right_and_asks_for_it_by_itself() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(3).await;
    fleet.world.withhold(SUFFIX, [Endpoint::SetConsent]);
    let once = || async {
        let ran = command(&scratch, &fleet.db.url, &config, &["run", "--once"]).output().await.unwrap();
        (ran.status.code().unwrap(), String::from_utf8(ran.stdout).unwrap())
    };

    let lacking = once().await;
    // No turn comes within this test by itself: 30 seconds.
    sqlx::query("UPDATE tenantd.rights SET ask_at = now() WHERE missing_since IS NOT NULL")
        .execute(fleet.pool())
        .await
        .unwrap();
    let still = once().await;
    fleet.world.grant(SUFFIX, [Endpoint::SetConsent]);
    sqlx::query("UPDATE tenantd.rights SET ask_at = now() WHERE missing_since IS NOT NULL")
        .execute(fleet.pool())
        .await
        .unwrap();
    let mended = once().await;

    for (code, said) in [lacking, still] {
        assert!(code == 4 && said.ends_with("; region us lacks the right to trust\n"), "{code} {said}");
    }
    assert_eq!(mended, (0, "3 of 3 tenants ready, none waits\n".to_owned()));
}

#[tokio::test]
async fn a_run_of_once_says_how_many_wait_for_a_later_time_and_when() {
    let (fleet, scratch, config) = given_fleet().await;
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         VALUES ('x', 'x.us.qlikcloud.com', now() + interval '3 hours 1 minute')",
    )
    .execute(fleet.pool())
    .await
    .unwrap();

    let ran = command(&scratch, &fleet.db.url, &config, &["run", "--once"]).output().await.unwrap();

    assert_eq!(ran.status.code(), Some(0));
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "0 of 1 tenant ready, 1 waits, next in 3h\n");
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_failure_that_names_it() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut run = command(&bench.scratch, &bench.db.url, &config, &["run"]);
    run.env("TENANTD_HTTP__LISTEN", taken.local_addr().unwrap().to_string());

    let (code, log) = Daemon::start(run).ends().await;

    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("http.listen 127.0.0.1:") && log.contains("choose another"), "{log}");
}
