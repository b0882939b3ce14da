//! Filters on the command line: what a list shows, and what a verb does to all who match.

use std::process::Stdio;
use std::time::Duration;

use sqlx::{Postgres, Transaction};

use super::support::{Bench, Ran};
use crate::support::process::eventually;

const LIMIT: Duration = Duration::from_secs(30);

impl Bench {
    /// Somebody edits this row, and is not done.
    async fn locked(&self, id: &str) -> Transaction<'static, Postgres> {
        let mut edit = self.db.pool.begin().await.unwrap();
        sqlx::query("UPDATE tenantd.tenants SET priority = 1 WHERE external_id = $1")
            .bind(id)
            .execute(&mut *edit)
            .await
            .unwrap();
        edit
    }

    /// Until a command waits for a row that is locked.
    async fn waits(&self) {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%-- tenants.lock%'";
        let is_so = || async { sqlx::query_scalar(waiting).fetch_one(&self.db.pool).await.unwrap() };
        eventually("it waits for the row", LIMIT, is_so).await;
    }

    /// Three who are parked, of whom two for their names, and one that is ready.
    async fn given_four(&self) {
        for (id, reason) in [("a", "NameTaken"), ("b", "GaveUp"), ("c", "NameTaken")] {
            self.given_tenant(id).await;
            self.park(id, reason).await;
        }
        self.given_tenant("d").await;
        self.make_ready("d").await;
    }

    async fn listed(&self, words: &[&str]) -> Vec<String> {
        let ran = self.tenantd(&[&["tenant", "list", "--output", "json"], words].concat()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let rows = ran.json();
        rows.as_array().unwrap().iter().map(|row| row["external_id"].as_str().unwrap().to_owned()).collect()
    }

    async fn history(&self, id: &str) -> Vec<String> {
        let ran = self.tenantd(&["tenant", "history", id, "--output", "json"]).await;
        let rows = ran.json();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_list_takes_a_filter_and_the_short_options_are_parts_of_one() {
    let bench = Bench::new().await;
    bench.given_four().await;

    assert_eq!(bench.listed(&["--filter", "reason:NameTaken,GaveUp -a"]).await, ["b", "c"]);
    assert_eq!(bench.listed(&["--filter", "-a", "--reason", "NameTaken", "--parked"]).await, ["c"]);
    assert_eq!(bench.listed(&["--phase", "ready"]).await, ["d"]);
    assert_eq!(bench.listed(&["--phase", "ready", "--parked"]).await, [""; 0]);
}

#[tokio::test]
async fn what_is_no_filter_is_pointed_at() {
    let bench = Bench::new().await;

    for words in [
        &["tenant", "list", "--filter", "acme phsae:ready"][..],
        &["tenant", "remove", "--filter", "acme phsae:ready", "--reason", "x", "--yes"],
        &["tenant", "pause", "--filter", "acme phsae:ready", "--reason", "x", "--yes"],
    ] {
        let ran = bench.tenantd(words).await;

        assert_eq!(ran.code, 2, "{ran:?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert!(lines[0].contains("no key \"phsae\", at character 6: did you mean phase?"), "{ran:?}");
        assert_eq!(lines[1..], ["  acme phsae:ready", "       ^^^^^"], "{ran:?}");
    }
}

#[tokio::test]
async fn a_verb_on_all_who_match_names_them_and_does_nothing_before_it_is_agreed_to() {
    let bench = Bench::new().await;
    bench.given_four().await;

    for verb in ["retry", "pause", "resume", "rotate", "remove"] {
        let ran = bench.tenantd(&["tenant", verb, "--filter", "parked:yes", "--reason", "x"]).await;

        ran.assert_refused(2, &[&format!("this would {verb} 3 tenants; add --yes")]);
        assert!(ran.stderr.ends_with("\n  a\n  b\n  c\n"), "{ran:?}");
    }
    let without_a_reason = bench.tenantd(&["tenant", "retry", "--filter", "parked:yes", "--yes"]).await;
    let both = bench.tenantd(&["tenant", "retry", "a", "--filter", "parked:yes"]).await;

    assert_eq!((without_a_reason.code, both.code), (2, 2), "{without_a_reason:?} {both:?}");
    assert_eq!(bench.listed(&["--parked"]).await, ["a", "b", "c"]);
    assert_eq!(bench.listed(&["--filter", "paused:yes"]).await, [""; 0]);
    assert_eq!(bench.history("a").await, [""; 0]);
}

#[tokio::test]
async fn a_verb_is_done_to_all_who_match_with_its_reason_in_the_history_of_each() {
    let bench = Bench::new().await;
    bench.given_four().await;
    let all = async |verb: &str, filter: &str| -> Ran {
        bench.tenantd(&["tenant", verb, "--filter", filter, "--reason", "ticket 1", "--yes"]).await
    };

    let retried = all("retry", "parked:yes reason:NameTaken").await;
    let again = all("retry", "parked:yes reason:NameTaken").await;
    let paused = all("pause", "a,d").await;
    let resumed = all("resume", "since:0s").await;
    let rotated = all("rotate", "a,d").await;
    let removed = all("remove", "d").await;

    assert_eq!(
        (retried.code, retried.stdout.as_str()),
        (0, "retry: 2 tenants done, 0 with nothing to do, 0 refused\n")
    );
    assert_eq!((again.code, again.stderr.as_str()), (0, "0 tenants match\n"), "{again:?}");
    assert_eq!(paused.stdout, "pause: 2 tenants done, 0 with nothing to do, 0 refused\n");
    assert_eq!(resumed.stdout, "resume: 2 tenants done, 2 with nothing to do, 0 refused\n");
    assert_eq!(
        (rotated.code, rotated.stdout.as_str()),
        (1, "rotate: 1 tenant done, 0 with nothing to do, 1 refused\n")
    );
    assert!(rotated.stderr.contains("refused: a has no secret"), "{rotated:?}");
    assert_eq!(removed.stdout, "remove: 1 tenant done, 0 with nothing to do, 0 refused\n");
    assert_eq!(bench.listed(&["--parked"]).await, ["b"]);
    let said = bench.history("a").await;
    assert!(
        said.len() == 3 && said.iter().all(|line| line.starts_with("ticket 1; asked for by ")),
        "{said:?}"
    );
    assert_eq!(bench.history("b").await, [""; 0]);
}

#[tokio::test]
async fn what_is_done_to_one_row_at_a_time_asks_names_and_tells_alike() {
    let bench = Bench::new().await;
    bench.given_four().await;
    bench.make_ready("b").await;
    bench.park("b", "ClientMissing").await;
    for (words, verb) in [
        (&["forget"][..], "forget"),
        (&["retry", "--recreate"], "recreate"),
        (&["rotate", "--rollback"], "roll back"),
    ] {
        let words = [&["tenant"], words, &["--filter", "parked:yes", "--reason", "ticket 2"]].concat();
        let ran = bench.tenantd(&words).await;

        ran.assert_refused(2, &[&format!("this would {verb} 3 tenants; add --yes")]);
        assert!(ran.stderr.ends_with("\n  a\n  b\n  c\n"), "{ran:?}");
    }
    let all = async |words: &[&str], filter: &str| -> Ran {
        let words = [&["tenant"], words, &["--filter", filter, "--reason", "ticket 2", "--yes"]].concat();
        bench.tenantd(&words).await
    };

    let recreated = all(&["retry", "--recreate"], "parked:yes").await;
    let rolled_back = all(&["rotate", "--rollback"], "d").await;
    let forgotten = all(&["forget"], "parked:yes").await;
    let again = all(&["forget"], "parked:yes").await;

    let told = "recreate: 1 tenant done, 0 with nothing to do, 2 refused\n";
    assert!(recreated.code == 1 && recreated.stdout.ends_with(told), "{recreated:?}");
    assert!(
        recreated.stderr.contains("refused: only a tenant that is parked as ClientMissing"),
        "{recreated:?}"
    );
    let told = "roll back: 0 tenants done, 0 with nothing to do, 1 refused\n";
    assert!(rolled_back.code == 1 && rolled_back.stdout == told, "{rolled_back:?}");
    let told = "forget: 2 tenants done, 0 with nothing to do, 0 refused\n";
    assert!(forgotten.code == 0 && forgotten.stdout.ends_with(told), "{forgotten:?}");
    assert_eq!(again.stderr, "0 tenants match\n");
    assert_eq!(bench.listed(&["--phase", "removed"]).await, ["a", "c"]);
    assert!(bench.history("b").await[0].ends_with(": ticket 2"), "{:?}", bench.history("b").await);
    assert!(bench.history("a").await[0].starts_with("ticket 2; "), "{:?}", bench.history("a").await);
}

#[tokio::test]
async fn more_than_a_slice_is_worked_on_to_its_end_and_nobody_twice() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO tenantd.tenants (external_id, host)
              SELECT 't' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1, 250) AS n",
        )
        .await;

    let ran = bench
        .tenantd(&["tenant", "pause", "--filter", "t", "--reason", "works", "--for", "2h", "--yes"])
        .await;

    assert_eq!(ran.stdout, "pause: 250 tenants done, 0 with nothing to do, 0 refused\n", "{ran:?}");
    assert_eq!(bench.listed(&["--filter", "paused:yes reason:Paused"]).await.len(), 250);
    assert_eq!(bench.history("t7").await.len(), 1);
}

