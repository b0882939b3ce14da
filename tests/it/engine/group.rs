//! A commit of several tenants: each member has an answer of its own.

use std::time::Duration;

use tenantd::domain::machine::Next;
use tenantd::engine::judged::Judged;
use tenantd::engine::work::Work;
use tenantd::postgres::StoreError;
use tenantd::postgres::work::commit::{Answer, Write};

use super::{Rig, assert_whole, row, stored};
use crate::support::rig::{LEASE, Replica, SETTLE};

/// Five tenants, each with a client that Qlik has made and nobody has written down.
async fn created(rig: &Rig, replica: &Replica, names: &[&str]) -> Vec<(Work, Judged)> {
    for name in names {
        rig.given_tenant(name).await;
    }
    let claimed = replica.store.claim(&replica.terms.claim_terms(), names.len()).await.unwrap().rows;
    assert_eq!(claimed.len(), names.len());
    let mut all = Vec::new();
    for claimed in claimed {
        let mut work = replica.admit(claimed).unwrap();
        let Next::Do(effect) = work.next() else { panic!("a create is next") };
        let acted = replica.act(&mut work, effect).await;
        let judged = replica.judge(&work, acted).unwrap();
        all.push((work, judged));
    }
    all.sort_by_key(|(work, _)| work.external_id.to_string());
    all
}

fn writes(all: &[(Work, Judged)]) -> Vec<Write> {
    all.iter().map(|(work, judged)| judged.write(work)).collect()
}

fn kinds(answers: &[Answer]) -> Vec<&'static str> {
    let kind = |answer: &Answer| match answer {
        Answer::Done(committed) if committed.is_current => "done",
        Answer::Done(_) => "done, and out of date",
        Answer::Superseded => "superseded",
        Answer::Busy => "busy",
        Answer::Fenced => "fenced",
    };
    answers.iter().map(kind).collect()
}

#[tokio::test]
async fn each_member_of_a_commit_has_its_own_answer_and_a_second_sending_writes_nothing() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let all = created(&rig, &replica, &["a-done", "b-heard", "c-fenced", "d-busy", "e-superseded"]).await;
    rig.write("UPDATE tenantd.tenants SET client_name = 'Portal' WHERE external_id = 'b-heard'").await;
    rig.write("UPDATE tenantd.tenants SET lease_epoch = lease_epoch + 1 WHERE external_id = 'c-fenced'")
        .await;
    rig.write("UPDATE tenantd.tenants SET not_before = 'tomorrow' WHERE external_id = 'e-superseded'").await;
    let mut locking = rig.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM tenantd.tenants WHERE external_id = 'd-busy' FOR UPDATE")
        .execute(&mut *locking)
        .await
        .unwrap();
    let mut writes = writes(&all);
    writes[4].is_intent = true;
    let members: Vec<_> = writes.iter().collect();

    let answers = replica.store.commit(&members).await.unwrap();
    let again = replica.store.commit(&members).await.unwrap();
    locking.rollback().await.unwrap();

    let expected = ["done", "done, and out of date", "fenced", "busy", "superseded"];
    assert_eq!((kinds(&answers), kinds(&again)), (expected.to_vec(), expected.to_vec()));
    for (name, secrets) in
        [("a-done", 1), ("b-heard", 1), ("c-fenced", 0), ("d-busy", 0), ("e-superseded", 0)]
    {
        assert_eq!(stored(&rig, name).await.len(), secrets, "{name}");
    }
    let attempts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.attempts").fetch_one(rig.pool()).await.unwrap();
    assert_eq!(attempts, 2, "one line of history for each that was written");
}

/// A secret that no constraint takes, beside three that are right.
#[tokio::test]
async fn one_member_that_the_database_refuses_harms_no_other() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let all = created(&rig, &replica, &["a", "b", "c", "d"]).await;
    let mut writes = writes(&all);
    writes[1].sealed.as_mut().unwrap().sealed = "not a JWE".to_owned();

    let written =
        futures_util::future::join_all(writes.into_iter().map(|write| replica.committer.write(write)));
    let written = written.await;

    let is_refused: Vec<_> = written.iter().map(Result::is_err).collect();
    assert_eq!(is_refused, [false, true, false, false], "{written:?}");
    assert!(matches!(&written[1], Err(error) if error.is_final() && error.may_be_one_rows()), "{written:?}");
    assert_eq!((stored(&rig, "a").await.len(), stored(&rig, "b").await.len()), (1, 0));
}

/// The process dies between the members' acts and their commit: each is found by its mark.
#[tokio::test]
async fn what_was_to_be_committed_together_is_found_again_when_it_never_was() {
    let rig = Rig::plain().await;
    let (dying, heir) = (rig.replica().await, rig.replica().await);
    let names = ["a", "b", "c"];
    let all = created(&rig, &dying, &names).await;
    // Of the batch only one member had been written when it died.
    dying.committer.write(writes(&all).remove(0)).await.unwrap();
    drop((all, dying));
    rig.advance(LEASE + SETTLE).await;

    rig.work_until_quiet(&heir).await;

    for name in names {
        assert_whole(&rig, &heir, name).await;
    }
}

