//! Tenants added, listed, shown and retried.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::Bench;

/// The names in a JSON object.
fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

async fn columns(bench: &Bench, relation: &str) -> BTreeSet<String> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns
          WHERE table_schema = 'tenantd' AND table_name = $1",
    )
    .bind(relation)
    .fetch_all(&bench.db.pool)
    .await
    .unwrap();
    names.into_iter().collect()
}

#[tokio::test]
async fn a_row_that_breaks_a_rule_is_refused_with_the_rule_and_what_to_change() {
    let bench = Bench::new().await;
    bench.given_tenant("taken").await;
    let good = "a.us.qlikcloud.com";
    let [long_id, long_label, long_host] = [
        "x".repeat(201),
        format!("{}.us.qlikcloud.com", "x".repeat(64)),
        format!("{}a.b", "abcdefg.".repeat(32)),
    ];
    let [long_name, long_uri] = ["x".repeat(513), format!("https://{}", "x".repeat(256))];
    let six: Vec<String> = (0..6).map(|n| format!("--redirect-uri=https://a{n}.example")).collect();
    let six: Vec<&str> = ["a", good].into_iter().chain(six.iter().map(String::as_str)).collect();
    let (empty_name, long_name) = ("--client-name=", format!("--client-name={long_name}"));
    let long_uri = format!("--redirect-uri={long_uri}");

    for (words, rule, advice) in [
        (&["", good][..], "external_id_is_1_to_200_bytes", "a key of 1 to 200 bytes"),
        (&[&long_id, good], "external_id_is_1_to_200_bytes", "a key of 1 to 200 bytes"),
        (&["a", "a.us.qlikcloud.com/x"], "host_has_no_path", "slash"),
        (&["a", "a.us.qlikcloud.com:443"], "host_has_no_port", "colon"),
        (&["a", "https://a.us.qlikcloud.com"], "host_has_no_scheme", "https://"),
        (&["a", "a .us.qlikcloud.com"], "host_has_no_space", "space"),
        (&["a", "a.us.qlikcloud.com."], "host_has_no_trailing_dot", "dot"),
        (&["a", "A.us.qlikcloud.com"], "host_has_no_upper_case", "lower case"),
        (&["a", "*.us.qlikcloud.com"], "host_has_no_wildcard", "one tenant"),
        (&["a", &long_host], "host_is_at_most_253_bytes", "real host name"),
        (&["a", "xn--a.us.qlikcloud.com"], "host_is_no_international_name", "ASCII"),
        (&["a", "10.0.0.1"], "host_is_no_ip_address", "host name"),
        (&["a", "taken.us.qlikcloud.com"], "host_is_unique", "tenantd tenant list"),
        (&["a", "-a.us.qlikcloud.com"], "host_labels_are_1_to_63_letters_digits_hyphens", "acme42"),
        (&["a", &long_label], "host_labels_are_1_to_63_letters_digits_hyphens", "acme42"),
        (&["a", "qlikcloud.com"], "host_labels_are_three_or_more", "in full"),
        (&["a", good, "--redirect-uri=https://a b"], "redirect_uris_have_no_space", "%20"),
        (
            &["a", good, "--redirect-uri=https://a", "--redirect-uri=https://a"],
            "redirect_uris_are_unique",
            "once",
        ),
        (&["a", good, "--profile="], "profile_is_1_to_200_bytes", "[profiles.NAME]"),
        (&["a", good, empty_name], "client_name_is_1_to_512_characters", "another name"),
        (&["a", good, &long_name], "client_name_is_1_to_512_characters", "another name"),
        (&["a", good, "--priority=101"], "priority_is_minus_100_to_100", "0 is usual"),
        (&["a", good, "--redirect-uri=http://a.example"], "redirect_uris_are_https", "localhost"),
        (&["a", good, &long_uri], "redirect_uris_are_at_most_256_characters", "shorten it"),
        (&six, "redirect_uris_are_at_most_5", "leave some out"),
    ] {
        let words: Vec<&str> = ["tenant", "add", "--"].into_iter().chain(words.iter().copied()).collect();
        // Options come before `--`, which lets a host begin with a hyphen.
        let (options, places): (Vec<&str>, Vec<&str>) =
            words[3..].iter().partition(|word| word.starts_with("--"));
        let words: Vec<&str> =
            ["tenant", "add"].into_iter().chain(options).chain(["--"]).chain(places).collect();

        let ran = bench.tenantd(&words).await;

        ran.assert_refused(2, &[&format!("the row breaks the rule {rule}: "), advice]);
    }
    assert_eq!(
        bench.tenantd(&["tenant", "list", "--output", "json"]).await.json().as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn adding_twice_is_harmless_and_another_host_under_the_same_key_is_not_swallowed() {
    let bench = Bench::new().await;
    let add = |host| ["tenant", "add", "customer-1", host, "--output", "json"];

    let first = bench.tenantd(&add("a.us.qlikcloud.com")).await;
    let again = bench.tenantd(&add("a.us.qlikcloud.com")).await;
    let other = bench.tenantd(&add("b.us.qlikcloud.com")).await;

    assert_eq!((first.code, again.code), (0, 0), "{first:?} {again:?}");
    assert_eq!(first.json()["tenant_id"], again.json()["tenant_id"]);
    other.assert_refused(2, &["customer-1 is there already, with host a.us.qlikcloud.com"]);
}

#[tokio::test]
async fn json_has_the_columns_of_the_contract_and_rfc_3339_instants() {
    let bench = Bench::new().await;
    bench.given_tenant("customer-1").await;
    bench
        .sql(
            "INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, trace_id, started_at, duration_ms, holder)
             SELECT tenant_id, 'creating', 'create', 'throttled', 429, 'trace', now(), 7, gen_random_uuid() FROM tenantd.tenants",
        )
        .await;

    let list = bench.tenantd(&["tenant", "list", "--output", "json"]).await.json();
    let show = bench.tenantd(&["tenant", "show", "customer-1", "--output", "json"]).await.json();
    let history = bench.tenantd(&["tenant", "history", "customer-1", "--output", "json"]).await.json();

    let status = columns(&bench, "status").await;
    assert_eq!(names(&list[0]), status);
    assert_eq!(names(&show), status.into_iter().chain(["attempts".to_owned()]).collect());
    assert!(names(&history[0]).is_subset(&columns(&bench, "attempts").await), "{history}");
    assert_eq!((&history[0]["http_status"], &history[0]["duration_ms"]), (&429.into(), &7.into()));
    assert_eq!(show["attempts"], history);
    let created_at = list[0]["created_at"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(created_at).is_ok(), "{created_at}");
}

#[tokio::test]
async fn a_list_is_narrowed_down_and_says_when_there_is_more() {
    let bench = Bench::new().await;
    for id in ["a", "b", "c"] {
        bench.given_tenant(id).await;
    }
    bench.park("b", "NameTaken").await;
    let ids = |ran: &super::support::Ran| -> Vec<String> {
        ran.json()
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["external_id"].as_str().unwrap().to_owned())
            .collect()
    };

    let parked = bench.tenantd(&["tenant", "list", "--parked", "--output", "json"]).await;
    let reason = bench.tenantd(&["tenant", "list", "--reason", "Queued", "--output", "json"]).await;
    let cut = bench.tenantd(&["tenant", "list", "--limit", "2", "--output", "json"]).await;
    let none = bench.tenantd(&["tenant", "list", "--phase", "ready"]).await;

    assert_eq!(ids(&parked), ["b"]);
    assert_eq!(ids(&reason), ["a", "c"]);
    assert_eq!((ids(&cut).len(), cut.stderr.contains("there are more than these 2")), (2, true), "{cut:?}");
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "no tenant matches\n"));
}