#[tokio::test]
async fn nobody_is_acted_on_but_those_who_were_counted() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 't' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1000, 1100) AS n",
        )
        .await;
    let edit = bench.locked("t1000").await;
    let mut pause =
        bench.command(&["tenant", "pause", "--filter", "t1", "--reason", "works", "--for", "2h", "--yes"]);
    let running = pause.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bench.waits().await;
    bench.given_tenant("t10995").await;
    edit.rollback().await.unwrap();

    let ran = Ran::of(running.wait_with_output().await.unwrap());

    assert_eq!(ran.stdout, "pause: 101 tenants done, 0 with nothing to do, 0 refused\n", "{ran:?}");
    assert_eq!(bench.listed(&["--filter", "-paused:yes"]).await, ["t10995"]);
}

#[tokio::test]
async fn an_empty_filter_and_a_swallowed_option_name_nobody() {
    let bench = Bench::new().await;
    bench.given_four().await;

    for filter in ["", "  ", "--config=/etc/tenantd.toml"] {
        let because = ["--yes", "--reason", "x"];
        for (verb, more) in [
            (&["retry"][..], &because[..]),
            (&["retry", "--recreate"], &because),
            (&["pause"], &because),
            (&["resume"], &because),
            (&["rotate"], &because),
            (&["rotate", "--rollback"], &because),
            (&["remove"], &because),
            (&["forget"], &because),
            (&["wait"], &[]),
        ] {
            let ran = bench.tenantd(&[&["tenant"], verb, more, &["--filter", filter]].concat()).await;

            let wrong = if filter.starts_with('-') { "two hyphens" } else { "names nobody" };
            ran.assert_refused(2, &[wrong]);
        }
    }
    assert_eq!(bench.listed(&["--filter", "phase:pending"]).await, ["a", "b", "c"]);
    assert_eq!(bench.history("a").await, [""; 0]);
}

