//! Every class is told from its neighbours.

use chrono::DateTime;
use uuid::Uuid;

use super::super::hints::Standing;
use super::super::look::Maker;
use super::super::mark::Mark;
use super::super::profile::{APP_TYPE, GRANTS};
use super::*;

const INSTALLATION: InstallationId = InstallationId(Uuid::from_u128(1));
const ROW: TenantId = TenantId(Uuid::from_u128(2));
const OTHER: TenantId = TenantId(Uuid::from_u128(3));

fn mark(tenant: TenantId) -> String {
    Mark { installation: INSTALLATION, tenant }.to_string()
}

fn foreign_mark() -> String {
    Mark { installation: InstallationId(Uuid::from_u128(9)), tenant: ROW }.to_string()
}

fn client(id: &str, name: &str, description: &str) -> SeenClient {
    SeenClient {
        app_type: Some(APP_TYPE.to_owned()),
        name: name.to_owned(),
        description: description.to_owned(),
        grants: GRANTS.map(str::to_owned).to_vec(),
        created_at: DateTime::from_timestamp(1, 0),
        is_trusted: Some(true),
        ..SeenClient::of(ClientId::new(id))
    }
}

/// What `c`, the row's client, makes of this list.
fn sorted(phase: Phase, committed: Option<&str>, known: &[(TenantId, Known)], seen: &[SeenClient]) -> Sorted {
    let committed = committed.map(ClientId::new);
    let stored = [StoredSecret::new(Some(Hint::new("kept")), Standing::Current)];
    let row = HostRow {
        tenant: ROW,
        phase,
        client: committed.as_ref(),
        is_wanted: true,
        is_minting: false,
        stored: &stored,
    };
    let names = HashSet::from(["portal".to_owned()]);
    let known: HashMap<_, _> = known.iter().cloned().collect();
    let me = UserId::new("me");
    HostView { installation: INSTALLATION, row: Some(row), names: &names, known: &known, me: Some(&me) }
        .sort(seen)
}

fn classes(sorted: &Sorted) -> Vec<Class> {
    sorted.found.iter().map(|found| found.class).collect()
}

#[test]
fn each_client_is_sorted_by_its_mark_and_never_by_its_name() {
    let seen = [
        client("c", "renamed", "its mark was lost"),
        client("d", "portal", &mark(ROW)),
        client("o", "portal", &mark(OTHER)),
        client("l", "portal", "somebody's"),
        client("f", "x", "somebody's"),
        client("g", "x", &foreign_mark()),
        client("b", "x", &format!("{} {}", mark(OTHER), foreign_mark())),
        SeenClient { is_deleted: true, ..client("t", "portal", &mark(OTHER)) },
    ];

    let sorted = sorted(Phase::Ready, Some("c"), &[], &seen);

    assert_eq!(classes(&sorted), [Class::Duplicate, Class::Orphan, Class::LookAlike]);
    assert_eq!((sorted.ours, sorted.foreign), (1, 3));
    assert_eq!(sorted.found[1].tenant, Some(OTHER));
}

#[test]
fn what_bears_our_mark_and_does_not_look_made_by_us_is_only_named() {
    let ours = client("c", "portal", &mark(ROW));
    for tenant in [ROW, OTHER] {
        let copy = client("x", "copy", &mark(tenant));
        let class = if tenant == ROW { Class::Duplicate } else { Class::Orphan };
        let classes_of =
            |copy: SeenClient| classes(&sorted(Phase::Ready, Some("c"), &[], &[ours.clone(), copy]));

        assert_eq!(classes_of(copy.clone()), [class]);
        for copied in [
            SeenClient { app_type: Some("spa".into()), ..copy.clone() },
            SeenClient { grants: vec![], ..copy.clone() },
            SeenClient { made_by: Maker::Another, ..copy.clone() },
            SeenClient { fault: Some("clientSecrets"), ..copy },
        ] {
            assert_eq!(classes_of(copied), [Class::LookAlike]);
        }
    }
    assert_eq!(Class::LookAlike.action(), Action::None);
}

#[test]
fn what_a_row_may_still_need_is_no_orphan() {
    let theirs = [client("x", "portal", &mark(OTHER))];
    for (known, expected) in [
        (vec![], vec![Class::Orphan]),
        (vec![(OTHER, Known::Removed)], vec![Class::Orphan]),
        (vec![(OTHER, Known::WithClient(ClientId::new("y")))], vec![Class::Orphan]),
        (vec![(OTHER, Known::WithClient(ClientId::new("x")))], vec![]),
        (vec![(OTHER, Known::WithoutClient)], vec![]),
    ] {
        assert_eq!(classes(&sorted(Phase::Creating, None, &known, &theirs)), expected, "{known:?}");
    }
    let mine = [client("x", "portal", &mark(ROW))];
    for (phase, committed, expected) in [
        (Phase::Creating, None, vec![]),
        (Phase::Removing, None, vec![]),
        (Phase::Removed, None, vec![Class::Orphan]),
        // What is there beside a client that is not may be all that works.
        (Phase::Created, Some("y"), vec![Class::Missing, Class::LookAlike]),
    ] {
        assert_eq!(classes(&sorted(phase, committed, &[], &mine)), expected, "{phase}");
    }
    let both = [client("x", "portal", &(mark(OTHER) + &mark(ROW)))];
    assert_eq!(classes(&sorted(Phase::Creating, None, &[], &both)), []);
}

#[test]
fn a_secret_is_stale_only_when_we_made_it_and_do_not_know_it_and_it_occurs_once() {
    let secret =
        |hint: &str, by: Option<&str>| SeenSecret { hint: Hint::new(hint), created_by: by.map(UserId::new) };
    let mut ours = client("c", "portal", &mark(ROW));
    ours.secrets = vec![
        secret("kept", Some("me")),
        secret("old", Some("me")),
        secret("hand", Some("ada")),
        secret("odd", None),
        secret("twin", Some("me")),
        secret("twin", Some("me")),
    ];

    let at_rest = sorted(Phase::Ready, Some("c"), &[], &[ours.clone()]);
    let on_the_way = sorted(Phase::Rotating, Some("c"), &[], &[ours]);

    assert_eq!(classes(&at_rest), [Class::StaleSecret]);
    assert_eq!(at_rest.found[0].hint, Some(Hint::new("old")));
    assert_eq!(classes(&on_the_way), []);
}

#[test]
fn every_spelling_is_read_back_and_only_marked_things_are_deleted() {
    for class in Class::ALL {
        assert_eq!(Class::parse(class.as_str()), Some(class));
        assert_eq!(class.action() == Action::None, class == Class::LookAlike);
    }
    for action in Action::ALL {
        assert_eq!(Action::parse(action.as_str()), Some(action));
    }
}
