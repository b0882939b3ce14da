//! Each rule is kept, and told with its key, its origin and its remedy.

use std::os::unix::fs::PermissionsExt;

use super::super::Warning;
use super::{LEAST, Scratch, faults_of, given, layered};

/// The one fault that these lines below the least configuration give.
#[track_caller]
fn fault_of(more: &str) -> String {
    let faults = faults_of(given(more));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.into_iter().next().unwrap()
}

/// The one fault that the least configuration gives with this exchange.
#[track_caller]
fn fault_with(old: &str, new: &str) -> String {
    let changed = LEAST.replace(old, new);
    assert_ne!(changed, LEAST);
    let faults = faults_of(layered(&changed, &[]).settings());
    assert_eq!(faults.len(), 1, "{faults:#?}");
    faults.into_iter().next().unwrap()
}

#[test]
fn all_faults_are_told_at_once_one_a_line() {
    let toml = r#"
        [database]
        url = "postgres://db/t"
        [vault]
        keyring_file = "k"
        [worker]
        concurrency = 0
        lease = 60
        [retry]
        base = "2 parsecs"
        [http]
        listen = "localhost:9464"
        [log]
        lvel = "debug"
    "#;

    let faults = faults_of(layered(toml, &[]).settings());

    let told = [
        "worker.concurrency (config/prod.toml) is 0, outside 1 to 1024: choose a number from 1 to 1024",
        "worker.lease (config/prod.toml) is a number, not text: write a unit and quotes, as in \"90s\"",
        "retry.base (config/prod.toml) is \"2 parsecs\", which is not a duration: write a number with its unit: 200ms, 90s, 15m, 24h or 7d",
        "regions is not set, and without a region no tenant can be reached: add a [[regions]] table with name, hosts, client_id and client_secret_file to the file of --config",
        "http.listen (config/prod.toml) is \"localhost:9464\", which is not an IP address with a port: write it as 127.0.0.1:9464 or [::1]:9464; a host name will not do",
        "log.lvel (config/prod.toml) is not a known key: did you mean log.level?",
    ];
    assert_eq!(faults, told);
}

#[test]
fn what_is_required_is_asked_for() {
    let faults = faults_of(layered("", &[]).settings());

    let keys: Vec<_> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
    assert_eq!(keys, ["database.url", "regions", "vault.keyring_file"]);
}

#[test]
fn an_unknown_key_is_told_with_where_it_stood() {
    let variables = [("TENANTD_RETRY__BSE", "1s"), ("TENANTD__WORKER__LEASE", "1m")];
    let toml = format!("{LEAST}[worker]\nrequest_timeout = \"5s\"");

    let faults = faults_of(layered(&toml, &variables).settings());

    assert_eq!(
        faults,
        [
            "_worker.lease (environment variable TENANTD__WORKER__LEASE) is not a known key: did you mean worker.lease?",
            "retry.bse (environment variable TENANTD_RETRY__BSE) is not a known key: did you mean retry.base?",
            "worker.request_timeout (config/prod.toml) is not a known key: did you mean qlik.request_timeout?",
        ]
    );
}

#[test]
fn regions_in_the_environment_are_refused_with_the_place_for_them() {
    let faults = faults_of(layered(LEAST, &[("TENANTD_REGIONS__US__NAME", "us")]).settings());

    assert!(
        faults[1].contains("TENANTD_REGIONS__US__NAME) is not in a list: regions come from the file"),
        "{faults:?}"
    );
}

#[test]
fn a_section_given_as_a_value_is_told() {
    assert!(faults_of(layered("worker = 3", &[]).settings()).iter().any(|it| it.contains("write [worker]")));
}

#[test]
fn both_forms_of_a_secret_are_one_too_many() {
    let fault = fault_with("url = ", "url_file = \"/run/url\"\nurl = ");

    assert_eq!(
        fault,
        "database.url (config/prod.toml) is given, and so is database.url_file (config/prod.toml): keep one of the two"
    );
}

#[test]
fn a_secret_file_is_read_without_its_last_line_break_or_told_by_name() {
    let scratch = Scratch::new("secret-files");
    let (good, empty) = (scratch.file("good", "s3cret\r\n"), scratch.file("empty", "\n"));
    let with = |path: &std::path::Path| {
        LEAST.replace("client_secret = \"region-secret\"", &format!("client_secret_file = {path:?}"))
    };

    let (settings, _) = layered(&with(&good), &[]).settings().unwrap();
    let no_content = faults_of(layered(&with(&empty), &[]).settings());
    let no_file = faults_of(layered(&with(&scratch.path().join("none")), &[]).settings());

    assert_eq!(settings.regions[0].credential.expose_to_token_endpoint(), "s3cret");
    assert!(no_content[0].contains("/empty, which is empty: write the secret"), "{no_content:?}");
    assert!(no_file[0].contains("/none, which cannot be read: No such file"), "{no_file:?}");
}