#[tokio::test]
async fn a_row_that_somebody_keeps_locked_ends_a_run_which_goes_on_behind_the_last_key() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 't' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1000, 1150) AS n",
        )
        .await;
    let edit = bench.locked("t1120").await;
    let pause = ["tenant", "pause", "--filter", "t1", "--reason", "works", "--yes"];

    let broken = bench.tenantd(&pause).await;
    edit.rollback().await.unwrap();
    let rest = bench.tenantd(&[&pause[..], &["--after", "t1099"]].concat()).await;

    assert_eq!((broken.code, broken.stdout.as_str()), (1, ""), "{broken:?}");
    let told = "100 tenants done before this, up to t1099; --after='t1099' goes on behind it";
    assert!(broken.stderr.contains(told), "{broken:?}");
    assert_eq!(rest.stdout, "pause: 51 tenants done, 0 with nothing to do, 0 refused\n", "{rest:?}");
    assert_eq!((bench.history("t1000").await.len(), bench.history("t1150").await.len()), (1, 1));
}

const FORGET: [&str; 7] = ["tenant", "forget", "--filter", "parked:yes", "--reason", "x", "--yes"];

#[tokio::test]
async fn one_row_at_a_time_whoever_matches_no_longer_is_passed_by() {
    let bench = Bench::new().await;
    bench.given_four().await;
    let edit = bench.locked("a").await;

    let mending = async {
        bench.waits().await;
        bench
            .sql("UPDATE tenantd.tenants SET parked_reason = NULL, due_at = now() WHERE external_id = 'b'")
            .await;
        edit.rollback().await.unwrap();
    };
    let (ran, ()) = tokio::join!(bench.tenantd(&FORGET), mending);

    let told = "forget: 2 tenants done, 1 with nothing to do, 0 refused\n";
    assert!(ran.code == 0 && ran.stdout.ends_with(told), "{ran:?}");
    assert_eq!(bench.listed(&["--phase", "removed"]).await, ["a", "c"]);
}

