//! What comes after provisioning: fields that are set, bot users and tokens that end.

use super::*;
use crate::domain::drift::{Change, Field, Value};
use crate::domain::ids::{ClientId, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::token::SeenToken;
use crate::simulator::ledger::Ledger;
use crate::simulator::users::NewUser;

impl Given {
    /// A client that has proven itself, and so has a bot user and a token.
    async fn proven(&self) -> NewClient {
        let made = self.create().await.unwrap();
        self.door.trust(&self.host, &made.client_id).await.unwrap();
        self.door.prove(&self.host, &made.client_id, &made.secret).await.unwrap();
        made
    }

    async fn seen(&self) -> SeenClient {
        self.door.list_clients(&self.host).await.unwrap().remove(0)
    }

    async fn bots(&self, client: &ClientId) -> Vec<UserId> {
        self.door.bots_of(&self.host, client).await.unwrap()
    }

    async fn tokens(&self, user: &UserId) -> Vec<SeenToken> {
        self.door.list_tokens(&self.host, Some(user)).await.unwrap()
    }

    fn ledger(&self) -> Ledger {
        self.world.at(self.clock.now()).ledger()
    }
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(ToString::to_string).collect())
}

fn rename() -> Change {
    Change { field: Field::Name, value: Value::Text("renamed".into()) }
}

#[tokio::test]
async fn every_field_that_can_be_set_is_seen_afterwards() {
    let given = given();
    let id = given.create().await.unwrap().client_id;
    let grant = crate::domain::profile::GRANTS[0];
    let changes = [
        rename(),
        Change { field: Field::Description, value: Value::Text("marked".into()) },
        Change { field: Field::Scopes, value: list(&["s1", "s2"]) },
        Change { field: Field::Grants, value: list(&[grant]) },
        Change { field: Field::RedirectUris, value: list(&["https://a.example/cb"]) },
        Change { field: Field::Origins, value: list(&["https://b.example"]) },
    ];

    given.door.amend(&given.host, &id, &changes).await.unwrap();

    let seen = given.seen().await;
    assert_eq!((seen.name.as_str(), seen.description.as_str()), ("renamed", "marked"));
    let lists = [&seen.scopes, &seen.grants, &seen.redirect_uris, &seen.allowed_origins].map(|l| l.join(" "));
    assert_eq!(lists, ["s1 s2", grant, "https://a.example/cb", "https://b.example"]);
}

#[tokio::test]
async fn a_patch_is_all_or_nothing_and_an_empty_one_is_not_sent() {
    let given = given();
    let id = given.create().await.unwrap().client_id;
    let before = given.seen().await;
    for wrong in [
        Change { field: Field::Scopes, value: Value::Text("s".into()) },
        Change { field: Field::Name, value: list(&[]) },
        Change { field: Field::Grants, value: list(&["password"]) },
    ] {
        let failure = given.door.amend(&given.host, &id, &[rename(), wrong]).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::Rejected);
    }
    assert_eq!(given.door.amend(&given.host, &id, &[]).await, Ok(()));
    assert_eq!(given.seen().await, before);
    assert_eq!(given.ledger().calls_of(Endpoint::PatchClient, Some(204)), 0);
    let gone = given.door.amend(&given.host, &ClientId::new("gone"), &[rename()]).await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn consent_and_the_disable_tag_are_seen() {
    let given = given();
    let id = given.create().await.unwrap().client_id;
    let facts = async || {
        let seen = given.seen().await;
        (seen.is_trusted, seen.is_disabled)
    };
    let by_hand = |tag| {
        let mut moment = given.world.at(given.clock.now());
        moment.console(HOST, "ada").unwrap().set_disable_tag(id.as_str(), tag).unwrap();
    };

    assert_eq!(facts().await, (Some(false), false));
    given.door.trust(&given.host, &id).await.unwrap();
    by_hand(Some("by-admin"));
    assert_eq!(facts().await, (Some(true), true));
    by_hand(None);
    assert_eq!(facts().await, (Some(true), false));
}

#[tokio::test]
async fn a_bot_user_outlives_its_client_and_takes_its_tokens_with_it() {
    let given = given();
    let id = given.create().await.unwrap().client_id;
    assert_eq!(given.bots(&id).await, []);
    let made = given.proven().await;
    given.door.delete_client(&given.host, &made.client_id).await.unwrap();

    let bots = given.bots(&made.client_id).await;
    let tokens = given.tokens(&bots[0]).await;

    assert_eq!((bots.len(), tokens.len()), (1, 1));
    assert_eq!(tokens[0].client.as_ref(), Some(&made.client_id));
    assert_eq!(tokens[0].last_used, Some(given.clock.now()));
    assert!(given.ledger().tenants[HOST].has_bot_of(made.client_id.as_str()));
    for _ in 0..2 {
        given.door.delete_user(&given.host, &bots[0]).await.unwrap();
    }
    assert!(!given.ledger().tenants[HOST].has_bot_of(made.client_id.as_str()));
    assert_eq!((given.bots(&made.client_id).await, given.tokens(&bots[0]).await), (vec![], vec![]));
}

