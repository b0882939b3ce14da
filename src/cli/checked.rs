//! The configuration together with the files it names.
//!
//! The rule: faults of the keyring and of certificates are listed with all others and in
//! the same form, so that nobody has to start again for each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::message::Message;
use crate::qlik::{Cloud, CloudOptions};
use crate::settings::{self, Fault, InvalidSettings, Layered, Settings, ShownKey};
use crate::system::SystemClock;
use crate::vault::{Keyring, KeyringFault};

/// The settings, when nothing is wrong with them nor with any file they name.
pub(super) fn settings(layered: &Layered) -> Result<Settings, InvalidSettings> {
    let settings = layered.settings().map(|(settings, _)| settings);
    let mut faults = settings.as_ref().err().map_or_else(Vec::new, |invalid| invalid.faults().to_vec());
    faults.extend(named_files(&layered.rows()));
    match settings {
        Ok(settings) if faults.is_empty() => Ok(settings),
        Ok(_) | Err(_) => Err(InvalidSettings::new(faults)),
    }
}

/// What is wrong with the files that only their readers can judge.
fn named_files(rows: &[ShownKey]) -> impl Iterator<Item = Fault> {
    let fault_of = |key: &str, judge: fn(&Path) -> Option<(String, String)>| {
        let row = rows.iter().find(|row| row.key == key)?;
        let (problem, remedy) = judge(Path::new(&row.value))?;
        Some(Fault { key: row.key.clone(), origin: Some(row.origin.clone()), problem, remedy })
    };
    let (ca, keyring) = (fault_of("qlik.ca_file", ca), fault_of("vault.keyring_file", keyring));
    ca.into_iter().chain(keyring)
}

fn keyring(path: &Path) -> Option<(String, String)> {
    let fault = Keyring::load(path).err()?.fault;
    let relation = match fault {
        KeyringFault::Key { .. } | KeyringFault::SameKid { .. } => "in which",
        KeyringFault::Unreadable(_)
        | KeyringFault::NotAFile
        | KeyringFault::TooOpen { .. }
        | KeyringFault::TooLarge { .. }
        | KeyringFault::NotAKeySet { .. }
        | KeyringFault::Unseen { .. }
        | KeyringFault::Empty => "which",
    };
    let Message { problem, remedy } = fault.message();
    let remedy = remedy.unwrap_or_else(|| "restore it from a backup".to_owned());
    Some((format!("names {}, {relation} {problem}", path.display()), remedy))
}

fn ca(path: &Path) -> Option<(String, String)> {
    let shown = path.display();
    match settings::certificates(path) {
        Err(error) => Some((
            format!("names {shown}, which cannot be read: {error}"),
            "name a file that the user tenantd runs as may read".to_owned(),
        )),
        Ok(pem) => (!is_trusted(pem)).then(|| {
            let problem = format!("names {shown}, which holds no readable PEM certificate");
            (problem, "write the authority's certificate into it, from BEGIN to END".to_owned())
        }),
    }
}

/// Whether the adapter takes these certificates; sends nothing.
fn is_trusted(pem: Vec<u8>) -> bool {
    let never_used = Duration::from_secs(1);
    let options = CloudOptions {
        request_timeout: never_used,
        connect_timeout: never_used,
        read_timeout: never_used,
        ca_pem: Some(pem),
        connect_to: None,
        proxy: None,
    };
    Cloud::new(&options, HashMap::new(), Arc::new(SystemClock::start())).is_ok()
}
