//! Commands that ask Qlik themselves: what they say, and how they end.

use std::path::PathBuf;
use std::time::Duration;

use tenantd::domain::text::is_hidden;
use tenantd::ports::Clock as _;
use tenantd::simulator::{Console, Draft};
use tenantd::system::SystemClock;

use super::doctor::given_fleet;
use super::support::{Ran, Scratch};
use crate::support::fleet::{Fleet, brisk};
use crate::support::rig::{BOT, SUFFIX};

struct Visited {
    fleet: Fleet,
    scratch: Scratch,
    config: PathBuf,
}

impl Visited {
    /// A fleet of so many tenants, all ready, and nobody at work.
    async fn new(tenants: u32) -> Self {
        let (fleet, scratch, config) = given_fleet().await;
        // As the daemon below makes its clients.
        let profile = "[profiles.default]\nclient_name = \"portal\"\ndescription = \"Made by tenantd.\"\n\
                       redirect_uris = [\"https://portal.example.com/callback\"]\nscopes = [\"user_default\"]\n";
        let config = scratch.file("visits.toml", &(std::fs::read_to_string(&config).unwrap() + profile));
        fleet.given_tenants(tenants).await;
        fleet.run_until(brisk(), Duration::from_mins(1), || fleet.is_quiet()).await;
        Self { fleet, scratch, config }
    }

    async fn tenantd(&self, words: &[&str]) -> Ran {
        let mut command = self.scratch.command(words);
        command.env("TENANTD_CONFIG", &self.config).env("TENANTD_DATABASE__URL", &self.fleet.db.url);
        let output = command.output().await.unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn client_of(&self, external_id: &str) -> String {
        sqlx::query_scalar("SELECT client_id FROM tenantd.tenants WHERE external_id = $1")
            .bind(external_id)
            .fetch_one(self.fleet.pool())
            .await
            .unwrap()
    }

    fn console<T>(&self, host: &str, act: impl FnOnce(&mut Console<'_, '_>) -> T) -> T {
        let mut moment = self.fleet.world.at(SystemClock::start().now());
        act(&mut moment.console(&format!("{host}.{SUFFIX}"), "ada").unwrap())
    }

    fn made_by_hand(&self, host: &str, description: &str) -> String {
        let draft = Draft {
            app_type: "web".into(),
            client_name: "portal".into(),
            description: description.into(),
            allowed_scopes: vec!["user_default".into()],
            allowed_grant_types: tenantd::domain::profile::GRANTS.map(str::to_owned).to_vec(),
            ..Draft::default()
        };
        // What bears a mark is to look like an orphan of ours.
        let subject = if description.contains("[tenantd:") { BOT } else { "ada" };
        let mut moment = self.fleet.world.at(SystemClock::start().now());
        let mut console = moment.console(&format!("{host}.{SUFFIX}"), subject).unwrap();
        console.add_client(draft, false).unwrap().client_id
    }

    async fn installation(&self) -> String {
        sqlx::query_scalar("SELECT installation_id::text FROM tenantd.installation")
            .fetch_one(self.fleet.pool())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn drift_is_exit_code_3_until_the_daemon_is_told_to_mend_it() {
    let visited = Visited::new(3).await;
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('new', 'new.us.qlikcloud.com')")
        .execute(visited.fleet.pool())
        .await
        .unwrap();

    let none = visited.tenantd(&["tenant", "drift", "--all"]).await;
    let early = visited.tenantd(&["tenant", "drift", "new"]).await;
    let id = visited.client_of("customer-1").await;
    visited.console("t1", |console| console.set_trusted(&id, false).unwrap());
    let some = visited.tenantd(&["tenant", "drift", "--all"]).await;
    let mixed =
        visited.tenantd(&["tenant", "drift", "nobody", "new", "customer-1", "--output", "json"]).await;
    let repair = visited.tenantd(&["tenant", "drift", "--all", "--repair"]).await;
    let missing = visited.client_of("customer-2").await;
    visited.console("t2", |console| console.delete_client(&missing).unwrap());
    let gone = visited.tenantd(&["tenant", "drift", "customer-2", "--repair"]).await;

    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "nothing differs\n"));
    assert_eq!(early.code, 1, "{early:?}");
    assert!(early.stderr.contains("not ready yet (phase pending)"), "{early:?}");
    assert_eq!(some.code, 3, "{some:?}");
    assert!(some.stdout.contains("customer-1  consent  trusted  not trusted"), "{some:?}");
    assert!(some.stderr.contains("add --repair"), "{some:?}");
    assert_eq!(mixed.code, 3, "{mixed:?}");
    let json = mixed.json();
    assert_eq!(json[1]["drift"][0]["kind"], "consent", "{json}");
    assert!(json[0]["not_asked"].as_str().unwrap().contains("not ready yet"), "{json}");
    assert_eq!(repair.code, 0, "{repair:?}");
    assert!(repair.stderr.contains("1 tenant left to the daemon to mend"), "{repair:?}");
    assert_eq!(gone.code, 3, "{gone:?}");
    assert!(gone.stderr.contains("client_missing: ") && gone.stderr.contains("--recreate"), "{gone:?}");

    let is_trusted =
        async || visited.fleet.ledger().tenants[&format!("t1.{SUFFIX}")].client(&id).unwrap().is_trusted;
    visited.fleet.run_until(brisk(), Duration::from_mins(1), is_trusted).await;
}

#[tokio::test]
async fn a_takeover_says_what_comes_next_and_a_refusal_what_to_do() {
    let visited = Visited::new(1).await;
    visited.fleet.world.at(SystemClock::start().now()).add_tenant(&format!("hand.{SUFFIX}"));
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         VALUES ('hand', 'hand.us.qlikcloud.com', now() + interval '1 year')",
    )
    .execute(visited.fleet.pool())
    .await
    .unwrap();
    let made = visited.made_by_hand("hand", "Team blue's.");

