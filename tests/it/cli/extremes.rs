//! Every value that an owner may write, at its least, greatest, infinite and empty: it is
//! refused by a constraint that says so, or the daemon and every command live with it.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::SystemClock;

use crate::support::fleet::Fleet;
use crate::support::process::Home;
use crate::support::rig::SUFFIX;

/// A column, a value, and the constraint that refuses it.
const VALUES: [(&str, &str, Option<&str>); 38] = [
    ("desired_version", "1", None),
    ("desired_version", "0", Some("desired_version_is_positive")),
    ("desired_version", "-2147483648", Some("desired_version_is_positive")),
    ("desired_version", "1000000", None),
    ("desired_version", "2147483647", Some("desired_version_is_not_ahead_of_time")),
    ("desired_version", "2147483648", Some("")),
    ("desired_version", "NULL", Some("")),
    ("not_before", "NULL", None),
    ("not_before", "'-infinity'", None),
    ("not_before", "'infinity'", Some("not_before_is_before_year_10000")),
    ("not_before", "'4714-11-24 00:00:00+00 BC'", None),
    ("not_before", "'0001-01-01 00:00:00+00'", None),
    ("not_before", "'9999-12-31 23:59:59.999999+00'", None),
    ("not_before", "'10000-01-01 00:00:00+00'", Some("not_before_is_before_year_10000")),
    ("not_before", "'294276-12-31 23:59:59+00'", Some("not_before_is_before_year_10000")),
    ("priority", "-100", None),
    ("priority", "100", None),
    ("priority", "101", Some("priority_is_minus_100_to_100")),
    ("priority", "-2147483648", Some("priority_is_minus_100_to_100")),
    ("profile", "repeat('p', 200)", None),
    ("profile", "''", Some("profile_is_1_to_200_bytes")),
    ("client_name", "NULL", None),
    ("client_name", "''", Some("client_name_is_1_to_512_characters")),
    ("client_name", "repeat(chr(120000), 512)", None),
    ("client_name", "E'\\t\\n'", None),
    ("redirect_uris", "NULL", None),
    ("redirect_uris", "'{}'", None),
    ("redirect_uris", "ARRAY['https://a.example/' || repeat('x', 238)]", None),
    ("redirect_uris", "ARRAY[NULL]::text[]", Some("redirect_uris_have_no_null")),
    ("labels", "'{}'", None),
    ("labels", "NULL", Some("")),
    ("labels", "'null'", Some("labels_are_an_object")),
    ("labels", "jsonb_build_object('', repeat('x', 16000))", None),
    ("labels", "jsonb_build_object('n', 1e300)", None),
    ("labels", "jsonb_build_object('n', -1e301)", Some("labels_hold_no_number_beyond_1e300")),
    ("desired_state", "'absent'", None),
    ("desired_state", "''", Some("desired_state_is_present_or_absent")),
    ("desired_state", "NULL", Some("")),
];

/// Writes as an owner does; says which constraint refused it, if one did.
async fn write(connection: &mut PgConnection, statement: String) -> Result<(), String> {
    match sqlx::query(AssertSqlSafe(statement)).execute(connection).await {
        Ok(done) if done.rows_affected() == 1 => Ok(()),
        Ok(done) => panic!("{done:?}"),
        Err(sqlx::Error::Database(error)) => Err(error.constraint().unwrap_or_default().to_owned()),
        Err(error) => panic!("{error}"),
    }
}

async fn inserted(fleet: &Fleet, name: &str, column: &str, value: &str) -> Result<(), String> {
    let mut connection = PgConnection::connect(&fleet.db.url).await.unwrap();
    let statement = format!(
        "INSERT INTO tenantd.tenants (external_id, host, {column}) VALUES ('{name}', '{name}.{SUFFIX}', {value})"
    );
    write(&mut connection, statement).await
}

async fn updated(fleet: &Fleet, name: &str, column: &str, value: &str) -> Result<(), String> {
    let mut connection = PgConnection::connect(&fleet.db.url).await.unwrap();
    write(
        &mut connection,
        format!("UPDATE tenantd.tenants SET {column} = {value} WHERE external_id = '{name}'"),
    )
    .await
}

/// Every command that looks, on each of these tenants; none dies of what it sees.
fn look(home: &Home, names: &[String]) {
    let looks = ["show", "history", "explain"];
    let each = names.iter().flat_map(|name| looks.map(|look| vec!["tenant", look, name.as_str()]));
    let all = [vec!["tenant", "list"], vec!["fleet", "status"]];
    for mut arguments in each.chain(all) {
        for format in ["table", "json"] {
            arguments.extend(["--output", format]);
            let output = home.output(&arguments);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
            arguments.truncate(arguments.len() - 2);
        }
    }
}

fn serve(home: &Home) {
    let output = home.output(&["run", "--once"]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // One is parked: nobody configured its profile.
    assert_eq!(output.status.code(), Some(4), "{said}");
    for word in ["panicked", "Defect", "ERROR"] {
        assert!(!said.contains(word), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_accepts_the_daemon_and_every_command_live_with() {
    let behaviour = Behaviour { rate_limits: None, ..Behaviour::default() };
    let fleet = Fleet::new(World::new(behaviour, FaultPlan::none(), 81)).await;
    let home = Home::for_fleet(&fleet, "extremes", "qlik.settle = \"1s\"\n");
    let mut names = Vec::new();
    for (number, (column, value, refusal)) in VALUES.iter().enumerate() {
        let name = format!("t{number}");
        fleet.world.at(SystemClock::start().now()).add_tenant(&format!("{name}.{SUFFIX}"));
        let refused = inserted(&fleet, &name, column, value).await.err();
        assert_eq!(refused.as_deref(), *refusal, "INSERT {column} = {value}");
        names.extend(refused.is_none().then_some(name));
    }
    look(&home, &names);
    serve(&home);
    look(&home, &names);

    for name in &names {
        for (column, value, refusal) in VALUES {
            let refused = updated(&fleet, name, column, value).await.err();
            assert_eq!(refused.as_deref(), refusal, "UPDATE {column} = {value}");
        }
    }
    look(&home, &names);
}
