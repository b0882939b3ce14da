//! Client secrets: made, shown once, known by a hint afterwards.
//!
//! The rule: at most five live secrets per client, the sixth is a 409.

use chrono::{DateTime, Utc};

use super::behaviour::HintSpelling;
use super::endpoint::Endpoint;
use super::problem::Problem;
use super::records::{Plaintext, Secret, SecretView};
use super::tenants::Caller;
use super::world::{Moment, State};

/// Most live secrets of one client.
pub(super) const MOST_SECRETS: usize = 5;

/// A secret in the one answer that shows it.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Minted {
    pub secret: Plaintext,
    /// What everybody may see of it.
    pub view: SecretView,
    /// Whether the answer shows the hint.
    pub shows_hint: bool,
}

impl Minted {
    /// The hint, where the answer shows it.
    #[must_use]
    pub fn shown_hint(&self) -> Option<&str> {
        self.shows_hint.then_some(self.view.hint.as_str())
    }
}

impl State {
    /// A fresh secret; `first` is the hint of the client's first one.
    pub(super) fn new_secret(
        &mut self,
        first: Option<&str>,
        now: DateTime<Utc>,
        by: &str,
    ) -> (Secret, Minted) {
        let sentinel = &self.behaviour.sentinel;
        let random = self.rng.hex(64_usize.saturating_sub(sentinel.len()).max(16));
        let text = format!("{sentinel}{random}");
        let hint = match first {
            Some(first) if self.behaviour.twin_hints => first.to_owned(),
            Some(_) | None => self.rng.hex(5),
        };
        let view = SecretView { hint: hint.clone(), created_at: now, created_by: by.to_owned() };
        let shows_hint = self.behaviour.hint.draw(&mut self.rng) != HintSpelling::Neither;
        let minted = Minted { secret: Plaintext::new(text.clone()), view, shows_hint };
        let kept = Secret {
            plaintext: Plaintext::new(text),
            hint,
            created_at: now,
            created_by: by.to_owned(),
            deleted_at: None,
        };
        (kept, minted)
    }
}

impl Moment<'_> {
    /// Makes a further secret.
    ///
    /// # Errors
    ///
    /// 400 for a client that has no use for secrets, 409 for the sixth.
    pub fn mint_secret(&mut self, caller: Caller<'_>, id: &str) -> Result<Minted, Problem> {
        let admitted = self.admit_admin(caller, Endpoint::MintSecret)?;
        self.make_secret(caller.host, &admitted.user_id, id)
    }

    /// Makes a further secret for a user who may.
    pub(super) fn make_secret(&mut self, host: &str, by: &str, id: &str) -> Result<Minted, Problem> {
        let now = self.now;
        let client = self.tenant(host)?.live_client(id)?;
        if !client.draft.uses_secrets() {
            return Err(Problem::invalid("only web clients with client_secret have secrets"));
        }
        if client.live_secrets().count() >= MOST_SECRETS {
            return Err(Problem::conflict("max number of client secrets is 5"));
        }
        let first = client.secrets.first().map(|secret| secret.hint.clone());
        let (kept, minted) = self.state.new_secret(first.as_deref(), now, by);
        self.tenant(host)?.live_client(id)?.keep(kept, now);
        Ok(minted)
    }

    /// Deletes the oldest live secret with this hint.
    ///
    /// # Errors
    ///
    /// 404 without such a secret; 400 for the last one, where the switch says so.
    pub fn delete_secret(&mut self, caller: Caller<'_>, id: &str, hint: &str) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::DeleteSecret)?;
        self.remove_secret(caller.host, id, hint)
    }

    /// Deletes a secret for a user who may.
    pub(super) fn remove_secret(&mut self, host: &str, id: &str, hint: &str) -> Result<(), Problem> {
        let (now, may_be_last) = (self.now, self.state.behaviour.delete_last_secret);
        let client = self.tenant(host)?.live_client(id)?;
        let live = client.live_secrets().count();
        let secret = client.secrets.iter_mut().find(|secret| secret.is_live() && secret.hint == hint);
        let secret = secret.ok_or_else(|| Problem::not_found("client secret"))?;
        if live == 1 && !may_be_last {
            return Err(Problem::invalid("the last client secret cannot be deleted"));
        }
        secret.deleted_at = Some(now);
        client.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::behaviour::Behaviour;
    use crate::simulator::draft::Draft;
    use crate::simulator::testing::{HOST, draft, instant, region_token, world};

    fn given_client(behaviour: Behaviour) -> (crate::simulator::World, String, String) {
        let world = world(behaviour);
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let id = world.at(instant(0)).create_client(caller, draft("acme"), false).unwrap().client_id;
        (world, token, id)
    }

    #[test]
    fn the_sixth_secret_is_a_conflict_until_one_is_deleted() {
        let (world, token, id) = given_client(Behaviour::default());
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(1));
        let hints: Vec<String> = (0..4).map(|_| moment.mint_secret(caller, &id).unwrap().view.hint).collect();

        assert_eq!(moment.mint_secret(caller, &id).unwrap_err().status, 409);
        moment.delete_secret(caller, &id, &hints[2]).unwrap();
        assert!(moment.mint_secret(caller, &id).is_ok());
        assert_eq!(moment.delete_secret(caller, &id, &hints[2]).unwrap_err().status, 404);
        assert!(hints.iter().all(|hint| hint.len() <= 5));
    }

    #[test]
    fn the_last_secret_goes_only_where_the_switch_allows_it() {
        for (allowed, expected) in [(true, None), (false, Some(400))] {
            let behaviour = Behaviour { delete_last_secret: allowed, ..Behaviour::default() };
            let (world, token, id) = given_client(behaviour);
            let caller = Caller { host: HOST, bearer: Some(&token) };
            let mut moment = world.at(instant(1));
            let hint = moment.get_client(caller, &id).unwrap().secrets[0].hint.clone();

            let refused = moment.delete_secret(caller, &id, &hint).err().map(|problem| problem.status);

            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn a_native_client_has_no_secrets() {
        let (world, token, _) = given_client(Behaviour::default());
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(1));
        let native = Draft { app_type: "native".into(), allowed_grant_types: vec![], ..draft("phone") };
        let created = moment.create_client(caller, native, false).unwrap();

        assert!(created.secret.is_none());
        assert_eq!(moment.mint_secret(caller, &created.client_id).unwrap_err().status, 400);
    }

    #[test]
    fn secrets_carry_the_sentinel_and_twins_share_a_hint() {
        let (world, token, id) =
            given_client(Behaviour { sentinel: "SENTINEL".into(), twin_hints: true, ..Behaviour::default() });
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(1));

        let minted = moment.mint_secret(caller, &id).unwrap();

        assert!(minted.secret.reveal().starts_with("SENTINEL"));
        assert_eq!(minted.secret.reveal().len(), 64);
        let secrets = moment.get_client(caller, &id).unwrap().secrets;
        assert_eq!(secrets[0].hint, secrets[1].hint);
        assert!(!format!("{minted:?}").contains("SENTINEL"));
    }
}
