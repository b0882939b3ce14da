//! Promises of the in-memory door.

mod upkeep;

use super::*;
use crate::domain::host::{Host, HostPattern};
use crate::domain::ids::Hint;
use crate::domain::profile::WantedClient;
use crate::domain::region::RegionMap;
use crate::ports::{NewClient, QlikApi};
use crate::simulator::behaviour::HintSpelling;
use crate::simulator::behaviour::{Behaviour, OneOf};
use crate::simulator::faults::RetryAfter;
use crate::simulator::faults::Spoil;
use crate::simulator::query::Paging;
use crate::simulator::records::TenantStatus;
use crate::simulator::testing::{HOST, HandClock, OTHER, REGION_ID, REGION_SECRET, instant, world};

struct Given {
    world: World,
    clock: Arc<HandClock>,
    door: Door,
    host: AllowedHost,
}

impl Given {
    fn script(&self, endpoint: Endpoint, fault: Fault) {
        self.world.script(HOST, endpoint, [fault]);
    }

    fn live_clients(&self) -> usize {
        self.world.at(self.clock.now()).ledger().live_clients
    }

    async fn create(&self) -> Result<NewClient, Failure> {
        self.door.create_client(&self.host, &wanted("acme")).await
    }
}

fn given_with_secret(behaviour: Behaviour, secret: &str) -> Given {
    let region = RegionName::new("us");
    let pattern = HostPattern::parse("*.us.qlikcloud.com").unwrap();
    let host = RegionMap::new([(pattern, region.clone())]).allow(&Host::parse(HOST).unwrap()).unwrap();
    let clock = Arc::new(HandClock::default());
    let world = world(behaviour);
    let credential = RegionCredential::new(REGION_ID.to_owned(), secret.to_owned().into());
    let door = Door::new(world.clone(), Arc::clone(&clock), [(region, credential)]);
    Given { world, clock, door, host }
}

fn given() -> Given {
    given_with_secret(Behaviour::default(), REGION_SECRET)
}

fn wanted(name: &str) -> WantedClient {
    WantedClient {
        name: name.to_owned(),
        description: format!("for {name}"),
        redirect_uris: vec![],
        allowed_origins: vec![],
        scopes: vec!["user_default".to_owned()],
    }
}

#[tokio::test]
async fn a_tenant_is_provisioned_rotated_and_removed() {
    let Given { door, host, world, clock, .. } = given();

    let made = door.create_client(&host, &wanted("acme")).await.unwrap();
    let untrusted = door.prove(&host, &made.client_id, &made.secret).await.unwrap_err();
    door.trust(&host, &made.client_id).await.unwrap();
    door.prove(&host, &made.client_id, &made.secret).await.unwrap();
    let minted = door.mint_secret(&host, &made.client_id).await.unwrap();
    door.delete_secret(&host, &made.client_id, &made.hint.unwrap()).await.unwrap();

    assert_eq!(untrusted.kind, FailureKind::Rejected);
    assert!(door.is_trusted(&host, &made.client_id).await.unwrap());
    let left = door.list_secrets(&host, &made.client_id).await.unwrap();
    assert_eq!(left.iter().map(|secret| Some(&secret.hint)).collect::<Vec<_>>(), [minted.hint.as_ref()]);
    assert_eq!(left[0].created_by, Some(door.bot_user(&host).await.unwrap()));
    let seen = door.list_clients(&host).await.unwrap();
    assert_eq!((seen.len(), seen[0].description.as_str()), (1, "for acme"));
    let refused = door.prove(&host, &made.client_id, &made.secret).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::CredentialRefused);
    for _ in 0..2 {
        door.delete_client(&host, &made.client_id).await.unwrap();
        door.delete_secret(&host, &made.client_id, &Hint::new("gone")).await.unwrap();
    }
    assert_eq!(world.at(clock.now()).ledger().live_clients, 0);
}

#[tokio::test]
async fn a_lost_answer_is_no_answer_whether_or_not_the_request_was_processed() {
    for (fault, made) in [
        (Fault::close_before(), 0),
        (Fault::close_after(), 1),
        (Fault::hang_before(), 0),
        (Fault::hang_after(), 1),
    ] {
        let given = given();
        given.script(Endpoint::CreateClient, fault.clone());

        let failure = given.create().await.unwrap_err();

        assert_eq!(failure, Failure::unanswered(FailureKind::NoAnswer), "{fault:?}");
        assert_eq!(given.live_clients(), made, "{fault:?}");
    }
}

