//! What a URL gives, under the names that the driver knows it by.
//!
//! The rule: a name that nobody knows may be the rest of a password, so it is never
//! said; only words that stand in this file are.

use super::super::authority::decoded;
use super::super::misfit::Misfit;

/// Everything that the driver (sqlx-postgres 0.9, `options/parse.rs`) takes from a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Host,
    HostAddr,
    Port,
    User,
    Password,
    Database,
    TlsMode,
    RootCert,
    ClientCert,
    /// The key of that certificate.
    Pem,
    StatementCache,
    ApplicationName,
    Options,
}

/// The spellings of each; the first is the one of libpq, by which it is told.
const SPELLINGS: [(Key, &[&str]); 13] = [
    (Key::Host, &["host"]),
    (Key::HostAddr, &["hostaddr"]),
    (Key::Port, &["port"]),
    (Key::User, &["user"]),
    (Key::Password, &["password"]),
    (Key::Database, &["dbname"]),
    (Key::TlsMode, &["sslmode", "ssl-mode"]),
    (Key::RootCert, &["sslrootcert", "ssl-root-cert", "ssl-ca"]),
    (Key::ClientCert, &["sslcert", "ssl-cert"]),
    (Key::Pem, &["sslkey", "ssl-key"]),
    (Key::StatementCache, &["statement-cache-capacity"]),
    (Key::ApplicationName, &["application_name"]),
    (Key::Options, &["options"]),
];

/// Parameters of libpq (PostgreSQL 18) and of other drivers that this one does not
/// know. Well known, so they may be named.
const OTHERS: [&str; 52] = [
    "channel_binding",
    "channelBinding",
    "client_encoding",
    "connect_timeout",
    "connectTimeout",
    "connection_limit",
    "currentSchema",
    "database",
    "encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "pgbouncer",
    "pool_max_conns",
    "pool_timeout",
    "prepareThreshold",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "scram_client_key",
    "scram_server_key",
    "schema",
    "search_path",
    "service",
    "servicefile",
    "socketTimeout",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "statement_cache_size",
    "statement_timeout",
    "target_session_attrs",
    "tcp_user_timeout",
];

impl Key {
    fn word(self) -> &'static str {
        SPELLINGS.iter().find(|(key, _)| *key == self).map_or("", |(_, words)| words[0])
    }
}

/// What was given, and what was wrong with it.
#[derive(Default)]
pub(super) struct Given {
    values: Vec<(Key, String)>,
    /// `options[NAME]=VALUE`
    named_options: Vec<(String, String)>,
    faults: Vec<Misfit>,
}

impl Given {
    pub(super) fn fault(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.add_fault(Misfit::new(problem, remedy));
    }

    pub(super) fn add_fault(&mut self, misfit: Misfit) {
        self.faults.push(misfit);
    }

    pub(super) fn into_faults(self) -> Vec<Misfit> {
        self.faults
    }

    pub(super) fn has_any(&self, keys: &[Key]) -> bool {
        self.values.iter().any(|(key, _)| keys.contains(key))
    }

    /// Takes a part as it is written.
    pub(super) fn add(&mut self, key: Key, part: &str) {
        match decoded(part) {
            Ok(value) => self.values.push((key, value)),
            Err(misfit) => self.faults.push(misfit),
        }
    }