#[tokio::test]
async fn a_token_ends_by_its_id_and_all_of_a_client_where_the_old_way_still_works() {
    let given = given();
    let made = given.proven().await;
    let bot = given.bots(&made.client_id).await.remove(0);
    let prove = async || given.door.prove(&given.host, &made.client_id, &made.secret).await.unwrap();
    let by_client = async || given.door.delete_tokens_of(&given.host, &made.client_id).await;

    let first = given.tokens(&bot).await.remove(0);
    for _ in 0..2 {
        given.door.delete_token(&given.host, &first.id).await.unwrap();
    }
    assert_eq!(given.tokens(&bot).await, []);

    prove().await;
    assert_eq!(by_client().await.unwrap_err().kind, FailureKind::Rejected);
    assert_eq!(given.tokens(&bot).await.len(), 1);
    given.world.reshape(|behaviour| behaviour.delete_tokens_by_filter = true);
    by_client().await.unwrap();
    let left = given.door.list_tokens(&given.host, None).await.unwrap();
    let me = given.door.bot_user(&given.host).await.unwrap();
    assert_eq!(left.iter().map(|token| &token.user).collect::<Vec<_>>(), [&me], "our own token stays");
}

#[tokio::test]
async fn a_list_of_tokens_may_leave_the_client_out() {
    let behaviour = Behaviour { token_client: OneOf::always(false), ..Behaviour::default() };
    let given = given_with_secret(behaviour, REGION_SECRET);
    let made = given.proven().await;
    let bot = given.bots(&made.client_id).await.remove(0);

    assert_eq!(given.tokens(&bot).await[0].client, None);
}

#[tokio::test]
async fn more_than_a_page_of_tokens_is_listed() {
    let given = given_with_secret(Behaviour { rate_limits: None, ..Behaviour::default() }, REGION_SECRET);
    let made = given.proven().await;
    for _ in 1..203 {
        given.door.prove(&given.host, &made.client_id, &made.secret).await.unwrap();
    }
    let bot = given.bots(&made.client_id).await.remove(0);

    let tokens = given.tokens(&bot).await;

    let distinct: std::collections::HashSet<_> = tokens.iter().map(|token| token.id.as_str()).collect();
    assert_eq!((tokens.len(), distinct.len()), (203, 203));
    assert_eq!(given.ledger().calls_of(Endpoint::ListTokens, Some(200)), 3);
}

#[tokio::test]
async fn people_are_nobodys_bots() {
    let given = given();
    let made = given.proven().await;
    let subject = format!("x qlikbot\\{}", made.client_id);
    let person = NewUser { subject, name: made.client_id.to_string(), ..NewUser::default() };
    given.world.at(given.clock.now()).seed_user(HOST, person).unwrap();

    assert_eq!(given.bots(&made.client_id).await.len(), 1);
    assert_eq!(given.bots(&ClientId::new("")).await, [], "a person has no client");
}

#[tokio::test]
async fn faults_reach_each_of_these_calls() {
    let (user, token, client) = (UserId::new("u"), TokenId::new("t"), ClientId::new("c"));
    let given = given();
    let (door, host) = (&given.door, &given.host);
    for endpoint in [
        Endpoint::PatchClient,
        Endpoint::ListUsers,
        Endpoint::DeleteUser,
        Endpoint::ListTokens,
        Endpoint::DeleteToken,
        Endpoint::DeleteTokensByFilter,
    ] {
        given.script(endpoint, Fault::status(503));
    }

    let failures = [
        door.amend(host, &client, &[rename()]).await.unwrap_err(),
        door.bots_of(host, &client).await.unwrap_err(),
        door.delete_user(host, &user).await.unwrap_err(),
        door.list_tokens(host, None).await.unwrap_err(),
        door.delete_token(host, &token).await.unwrap_err(),
        door.delete_tokens_of(host, &client).await.unwrap_err(),
    ];

    for failure in failures {
        assert_eq!(failure.kind, FailureKind::ServerError);
    }
}

#[tokio::test]
async fn a_patch_whose_answer_is_lost_has_taken_effect() {
    let given = given();
    let id = given.create().await.unwrap().client_id;
    given.script(Endpoint::PatchClient, Fault::close_after());

    let failure = given.door.amend(&given.host, &id, &[rename()]).await.unwrap_err();

    assert_eq!(failure.kind, FailureKind::NoAnswer);
    assert_eq!(given.seen().await.name, "renamed");
}