#[tokio::test]
async fn tables_tell_the_reason_the_remedy_and_relative_times_and_never_steer_the_terminal() {
    let bench = Bench::new().await;
    bench.given_tenant("customer-1").await;
    bench.park("customer-1", "NameTaken").await;
    bench.sql("UPDATE tenantd.tenants SET reason_since = now() - interval '3 minutes'").await;
    bench.sql("UPDATE tenantd.tenants SET message = E'do this\\x1b[2J'").await;

    let ran = bench.tenantd(&["tenant", "list"]).await;
    let show = bench.tenantd(&["tenant", "show", "customer-1"]).await;

    let row = ran.stdout.lines().find(|line| line.starts_with("customer-1")).unwrap();
    for part in ["NameTaken", "3m ago", "do this"] {
        assert!(row.contains(part) && show.stdout.contains(part), "{part}: {row}\n{}", show.stdout);
    }
    assert!(ran.stdout.contains("do this\\u{1b}[2J") && !ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn an_unknown_tenant_is_a_failure_that_says_where_to_look() {
    let bench = Bench::new().await;
    for words in
        [&["tenant", "show", "nobody"], &["tenant", "history", "nobody"], &["tenant", "wait", "nobody"]]
    {
        let ran = bench.tenantd(words).await;

        ran.assert_refused(1, &["\"nobody\"", "tenantd tenant list"]);
    }
}

#[tokio::test]
async fn retry_un_parks_what_it_can_and_says_so_for_each() {
    let bench = Bench::new().await;
    for (id, reason) in [("a", "NameTaken"), ("b", "GaveUp"), ("c", "NameTaken")] {
        bench.given_tenant(id).await;
        bench.park(id, reason).await;
    }

    let one = bench.tenantd(&["tenant", "retry", "nobody", "a"]).await;
    let again = bench.tenantd(&["tenant", "retry", "a"]).await;

    assert_eq!((one.code, one.stdout.as_str()), (1, "a is due at once\n"), "{one:?}");
    assert!(one.stderr.contains("\"nobody\""), "{one:?}");
    assert!(again.code == 0 && again.stdout.starts_with("nothing to do: a is not ready yet"), "{again:?}");
}

#[tokio::test]
async fn adding_a_host_whose_holder_is_removed_says_what_makes_room() {
    let bench = Bench::new().await;
    bench
        .sql("INSERT INTO tenantd.tenants (external_id, host, desired_state) VALUES ('old', 'a.us.qlikcloud.com', 'absent')")
        .await;

    let looked_at = bench.tenantd(&["tenant", "add", "new", "a.us.qlikcloud.com"]).await;
    bench.sql("UPDATE tenantd.tenants SET recheck_at = '2100-01-01Z', due_at = '2100-01-01Z'").await;
    let not_yet = bench.tenantd(&["tenant", "add", "new", "a.us.qlikcloud.com"]).await;

    for (ran, advice) in
        [(looked_at, "DELETE FROM tenantd.tenants WHERE external_id = 'old'"), (not_yet, "2100-01-01")]
    {
        assert_eq!(ran.code, 2, "{ran:?}");
        let rule = "host_is_unique: host a.us.qlikcloud.com is held by tenant old, which is removed; ";
        assert!(ran.stderr.contains(rule) && ran.stderr.contains(advice), "{ran:?}");
    }
}
