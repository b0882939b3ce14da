//! The database and the program agree on what a tenant host is.

use sqlx::Row as _;
use tenantd::domain::host::Host;

use crate::support::postgres::test_db;

/// Labels, good and bad, that are put together in every way.
const LABELS: [&str; 24] = [
    "a",
    "acme-42",
    "1",
    "0x7f",
    "0x",
    "0xg",
    "0X1",
    "xn--a",
    "axn--",
    "-a",
    "a-",
    "a_b",
    "A",
    "",
    "é",
    "ß",
    "*",
    "a b",
    "a\n",
    "\u{a0}",
    "\u{663}",
    "a:1",
    "a/",
    "a\u{3002}b",
];

fn hosts() -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for one in LABELS {
        hosts.push(one.to_owned());
        for two in LABELS {
            hosts.push(format!("{one}.{two}"));
            hosts.extend(LABELS.iter().map(|three| format!("{one}.{two}.{three}")));
        }
    }
    for length in 60..70 {
        hosts.push(format!("{}.us.qlikcloud.com", "b".repeat(length)));
        hosts.push(format!("us.qlikcloud.{}", "b".repeat(length)));
    }
    for length in 240..260 {
        hosts.push(format!("{}{}", "b.".repeat(length / 2), "c".repeat(2 - length % 2)));
    }
    hosts.sort();
    hosts.dedup();
    hosts
}

#[tokio::test]
async fn the_database_accepts_exactly_the_hosts_that_the_program_accepts() {
    let db = test_db().await;
    let mut connection = db.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "CREATE FUNCTION pg_temp.is_accepted(host text) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO tenantd.tenants (external_id, host) VALUES (gen_random_uuid()::text, host);
             RETURN true;
         EXCEPTION WHEN check_violation THEN
             RETURN false;
         END $$",
    )
    .execute(&mut *connection)
    .await
    .unwrap();

    let judged = sqlx::query("SELECT host, pg_temp.is_accepted(host) FROM unnest($1::text[]) AS host")
        .bind(hosts())
        .fetch_all(&mut *connection)
        .await
        .unwrap();

    let mut accepted = 0;
    for row in judged {
        let (host, by_database): (String, bool) = (row.get(0), row.get(1));
        assert_eq!(by_database, Host::parse(&host).is_ok(), "{host:?}: {:?}", Host::parse(&host));
        accepted += u32::from(by_database);
    }
    assert!(accepted > 100, "only {accepted} were hosts at all");
}
