//! What the operator has decided: read in layers, checked as a whole, shown without its secrets.
//!
//! Later layers win over earlier ones, key by key: the built-in defaults
//! (`config/default.toml`), the file given by `--config`, the environment
//! (`TENANTD_SECTION__KEY`). [`Layered`] is what the layers say; [`Settings`] is
//! what can run.
//!
//! The rule: **all faults at once, each with its key, where it stood and what to
//! do**, and never a word of a secret. An operator mends a configuration in one
//! round, not in as many rounds as it has mistakes.

mod authority;
mod checked;
mod database;
mod database_url;
mod derived;
mod entry;
mod fault;
mod hidden;
mod layers;
mod marks;
mod misfit;
mod parse;
mod plain_file;
mod profiles;
mod proxy;
mod ranges;
mod raw;
mod reader;
mod regions;
mod rules;
mod secrets;
mod sections;
mod show;
#[cfg(test)]
mod tests;
mod tokens;
mod traces;
mod warnings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

pub use checked::{
    Audit, Collector, Database, History, Http, Log, Objective, Prove, Qlik, Region, Retry, Rotation,
    Settings, Traces, Vault, Worker,
};
pub use database_url::{DatabaseUrl, Place, TlsMode};
pub use fault::{Fault, InvalidSettings, Warning};
pub use marks::{Changed, Marks};
pub use plain_file::certificates;
pub use show::ShownKey;
pub use tokens::{NamedToken, TokenFile};

use secrecy::SecretString;

use crate::domain::host::HostPattern;
use crate::domain::ids::{ProfileName, RegionName};
use crate::domain::profile::Profile;
use crate::domain::rollout::Bounds;

use layers::ConfigFile;
use raw::Tree;
use reader::{Read, Reader};

/// The merged layers, not yet checked.
///
/// Commands that need only a part ask for that part, so that `tenantd migrate`
/// does not fail over a region's secret that only the daemon's user may read. What is wrong
/// with that part is told, and every key that nobody knows, and nothing else.
pub struct Layered {
    tree: Tree,
    file: Option<ConfigFile>,
}

impl Layered {
    /// Merges the built-in defaults, the file and the environment of this process.
    pub fn of_this_process(file: Option<&Path>) -> Result<Self, InvalidSettings> {
        Self::load(file, std::env::vars_os())
    }

    /// Merges the built-in defaults, the file and these variables.
    ///
    /// Only variables named `TENANTD_…__…` are looked at: Kubernetes puts
    /// `TENANTD_PORT` and the like into every pod beside a service called tenantd.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] when the file cannot be read or is no TOML, or when a
    /// variable is not UTF-8.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, InvalidSettings> {
        let file = file.map(ConfigFile::read).transpose()?;
        Self::merge(file, variables)
    }

    fn merge(
        file: Option<ConfigFile>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, InvalidSettings> {
        let tree = Tree::of_layers(file.as_ref(), variables)?;
        Ok(Self { tree, file })
    }

    /// Everything, checked, with what is merely unwise.
    pub fn settings(&self) -> Result<(Settings, Vec<Warning>), InvalidSettings> {
        let mut reader = Reader::new(&self.tree);
        let settings = sections::settings(&mut reader);
        let warnings = warnings::of(&reader, self.file.as_ref());
        let settings = reader.finish(settings)?;
        Ok((settings, warnings))
    }

    /// What is merely unwise, also where there are faults.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut reader = Reader::new(&self.tree);
        // Only what it came across matters here; its faults are `settings`' to tell.
        drop(sections::settings(&mut reader));
        warnings::of(&reader, self.file.as_ref())
    }

    /// Only `[database]`, for commands that need nothing else.
    pub fn database(&self) -> Result<Database, InvalidSettings> {
        self.section(database::database)
    }

    /// Only `[vault]`, for commands that open or seal secrets.
    pub fn vault(&self) -> Result<Vault, InvalidSettings> {
        self.section(sections::vault)
    }

    /// Only `[qlik]`, for commands that must know how long a request may land.
    pub fn qlik(&self) -> Result<Qlik, InvalidSettings> {
        self.section(sections::qlik)
    }

    /// Only `[rotation]`, for commands that promote a secret.
    pub fn rotation(&self) -> Result<Rotation, InvalidSettings> {
        self.section(sections::rotation)
    }

    /// Only `[budget]` and `[canary]`, for commands that show what is left of them.
    pub fn bounds(&self) -> Result<Bounds, InvalidSettings> {
        self.section(sections::bounds)
    }

    /// Only which hosts belong to which of the `[[regions]]`, without their credentials.
    pub fn region_hosts(&self) -> Result<Vec<(HostPattern, RegionName)>, InvalidSettings> {
        self.section(regions::hosts)
    }

    /// The same where something is wrong with some: what can be read of the others.
    #[must_use]
    pub fn readable_hosts(&self) -> Vec<(HostPattern, RegionName)> {
        regions::readable_hosts(&Reader::new(&self.tree))
    }

    /// Only `[profiles.…]`, for commands that judge a row.
    pub fn profiles(&self) -> Result<BTreeMap<ProfileName, Profile>, InvalidSettings> {
        self.section(profiles::profiles)
    }

    /// What each setting is, without what it says, for whoever compares two configurations.
    #[must_use]
    pub fn marks(&self) -> Marks {
        Marks::of(&self.tree)
    }

    /// Only `[http]`, for commands that ask a daemon.
    pub fn http(&self) -> Result<Http, InvalidSettings> {
        self.section(sections::http)
    }

    /// Only `[log]`, for commands that run before or without the rest.
    pub fn log(&self) -> Result<Log, InvalidSettings> {
        self.section(sections::log)
    }

    /// Every key that is set, with where it was set, secrets redacted; in the
    /// order of their names. Works on a faulty configuration too, which is when
    /// it is needed most.
    #[must_use]
    pub fn rows(&self) -> Vec<ShownKey> {
        show::rows(&self.tree)
    }

    /// Every text that must not be told, for whoever looks through what is to leave the machine.
    /// Reads the files that hold secrets.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretString> {
        hidden::texts(&self.tree)
    }

    /// Reads all, because only that tells which keys are unknown, and keeps the
    /// faults of one section.
    fn section<T>(&self, read: fn(&mut Reader<'_>) -> Read<T>) -> Result<T, InvalidSettings> {
        let mut all = Reader::new(&self.tree);
        // Only which keys it asks for matters here; its faults are not this command's.
        drop(sections::settings(&mut all));
        let mut section = all.without_faults();
        let value = read(&mut section);
        section.finish(value)
    }
}

/// Says how much there is, not what: secrets stand in the tree as they were written.
impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("keys", &self.tree.entries().len()).finish_non_exhaustive()
    }
}