    /// Takes what stands behind the question mark.
    pub(super) fn add_parameters(&mut self, query: &str) {
        if query.contains('+') {
            let remedy = "write %2B for a + and %20 for a blank";
            self.fault("has a + in its parameters, which some take for a blank", remedy);
            return;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).unwrap_or_default();
            let known = SPELLINGS.iter().find(|(_, words)| words.contains(&name.as_str()));
            let option = name.strip_prefix("options[").and_then(|it| it.strip_suffix(']'));
            match (known, option) {
                (Some((key, _)), _) => self.add(*key, value),
                (None, Some(option)) => self.add_option(option, value),
                (None, None) => self.refuse_unknown(&name),
            }
        }
    }

    fn add_option(&mut self, name: &str, value: &str) {
        if !is_parameter_of_the_server(name) || self.named_options.iter().any(|(other, _)| other == name) {
            let remedy = "write options[NAME]=VALUE once for each, as in options[geqo]=off";
            self.fault("has options[…] with no name of a setting, or with one twice", remedy);
            return;
        }
        match decoded(value) {
            Ok(value) => self.named_options.push((name.to_owned(), value)),
            Err(misfit) => self.faults.push(misfit),
        }
    }

    fn refuse_unknown(&mut self, name: &str) {
        let words = SPELLINGS.map(|(_, words)| words[0]).join(", ");
        if OTHERS.contains(&name) {
            let remedy = format!("remove it; known are {words} and options[NAME]");
            self.fault(format!("has the parameter {name}, which this driver does not know"), remedy);
        } else {
            let problem = "has a parameter that is not known (it is not shown: it may be part of a password)";
            let remedy =
                format!("known are {words} and options[NAME]; in a password write %3F for ? and %26 for &");
            self.fault(problem, remedy);
        }
    }

    /// `postgres://user@localhost/database?host=/directory` is how a socket is named
    /// where a URL must have a host.
    pub(super) fn let_a_socket_replace_the_host(&mut self) {
        let is_socket = |(key, value): &(Key, String)| *key == Key::Host && value.starts_with('/');
        if self.values.iter().filter(|given| is_socket(given)).count() == 1 {
            self.values.retain(|given| given.0 != Key::Host || is_socket(given));
        }
    }

    /// The text of a key that may be left out, but is neither empty nor repeated.
    pub(super) fn take_text(&mut self, key: Key) -> Option<String> {
        let mut all = self.values.iter().filter(|(given, _)| *given == key).map(|(_, value)| value);
        let word = key.word();
        match (all.next()?, all.next()) {
            (value, None) if !value.is_empty() => return Some(value.clone()),
            (_, None) => self.fault(format!("has an empty {word}"), "write one, or leave it out"),
            (_, Some(_)) => self.fault(format!("gives {word} more than once"), "keep one"),
        }
        None
    }

    /// The value of a key that may be left out, if its text is one.
    pub(super) fn take<T>(&mut self, key: Key, parse: fn(&str) -> Result<T, Misfit>) -> Option<T> {
        let text = self.take_text(key)?;
        parse(&text).map_err(|misfit| self.faults.push(misfit)).ok()
    }

    /// The settings of the server for our sessions, in the order in which the driver would send them.
    pub(super) fn take_options(&mut self) -> Vec<(String, String)> {
        let written = self.take(Key::Options, written_options).unwrap_or_default();
        written.into_iter().chain(std::mem::take(&mut self.named_options)).collect()
    }
}

/// `-c name=value`, `-cname=value` and `--name=value`, separated by blanks, with `\`
/// before a blank that is part of a value (PostgreSQL documentation, "libpq", `options`).
fn written_options(text: &str) -> Result<Vec<(String, String)>, Misfit> {
    let mut words = words(text).into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (None, Some("")) => words.next(),
            (Some(setting), _) | (None, Some(setting)) => Some(setting.to_owned()),
            (None, None) => None,
        };
        let setting = setting.as_deref().and_then(|it| it.split_once('='));
        let Some((name, value)) = setting.filter(|(name, _)| is_parameter_of_the_server(name)) else {
            let remedy = "write -c NAME=VALUE for each setting, or options[NAME]=VALUE";
            return Err(Misfit::new("has options that set nothing", remedy));
        };
        options.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(options)
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '\\' if !is_escaped => is_escaped = true,
            ' ' if !is_escaped => words.push(std::mem::take(&mut word)),
            _ => {
                is_escaped = false;
                word.push(c);
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a text can name a setting of PostgreSQL, as in `statement_timeout` or `my.setting`.
fn is_parameter_of_the_server(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}