#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_warned_about() {
    let scratch = Scratch::new("open");
    let path = scratch.file("token", "token-of-prometheus\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let more = format!("[http]\ntoken_file = {path:?}\n");

    let (_, open) = given(&more).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let (_, closed) = given(&more).unwrap();

    let shown = path.display();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        open[0].to_string(),
        format!(
            "http.token_file names {shown}, which everybody may read: run `chmod o-rwx {shown}`, or where a \
             platform mounts it, set `defaultMode: 0440` beside an `fsGroup` (Kubernetes) or `mode: 0440` beside \
             a `gid` (Docker Swarm)"
        )
    );
    assert_eq!(closed, []);
}

#[test]
fn every_bad_host_of_a_list_is_told() {
    let fault =
        fault_with(r#"hosts = ["*.us.qlikcloud.com"]"#, r#"hosts = ["https://a.b.c", "ok.b.c", "d:1"]"#);

    assert!(fault.contains("\"https://a.b.c\", but") && fault.contains("; and \"d:1\", but"), "{fault}");
}

#[test]
fn a_token_that_no_header_can_carry_is_refused() {
    let scratch = Scratch::new("token");
    let path = scratch.file("token", "three words there\n");

    let fault = fault_of(&format!("[http]\ntoken_file = {path:?}"));

    assert!(fault.contains("which holds a token that does not fit into an HTTP header"), "{fault}");
    assert!(!fault.contains("words"), "{fault}");
}

#[test]
fn a_lease_outlasts_two_requests() {
    let fault = fault_of("[worker]\nlease = \"40s\"\n[qlik]\nrequest_timeout = \"20s\"");

    assert_eq!(
        fault,
        "worker.lease (config/prod.toml) is 40s, not more than twice qlik.request_timeout (20s, config/prod.toml): \
         raise it above 40s, or lower qlik.request_timeout"
    );
    assert!(given("[worker]\nlease = \"40001ms\"\n[qlik]\nrequest_timeout = \"20s\"").is_ok());
}

#[test]
fn waits_and_timeouts_fit_into_one_another() {
    for (more, start) in [
        (
            "[retry]\nbase = \"20m\"\ncap = \"15m\"",
            "retry.base (config/prod.toml) is 20m, more than retry.cap (15m, config/prod.toml): lower it, or",
        ),
        (
            "[qlik]\nconnect_timeout = \"20s\"\nrequest_timeout = \"20s\"",
            "qlik.connect_timeout (config/prod.toml) is 20s, not less than qlik.request_timeout (20s, config",
        ),
        (
            "[qlik]\nread_timeout = \"21s\"\nrequest_timeout = \"20s\"",
            "qlik.read_timeout (config/prod.toml) is 21s, more than qlik.request_timeout (20s, config/prod.toml)",
        ),
        (
            "[qlik]\nconnect_timeout = \"30s\"\n[worker]\nlease = \"1m\"",
            "qlik.connect_timeout (config/prod.toml) is 30s, and a request, which takes longer, must fit twice into \
             worker.lease (1m, config/prod.toml): lower it, or raise worker.lease above 1m",
        ),
        (
            "[rotation]\nevery = \"10d\"\noverlap = \"9d\"",
            "rotation.overlap (config/prod.toml) is 9d, not less than nine tenths of rotation.every (10d, config",
        ),
    ] {
        let fault = fault_of(more);
        assert!(fault.starts_with(start), "{fault}");
    }
    assert!(given("[rotation]\nevery = \"10d\"\noverlap = \"215h\"").is_ok());
    assert!(given("[rotation]\nevery = \"never\"\noverlap = \"365d\"").is_ok());
}

#[test]
fn two_ways_to_qlik_exclude_each_other_wherever_they_were_written() {
    let scratch = Scratch::new("proxy");
    let file = scratch.private_file("proxy", "http://u:hunter2@proxy:3128\n");
    let file = file.to_str().unwrap();
    let fixed = format!("{LEAST}[qlik]\nconnect_to = \"127.0.0.1:1\"");
    let told = "qlik.connect_to (config/prod.toml) is given, and so is";
    let remedy = "keep one of the two: they exclude each other";

    for (variable, value, key) in [
        ("TENANTD_QLIK__PROXY", "http://proxy:3128", "qlik.proxy"),
        ("TENANTD_QLIK__PROXY_FILE", file, "qlik.proxy_file"),
    ] {
        let faults = faults_of(layered(&fixed, &[(variable, value)]).settings());

        assert_eq!(faults, [format!("{told} {key} (environment variable {variable}): {remedy}")]);
    }
}

#[test]
fn ranges_and_types_are_kept() {
    for (more, part) in [
        ("[worker]\nconcurrency = 1025", "outside 1 to 1024"),
        ("[worker]\nconcurrency = \"8\"", "is text, not a whole number"),
        ("[worker]\npoll = \"1ms\"", "is 1ms, outside 10ms to 10m"),
        ("[prove]\npatience = \"25h\"", "is 25h, outside 0s to 1d"),
        ("[rotation]\nevery = \"36h\"\noverlap = \"7d\"", "rotation.every (1d 12h, config/prod.toml)"),
        ("[audit]\nrepair = \"yes\"", "is text, not true or false"),
        ("[audit]\nevery = \"daily\"", "which is not a duration"),
        ("[audit]\nevery = \"59s\"", "is 59s, outside 1m to 365d"),
        ("[rotation]\nevery = \"59m\"\noverlap = \"1m\"", "is 59m, outside 1h to 3650d"),
        ("[budget]\nchanges_per_hour = 0", "outside 1 to 1000000"),
        ("[budget]\nremovals_per_hour = 1000001", "outside 1 to 1000000"),
        ("[canary]\nsize = -1", "is -1, outside 0 to 10000"),
        ("[canary]\nmax_failure_ratio = 1.5", "is not a number from 0.0 to 1.0"),
        ("[qlik]\nrevoke_by_filter = \"no\"", "is text, not true or false"),
        ("[prove]\nmethod = \"faith\"", "write \"client_credentials\" or \"none\""),
        ("[log]\nlevel = \"inof\"", "which is not a log filter"),
        ("[log]\nlevel = \"sqlx=loud\"", "which is not a log filter"),
        ("[profiles.default]\nscopes = \"user_default\"", "is text, not a list"),
    ] {
        let fault = fault_of(more);
        assert!(fault.contains(part), "{more}: {fault}");
    }
}

#[test]
fn regions_have_names_and_hosts_of_their_own() {
    let second = |name: &str, host: &str| {
        let more = format!(
            "[[regions]]\nname = {name:?}\nhosts = [{host:?}]\nclient_id = \"c\"\nclient_secret = \"s\""
        );
        fault_of(&more)
    };

    let same_name = second("us", "*.eu.qlikcloud.com");
    let same_host = second("eu", "*.us.qlikcloud.com");
    let bad_host = second("eu", "https://acme.eu.qlikcloud.com");
    let bad_name = second("e u", "*.eu.qlikcloud.com");

    assert!(same_name.contains("is \"us\", and so is regions[0].name"), "{same_name}");
    assert!(same_host.contains("which is in regions[0].hosts already"), "{same_host}");
    assert!(bad_host.contains("no scheme, port, path"), "{bad_host}");
    assert!(bad_name.starts_with("regions[1].name (config/prod.toml) is \"e u\""), "{bad_name}");
}

#[test]
fn a_profile_keeps_to_the_limits_of_qlik() {
    let long = "x".repeat(513);
    let six: Vec<_> = (0..6).map(|index| format!("https://a.example/{index}")).collect();
    for (line, part) in [
        (format!("client_name = {long:?}"), "has 513 characters, more than 512"),
        ("client_name = \" \"".to_owned(), "is empty"),
        (format!("description = {:?}", "x".repeat(4011)), "more than 4010: shorten it by 1"),
        (format!("redirect_uris = {six:?}"), "holds 6 entries, more than 5"),
        (format!("redirect_uris = [\"https://{long}\"]"), "an entry of more than 256 characters"),
        ("redirect_uris = [\"https://a.example\", \"https://a.example\"]".to_owned(), "twice"),
        ("redirect_uris = [\"http://a.example\"]".to_owned(), "http:// is for localhost only"),
        ("redirect_uris = [\"http://localhost.evil.example\"]".to_owned(), "http:// is for localhost only"),
        ("allowed_origins = [\"https://a.example/path\"]".to_owned(), "without a path"),
        ("scopes = []".to_owned(), "name at least one"),
    ] {
        let fault = fault_of(&format!("[profiles.default]\n{line}"));
        assert!(fault.contains(part), "{line}: {fault}");
    }
    assert!(given("[profiles.default]\nredirect_uris = [\"http://localhost:3000/cb\"]").is_ok());
    assert!(given(&format!("[profiles.default]\ndescription = {:?}", "x".repeat(4010))).is_ok());
    assert!(fault_of("[profiles.\"a.b\"]").contains("is no name for a profile"));
}

#[test]
fn what_is_merely_unwise_runs_with_a_warning() {
    let (_, warnings) = given(
        r#"
        [qlik]
        settle = "5s"
        [prove]
        method = "none"
        [audit]
        every = "never"
        repair = true
        [budget]
        changes_per_hour = 4
        [canary]
        size = 5
        max_failure_ratio = 1
        "#,
    )
    .unwrap();

    let keys: Vec<_> = warnings.iter().map(|Warning { key, .. }| key.as_str()).collect();
    let told = ["qlik.settle", "prove.method", "audit.repair", "canary.size", "canary.max_failure_ratio"];
    assert_eq!(keys, told);
}

#[test]
fn sound_choices_of_what_the_daemon_does_by_itself_are_not_warned_about() {
    for more in [
        "[rotation]\nevery = \"90d\"",
        "[audit]\nrepair = true",
        "[audit]\nevery = \"never\"",
        "[budget]\nchanges_per_hour = 5\nremovals_per_hour = 1",
        "[canary]\nsize = 0\nmax_failure_ratio = 1.0",
        "[qlik]\nrevoke_by_filter = true",
    ] {
        let (_, warnings) = given(more).unwrap();
        assert_eq!(warnings, [], "{more}");
    }
}

#[test]
fn a_port_that_others_reach_asks_for_a_token() {
    let scratch = Scratch::new("door");
    let path = scratch.private_file("token", "token-of-prometheus\n");
    for open in ["0.0.0.0:9464", "[::]:9464", "192.0.2.7:9464", "[::ffff:192.0.2.7]:9464"] {
        let listen = format!("[http]\nlisten = \"{open}\"\n");

        let fault = fault_of(&listen);

        assert!(fault.starts_with("http.listen ") && fault.contains("set http.token_file"), "{fault}");
        assert!(given(&format!("{listen}token_file = {path:?}")).is_ok(), "{open}");
        // Who acts is asked anyway, but who looks is not.
        assert!(
            fault_of(&format!("{listen}act_token_file = {path:?}")).contains("http.token_file"),
            "{open}"
        );
    }
    for closed in ["127.0.0.1:9464", "127.8.0.1:9464", "[::1]:9464", "[::ffff:127.0.0.1]:9464"] {
        assert!(given(&format!("[http]\nlisten = \"{closed}\"")).is_ok(), "{closed}");
    }
}

#[test]
fn traces_over_an_open_wire_and_headers_that_go_nowhere_are_warned_of() {
    let headers = "headers = \"Authorization=Bearer%20s3cret\"";
    let endpoint = |url: &str| format!("[traces]\n{headers}\nendpoint = \"{url}\"");
    let warned = |more: &str| given(more).unwrap().1.into_iter().map(|it| it.key).collect::<Vec<_>>();

    assert_eq!(warned(&format!("[traces]\n{headers}")), ["traces.headers"]);
    assert_eq!(warned(&endpoint("http://collector.internal:4318/v1/traces")), ["traces.endpoint"]);
    for url in [
        "https://collector.internal/v1/traces",
        "http://localhost:4318/v1/traces",
        "http://[::1]:4318/v1/traces",
    ] {
        assert_eq!(warned(&endpoint(url)), Vec::<String>::new(), "{url}");
    }
    let open = "[traces]\nendpoint = \"http://collector.internal:4318/v1/traces\"";
    assert_eq!(warned(open), ["traces.endpoint"], "spans name tenants, without headers, too");
}

#[test]
fn headers_of_traces_that_no_request_can_bear_are_refused_without_being_shown() {
    let fault = fault_of("[traces]\nheaders = \"Authorization: s3cret\"");

    assert!(fault.starts_with("traces.headers ") && fault.contains("no name=value"), "{fault}");
    assert!(!fault.contains("s3cret"), "{fault}");
}

#[test]
fn the_two_tokens_differ() {
    let scratch = Scratch::new("same");
    let (looks, acts) = (
        scratch.private_file("looks", "s3cret-of-16-chr\n"),
        scratch.private_file("acts", "alice s3cret-of-16-chr\n"),
    );

    let fault = fault_of(&format!("[http]\ntoken_file = {looks:?}\nact_token_file = {acts:?}"));

    assert!(fault.starts_with("http.act_token_file ") && fault.contains("same token"), "{fault}");
    assert!(!fault.contains("s3cret"), "{fault}");
}
