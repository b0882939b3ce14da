//! What an administrator of a tenant does in Qlik's console.
//!
//! For tests and scripts: no credential is asked for, no limit counts, no fault
//! applies, and the ledger counts no call. The world changes as if a person had
//! done it, some of which no request of the API can do.

use super::clients::Created;
use super::draft::Draft;
use super::problem::Problem;
use super::records::{ADMIN, Client};
use super::secrets::Minted;
use super::users::NewUser;
use super::world::Moment;

/// The console of one tenant, with an administrator before it.
pub struct Console<'m, 'w> {
    moment: &'m mut Moment<'w>,
    host: String,
    admin: String,
}

impl<'w> Moment<'w> {
    /// Opens a tenant's console as the administrator with this subject, who is
    /// made where missing.
    ///
    /// # Errors
    ///
    /// As [`Moment::me`] for a tenant that does not serve; 400 without a subject.
    pub fn console<'m>(&'m mut self, host: &str, subject: &str) -> Result<Console<'m, 'w>, Problem> {
        let known = self.tenant(host)?.users.iter().any(|user| user.subject == subject);
        if !known {
            self.seed_user(host, NewUser { subject: subject.to_owned(), ..NewUser::default() })?;
        }
        let users = &mut self.tenant(host)?.users;
        let admin = users.iter_mut().find(|user| user.subject == subject);
        let admin = admin.ok_or_else(|| Problem::not_found("user"))?;
        if !admin.is_admin() {
            admin.roles.push(ADMIN.to_owned());
        }
        let admin = admin.id.clone();
        Ok(Console { moment: self, host: host.to_owned(), admin })
    }
}

impl Console<'_, '_> {
    /// The administrator's user id.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Makes a client.
    pub fn add_client(&mut self, draft: Draft, is_trusted: bool) -> Result<Created, Problem> {
        self.moment.make_client(&self.host, &self.admin, draft, is_trusted)
    }

    /// Makes a further secret of a client.
    pub fn add_secret(&mut self, id: &str) -> Result<Minted, Problem> {
        self.moment.make_secret(&self.host, &self.admin, id)
    }

    /// Deletes a secret of a client.
    pub fn delete_secret(&mut self, id: &str, hint: &str) -> Result<(), Problem> {
        self.moment.remove_secret(&self.host, id, hint)
    }

    /// Changes any field of a client, checked by no limit.
    pub fn edit(&mut self, id: &str, edit: impl FnOnce(&mut Draft)) -> Result<(), Problem> {
        self.change(id, |client| edit(&mut client.draft))
    }

    /// Sets a client's consent to `trusted` or back to `required`.
    pub fn set_trusted(&mut self, id: &str, is_trusted: bool) -> Result<(), Problem> {
        self.change(id, |client| client.is_trusted = is_trusted)
    }

    /// Disables a client with this `disableTag`, or enables it.
    pub fn set_disable_tag(&mut self, id: &str, tag: Option<&str>) -> Result<(), Problem> {
        self.change(id, |client| client.disable_tag = tag.map(str::to_owned))
    }

    /// Deletes a client. Tokens it has and its bot user stay.
    pub fn delete_client(&mut self, id: &str) -> Result<(), Problem> {
        let now = self.moment.now;
        self.change(id, |client| client.deleted_at = Some(now))
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Client)) -> Result<(), Problem> {
        let now = self.moment.now;
        let client = self.moment.tenant(&self.host)?.live_client(id)?;
        change(client);
        client.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::simulator::behaviour::Behaviour;
    use crate::simulator::endpoint::Endpoint;
    use crate::simulator::tenants::Caller;
    use crate::simulator::testing::{HOST, draft, instant, region_token, world};

    #[test]
    fn a_person_can_change_everything_about_a_client_and_no_call_is_counted() {
        let world = world(Behaviour::default());
        let mut moment = world.at(instant(0));
        let mut console = moment.console(HOST, "ada").unwrap();
        let made = console.add_client(draft("theirs"), false).unwrap();
        let (id, secret) = (made.client_id, made.secret.unwrap());
        let minted = console.add_secret(&id).unwrap();
        let admin = console.admin().to_owned();
        console.edit(&id, |draft| draft.allowed_scopes = vec!["admin_classic".into()]).unwrap();
        console.set_trusted(&id, true).unwrap();
        drop(moment);

        let ledger = world.at(instant(1)).ledger();
        let client = ledger.tenants[HOST].client(&id).unwrap();

        assert_eq!((client.owner_id.as_str(), client.secrets[1].created_by.as_str()), (&*admin, &*admin));
        assert_eq!(
            (client.draft.allowed_scopes.join(" ").as_str(), client.is_trusted),
            ("admin_classic", true)
        );
        assert_eq!((ledger.calls.len(), ledger.requests_to(HOST), client.most_secrets), (0, 0, 2));

        let mut moment = world.at(instant(2));
        assert!(moment.accepts(HOST, &id, secret.reveal()));
        moment.console(HOST, "ada").unwrap().delete_secret(&id, &made.hint.unwrap()).unwrap();
        assert!(!moment.accepts(HOST, &id, secret.reveal()));
        assert!(moment.accepts(HOST, &id, minted.secret.reveal()));
        moment.console(HOST, "ada").unwrap().delete_client(&id).unwrap();
        assert!(!moment.accepts(HOST, &id, minted.secret.reveal()));
        assert_eq!(moment.console(HOST, "ada").unwrap().edit(&id, |_| ()).unwrap_err().status, 404);
        assert_eq!(moment.ledger().tenants[HOST].users, 1, "the same administrator each time");
    }

    #[test]
    fn a_disabled_client_shows_its_tag_and_no_credential_of_it_works() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let mut moment = world.at(instant(0));
        let made = moment.create_client(caller, draft("ours"), true).unwrap();
        let (id, secret) = (made.client_id, made.secret.unwrap());
        let mut disable = |tag| {
            moment.console(HOST, "ada").unwrap().set_disable_tag(&id, tag).unwrap();
            let shown = moment.get_client(caller, &id).unwrap().disable_tag;
            (shown, moment.accepts(HOST, &id, secret.reveal()))
        };

        assert_eq!(disable(Some("by-admin")), (Some("by-admin".to_owned()), false));
        assert_eq!(disable(None), (None, true));
    }

    #[test]
    fn whoever_asks_whether_a_credential_works_leaves_no_trace() {
        let world = world(Behaviour::default());
        let mut moment = world.at(instant(0));
        let made = moment.console(HOST, "ada").unwrap().add_client(draft("theirs"), true).unwrap();
        let before = moment.ledger();

        assert!(moment.accepts(HOST, &made.client_id, made.secret.unwrap().reveal()));
        assert!(!moment.accepts(HOST, &made.client_id, "wrong"));

        let after = moment.ledger();
        assert_eq!(after.tenants[HOST].clients, before.tenants[HOST].clients);
        assert_eq!((after.tenants[HOST].users, after.tenants[HOST].tokens), (1, 0));
        assert!(!after.tenants[HOST].has_bot_of(&made.client_id));
        assert_eq!(after.calls_of(Endpoint::ClientToken, Some(200)), 0);
    }
}
