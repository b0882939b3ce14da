//! The mark that tells our clients from everybody else's.
//!
//! Names of Qlik's clients are not unique and its create call has no
//! idempotency key, so every client we make carries
//! `[tenantd:1:<installation>:<tenant>]` in its description. Admins may write
//! around it.
//!
//! The rule: what bears no mark of this installation is never touched.

use std::fmt;

use uuid::Uuid;

use super::ids::{InstallationId, TenantId};

/// The mark of one tenant's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The database of tenants the client belongs to.
    pub installation: InstallationId,
    /// The row it was made for.
    pub tenant: TenantId,
}

/// Whose a client is, as far as its description says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It bears the mark of this very row.
    ThisTenant,
    /// It bears the mark of another row of this installation.
    OtherTenant(TenantId),
    /// It bears no mark of this installation.
    Stranger,
}

const OPEN: &str = "[tenantd:1:";

impl Mark {
    /// Bytes that a mark takes in a description.
    pub const BYTES: usize = OPEN.len() + 36 + 1 + 36 + 1;

    /// Reads a description: this row's own mark wins over any other in it.
    #[must_use]
    pub fn owner_of(&self, description: &str) -> Owner {
        let mut owner = Owner::Stranger;
        for mark in marks_in(description) {
            if mark == *self {
                return Owner::ThisTenant;
            }
            if mark.installation == self.installation && owner == Owner::Stranger {
                owner = Owner::OtherTenant(mark.tenant);
            }
        }
        owner
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPEN}{}:{}]", self.installation, self.tenant)
    }
}

/// Every mark in a description, of whatever installation.
pub fn marks_in(description: &str) -> impl Iterator<Item = Mark> {
    description.split(OPEN).skip(1).filter_map(|rest| read(rest).map(|(mark, _)| mark))
}

/// The description without the marks that are unwanted; whatever else was written stays.
#[must_use]
pub fn without(description: &str, is_unwanted: impl Fn(&Mark) -> bool) -> String {
    let mut parts = description.split(OPEN);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match read(part) {
            Some((mark, rest)) if is_unwanted(&mark) => kept.push_str(rest),
            Some(_) | None => {
                kept.push_str(OPEN);
                kept.push_str(part);
            }
        }
    }
    kept
}

/// A mark whose opening was read, and what follows it.
fn read(text: &str) -> Option<(Mark, &str)> {
    let (body, rest) = text.split_once(']')?;
    let (installation, tenant) = body.split_once(':')?;
    let mark = Mark {
        installation: InstallationId(hyphenated(installation)?),
        tenant: TenantId(hyphenated(tenant)?),
    };
    Some((mark, rest))
}

/// Only the form we write: the parser of `uuid` would also take braces and URNs.
fn hyphenated(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Mark =
        Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };

    #[test]
    fn a_mark_is_found_anywhere_in_an_edited_description() {
        let edited = format!("Owned by team blue. {MINE} Do not delete! [tenantd:1:broken]");

        assert_eq!(MINE.to_string().len(), Mark::BYTES);
        assert_eq!(MINE.owner_of(&MINE.to_string()), Owner::ThisTenant);
        assert_eq!(MINE.owner_of(&edited), Owner::ThisTenant);
    }

    #[test]
    fn only_this_installation_is_ours() {
        let sibling = Mark { tenant: TenantId(Uuid::from_u128(3)), ..MINE };
        let foreign = Mark { installation: InstallationId(Uuid::from_u128(9)), ..MINE };

        assert_eq!(MINE.owner_of(&sibling.to_string()), Owner::OtherTenant(sibling.tenant));
        assert_eq!(MINE.owner_of(&foreign.to_string()), Owner::Stranger);
        assert_eq!(MINE.owner_of(&format!("{sibling}{MINE}")), Owner::ThisTenant);
        assert_eq!(MINE.owner_of("[tenantd:2:nothing]"), Owner::Stranger);
        assert_eq!(MINE.owner_of("created by tenantd"), Owner::Stranger);
    }

    #[test]
    fn marks_are_taken_out_and_words_are_not() {
        let sibling = Mark { tenant: TenantId(Uuid::from_u128(3)), ..MINE };
        let text = format!("a {sibling}b [tenantd:1:broken] {MINE}");

        let kept = without(&text, |mark| *mark == sibling);

        assert_eq!(kept, format!("a b [tenantd:1:broken] {MINE}"));
        assert_eq!(marks_in(&text).collect::<Vec<_>>(), [sibling, MINE]);
        assert_eq!(without(&text, |_| false), text);
    }
}
