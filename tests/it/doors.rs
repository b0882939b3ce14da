//! The two ways to Qlik say the same: the adapter against the simulator's TLS door,
//! and the simulator's memory door.
//!
//! The rule: one story, told once, run through both. What the engine learns from
//! the fast door is then true of the real one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tenantd::domain::drift::{Change, Field, Value};
use tenantd::domain::failure::FailureKind;
use tenantd::domain::host::{Host, HostPattern};
use tenantd::domain::ids::{ClientId, RegionName};
use tenantd::domain::look::SeenClient;
use tenantd::domain::profile::{GRANTS, WantedClient};
use tenantd::domain::region::{AllowedHost, RegionMap};
use tenantd::domain::secret::RegionCredential;
use tenantd::domain::token;
use tenantd::ports::{Clock, NewClient, QlikApi};
use tenantd::qlik::{Cloud, CloudOptions};
use tenantd::simulator::tls::{Options, Server};
use tenantd::simulator::{Behaviour, Console, FaultPlan, NewUser, World, memory};
use tenantd::system::SystemClock;

use super::support::rig::SUFFIX;

const TENANT: &str = "acme";

struct Story<Q> {
    api: Q,
    world: World,
    clock: Arc<SystemClock>,
    host: AllowedHost,
    /// Lives as long as the story.
    _server: Option<Server>,
}

impl<Q: QlikApi> Story<Q> {
    async fn proven(&self) -> NewClient {
        let wanted = WantedClient {
            name: "portal".into(),
            description: "ours".into(),
            redirect_uris: vec!["https://app.example/cb".into()],
            allowed_origins: vec!["https://app.example".into()],
            scopes: vec!["user_default".into()],
        };
        let made = self.api.create_client(&self.host, &wanted).await.unwrap();
        self.api.trust(&self.host, &made.client_id).await.unwrap();
        self.api.prove(&self.host, &made.client_id, &made.secret).await.unwrap();
        made
    }

    async fn look(&self) -> SeenClient {
        self.api.list_clients(&self.host).await.unwrap().remove(0)
    }

    /// What Qlik was asked and how it answered, and how often.
    fn calls(&self) -> BTreeMap<String, u64> {
        self.world.at(self.clock.now()).ledger().calls
    }

    fn by_hand(&self, act: impl FnOnce(&mut Console<'_, '_>)) {
        let mut moment = self.world.at(self.clock.now());
        act(&mut moment.console(self.host.host().as_str(), "ada").unwrap());
    }

    async fn a_client_is_seen_as_it_is_and_amended(&self) {
        let made = self.proven().await;
        let id = made.client_id.as_str();
        let seen = self.look().await;
        assert_eq!((seen.name.as_str(), seen.description.as_str()), ("portal", "ours"));
        assert_eq!((seen.scopes.join(" "), seen.grants.join(" ")), ("user_default".into(), GRANTS.join(" ")));
        assert_eq!(seen.redirect_uris, ["https://app.example/cb"]);
        assert_eq!(seen.allowed_origins, ["https://app.example"]);
        assert_eq!((seen.is_trusted, seen.is_disabled, seen.is_deleted), (Some(true), false, false));

        self.by_hand(|console| {
            console.edit(id, |draft| draft.allowed_scopes.clear()).unwrap();
            console.edit(id, |draft| draft.client_name = "theirs".into()).unwrap();
            console.set_trusted(id, false).unwrap();
            console.set_disable_tag(id, Some("by-admin")).unwrap();
        });
        let drifted = self.look().await;
        assert_eq!((drifted.name.as_str(), drifted.scopes.len()), ("theirs", 0));
        assert_eq!((drifted.is_trusted, drifted.is_disabled), (Some(false), true));
        assert!(self.api.prove(&self.host, &made.client_id, &made.secret).await.is_err());

        let changes = [
            Change { field: Field::Name, value: Value::Text("portal".into()) },
            Change { field: Field::Scopes, value: Value::List(vec!["user_default".into()]) },
        ];
        self.api.amend(&self.host, &made.client_id, &changes).await.unwrap();
        self.api.trust(&self.host, &made.client_id).await.unwrap();
        self.by_hand(|console| console.set_disable_tag(id, None).unwrap());
        assert_eq!(self.look().await, seen);
        let gone = self.api.amend(&self.host, &ClientId::new("gone"), &changes).await.unwrap_err();
        assert_eq!(gone.kind, FailureKind::NotFound);
        self.api.delete_client(&self.host, &made.client_id).await.unwrap();
    }

