//! What a session is opened with; what it must show before it is used is in `checks`.
//!
//! Nothing of a role's or database's own defaults may change what our statements mean:
//! they are written for `read committed`, and a commit that was answered must be on disk.
//!
//! The rule: **work is done only on the database that was recognised** (`crate::postgres::operator::rejoin`):
//! asked when a connection is opened, because a server does not move under one, and within
//! every transaction where a pooler may.

use sqlx::postgres::PgConnectOptions;

pub use crate::domain::pooler::Pooler;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Work on tenants: what is read is acted on at Qlik.
    Work,
    /// A person's command, or the schema's owner.
    Command,
    /// Whoever asks over HTTP.
    Api,
}

/// How sessions are opened.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// What for.
    pub purpose: Purpose,
    /// Through what.
    pub pooler: Pooler,
}

// Compiling (jit) a statement as large as ours takes seconds, and is begun whenever a table that was
// never analysed looks expensive: nobody does.

/// The work's statements are run over and over and their plans do not depend on the
/// values: planning each anew cost a quarter of its time. None takes long, nor waits
/// long for a lock. A client that the network swallowed is noticed, and what it held
/// is let go.
const WORK: [(&str, &str); 11] = [
    (MARK, "work"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
];
/// What is asked by hand or over HTTP differs each time, and so do the plans. A person may have
/// asked for much, and waits so long and no longer; for what somebody else has locked not as long,
/// because nothing tells that it is this that is waited for. Less than half of the 15 seconds that are
/// promised: who stands in line waits twice, for its turn and then for the row, and each is counted anew.
const COMMAND: [(&str, &str); 6] = [
    (MARK, "command"),
    ("default_transaction_isolation", "read committed"),
    ("plan_cache_mode", "force_custom_plan"),
    ("jit", "off"),
    ("statement_timeout", "10min"),
    ("lock_timeout", "7s"),
];
/// The server gives it up when we do.
const API: [(&str, &str); 8] = [
    (MARK, "api"),
    ("plan_cache_mode", "force_custom_plan"),
    ("jit", "off"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "8s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("client_connection_check_interval", "1s"),
];
/// Nobody else sets it: where a session does not have it, the others are missing too.
const MARK: &str = "tenantd.session";
/// The same for each transaction through a pooler, which keeps no session of ours.
const POOLED_WORK: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '4s';
    SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL jit = off;
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    SELECT tenantd.assert_place()";
const POOLED_API: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '8s'; SET LOCAL lock_timeout = '4s';
    SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL jit = off";
const POOLED_COMMAND: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '7s'; SET LOCAL jit = off";

impl Session {
    /// These options, for such sessions.
    pub(super) fn applied_to(self, options: PgConnectOptions) -> PgConnectOptions {
        match (self.pooler, self.purpose) {
            (Pooler::None, Purpose::Work) => options.options(WORK),
            (Pooler::None, Purpose::Command) => options.options(COMMAND),
            (Pooler::None, Purpose::Api) => options.options(API),
            // A pooler refuses what it does not know at the start of a session, and keeps
            // no prepared statement.
            (Pooler::Transaction, _) => options.statement_cache_capacity(0).extra_float_digits(None),
        }
    }

    /// How a transaction begins.
    pub(super) const fn begin(self) -> &'static str {
        match (self.pooler, self.purpose) {
            (Pooler::None, _) => "BEGIN",
            (Pooler::Transaction, Purpose::Work) => POOLED_WORK,
            (Pooler::Transaction, Purpose::Command) => POOLED_COMMAND,
            (Pooler::Transaction, Purpose::Api) => POOLED_API,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each session says, and each transaction through a pooler.
    fn all_say(option: &str, local: &str) {
        for purpose in [Purpose::Work, Purpose::Command, Purpose::Api] {
            let options = Session { purpose, pooler: Pooler::None }.applied_to(PgConnectOptions::new());
            let begin = Session { purpose, pooler: Pooler::Transaction }.begin();

            assert!(options.get_options().unwrap_or_default().contains(option), "{purpose:?}");
            assert!(begin.contains(local), "{begin}");
        }
    }

    #[test]
    fn nobody_waits_long_for_what_another_has_locked() {
        all_say("lock_timeout=", "SET LOCAL lock_timeout = ");
    }

    #[test]
    fn a_command_waits_for_its_turn_and_then_for_the_row_in_the_time_that_is_promised() {
        let (_, each) = COMMAND.iter().find(|(name, _)| *name == "lock_timeout").expect("it has one");
        let seconds: u64 = each.strip_suffix('s').and_then(|number| number.parse().ok()).expect("seconds");

        assert!(2 * seconds <= 15, "docs/cli.md promises less: {each}");
        assert!(POOLED_COMMAND.contains(&format!("lock_timeout = '{each}'")), "{POOLED_COMMAND}");
    }

    #[test]
    fn nobody_compiles_a_statement() {
        all_say("jit=off", "SET LOCAL jit = off");
    }
}
