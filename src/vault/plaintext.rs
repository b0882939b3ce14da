//! What is inside a sealed secret: the secret, and the row it belongs to.
//!
//! The rule: nothing is handed out before the row was compared. A ciphertext that was
//! copied to another row still names its own, and is caught by that.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::open_error::OpenError;
use crate::domain::host::Host;
use crate::domain::ids::{ClientId, TenantId};
use crate::domain::secret::ClientSecret;

/// The row that a sealed secret belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFor<'a> {
    /// The row's id.
    pub tenant_id: TenantId,
    /// The tenant's host.
    pub host: &'a Host,
    /// The OAuth client whose secret it is.
    pub client_id: &'a ClientId,
}

/// The members, in the order that we write.
#[derive(Serialize)]
struct Written<'a> {
    tenant_id: String,
    host: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
}

/// The members as they are read. Further ones are left to later versions.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Opened {
    tenant_id: String,
    host: String,
    client_id: String,
    client_secret: String,
}

/// The plaintext for a row and its secret.
pub(super) fn write(row: &SealedFor<'_>, secret: &ClientSecret) -> Zeroizing<Vec<u8>> {
    let written = Written {
        tenant_id: row.tenant_id.to_string(),
        host: row.host.as_str(),
        client_id: row.client_id.as_str(),
        client_secret: secret.expose_to_vault(),
    };
    let mut buffer = Zeroizing::new(Vec::with_capacity(written.capacity()));
    // Cannot fail: four texts are always JSON, and a Vec takes all that is written.
    serde_json::to_writer(&mut *buffer, &written).expect("four texts are JSON");
    buffer
}

/// The secret in a plaintext, if it belongs to `row`.
pub(super) fn read(plaintext: &[u8], row: &SealedFor<'_>) -> Result<ClientSecret, OpenError> {
    let mut opened: Opened = serde_json::from_slice(plaintext).map_err(|_| OpenError::NotASecret)?;
    for (field, sealed, expected) in [
        ("tenant_id", &opened.tenant_id, row.tenant_id.to_string().as_str()),
        ("host", &opened.host, row.host.as_str()),
        ("client_id", &opened.client_id, row.client_id.as_str()),
    ] {
        if sealed != expected {
            return Err(OpenError::WrongRow { field });
        }
    }
    Ok(ClientSecret::new(std::mem::take(&mut opened.client_secret)))
}

impl Written<'_> {
    /// Room for the worst case, six bytes a character (`\u001f`): a buffer that
    /// had to grow would leave a copy of the secret behind.
    fn capacity(&self) -> usize {
        let texts = [&self.tenant_id, self.host, self.client_id, self.client_secret];
        128 + 6 * texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_never_grows_even_where_every_character_is_escaped() {
        let written = Written {
            tenant_id: String::new(),
            host: "",
            client_id: "",
            client_secret: &"\u{1f}".repeat(1000),
        };

        assert!(serde_json::to_vec(&written).unwrap().len() <= written.capacity());
    }
}
