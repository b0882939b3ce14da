//! Promises of the client operations.

use std::time::Duration;

use super::*;
use crate::simulator::behaviour::{Behaviour, ListLag};
use crate::simulator::query::{Filter, Paging, Sort};
use crate::simulator::testing::{HOST, draft, instant, region_token, world};
use crate::simulator::world::World;

struct Given {
    world: World,
    token: String,
}

impl Given {
    fn caller(&self) -> Caller<'_> {
        Caller { host: HOST, bearer: Some(&self.token) }
    }

    fn create(&self, second: i64, name: &str) -> Result<Created, Problem> {
        self.world.at(instant(second)).create_client(self.caller(), draft(name), false)
    }

    fn names(&self, second: i64, query: &ListQuery) -> Vec<String> {
        let page = self.world.at(instant(second)).list_clients(self.caller(), query).unwrap();
        page.clients.into_iter().map(|client| client.draft.client_name).collect()
    }
}

fn given(behaviour: Behaviour) -> Given {
    let world = world(behaviour);
    let token = region_token(&world, HOST);
    Given { world, token }
}

#[test]
fn a_name_may_be_used_twice_unless_the_switch_forbids_it() {
    let given = given(Behaviour::default());
    let first = given.create(0, "acme").unwrap();

    let second = given.create(1, "acme").unwrap();

    assert_ne!(first.client_id, second.client_id);
    given.world.reshape(|behaviour| behaviour.unique_names = true);
    assert_eq!(given.create(2, "acme").unwrap_err().status, 409);
    assert!(given.create(2, "other").is_ok());
}

#[test]
fn deleting_needs_the_id_as_confirmation() {
    let given = given(Behaviour::default());
    let id = given.create(0, "acme").unwrap().client_id;
    let mut moment = given.world.at(instant(1));

    assert_eq!(moment.delete_client(given.caller(), &id, None).unwrap_err().status, 400);
    assert_eq!(moment.delete_client(given.caller(), &id, Some("other")).unwrap_err().status, 400);
    assert_eq!(moment.delete_client(given.caller(), &id, Some(&id)), Ok(()));
    assert_eq!(moment.delete_client(given.caller(), &id, Some(&id)).unwrap_err().status, 404);
    assert_eq!(moment.get_client(given.caller(), &id).unwrap_err().status, 404);
}

#[test]
fn a_deleted_client_leaves_a_tombstone_only_where_the_switch_says_so() {
    let given = given(Behaviour { tombstones: true, ..Behaviour::default() });
    let id = given.create(0, "acme").unwrap().client_id;
    given.world.at(instant(1)).delete_client(given.caller(), &id, Some(&id)).unwrap();

    let seen = given.world.at(instant(2)).get_client(given.caller(), &id).unwrap();

    assert_eq!(seen.deleted_at, Some(instant(1)));
    assert_eq!(given.names(2, &ListQuery::default()), ["acme"]);
    assert_eq!(given.world.at(instant(2)).mint_secret(given.caller(), &id).unwrap_err().status, 404);
    given.world.reshape(|behaviour| behaviour.tombstones = false);
    assert!(given.names(2, &ListQuery::default()).is_empty());
}

#[test]
fn pages_lead_forth_and_back_and_count() {
    let given = given(Behaviour::default());
    for (second, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
        given.create(second, name).unwrap();
    }
    let query = |cursor: Option<String>| ListQuery {
        paging: Paging::of(2, cursor.as_deref()).unwrap(),
        sort: Some(Sort { field: "createdAt".into(), is_descending: true }),
        total: true,
        ..ListQuery::default()
    };
    let page = |cursor| given.world.at(instant(9)).list_clients(given.caller(), &query(cursor)).unwrap();
    let names = |page: &ClientPage| -> Vec<String> {
        page.clients.iter().map(|client| client.draft.client_name.clone()).collect()
    };

    let first = page(None);
    let second = page(first.next.clone());
    let third = page(second.next.clone());
    let back = page(third.prev.clone());

    assert_eq!((names(&first), names(&second)), (vec!["e".into(), "d".into()], vec!["c".into(), "b".into()]));
    assert_eq!((names(&third), names(&back)), (vec!["a".into()], names(&second)));
    assert_eq!((first.prev, third.next, third.total), (None, None, Some(5)));
}

#[test]
fn a_page_is_not_shifted_by_a_deletion_before_it() {
    let given = given(Behaviour::default());
    let ids: Vec<String> =
        ["a", "b", "c"].iter().map(|name| given.create(0, name).unwrap().client_id).collect();
    let two = ListQuery { paging: Paging::of(2, None).unwrap(), ..ListQuery::default() };
    let cursor = given.world.at(instant(1)).list_clients(given.caller(), &two).unwrap().next;
    given.world.at(instant(2)).delete_client(given.caller(), &ids[1], Some(&ids[1])).unwrap();

    let rest = ListQuery { paging: Paging::of(2, cursor.as_deref()).unwrap(), ..two };

    assert_eq!(given.names(3, &rest), ["c"]);
}

#[test]
fn a_filter_joins_equalities() {
    let given = given(Behaviour::default());
    given.create(0, "acme \"q\"").unwrap();
    given.create(0, "other").unwrap();
    let query = |text| ListQuery { filter: Filter::parse(text, &FILTERS).unwrap(), ..ListQuery::default() };

    assert_eq!(given.names(1, &query(r#"clientName eq "acme \"q\"" and appType eq "web""#)), [r#"acme "q""#]);
    assert!(given.names(1, &query(r#"clientName eq "other" and appType eq "spa""#)).is_empty());
}

#[test]
fn the_order_without_sort_is_a_switch() {
    let given = given(Behaviour { list_order: ListOrder::NewestFirst, ..Behaviour::default() });
    given.create(0, "old").unwrap();
    given.create(1, "new").unwrap();

    assert_eq!(given.names(2, &ListQuery::default()), ["new", "old"]);
}

#[test]
fn a_lagging_tenant_shows_a_new_client_late_in_lists_but_at_once_by_id() {
    let lag = ListLag { share: 1.0, lag: Duration::from_secs(30) };
    let given = given(Behaviour { list_lag: Some(lag), ..Behaviour::default() });
    let id = given.create(0, "acme").unwrap().client_id;

    assert!(given.names(29, &ListQuery::default()).is_empty());
    assert!(given.world.at(instant(29)).get_client(given.caller(), &id).is_ok());
    assert_eq!(given.names(30, &ListQuery::default()), ["acme"]);
}

#[test]
fn consent_is_required_until_it_is_trusted() {
    let given = given(Behaviour::default());
    let id = given.create(0, "acme").unwrap().client_id;
    let mut moment = given.world.at(instant(1));

    assert_eq!(moment.is_trusted(given.caller(), &id), Ok(false));
    moment.set_trusted(given.caller(), &id, true).unwrap();
    assert_eq!(moment.is_trusted(given.caller(), &id), Ok(true));
    assert!(moment.create_client(given.caller(), draft("born"), true).unwrap().view.is_trusted);
}
