//! Which layer wins, and what counts as a setting at all.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::super::Layered;
use super::{LEAST, Scratch, given, layered, variables_of};
use crate::domain::ids::ProfileName;
use crate::domain::proof::Proof;
use crate::domain::tenant::RepairScope;
use crate::telemetry::logs::Format;

#[test]
fn the_least_configuration_runs_on_the_documented_defaults() {
    let (settings, warnings) = given("").unwrap();

    assert_eq!(warnings, []);
    assert_eq!((settings.worker.concurrency, settings.database.max_connections), (32, 10));
    assert_eq!(
        (settings.worker.lease, settings.worker.poll),
        (Duration::from_mins(1), Duration::from_secs(1))
    );
    assert_eq!((settings.retry.base, settings.retry.cap), (Duration::from_secs(2), Duration::from_mins(15)));
    assert_eq!(settings.qlik.request_timeout, Duration::from_secs(20));
    assert_eq!(settings.history.keep, Duration::from_hours(24 * 90));
    assert_eq!((settings.rotation.every, settings.rotation.overlap), (None, Duration::from_hours(24 * 7)));
    assert_eq!(
        (settings.audit.every, settings.audit.repair),
        (Some(Duration::from_hours(24)), RepairScope::Consent)
    );
    assert_eq!((settings.bounds.removals_per_hour, settings.bounds.changes_per_hour), (None, 1000));
    assert_eq!((settings.bounds.canary, settings.bounds.max_failure_ratio), (5, 0.2));
    assert!(!settings.qlik.revoke_by_filter);
    assert_eq!((settings.prove.method, settings.log.format), (Proof::Token, Format::Text));
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(settings.profiles[&ProfileName::new("default")].scopes, ["user_default"]);
    assert!(settings.qlik.proxy.is_none() && settings.http.looks.is_none() && settings.http.acts.is_none());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let toml = format!("{LEAST}[worker]\nconcurrency = 7\npoll = \"3s\"");
    let variables = [("TENANTD_WORKER__CONCURRENCY", "9"), ("TENANTD_AUDIT__REPAIR", "true")];

    let (settings, _) = layered(&toml, &variables).settings().unwrap();

    assert_eq!(settings.worker.concurrency, 9);
    assert_eq!(settings.worker.poll, Duration::from_secs(3));
    assert_eq!(settings.worker.lease, Duration::from_mins(1));
    assert_eq!(settings.audit.repair, RepairScope::All);
}

#[test]
fn a_later_layer_replaces_a_secret_in_whichever_form_an_earlier_one_gave_it() {
    let scratch = Scratch::new("forms");
    let file = scratch.private_file("url", "postgres://in-a-file@db/t\n");
    let in_place = r#"url = "postgres://tenantd@db.internal/tenants?sslmode=verify-full""#;
    let names_a_file = LEAST.replace(in_place, "url_file = \"/run/credentials/nobody/may-read\"");

    let owner = layered(&names_a_file, &[("TENANTD_DATABASE__URL", "postgres://owner@db/t")]);
    let mounted = layered(LEAST, &[("TENANTD_DATABASE__URL_FILE", file.to_str().unwrap())]);

    assert_eq!(owner.database().unwrap().url.expose_secret(), "postgres://owner@db/t");
    assert_eq!(mounted.database().unwrap().url.expose_secret(), "postgres://in-a-file@db/t");
    assert!(owner.rows().iter().all(|row| row.key != "database.url_file"));
}

#[test]
fn both_forms_of_a_secret_in_the_environment_are_one_too_many() {
    let both = [("TENANTD_DATABASE__URL", "postgres://db/t"), ("TENANTD_DATABASE__URL_FILE", "/run/url")];

    let error = layered(LEAST, &both).database().unwrap_err().to_string();

    assert!(error.contains("is given, and so is database.url_file"), "{error}");
}

#[test]
fn a_variable_that_lacks_an_underscore_is_asked_about() {
    let error =
        layered("", &[("TENANTD_DATABASE_URL", "postgres://db/t")]).database().unwrap_err().to_string();

    let hint = "database.url is not set (TENANTD_DATABASE_URL is set; settings have two underscores: TENANTD_DATABASE__URL): ";
    assert!(error.starts_with(hint), "{error}");
}

