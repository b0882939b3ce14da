//! Users, most of them bots.
//!
//! The rule: a client's first token makes its bot user `qlikbot\<clientId>` with
//! the role `TenantAdmin`, and deleting the client leaves that user behind.

use super::endpoint::Endpoint;
use super::problem::Problem;
use super::query::{Cut, Filter, Paging, cut};
use super::records::{ADMIN, User, subject_of_bot};
use super::tenants::Caller;
use super::world::Moment;

/// A user to be made.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct NewUser {
    /// Must be unique and not empty.
    pub subject: String,
    pub name: String,
    /// E-mail address, or empty.
    pub email: String,
}

/// One page of users.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct UserPage {
    pub users: Vec<User>,
    /// The cursor of the page before.
    pub prev: Option<String>,
    /// The cursor of the page after.
    pub next: Option<String>,
}

/// The attributes a list can be filtered by.
pub(super) const FILTERS: [&str; 6] = ["id", "subject", "name", "email", "status", "clientId"];

impl Moment<'_> {
    /// The tenant's id and the user the caller's token stands for.
    ///
    /// # Errors
    ///
    /// 401 without a good token.
    pub fn me(&mut self, caller: Caller<'_>) -> Result<(String, User), Problem> {
        let admitted = self.admit(caller, Endpoint::Me)?;
        let tenant = self.tenant(caller.host)?;
        let user = tenant.users.iter().find(|user| user.id == admitted.user_id);
        let user = user.cloned().ok_or_else(Problem::unauthorized)?;
        Ok((tenant.id.clone(), user))
    }

    /// One page of users.
    ///
    /// # Errors
    ///
    /// 400 for a cursor that names nothing.
    pub fn list_users(
        &mut self,
        caller: Caller<'_>,
        filter: &Filter,
        paging: &Paging,
    ) -> Result<UserPage, Problem> {
        self.admit(caller, Endpoint::ListUsers)?;
        let tenant = self.tenant(caller.host)?;
        let all: Vec<&User> = tenant.users.iter().collect();
        let shown = |user: &User| filter.matches(|name| user.attribute(name));
        let Cut { items, prev, next, .. } = cut(&all, |user| &user.id, shown, paging)?;
        Ok(UserPage { users: items.into_iter().cloned().collect(), prev, next })
    }

    /// Makes a user.
    ///
    /// # Errors
    ///
    /// 400 without a subject, 409 for one in use.
    pub fn create_user(&mut self, caller: Caller<'_>, new: NewUser) -> Result<User, Problem> {
        self.admit_admin(caller, Endpoint::CreateUser)?;
        self.seed_user(caller.host, new)
    }

    /// Makes a user without asking who wants it, for tests and scripts.
    pub fn seed_user(&mut self, host: &str, new: NewUser) -> Result<User, Problem> {
        let (id, now) = (self.new_id(24), self.now);
        let tenant = self.tenant(host)?;
        if new.subject.is_empty() {
            return Err(Problem::invalid("subject is missing"));
        }
        if tenant.users.iter().any(|user| user.subject == new.subject) {
            return Err(Problem::conflict("a user with this subject exists"));
        }
        let NewUser { subject, name, email } = new;
        let user = User { id, subject, name, email, client_id: None, roles: Vec::new(), created_at: now };
        tenant.users.push(user.clone());
        Ok(user)
    }

    /// Deletes a user; its tokens stop working.
    pub fn delete_user(&mut self, caller: Caller<'_>, id: &str) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::DeleteUser)?;
        let tenant = self.tenant(caller.host)?;
        let at = tenant.users.iter().position(|user| user.id == id);
        tenant.users.remove(at.ok_or_else(|| Problem::not_found("user"))?);
        tenant.tokens.retain(|token| token.user_id != id);
        Ok(())
    }

    /// The bot user of a client, made where it is missing.
    pub(super) fn bot_of(&mut self, host: &str, client_id: &str, name: &str) -> Result<String, Problem> {
        let (id, now) = (self.new_id(24), self.now);
        let tenant = self.tenant(host)?;
        if let Some(bot) = tenant.users.iter().find(|user| user.is_bot_of(client_id)) {
            return Ok(bot.id.clone());
        }
        tenant.users.push(User {
            id: id.clone(),
            subject: subject_of_bot(client_id),
            name: name.to_owned(),
            email: String::new(),
            client_id: Some(client_id.to_owned()),
            roles: vec![ADMIN.to_owned()],
            created_at: now,
        });
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::behaviour::Behaviour;
    use crate::simulator::testing::{HOST, REGION_ID, draft, instant, prove, region_token, world};

    fn by(text: &str) -> Filter {
        Filter::parse(text, &FILTERS).unwrap()
    }

    #[test]
    fn a_bot_appears_with_the_first_token_and_survives_its_client() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let created = world.at(instant(0)).create_client(caller, draft("acme"), true).unwrap();
        let id = created.client_id;
        let filter = by(&format!(r#"clientId eq "{id}""#));
        let bots = || world.at(instant(1)).list_users(caller, &filter, &Paging::default()).unwrap().users;

        assert!(bots().is_empty());
        prove(&world, 1, HOST, &id, created.secret.unwrap().reveal()).unwrap();
        world.at(instant(1)).delete_client(caller, &id, Some(&id)).unwrap();
        let left = bots();

        assert_eq!(left.len(), 1);
        assert_eq!(left[0].subject, format!("qlikbot\\{id}"));
        world.at(instant(2)).delete_user(caller, &left[0].id).unwrap();
        assert!(bots().is_empty());
    }

    #[test]
    fn a_region_acts_as_its_own_bot() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);

        let (_, me) = world.at(instant(0)).me(Caller { host: HOST, bearer: Some(&token) }).unwrap();

        assert_eq!(me.subject, format!("qlikbot\\{REGION_ID}"));
        assert_eq!(me.name, "US OAuth client");
        assert_eq!(me.roles, [ADMIN]);
    }

    #[test]
    fn a_subject_is_unique() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };
        let new = || NewUser { subject: "ada".into(), name: "Ada".into(), ..NewUser::default() };
        let mut moment = world.at(instant(0));

        let user = moment.create_user(caller, new()).unwrap();

        assert_eq!(moment.create_user(caller, new()).unwrap_err().status, 409);
        let found = moment.list_users(caller, &by(r#"subject eq "ada""#), &Paging::default()).unwrap();
        assert_eq!(found.users, [user]);
    }
}
