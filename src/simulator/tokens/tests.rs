//! Promises of the token endpoint and of the list of tokens.

use super::*;
use crate::simulator::behaviour::Behaviour;
use crate::simulator::query::{ListQuery, Paging};
use crate::simulator::tenants::Caller;
use crate::simulator::testing::{
    HOST, OTHER, REGION_ID, REGION_SECRET, draft, instant, prove, region_token, world,
};
use crate::simulator::users::NewUser;
use crate::simulator::world::World;

struct Given {
    world: World,
    token: String,
    id: String,
    secret: String,
}

impl Given {
    fn caller(&self) -> Caller<'_> {
        Caller { host: HOST, bearer: Some(&self.token) }
    }

    fn ask(&self, grant: Grant<'_>, scope: Option<&str>) -> Result<Granted, Problem> {
        let request = TokenRequest { client_id: &self.id, secret: &self.secret, grant, scope };
        self.world.at(instant(1)).grant_token(HOST, &request)
    }
}

fn given(behaviour: Behaviour, is_trusted: bool) -> Given {
    let world = world(behaviour);
    let token = region_token(&world, HOST);
    let caller = Caller { host: HOST, bearer: Some(&token) };
    let created = world.at(instant(0)).create_client(caller, draft("acme"), is_trusted).unwrap();
    let (id, secret) = (created.client_id, created.secret.unwrap().reveal().to_owned());
    Given { world, token, id, secret }
}

fn code(answer: Result<Granted, Problem>) -> (u16, String) {
    answer.map(drop).map_err(|problem| (problem.status, problem.code)).unwrap_err()
}

#[test]
fn a_region_gets_tokens_on_every_host_of_its_own_and_no_other() {
    let world = world(Behaviour { any_host: true, ..Behaviour::default() });
    let ask = |host, secret| {
        let request = TokenRequest {
            client_id: REGION_ID,
            secret,
            grant: Grant::ClientCredentials,
            scope: Some("admin_classic"),
        };
        world.at(instant(0)).grant_token(host, &request)
    };

    let granted = ask("brand-new.us.qlikcloud.com", REGION_SECRET).unwrap();

    assert_eq!(granted.expires_at, instant(21_600));
    assert_eq!((granted.token_type, granted.scope.as_str()), ("bearer", "admin_classic"));
    assert_eq!(code(ask(HOST, "wrong")), (401, "OAUTH-5".into()));
    assert_eq!(code(ask("acme.eu.qlikcloud.com", REGION_SECRET)), (401, "LOGIN-2".into()));
}

#[test]
fn a_region_never_impersonates() {
    let world = world(Behaviour::default());
    let request = TokenRequest {
        client_id: REGION_ID,
        secret: REGION_SECRET,
        grant: Grant::UserBySubject("ada"),
        scope: None,
    };

    assert_eq!(code(world.at(instant(0)).grant_token(HOST, &request)), (400, "OAUTH-14".into()));
}

#[test]
fn an_untrusted_client_gets_no_token_unless_the_switch_lets_it() {
    let given = given(Behaviour::default(), false);

    assert_eq!(code(given.ask(Grant::ClientCredentials, None)), (400, "OAUTH-14".into()));
    given.world.reshape(|behaviour| behaviour.refuse_untrusted = false);
    assert!(given.ask(Grant::ClientCredentials, None).is_ok());
}

#[test]
fn a_wrong_secret_scope_or_tenant_is_refused() {
    let given = given(Behaviour::default(), true);

    assert_eq!(code(prove(&given.world, 1, HOST, &given.id, "wrong")), (401, "OAUTH-5".into()));
    assert_eq!(code(prove(&given.world, 1, OTHER, &given.id, &given.secret)), (401, "OAUTH-5".into()));
    assert_eq!(code(given.ask(Grant::ClientCredentials, Some("admin"))), (401, "OAUTH-5".into()));
    assert_eq!(given.ask(Grant::ClientCredentials, None).unwrap().scope, "user_default");
}