#[test]
fn variables_that_kubernetes_injects_are_no_settings() {
    let variables = [
        ("TENANTD_PORT", "tcp://10.0.0.1:9464"),
        ("TENANTD_SERVICE_HOST", "10.0.0.1"),
        ("TENANTD_PORT_9464_TCP_ADDR", "10.0.0.1"),
        ("TENANTD_CONFIG", "/etc/tenantd.toml"),
        ("OTHER_WORKER__LEASE", "1s"),
        ("TENANTD_WORKER__LEASE", ""),
    ];

    let (settings, _) = layered(LEAST, &variables).settings().unwrap();

    assert_eq!(settings.worker.lease, Duration::from_mins(1));
}

#[test]
fn a_secret_that_looks_like_a_number_stays_as_it_is() {
    let toml = LEAST.replace("region-secret", "0012345");
    let variables = [
        ("TENANTD_QLIK__PROXY", "http://u:0012345@p"),
        ("TENANTD_DATABASE__URL", "postgres://t:0012345@db/t"),
    ];

    let (settings, _) = layered(&toml, &variables).settings().unwrap();

    assert_eq!(settings.regions[0].credential.expose_to_token_endpoint(), "0012345");
    assert_eq!(settings.qlik.proxy.unwrap().expose_secret(), "http://u:0012345@p");
    assert_eq!(settings.database.url.expose_secret(), "postgres://t:0012345@db/t");
}

#[test]
fn a_list_in_the_environment_is_separated_by_commas() {
    let variables = [("TENANTD_PROFILES__DEFAULT__SCOPES", "user_default, identity.email:read")];

    let (settings, _) = layered(LEAST, &variables).settings().unwrap();

    assert_eq!(
        settings.profiles[&ProfileName::new("default")].scopes,
        ["user_default", "identity.email:read"]
    );
}

#[test]
fn a_profile_takes_the_built_in_values_and_never_anothers_redirect_uris() {
    let (settings, _) = given(
        r#"
        [profiles.default]
        redirect_uris = ["https://portal.example/cb"]
        [profiles.embedded]
        client_name = "Embedded"
        [profiles.bare]
        "#,
    )
    .unwrap();

    let embedded = &settings.profiles[&ProfileName::new("embedded")];
    assert_eq!(
        (embedded.client_name.as_str(), embedded.description.as_str()),
        ("Embedded", "Made by tenantd.")
    );
    assert_eq!(embedded.redirect_uris, Vec::<String>::new());
    assert_eq!(settings.profiles[&ProfileName::new("bare")].client_name, "tenantd");
}

#[test]
fn a_command_that_needs_the_database_is_not_stopped_by_other_sections() {
    let toml = "[database]\nurl = \"postgres://db/t\"\n[worker]\nlease = \"1 fortnight\"";

    let partly = layered(toml, &[]);

    assert_eq!(partly.database().unwrap().max_connections, 10);
    assert!(partly.log().is_ok());
    assert!(partly.vault().unwrap_err().to_string().starts_with("vault.keyring_file is not set"));
    assert!(partly.settings().is_err());
}

#[test]
fn even_a_command_that_needs_little_refuses_unknown_keys() {
    let error = layered(&format!("{LEAST}[wurker]"), &[]).database().unwrap_err().to_string();

    assert!(error.starts_with("wurker") && error.contains("is not a known key"), "{error}");
}

#[test]
fn the_file_of_config_is_read_with_its_origin() {
    let scratch = Scratch::new("origin");
    let path = scratch.file("prod.toml", LEAST);

    let rows = Layered::load(Some(&path), variables_of(&[("TENANTD_LOG__LEVEL", "debug")])).unwrap().rows();

    let origin = |key: &str| rows.iter().find(|row| row.key == key).unwrap().origin.clone();
    assert_eq!(origin("regions[0].name"), path.display().to_string());
    assert_eq!(origin("log.level"), "environment variable TENANTD_LOG__LEVEL");
    assert_eq!(origin("worker.lease"), "built-in default");
}

#[test]
fn a_variable_that_is_not_text_is_told_by_name() {
    let broken = (OsString::from("TENANTD_LOG__LEVEL"), OsString::from_vec(vec![0xFF]));

    let error = Layered::load(None, [broken]).unwrap_err().to_string();

    assert!(error.contains("(environment variable TENANTD_LOG__LEVEL) holds bytes"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let error = Layered::load(Some("/nowhere/prod.toml".as_ref()), []).unwrap_err().to_string();

    assert!(error.starts_with("--config (/nowhere/prod.toml) cannot be read: No such file"), "{error}");
}