    async fn a_client_goes_with_its_bot_user_and_its_tokens(&self) {
        let made = self.proven().await;
        let person = NewUser { subject: "person".into(), ..NewUser::default() };
        self.world.at(self.clock.now()).seed_user(self.host.host().as_str(), person).unwrap();
        let bots = self.api.bots_of(&self.host, &made.client_id).await.unwrap();
        assert_eq!(bots.len(), 1);

        let all = self.api.list_tokens(&self.host, None).await.unwrap();
        let of_bot = self.api.list_tokens(&self.host, Some(&bots[0])).await.unwrap();
        let of_client: Vec<_> =
            token::of_client(&all, &made.client_id, &bots).map(|token| &token.id).collect();
        assert_eq!(of_bot.iter().map(|token| &token.id).collect::<Vec<_>>(), of_client);
        assert_eq!((of_bot.len(), of_bot[0].last_used.is_some()), (1, true));
        let refused = self.api.delete_tokens_of(&self.host, &made.client_id).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected);

        for _ in 0..2 {
            self.api.delete_token(&self.host, &of_bot[0].id).await.unwrap();
            self.api.delete_client(&self.host, &made.client_id).await.unwrap();
            self.api.delete_user(&self.host, &bots[0]).await.unwrap();
        }
        assert_eq!(self.api.bots_of(&self.host, &made.client_id).await.unwrap(), []);
        assert_eq!(self.api.list_tokens(&self.host, Some(&bots[0])).await.unwrap(), []);
        let ledger = self.world.at(self.clock.now()).ledger();
        let tenant = &ledger.tenants[self.host.host().as_str()];
        // The region's bot and the person stay.
        assert_eq!((tenant.users, tenant.has_bot_of(made.client_id.as_str())), (2, false));

        self.world.reshape(|behaviour| behaviour.delete_tokens_by_filter = true);
        let made = self.proven().await;
        self.api.delete_tokens_of(&self.host, &made.client_id).await.unwrap();
        let bots = self.api.bots_of(&self.host, &made.client_id).await.unwrap();
        assert_eq!(self.api.list_tokens(&self.host, Some(&bots[0])).await.unwrap(), []);
    }
}

fn world(behaviour: Behaviour, clock: &SystemClock) -> World {
    let world =
        World::new(behaviour, FaultPlan::none(), 7).with_region(SUFFIX, "region-client", "region-secret");
    world.at(clock.now()).add_tenant(&format!("{TENANT}.{SUFFIX}"));
    world
}

fn host() -> AllowedHost {
    let pattern = HostPattern::parse(&format!("*.{SUFFIX}")).unwrap();
    let host = Host::parse(&format!("{TENANT}.{SUFFIX}")).unwrap();
    RegionMap::new([(pattern, RegionName::new("us"))]).allow(&host).unwrap()
}

fn credentials() -> HashMap<RegionName, RegionCredential> {
    let credential = RegionCredential::new("region-client".into(), "region-secret".to_owned().into());
    HashMap::from([(RegionName::new("us"), credential)])
}

/// As kind as can be, and with every reading of the sources that answers may differ by.
fn readings() -> [Behaviour; 2] {
    [Behaviour::default(), Behaviour::unkind()]
}

fn by_memory(behaviour: Behaviour) -> Story<memory::Door> {
    let clock = Arc::new(SystemClock::start());
    let world = world(behaviour, &clock);
    let api = memory::Door::new(world.clone(), Arc::clone(&clock), credentials());
    Story { api, world, clock, host: host(), _server: None }
}

async fn by_tls(behaviour: Behaviour) -> Story<Cloud> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let clock = Arc::new(SystemClock::start());
    let world = world(behaviour, &clock);
    let options = Options { suffixes: vec![SUFFIX.into()], ..Options::default() };
    let server = Server::start(world.clone(), Arc::clone(&clock), options).await.unwrap();
    let patience = Duration::from_secs(20);
    let options = CloudOptions {
        request_timeout: patience,
        connect_timeout: patience,
        read_timeout: patience,
        ca_pem: Some(server.ca_pem().as_bytes().to_vec()),
        connect_to: Some(server.addr()),
        proxy: None,
    };
    let clock_of_cloud: Arc<dyn Clock> = clock.clone();
    let api = Cloud::new(&options, credentials(), clock_of_cloud).unwrap();
    Story { api, world, clock, host: host(), _server: Some(server) }
}

#[tokio::test]
async fn a_client_is_seen_as_it_is_and_amended_through_both_doors() {
    for behaviour in readings() {
        let (fast, real) = (by_memory(behaviour.clone()), by_tls(behaviour).await);

        fast.a_client_is_seen_as_it_is_and_amended().await;
        real.a_client_is_seen_as_it_is_and_amended().await;

        assert_eq!(fast.calls(), real.calls());
    }
}

#[tokio::test]
async fn a_client_goes_with_its_bot_user_and_its_tokens_through_both_doors() {
    for behaviour in readings() {
        let (fast, real) = (by_memory(behaviour.clone()), by_tls(behaviour).await);

        fast.a_client_goes_with_its_bot_user_and_its_tokens().await;
        real.a_client_goes_with_its_bot_user_and_its_tokens().await;

        assert_eq!(fast.calls(), real.calls());
    }
}
