//! What the simulator tells people: how to lead programs to it, and how to look inside.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;

use crate::demo::config::Reach;

/// The whole text, after the line for scripts.
pub(super) fn help(reach: &Reach<'_>) -> String {
    let hosts = reach.patterns().join(" or ");
    [
        format!("A simulated Qlik Cloud. Every host like {hosts} is a tenant."),
        "It forgets everything when it ends, which it does at Ctrl-C.".to_owned(),
        String::new(),
        "In the configuration of tenantd:".to_owned(),
        indented(&format!("[qlik]\n{}\n{}", reach.qlik_keys(), reach.region())),
        "A token, as any program would ask for one:".to_owned(),
        indented(&ask_for_token(reach)),
        "What really happened, whoever was told what:".to_owned(),
        indented(&ask(reach, "ledger")),
        "Make a user, for programs that sign somebody in:".to_owned(),
        indented(&make_user(reach)),
    ]
    .join("\n")
}

fn ask_for_token(reach: &Reach<'_>) -> String {
    let host = host(reach);
    let body = json!({
        "client_id": reach.client_id,
        "client_secret": reach.client_secret.expose_secret(),
        "grant_type": "client_credentials",
    });
    format!(
        "curl --cacert {} --connect-to ::{} https://{host}/oauth/token \\\n  -H 'content-type: application/json' -d {}",
        file(reach.ca_file),
        reach.addr,
        for_shell(&body.to_string()),
    )
}

fn ask(reach: &Reach<'_>, what: &str) -> String {
    let port = reach.addr.port();
    format!(
        "curl --cacert {} --connect-to ::{} https://localhost:{port}/__simulator/{what}",
        file(reach.ca_file),
        reach.addr
    )
}

fn make_user(reach: &Reach<'_>) -> String {
    let body = json!({"host": host(reach), "subject": "auth0|42", "email": "ada@acme.example"});
    format!(
        "{} \\\n  -H 'content-type: application/json' -d {}",
        ask(reach, "users"),
        for_shell(&body.to_string())
    )
}

/// A tenant of the simulator's.
fn host(reach: &Reach<'_>) -> String {
    format!("acme.{}", reach.suffixes.first().map_or("", String::as_str))
}

fn file(path: &Path) -> String {
    for_shell(&path.display().to_string())
}

/// One word for a POSIX shell.
fn for_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("    {line}") })
        .collect();
    format!("\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn the_commands_stand_ready_for_a_shell_whatever_the_secret_is() {
        let secret = SecretString::from("it's \"odd\"");
        let reach = Reach {
            addr: "127.0.0.1:8443".parse().unwrap(),
            ca_file: Path::new("/tmp/my ca.pem"),
            suffixes: &["us.qlikcloud.com".to_owned()],
            client_id: "region",
            client_secret: &secret,
        };

        let text = help(&reach);

        for part in [
            "--cacert '/tmp/my ca.pem' --connect-to ::127.0.0.1:8443 https://acme.us.qlikcloud.com/oauth/token",
            r#""client_secret":"it'\''s \"odd\"""#,
            r#"client_secret = "it's \"odd\"""#,
            r#"hosts = ["*.us.qlikcloud.com"]"#,
            "https://localhost:8443/__simulator/ledger",
            "https://localhost:8443/__simulator/users \\\n",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
