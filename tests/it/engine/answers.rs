//! Whatever Qlik answers to a create, the tenant ends ready and nothing is lost.

use std::time::Duration;

use tenantd::simulator::{Endpoint, Fault, Spoil};

use super::{assert_whole, host_of, ledger, rig, row, work_next};

/// Returns what the tenant waited for after the first of these.
async fn ends_whole(what: &str, faults: &[Fault]) -> Option<String> {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, faults.iter().cloned());

    assert!(work_next(&rig, &replica).await);
    let waited_for = row(&rig, "acme").await.wait_reason;
    rig.work_until_quiet(&replica).await;
    // What has not landed by now never will.
    rig.advance(Duration::from_hours(1)).await;

    assert_eq!(row(&rig, "acme").await.phase, "ready", "{what}");
    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).tenants[&host_of("acme")].clients.len(), 1, "{what}: one client was ever made");
    waited_for
}

#[tokio::test]
async fn a_create_whose_answer_cannot_be_read_is_found_again() {
    for spoil in Spoil::ALL {
        let once = ends_whole(&format!("{spoil:?}"), &[Fault::spoilt(spoil)]).await;
        let later = [Fault::close_before(), Fault::spoilt(spoil)];
        let twice = ends_whole(&format!("{spoil:?} later"), &later).await;

        assert_eq!([once.as_deref(), twice.as_deref()], [Some("Settling"); 2], "{spoil:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_right_but_for_its_status_is_taken() {
    let waited_for = ends_whole("200", &[Fault::ok_instead_of_created()]).await;

    assert_eq!(waited_for, None, "it was ready at once");
}

#[tokio::test]
async fn a_proxy_that_fails_before_or_after_the_act_proves_nothing() {
    for status in [408, 500, 502, 503, 504, 599] {
        for fault in [Fault::status(status), Fault::status_after(status), Fault::html(status)] {
            let waited_for = ends_whole(&format!("{fault:?}"), std::slice::from_ref(&fault)).await;

            assert_eq!(waited_for.as_deref(), Some("Settling"), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_or_hangs_proves_nothing() {
    for fault in [
        Fault::close_before(),
        Fault::close_after(),
        Fault::hang_before(),
        Fault::hang_after(),
        Fault::delay(Duration::from_secs(31)),
        Fault::late(Duration::from_mins(1)),
    ] {
        let once = ends_whole(&format!("{fault:?}"), std::slice::from_ref(&fault)).await;
        let refused_first = [Fault::status(404), fault.clone()];
        let later = ends_whole(&format!("{fault:?} after a refusal"), &refused_first).await;

        assert_eq!([once.as_deref(), later.as_deref()], [Some("Settling"), Some("Retrying")], "{fault:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_asking_again_cannot_mend_parks_the_tenant_and_retry_takes_it_up() {
    for fault in
        [Fault::status(400), Fault::status(422), Fault::redirect("https://elsewhere.example/".into())]
    {
        let rig = rig().await;
        let replica = rig.replica().await;
        let host = rig.given_tenant("acme").await;
        rig.world.script(&host, Endpoint::CreateClient, [fault.clone()]);

        rig.work_until_quiet(&replica).await;
        let parked = row(&rig, "acme").await;
        assert!(replica.store.retry("acme").await.unwrap());
        rig.work_until_quiet(&replica).await;

        assert_eq!(parked.parked_reason.as_deref(), Some("Rejected"), "{fault:?}");
        assert_eq!(parked.unanswered, None, "it is known that nothing was made");
        let message = parked.message.unwrap();
        assert!(message.contains("create was refused") && !message.contains("elsewhere"), "{message}");
        assert_whole(&rig, &replica, "acme").await;
    }
}
