//! A bad row harms only itself: it is refused at the insert, by a constraint
//! whose name reads as the reason.

use sqlx::{AssertSqlSafe, PgPool};
use tenantd::domain::filter::Filter;
use tenantd::domain::ids::Holder;
use tenantd::postgres::Store;
use uuid::Uuid;

use crate::support::postgres::connections;
use crate::support::roles::{DAEMON, PIPELINE, Refused, test_db_with_roles, try_as};

use super::given_pending;

/// The constraint that refuses, the column, and an SQL expression for its value.
pub(super) const BAD: &[(&str, &str, &str)] = &[
    ("external_id_is_1_to_200_bytes", "external_id", "''"),
    ("external_id_is_1_to_200_bytes", "external_id", "repeat('x', 201)"),
    ("external_id_is_1_to_200_bytes", "external_id", "repeat('x', 1000000)"),
    ("external_id_is_1_to_200_bytes", "external_id", "repeat('ü', 101)"),
    ("external_id_is_unique", "external_id", "'taken'"),
    ("host_is_unique", "host", "'taken.us.qlikcloud.com'"),
    ("host_has_no_scheme", "host", "'https://acme.us.qlikcloud.com'"),
    ("host_has_no_port", "host", "'acme.us.qlikcloud.com:443'"),
    ("host_has_no_port", "host", "'acme.us.qlikcloud.com:'"),
    ("host_has_no_path", "host", "'acme.us.qlikcloud.com/'"),
    ("host_has_no_path", "host", "'https://acme.us.qlikcloud.com/login'"),
    ("host_has_no_path", "host", "'acme.us.qlikcloud.com?x=1'"),
    ("host_has_no_path", "host", "'acme.us.qlikcloud.com#x'"),
    ("host_has_no_space", "host", "'acme us.qlikcloud.com'"),
    ("host_has_no_space", "host", "' acme.us.qlikcloud.com'"),
    ("host_has_no_space", "host", r"E'acme.us.qlikcloud.com\n'"),
    ("host_has_no_upper_case", "host", "'Acme.us.qlikcloud.com'"),
    ("host_has_no_wildcard", "host", "'*.us.qlikcloud.com'"),
    ("host_has_no_trailing_dot", "host", "'acme.us.qlikcloud.com.'"),
    ("host_is_no_international_name", "host", "'xn--mnchen-3ya.us.qlikcloud.com'"),
    ("host_is_no_ip_address", "host", "'10.0.0.1'"),
    ("host_is_no_ip_address", "host", "'1.2.3.0x7f'"),
    ("host_is_no_ip_address", "host", "'acme.us.0x'"),
    ("host_is_at_most_253_bytes", "host", "repeat('abcdefgh.', 28) || 'ab'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "''"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'münchen.us.qlikcloud.com'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'acme..qlikcloud.com'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'-acme.us.qlikcloud.com'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'acme_42.us.qlikcloud.com'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'me@acme.us.qlikcloud.com'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "'[::1]'"),
    ("host_labels_are_1_to_63_letters_digits_hyphens", "host", "repeat('a', 64) || '.us.qlikcloud.com'"),
    ("host_labels_are_three_or_more", "host", "'qlikcloud.com'"),
    ("profile_is_1_to_200_bytes", "profile", "''"),
    ("profile_is_1_to_200_bytes", "profile", "repeat('x', 201)"),
    ("client_name_is_1_to_512_characters", "client_name", "''"),
    ("client_name_is_1_to_512_characters", "client_name", "repeat('x', 513)"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['http://a.example']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['a.example/callback']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['ftp://a.example']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['https:///x']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['https://']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['javascript:alert(1)//https://a.example']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['http://localhost.evil.example/']"),
    ("redirect_uris_are_https", "redirect_uris", "ARRAY['https://a.example', 'http://a.example']"),
    ("redirect_uris_have_no_space", "redirect_uris", "ARRAY['https://a.example/c b']"),
    ("redirect_uris_have_no_space", "redirect_uris", r"ARRAY[E'https://a.example/\n']"),
    ("redirect_uris_have_no_null", "redirect_uris", "ARRAY['https://a.example', NULL]"),
    ("redirect_uris_are_unique", "redirect_uris", "ARRAY['https://a.example', 'https://a.example']"),
    ("redirect_uris_are_a_plain_list", "redirect_uris", "ARRAY[ARRAY['https://a.example']]"),
    (
        "redirect_uris_are_at_most_5",
        "redirect_uris",
        "ARRAY(SELECT 'https://a.example/' || n FROM generate_series(1, 6) AS n)",
    ),
    (
        "redirect_uris_are_at_most_256_characters",
        "redirect_uris",
        "ARRAY['https://a.example/' || repeat('x', 239)]",
    ),
    ("desired_state_is_present_or_absent", "desired_state", "'gone'"),
    ("desired_version_is_positive", "desired_version", "0"),
    ("priority_is_minus_100_to_100", "priority", "101"),
    ("priority_is_minus_100_to_100", "priority", "-101"),
    ("not_before_is_before_year_10000", "not_before", "'infinity'"),
    ("not_before_is_before_year_10000", "not_before", "'10000-01-01Z'"),
    ("labels_are_an_object", "labels", "'[]'"),
    ("labels_are_an_object", "labels", "'\"text\"'"),
    ("labels_are_an_object", "labels", "'null'"),
    ("labels_are_at_most_16_kib", "labels", "jsonb_build_object('k', repeat('x', 16384))"),
    (
        "labels_are_at_most_64_levels_deep",
        "labels",
        "(repeat('{\"k\":', 64) || '[1]' || repeat('}', 64))::jsonb",
    ),
    ("labels_hold_no_number_beyond_1e300", "labels", "'{\"k\": [1, {\"n\": -1e400}]}'"),
];

/// Values on the right side of every border.
const GOOD: &[(&str, &str)] = &[
    ("external_id", "'x'"),
    ("external_id", "repeat('x', 200)"),
    ("external_id", "repeat('ü', 100)"),
    ("external_id", r#"E'with space, "quotes", \x1b[31m and\nmore'"#),
    ("host", "repeat('a', 63) || '.us.qlikcloud.com'"),
    ("host", "repeat('abcdefgh.', 28) || 'a'"),
    ("host", "'1.2.3.0xg'"),
    ("profile", "repeat('x', 200)"),
    ("client_name", "repeat('ü', 512)"),
    ("redirect_uris", "ARRAY[]::text[]"),
    ("redirect_uris", "ARRAY(SELECT 'https://a.example/' || n FROM generate_series(1, 5) AS n)"),
    ("redirect_uris", "ARRAY['https://a.example/' || repeat('x', 238)]"),
    ("redirect_uris", "ARRAY['http://localhost', 'http://localhost:8080/cb', 'http://localhost/cb']"),
    ("desired_state", "'absent'"),
    ("priority", "100"),
    ("priority", "-100"),
    ("not_before", "'9999-12-31Z'"),
    ("not_before", "'-infinity'"),
    ("labels", "(repeat('{\"k\":', 64) || '1e300' || repeat('}', 64))::jsonb"),
    ("labels", "jsonb_build_object('k', repeat('x', 16000))"),
];

#[tokio::test]
async fn every_bad_row_is_refused_in_words_that_name_the_reason() {
    let db = test_db_with_roles().await;
    given_pending(&db.pool, "taken").await;
    for (constraint, column, value) in BAD {
        let code = if constraint.ends_with("_is_unique") { "23505" } else { "23514" };

        let done = insert(&db.pool, column, value).await;

        let refused = Refused { code: code.into(), constraint: Some((*constraint).to_owned()) };
        assert_eq!(done, Err(refused), "{column} = {value}");
    }
}

#[tokio::test]
async fn rows_at_the_border_are_accepted() {
    let db = test_db_with_roles().await;
    for (column, value) in GOOD {
        assert_eq!(insert(&db.pool, column, value).await, Ok(1), "{column} = {value}");
    }
}

/// One row that cannot be read must not hide all others.
#[tokio::test]
async fn every_accepted_row_can_be_listed() {
    let db = test_db_with_roles().await;
    let store = Store::open(connections(&db.url, Some(DAEMON)), Holder(Uuid::nil())).await.unwrap();
    for (column, value) in GOOD {
        let insert = insert_of(column, value);
        sqlx::raw_sql(AssertSqlSafe(insert)).execute(&db.pool).await.unwrap();

        store
            .list(&Filter::default(), "", 100)
            .await
            .unwrap_or_else(|error| panic!("{column} = {value}: {error}"));
        sqlx::raw_sql("TRUNCATE tenantd.tenants CASCADE").execute(&db.pool).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_missing_or_no_text_at_all_is_refused_too() {
    let db = test_db_with_roles().await;
    for (code, column, value) in [
        ("23502", "host", "NULL"),
        ("23502", "external_id", "NULL"),
        ("23502", "profile", "NULL"),
        ("23502", "labels", "NULL"),
        ("22P05", "labels", r#"'{"k": "\u0000"}'"#),
        ("22021", "external_id", r"E'a\000'"),
        ("22P02", "labels", "'{'"),
    ] {
        let done = insert(&db.pool, column, value).await;

        assert_eq!(done.map_err(|refused| refused.code), Err(code.to_owned()), "{column} = {value}");
    }
}

/// Inserts a row that is good but for one column, as a pipeline.
async fn insert(pool: &PgPool, column: &str, value: &str) -> Result<u64, Refused> {
    try_as(pool, PIPELINE, &insert_of(column, value)).await
}

fn insert_of(column: &str, value: &str) -> String {
    let mut row = vec![("external_id", "'row'"), ("host", "'row.us.qlikcloud.com'")];
    row.retain(|(name, _)| *name != column);
    row.push((column, value));
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    format!("INSERT INTO tenantd.tenants ({}) VALUES ({})", columns.join(", "), values.join(", "))
}