    let none = visited.tenantd(&["tenant", "adopt", "hand"]).await;
    let wrong = visited.tenantd(&["tenant", "adopt", "hand", "--client-id", "nothing"]).await;
    let has = visited.tenantd(&["tenant", "adopt", "customer-1", "--client-id", &made]).await;
    let taken = visited.tenantd(&["tenant", "adopt", "hand", "--client-id", &made]).await;
    let again = visited.tenantd(&["tenant", "adopt", "hand", "--client-id", &made, "--output", "json"]).await;
    visited.fleet.run_until(brisk(), Duration::from_mins(1), || visited.fleet.is_quiet()).await;
    let listed = visited.tenantd(&["tenant", "adopt", "hand", "--drop-old-secrets"]).await;
    let dropped = visited.tenantd(&["tenant", "adopt", "hand", "--drop-old-secrets", "--yes"]).await;
    let left = visited.tenantd(&["tenant", "adopt", "hand", "--drop-old-secrets"]).await;
    let history = visited.tenantd(&["tenant", "history", "hand"]).await;

    assert_eq!(none.code, 2, "{none:?}");
    wrong.assert_refused(1, &["hand: ", "has no client nothing"]);
    has.assert_refused(1, &["customer-1: ", "not_before far in the future"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(taken.stdout.contains("tenantd tenant wait hand"), "{taken:?}");
    assert!(taken.stderr.contains("redirect_uris"), "{taken:?}");
    assert_eq!((again.code, &again.json()["was_ours"]), (0, &true.into()), "{again:?}");
    assert_eq!(listed.code, 3, "{listed:?}");
    assert!(listed.stdout.contains("old") && listed.stderr.contains("add --yes"), "{listed:?}");
    assert_eq!((dropped.code, dropped.stderr.as_str()), (0, "1 old secret deleted\n"), "{dropped:?}");
    assert_eq!((left.code, left.stderr.as_str()), (0, "there is no old secret to delete\n"), "{left:?}");
    assert!(history.stdout.contains(&format!("client {made} was taken over by")), "{history:?}");
}

#[tokio::test]
async fn tokens_are_listed_and_revoked_with_yes_only() {
    let visited = Visited::new(1).await;
    let list = ["tenant", "tokens", "list", "customer-1", "--output", "json"];

    let before = visited.tenantd(&list).await;
    let table = visited.tenantd(&list[..4]).await;
    let unsure = visited.tenantd(&["tenant", "tokens", "revoke", "customer-1", "--all-of-client"]).await;
    let revoked =
        visited.tenantd(&["tenant", "tokens", "revoke", "customer-1", "--all-of-client", "--yes"]).await;
    let after = visited.tenantd(&list).await;
    let unknown = visited.tenantd(&["tenant", "tokens", "list", "nobody"]).await;

    let count = |ran: &Ran| ran.json().as_array().unwrap().len();
    assert_eq!(before.code, 0, "{before:?}");
    assert!(before.json()[0]["token_id"].is_string(), "{before:?}");
    assert!(table.stdout.starts_with("TOKEN"), "{table:?}");
    unsure.assert_refused(2, &["--yes"]);
    assert_eq!((revoked.code, revoked.stdout.as_str()), (0, "1 token revoked\n"), "{revoked:?}");
    // Each command came with a token of the region's own.
    assert!(
        count(&before) >= 1 && !after.stdout.contains(&visited.client_of("customer-1").await),
        "{after:?}"
    );
    unknown.assert_refused(1, &["\"nobody\""]);
}

#[tokio::test]
async fn a_census_is_a_plan_in_a_file_and_its_application_another_command() {
    let visited = Visited::new(2).await;
    let mark = format!("[tenantd:1:{}:00000000-0000-0000-0000-00000000004d]", visited.installation().await);
    let clean = visited.tenantd(&["census"]).await;
    let orphan = visited.made_by_hand("t1", &format!("{mark} \u{202e}\u{9b}"));
    let alike = visited.made_by_hand("t2", "somebody's");
    let plan = visited.scratch.path("plan.json");
    let plan = plan.to_str().unwrap();

    let region = visited.tenantd(&["census", "--region", "nowhere"]).await;
    let made = visited.tenantd(&["census", "--plan", plan]).await;
    let again = visited.tenantd(&["census", "--plan", plan]).await;
    let unsure = visited.tenantd(&["census", "--apply", plan]).await;
    let text = std::fs::read_to_string(plan).unwrap();
    let is_readable = text.contains("\\u202e\\u009b") && !text.lines().any(|line| line.contains(is_hidden));
    let other = text.replace(&visited.installation().await, "00000000-0000-0000-0000-000000000001");
    let other = visited.scratch.file("other.json", &other);
    let other = visited.tenantd(&["census", "--apply", other.to_str().unwrap(), "--yes"]).await;
    let newer = visited.scratch.file("newer.json", &text.replace("\"version\": 1", "\"version\": 2"));
    let newer = visited.tenantd(&["census", "--apply", newer.to_str().unwrap(), "--yes"]).await;
    visited.console("t1", |console| {
        console.edit(&orphan, |draft| draft.description.push_str(" keep!")).unwrap();
    });
    let changed = visited.tenantd(&["census", "--apply", plan, "--yes"]).await;
    visited.console("t1", |console| {
        console.edit(&orphan, |draft| draft.description = format!("{mark} \u{202e}\u{9b}")).unwrap();
    });
    let applied = visited.tenantd(&["census", "--apply", plan, "--yes", "--output", "json"]).await;

    assert!(is_readable, "who reads the plan sees all that is in it: {text}");
    assert_eq!(clean.code, 0, "{clean:?}");
    assert!(clean.stdout.starts_with("2 hosts looked at: 2 ours, 0 missing"), "{clean:?}");
    region.assert_refused(2, &["no region \"nowhere\""]);
    assert_eq!(made.code, 3, "{made:?}");
    assert!(made.stdout.contains(&orphan) && made.stdout.contains("1 look-alike"), "{made:?}");
    assert!(made.stderr.contains("--apply"), "{made:?}");
    again.assert_refused(2, &["is there already"]);
    unsure.assert_refused(2, &["--yes"]);
    other.assert_refused(2, &["another installation"]);
    newer.assert_refused(2, &["version 2"]);
    assert_eq!(changed.code, 3, "{changed:?}");
    assert!(changed.stdout.contains("left as it is: its description is not as in the plan"), "{changed:?}");
    assert_eq!((applied.code, &applied.json()[0]["outcome"]), (0, &"done".into()), "{applied:?}");
    let ledger = visited.fleet.ledger();
    let deleted =
        |host: &str, id: &str| ledger.tenants[&format!("{host}.{SUFFIX}")].client(id).unwrap().deleted_at;
    assert!(deleted("t1", &orphan).is_some() && deleted("t2", &alike).is_none());
}