#[tokio::test]
async fn a_late_request_takes_effect_when_its_time_has_come() {
    for fault in [Fault::late(Duration::from_mins(1)), Fault::delay(Duration::from_mins(1))] {
        let given = given();
        given.script(Endpoint::CreateClient, fault.clone());

        let failure = given.create().await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::NoAnswer, "{fault:?}");
        given.clock.pass(59);
        assert!(given.door.list_clients(&given.host).await.unwrap().is_empty(), "{fault:?}");
        given.clock.pass(2);
        let seen = given.door.list_clients(&given.host).await.unwrap();
        assert_eq!(seen[0].created_at, Some(instant(60)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_spoilt_answer_is_unreadable_after_processing() {
    for spoil in Spoil::ALL {
        let given = given();
        given.script(Endpoint::CreateClient, Fault::spoilt(spoil));

        let failure = given.create().await.unwrap_err();

        assert_eq!((failure.kind, given.live_clients()), (FailureKind::Unreadable, 1), "{spoil:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_cannot_be_spoilt() {
    let given = given();
    let made = given.create().await.unwrap();
    given.script(Endpoint::SetConsent, Fault::spoilt(Spoil::Truncated));

    assert!(given.door.trust(&given.host, &made.client_id).await.is_ok());
}

#[tokio::test]
async fn statuses_are_read_as_everywhere_else() {
    let soon = Duration::from_secs(7);
    for (fault, expected, made) in [
        (Fault::status(503), FailureKind::ServerError, 0),
        (Fault::status_after(503), FailureKind::ServerError, 1),
        (Fault::html(502), FailureKind::ServerError, 0),
        (Fault::redirect("https://elsewhere.example".into()), FailureKind::Rejected, 0),
        (Fault::throttle(RetryAfter::Seconds(7)), FailureKind::Throttled { wait: soon }, 0),
        (Fault::throttle(RetryAfter::Date(soon)), FailureKind::Throttled { wait: soon }, 0),
    ] {
        let given = given();
        given.script(Endpoint::CreateClient, fault.clone());

        let failure = given.create().await.unwrap_err();

        assert_eq!((failure.kind, given.live_clients()), (expected, made), "{fault:?}");
    }
    let given = given();
    given.script(Endpoint::CreateClient, Fault::ok_instead_of_created());
    assert!(given.create().await.is_ok());
}

#[tokio::test]
async fn trouble_on_the_way_to_a_token_is_told_as_such_and_nothing_is_sent() {
    for (fault, expected) in [
        (Fault::close_after(), FailureKind::NoToken),
        (Fault::status(500), FailureKind::NoToken),
        (Fault::spoilt(Spoil::Truncated), FailureKind::NoToken),
        (Fault::status(403), FailureKind::CredentialRefused),
    ] {
        let given = given();
        given.script(Endpoint::RegionToken, fault);

        assert_eq!(given.create().await.unwrap_err().kind, expected);
        assert_eq!(given.live_clients(), 0);
    }
    let wrong = given_with_secret(Behaviour::default(), "wrong");
    assert_eq!(wrong.create().await.unwrap_err().kind, FailureKind::CredentialRefused);
}

#[tokio::test]
async fn a_tenant_that_is_off_or_unreachable_is_told_as_such() {
    for (status, expected) in [
        (TenantStatus::Deactivated, FailureKind::TenantUnavailable),
        (TenantStatus::Disabled, FailureKind::TenantUnavailable),
        (TenantStatus::Unreachable, FailureKind::NotConnected),
    ] {
        let given = given();
        given.world.at(instant(0)).set_status(HOST, status);

        assert_eq!(given.create().await.unwrap_err().kind, expected);
    }
}

#[tokio::test]
async fn tokens_are_kept_until_they_expire_and_the_last_one_is_remembered() {
    let given = given();
    let region = given.host.region().clone();
    let fetched = || given.world.at(given.clock.now()).ledger().calls_of(Endpoint::RegionToken, Some(200));

    assert_eq!(given.door.last_token(&region), None);
    given.create().await.unwrap();
    given.create().await.unwrap();
    assert_eq!(fetched(), 1);
    given.clock.pass(21_600);
    assert_eq!(given.door.last_token(&region), Some(Duration::from_hours(6)));
    given.create().await.unwrap();
    assert_eq!(fetched(), 2);
    given.door.authenticate(&given.host).await.unwrap();
    assert_eq!((fetched(), given.door.last_token(&region)), (3, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_cached_token_that_was_revoked_is_replaced_once() {
    let given = given();
    given.door.authenticate(&given.host).await.unwrap();
    let held = given.door.cached_token(&given.host).unwrap();
    let caller = Caller { host: HOST, bearer: Some(&held) };
    let mut moment = given.world.at(given.clock.now());
    let token = moment.list_tokens(caller, None, &Paging::default()).unwrap().tokens.remove(0);
    moment.delete_token(caller, &token.id).unwrap();
    drop(moment);

    assert!(given.create().await.is_ok());
}

#[tokio::test]
async fn more_than_a_page_of_clients_is_listed_newest_first() {
    let given = given();
    for _ in 0..103 {
        given.create().await.unwrap();
        given.clock.pass(10);
    }

    let seen = given.door.list_clients(&given.host).await.unwrap();

    assert_eq!(seen.len(), 103);
    assert!(seen.is_sorted_by(|newer, older| newer.created_at > older.created_at));
}

#[tokio::test]
async fn a_hint_may_be_missing() {
    let behaviour = Behaviour { hint: OneOf::always(HintSpelling::Neither), ..Behaviour::default() };
    let given = given_with_secret(behaviour, REGION_SECRET);

    let made = given.create().await.unwrap();
    let minted = given.door.mint_secret(&given.host, &made.client_id).await.unwrap();

    assert_eq!((made.hint, minted.hint), (None, None));
}

#[tokio::test]
async fn the_ledger_counts_calls_by_status_and_requests_by_host() {
    let given = given();
    given.script(Endpoint::CreateClient, Fault::close_after());
    given.create().await.unwrap_err();
    given.create().await.unwrap();

    let ledger = given.world.at(given.clock.now()).ledger();

    assert_eq!(ledger.calls_of(Endpoint::CreateClient, Some(201)), 1);
    assert_eq!(ledger.calls_of(Endpoint::CreateClient, None), 1);
    assert_eq!((ledger.requests_to(HOST), ledger.requests_to(OTHER)), (3, 0));
}