#[test]
fn impersonation_needs_a_user_that_exists() {
    let given = given(Behaviour::default(), true);
    let ada = NewUser { subject: "ada".into(), ..NewUser::default() };

    assert_eq!(code(given.ask(Grant::UserBySubject("ada"), None)), (401, "OAUTH-5".into()));
    let id = given.world.at(instant(1)).seed_user(HOST, ada).unwrap().id;
    let token = given.ask(Grant::UserBySubject("ada"), None).unwrap();
    assert!(given.ask(Grant::UserById(&id), None).is_ok());

    let bearer = Some(token.access_token.reveal());
    let as_ada = Caller { host: HOST, bearer };
    assert_eq!(given.world.at(instant(1)).me(as_ada).unwrap().1.id, id);
    let list = given.world.at(instant(1)).list_clients(as_ada, &ListQuery::default());
    assert_eq!(list.unwrap_err().status, 403);
}

#[test]
fn a_grant_that_the_client_lacks_is_refused() {
    let given = given(Behaviour::default(), true);
    let mut moment = given.world.at(instant(0));
    let only = crate::simulator::draft::Draft {
        allowed_grant_types: vec![IMPERSONATION.into()],
        ..draft("only-impersonation")
    };
    let created = moment.create_client(given.caller(), only, true).unwrap();
    drop(moment);

    let refused = prove(&given.world, 1, HOST, &created.client_id, created.secret.unwrap().reveal());

    assert_eq!(code(refused), (400, "OAUTH-14".into()));
}

#[test]
fn a_new_secret_starts_and_a_deleted_one_stops_only_after_the_lag() {
    let lag = Duration::from_secs(10);
    let given = given(Behaviour { secret_lag: lag, ..Behaviour::default() }, true);
    let works = |second| prove(&given.world, second, HOST, &given.id, &given.secret).is_ok();

    assert!(!works(9) && works(10));
    let hint =
        given.world.at(instant(20)).get_client(given.caller(), &given.id).unwrap().secrets[0].hint.clone();
    given.world.at(instant(20)).delete_secret(given.caller(), &given.id, &hint).unwrap();
    assert!(works(29) && !works(30));
}

#[test]
fn tokens_survive_their_client_and_die_by_id() {
    let given = given(Behaviour::default(), true);
    let token = given.ask(Grant::ClientCredentials, None).unwrap().access_token;
    let as_bot = Caller { host: HOST, bearer: Some(token.reveal()) };
    given.world.at(instant(2)).delete_client(given.caller(), &given.id, Some(&given.id)).unwrap();

    assert_eq!(code(given.ask(Grant::ClientCredentials, None)), (401, "OAUTH-5".into()));
    assert!(given.world.at(instant(2)).me(as_bot).is_ok());
    let listed = given.world.at(instant(3)).list_tokens(given.caller(), None, &Paging::default()).unwrap();
    let of_client: Vec<_> =
        listed.tokens.iter().filter(|token| token.client_id.as_ref() == Some(&given.id)).collect();
    assert_eq!((listed.tokens.len(), of_client.len()), (2, 1));
    given.world.at(instant(3)).delete_token(given.caller(), &of_client[0].id).unwrap();
    assert_eq!(given.world.at(instant(3)).me(as_bot).unwrap_err().status, 401);
}

#[test]
fn deleting_tokens_by_filter_is_gone_unless_the_switch_brings_it_back() {
    let given = given(Behaviour::default(), true);
    given.ask(Grant::ClientCredentials, None).unwrap();
    let delete = || given.world.at(instant(2)).delete_tokens_by_filter(given.caller(), Some(&given.id), None);

    assert_eq!(delete().unwrap_err().status, 405);
    given.world.reshape(|behaviour| behaviour.delete_tokens_by_filter = true);
    delete().unwrap();
    let left = given.world.at(instant(2)).list_tokens(given.caller(), None, &Paging::default()).unwrap();
    assert_eq!(left.tokens.len(), 1);
}

#[test]
fn the_token_endpoint_counts_for_tier_two() {
    let given = given(Behaviour::default(), true);

    let refused = (0..600).map(|_| given.ask(Grant::ClientCredentials, None)).find_map(Result::err).unwrap();

    assert_eq!((refused.status, refused.retry_after), (429, Some(300)));
    assert!(given.world.at(instant(1)).me(given.caller()).is_ok());
}