#[tokio::test]
async fn one_row_at_a_time_a_database_that_fails_ends_a_run_which_goes_on_behind_a_key() {
    let bench = Bench::new().await;
    bench.given_four().await;
    for statement in [
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''no room'' USING ERRCODE = ''disk_full''; END'",
        "CREATE TRIGGER fail BEFORE UPDATE ON tenantd.tenants FOR EACH ROW WHEN (OLD.external_id = 'b')
             EXECUTE FUNCTION fail()",
    ] {
        bench.sql(statement).await;
    }

    let broken = bench.tenantd(&FORGET).await;
    bench.sql("DROP TRIGGER fail ON tenantd.tenants").await;
    let rest = bench.tenantd(&[&FORGET[..], &["--after", "b"]].concat()).await;

    assert!(broken.code == 1 && !broken.stdout.contains("forget: "), "{broken:?}");
    let told = "1 tenant done before this, up to a; --after='a' goes on behind it";
    assert!(broken.stderr.contains(told), "{broken:?}");
    assert!(rest.stdout.ends_with("forget: 1 tenant done, 0 with nothing to do, 0 refused\n"), "{rest:?}");
    assert_eq!(bench.listed(&["--phase", "removed"]).await, ["a", "c"]);
}

#[tokio::test]
async fn who_is_forgotten_already_is_nothing_to_do() {
    let bench = Bench::new().await;
    bench.given_four().await;
    let words = ["tenant", "forget", "--filter", "parked:yes", "--reason", "x", "--yes"];
    assert_eq!(bench.tenantd(&words).await.code, 0);

    let again = bench.tenantd(&["tenant", "forget", "--filter", "a,b,c,d", "--reason", "x", "--yes"]).await;

    assert!(again.stdout.ends_with("forget: 1 tenant done, 3 with nothing to do, 0 refused\n"), "{again:?}");
    let forgotten = "SELECT count(*) FROM tenantd.attempts WHERE effect = 'forget'";
    let forgotten: i64 = sqlx::query_scalar(forgotten).fetch_one(&bench.db.pool).await.unwrap();
    assert_eq!(forgotten, 4);
}

#[tokio::test]
async fn one_row_at_a_time_a_run_of_which_nobody_reads_ends_with_the_row_in_hand() {
    let bench = Bench::new().await;
    bench.given_four().await;
    let mut command = bench.command(&FORGET);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());

    let ran = Ran::of(running.wait_with_output().await.unwrap());

    assert!(ran.stderr.contains("1 tenant done, up to a; --after='a' goes on behind it"), "{ran:?}");
    assert_eq!(bench.listed(&["--parked"]).await, ["b", "c"]);
}

/// As every verb on many: the daemons wait meanwhile. Each is in line behind the others, and the
/// server counts the wait for a turn and that for the row each by itself.
#[tokio::test]
async fn a_row_that_somebody_keeps_locked_is_not_waited_for_where_one_row_is_changed_at_a_time() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    bench.given_tenant("b").await;
    bench.make_ready("a").await;
    let edit = bench.locked("a").await;

    let all: Vec<_> = [
        &["tenant", "forget", "a", "--reason", "x", "--yes"][..],
        &["tenant", "retry", "--recreate", "a"],
        &["tenant", "rotate", "--rollback", "a"],
        &["tenant", "rotate", "a"],
        &["tenant", "pause", "a", "--reason", "x"],
        &["tenant", "remove", "a", "b", "--yes"],
    ]
    .map(|words| bench.tenantd(words))
    .into();
    let all =
        tokio::time::timeout(LIMIT, futures_util::future::join_all(all)).await.expect("not for minutes");
    edit.rollback().await.unwrap();

    for ran in &all {
        assert!(ran.code == 1 && ran.stderr.contains("others are in the way; try again"), "{ran:?}");
    }
    // Of several the one is named, and the others are served.
    let removed = all.last().unwrap();
    assert!(removed.stderr.contains("error: a: the database said: "), "{removed:?}");
    assert!(removed.stdout.contains("b is removed"), "{removed:?}");
}
