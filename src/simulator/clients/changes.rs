//! Changes to a client that lives: its fields and its consent.
//!
//! The rule: a change is all or nothing, and `appType` never changes.

use crate::simulator::draft::Draft;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::problem::Problem;
use crate::simulator::secrets::Minted;
use crate::simulator::tenants::Caller;
use crate::simulator::world::Moment;

impl Moment<'_> {
    /// Changes what a client says of itself. A client that comes to need a secret
    /// gets one, which only this answer shows.
    ///
    /// # Errors
    ///
    /// 404; 400 for a broken limit or a new `appType`; what `edit` refuses.
    pub fn edit_client(
        &mut self,
        caller: Caller<'_>,
        id: &str,
        edit: impl FnOnce(&Draft) -> Result<Draft, Problem>,
    ) -> Result<Option<Minted>, Problem> {
        let admitted = self.admit_admin(caller, Endpoint::PatchClient)?;
        let now = self.now;
        let client = self.tenant(caller.host)?.live_client(id)?;
        let edited = edit(&client.draft)?;
        edited.check()?;
        if edited.app_type != client.draft.app_type {
            return Err(Problem::invalid("appType never changes"));
        }
        let needs_secret = edited.uses_secrets() && client.live_secrets().next().is_none();
        client.draft = edited;
        client.updated_at = now;
        if !needs_secret {
            return Ok(None);
        }
        let (kept, minted) = self.state.new_secret(None, now, &admitted.user_id);
        self.tenant(caller.host)?.live_client(id)?.keep(kept, now);
        Ok(Some(minted))
    }

    /// Whether the client's consent is `trusted`; otherwise it is `required`.
    pub fn is_trusted(&mut self, caller: Caller<'_>, id: &str) -> Result<bool, Problem> {
        self.admit_admin(caller, Endpoint::GetConsent)?;
        Ok(self.tenant(caller.host)?.live_client(id)?.is_trusted)
    }

    /// Sets the client's consent to `trusted` or back to `required`.
    pub fn set_trusted(&mut self, caller: Caller<'_>, id: &str, is_trusted: bool) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::SetConsent)?;
        let now = self.now;
        let client = self.tenant(caller.host)?.live_client(id)?;
        client.is_trusted = is_trusted;
        client.updated_at = now;
        Ok(())
    }
}