/// The clock stands still until both have decided.
#[tokio::test]
async fn where_most_places_are_taken_those_who_decide_soon_share_a_statement() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let all = created(&rig, &replica, &["first", "second"]).await;
    let mut taken = Vec::new();
    while !replica.places.are_most_taken() {
        taken.push(replica.places.line_up().place().await);
    }
    tokio::time::pause();
    let mut decided = Vec::new();
    for write in writes(&all) {
        let committer = replica.committer.clone();
        decided.push(tokio::spawn(async move { committer.write(write).await }));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::resume();
    for written in decided {
        written.await.unwrap().unwrap();
    }

    let statements: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(statements, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_has_locked_waits_by_itself_and_is_written_when_it_is_free() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let all = created(&rig, &replica, &["free", "locked"]).await;
    let mut locking = rig.pool().begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET labels = '{\"a\": 1}' WHERE external_id = 'locked'")
        .execute(&mut *locking)
        .await
        .unwrap();
    let [free, locked] = <[Write; 2]>::try_from(writes(&all)).unwrap();
    let committer = replica.committer.clone();
    let waiting = tokio::spawn(async move { committer.write(locked).await });
    let is_busy = async {
        while replica.places.busy() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_busy).await.expect("it waits for the row");

    replica.committer.write(free).await.unwrap();
    assert!(!waiting.is_finished());
    locking.commit().await.unwrap();
    let written = waiting.await.unwrap().unwrap();

    assert!(written.is_current, "labels change nothing that is to be done");
    assert_eq!(replica.places.busy(), 0);
    assert_eq!(row(&rig, "locked").await.phase, "created");
}

/// What was said between the decision and its commit is neither lost nor used up.
#[tokio::test]
async fn a_commit_that_has_not_heard_all_leaves_the_row_due_and_uses_nothing_up() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET repair_scope = 'consent'").await;
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("an audit is next") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    rig.write("UPDATE tenantd.tenants SET repair_scope = 'all', client_name = 'Portal'").await;

    let committed = replica.commit(&mut work, &judged).await.unwrap();

    assert!(!committed.is_current);
    let kept: (bool, Option<String>, bool) = sqlx::query_as(
        "SELECT edited_at IS NOT NULL, repair_scope, due_at <= tenantd.clock() FROM tenantd.tenants",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    assert_eq!(kept, (true, Some("all".to_owned()), true));
    rig.work_until_quiet(&replica).await;
    assert_eq!(row(&rig, "acme").await.wait_reason, None);
}

/// A process that was suspended between the act and its commit, or a database that was failed
/// over, must not bear a settle time in the past.
#[tokio::test]
async fn a_settle_time_begins_when_it_is_written() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(
        &host,
        tenantd::simulator::Endpoint::CreateClient,
        [tenantd::simulator::Fault::close_after()],
    );
    let mut work = super::begin(&rig, &replica).await;
    let Next::Do(effect) = work.next() else { panic!("a create is next") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    rig.advance(SETTLE * 3).await;

    replica.commit(&mut work, &judged).await.unwrap();

    let left: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM settles_at - tenantd.clock())::float8 FROM tenantd.tenants",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    assert!(left >= SETTLE.as_secs_f64(), "{left}");
}

#[tokio::test]
async fn who_was_taken_over_writes_nothing_with_the_others() {
    let rig = Rig::plain().await;
    let (slow, heir) = (rig.replica().await, rig.replica().await);
    let all = created(&rig, &slow, &["a"]).await;
    rig.advance(LEASE).await;
    rig.work_until_quiet(&heir).await;

    let written = slow.committer.write(writes(&all).remove(0)).await;

    assert!(matches!(written, Err(StoreError::LeaseLost(_))), "{written:?}");
    assert_whole(&rig, &heir, "a").await;
}

/// A statement that waits for a lock: whoever comes later goes with the next one at once.
#[tokio::test]
async fn nobody_waits_for_a_statement_that_waits() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let mut both = writes(&created(&rig, &replica, &["slow", "swift"]).await);
    let (swift, slow) = (both.pop().unwrap(), Write { is_held: true, ..both.pop().unwrap() });
    // A decision made while deletions are held asks for the hold first.
    let mut locking = rig.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM tenantd.installation FOR UPDATE").execute(&mut *locking).await.unwrap();

    let waiting = tokio::spawn({
        let committer = replica.committer.clone();
        async move { committer.write(slow).await }
    });
    let is_waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%-- tenants.commit%'";
    while sqlx::query_scalar::<_, i64>(is_waiting).fetch_one(rig.pool()).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let swift = tokio::time::timeout(Duration::from_secs(2), replica.committer.write(swift)).await;

    assert!(swift.expect("it waits for the other").unwrap().is_current);
    assert!(!waiting.is_finished(), "the other has waited all the while");
    locking.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
}
