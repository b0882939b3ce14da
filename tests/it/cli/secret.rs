//! A secret is shown only when asked twice, and only after that was written down.

use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::secret::ClientSecret;
use tenantd::system::OsEntropy;
use tenantd::vault::{Keyring, SealedFor, Vault};
use uuid::Uuid;

use super::support::{Bench, Ran};

const SECRET: &str = "s3cret-of-customer-1";

/// A ready tenant whose secret is sealed with the keyring of this name.
async fn given_credential(bench: &Bench, keyring: &str) {
    bench.given_tenant("customer-1").await;
    bench.make_ready("customer-1").await;
    let tenant: Uuid =
        sqlx::query_scalar("SELECT tenant_id FROM tenantd.tenants").fetch_one(&bench.db.pool).await.unwrap();
    let vault = Vault::new(Keyring::load(&bench.scratch.path(keyring)).unwrap());
    let (host, client_id) = (Host::parse("customer-1.us.qlikcloud.com").unwrap(), ClientId::new("cid"));
    let row = SealedFor { tenant_id: TenantId(tenant), host: &host, client_id: &client_id };
    let sealed = vault.seal(&row, &ClientSecret::new(SECRET.to_owned()), &OsEntropy).unwrap();
    sqlx::query(
        "INSERT INTO tenantd.secrets (tenant_id, client_id, standing, version, sealed, key_id, proven_at)
         VALUES ($1, 'cid', 'current', 1, $2, $3, now())",
    )
    .bind(tenant)
    .bind(sealed.as_str())
    .bind(sealed.kid().as_str())
    .execute(&bench.db.pool)
    .await
    .unwrap();
}

async fn reveal(bench: &Bench, keyring: &str, words: &[&str]) -> Ran {
    let words: Vec<&str> =
        ["secret", "reveal", "customer-1"].into_iter().chain(words.iter().copied()).collect();
    let mut command = bench.command(&words);
    command.env("TENANTD_VAULT__KEYRING_FILE", bench.scratch.path(keyring)).env_remove("SUDO_USER");
    let output = command.output().await.unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn reveals(bench: &Bench) -> Vec<String> {
    sqlx::query_scalar("SELECT message FROM tenantd.attempts WHERE effect = 'reveal'")
        .fetch_all(&bench.db.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_secret_is_not_shown_without_yes() {
    let bench = Bench::new().await;
    bench.scratch.keyring("keyring.json", "oct").await;
    given_credential(&bench, "keyring.json").await;

    let ran = reveal(&bench, "keyring.json", &[]).await;

    ran.assert_refused(2, &["--yes"]);
    assert!(reveals(&bench).await.is_empty());
}

#[tokio::test]
async fn a_secret_is_the_whole_output_and_the_history_says_who_saw_it() {
    let bench = Bench::new().await;
    bench.scratch.keyring("keyring.json", "oct").await;
    given_credential(&bench, "keyring.json").await;
    let user = std::process::Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();

    let ran = reveal(&bench, "keyring.json", &["--yes"]).await;

    assert_eq!((ran.code, ran.stdout, ran.stderr), (0, format!("{SECRET}\n"), String::new()));
    assert_eq!(reveals(&bench).await, [format!("version 1 was shown to {}", user.trim())]);
}

#[tokio::test]
async fn a_secret_whose_showing_cannot_be_written_down_is_not_shown() {
    let bench = Bench::new().await;
    bench.scratch.keyring("keyring.json", "oct").await;
    given_credential(&bench, "keyring.json").await;
    bench.sql("ALTER TABLE tenantd.attempts ADD CONSTRAINT full_up CHECK (false)").await;

    let ran = reveal(&bench, "keyring.json", &["--yes"]).await;

    assert!(ran.code != 0 && ran.stdout.is_empty() && !ran.stderr.contains(SECRET), "{ran:?}");
}

#[tokio::test]
async fn where_the_daemon_only_seals_the_private_keyring_must_be_named() {
    let bench = Bench::new().await;
    let private = bench.scratch.keyring("private.json", "p256").await;
    let public = bench.scratch.tenantd(&["keys", "public", "private.json"]).await;
    bench.scratch.file("public.json", &public.stdout);
    given_credential(&bench, "public.json").await;

    let refused = reveal(&bench, "public.json", &["--yes"]).await;
    let shown = reveal(&bench, "public.json", &["--yes", "--keyring", private.to_str().unwrap()]).await;

    refused.assert_refused(1, &["only seals", "--keyring"]);
    assert_eq!((shown.code, shown.stdout), (0, format!("{SECRET}\n")));
    assert_eq!(reveals(&bench).await.len(), 1);
}

#[tokio::test]
async fn a_tenant_without_a_proven_secret_says_why() {
    let bench = Bench::new().await;
    bench.scratch.keyring("keyring.json", "oct").await;
    bench.given_tenant("customer-1").await;

    let ran = reveal(&bench, "keyring.json", &["--yes"]).await;

    ran.assert_refused(1, &["no proven secret yet (Queued)", "tenantd tenant wait customer-1"]);
}
