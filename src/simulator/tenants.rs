//! Tenants, and who may enter one.
//!
//! The rule: the host is judged before the credential, the credential before the
//! rate limit, the rate limit before the request. A token opens only the host
//! that gave it.

use super::endpoint::Endpoint;
use super::limits::{Key, Tier};
use super::problem::Problem;
use super::records::{Tenant, TenantStatus};
use super::world::{Moment, State};

/// Who asks, and where.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The host the request was sent to.
    pub host: &'a str,
    /// The access token, if one was sent.
    pub bearer: Option<&'a str>,
}

/// A caller that was let in.
pub(super) struct Admitted {
    pub(super) user_id: String,
    pub(super) is_admin: bool,
}

impl Moment<'_> {
    /// Whether connections to the host fail.
    pub(super) fn is_unreachable(&self, host: &str) -> bool {
        self.state.tenants.get(host).is_some_and(|tenant| tenant.status == TenantStatus::Unreachable)
    }

    /// The tenant of a host, if it exists and serves.
    pub(super) fn tenant(&mut self, host: &str) -> Result<&mut Tenant, Problem> {
        if !self.state.tenants.contains_key(host) {
            if !self.state.may_exist(host) {
                return Err(Problem::no_such_host());
            }
            self.add_tenant(host);
        }
        let settling = self.state.behaviour.tenant_settling;
        let now = self.now;
        let tenant = self.state.tenants.get_mut(host).ok_or_else(Problem::no_such_host)?;
        match tenant.status {
            TenantStatus::Active if now < tenant.created_at + settling => Err(Problem::no_such_host()),
            TenantStatus::Active => Ok(tenant),
            TenantStatus::Deactivated => Err(Problem::deactivated("TENANT_DEACTIVATED")),
            TenantStatus::Disabled => Err(Problem::deactivated("TENANT_DISABLED")),
            TenantStatus::Unreachable => Err(Problem::of_status(503)),
        }
    }

    /// Lets an authenticated user in.
    pub(super) fn admit(&mut self, caller: Caller<'_>, endpoint: Endpoint) -> Result<Admitted, Problem> {
        let now = self.now;
        let tenant = self.tenant(caller.host)?;
        let token = caller
            .bearer
            .and_then(|bearer| tenant.tokens.iter_mut().find(|token| token.opens(bearer, now)))
            .ok_or_else(Problem::unauthorized)?;
        token.last_used = now;
        let user_id = token.user_id.clone();
        let user = tenant.users.iter().find(|user| user.id == user_id).ok_or_else(Problem::unauthorized)?;
        let is_admin = user.is_admin();
        let acts_for = user.client_id.clone();
        self.pace(caller.host, &user_id, endpoint.tier())?;
        if self.state.withholds(caller.host, acts_for.as_deref(), endpoint) {
            return Err(Problem::forbidden());
        }
        Ok(Admitted { user_id, is_admin })
    }

    /// Lets an administrator in.
    pub(super) fn admit_admin(
        &mut self,
        caller: Caller<'_>,
        endpoint: Endpoint,
    ) -> Result<Admitted, Problem> {
        let admitted = self.admit(caller, endpoint)?;
        if admitted.is_admin { Ok(admitted) } else { Err(Problem::forbidden()) }
    }

    /// Counts a call against the limits of its user, and of its tenant where asked.
    pub(super) fn pace(&mut self, host: &str, user: &str, tier: Tier) -> Result<(), Problem> {
        let now = self.now;
        let state = &mut *self.state;
        let Some(limits) = state.behaviour.rate_limits else { return Ok(()) };
        let per_minute = match tier {
            Tier::One => limits.tier_one_per_minute,
            Tier::Two => limits.tier_two_per_minute,
        } as usize;
        let key = |user: Option<&str>| Key { tier, host: host.to_owned(), user: user.map(str::to_owned) };
        if limits.per_tenant {
            let users = state.tenants.get(host).map_or(1, |tenant| tenant.users.len().max(1));
            let shared = (per_minute * users).div_ceil(2);
            state.windows.count(key(None), shared, now).map_err(Problem::throttled)?;
        }
        state.windows.count(key(Some(user)), per_minute, now).map_err(Problem::throttled)
    }
}

impl State {
    /// Whether the region's OAuth client may not do this here.
    fn withholds(&self, host: &str, client: Option<&str>, endpoint: Endpoint) -> bool {
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        let is_regions = self.regions.iter().any(|region| Some(region.client_id.as_str()) == client);
        is_regions
            && self
                .withheld
                .iter()
                .any(|(whose, what)| *what == endpoint && (whose == host || whose == parent))
    }

    /// With `any_host`, one label under a region's suffix is enough to exist.
    fn may_exist(&self, host: &str) -> bool {
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        self.behaviour.any_host && self.regions.iter().any(|region| region.suffix == parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::behaviour::{Behaviour, RateLimits};
    use crate::simulator::query::{Filter, Paging};
    use crate::simulator::testing::{HOST, OTHER, instant, region_token, world};

    fn me_of(moment: &mut Moment<'_>, host: &str, bearer: &str) -> Result<(), Problem> {
        moment.me(Caller { host, bearer: Some(bearer) }).map(drop)
    }

    #[test]
    fn a_token_opens_only_the_tenant_that_gave_it() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let mut moment = world.at(instant(0));

        assert_eq!(me_of(&mut moment, HOST, &token), Ok(()));
        assert_eq!(me_of(&mut moment, OTHER, &token), Err(Problem::unauthorized()));
        assert_eq!(me_of(&mut moment, HOST, "made-up"), Err(Problem::unauthorized()));
        assert_eq!(moment.me(Caller { host: HOST, bearer: None }).err(), Some(Problem::unauthorized()));
    }

    #[test]
    fn a_token_lives_six_hours() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);

        assert_eq!(me_of(&mut world.at(instant(21_599)), HOST, &token), Ok(()));
        assert_eq!(me_of(&mut world.at(instant(21_600)), HOST, &token), Err(Problem::unauthorized()));
    }

    #[test]
    fn a_tenant_that_is_switched_off_says_so_before_it_looks_at_the_token() {
        let world = world(Behaviour::default());
        let mut moment = world.at(instant(0));

        for (status, code) in
            [(TenantStatus::Deactivated, "TENANT_DEACTIVATED"), (TenantStatus::Disabled, "TENANT_DISABLED")]
        {
            moment.set_status(HOST, status);
            let problem = me_of(&mut moment, HOST, "made-up").unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (401, code));
        }
    }

    #[test]
    fn only_known_hosts_exist_unless_every_host_of_a_region_does() {
        let world = world(Behaviour::default());
        let code = |host| me_of(&mut world.at(instant(0)), host, "t").unwrap_err().code;

        assert_eq!(code("nobody.us.qlikcloud.com"), "LOGIN-2");
        world.reshape(|behaviour| behaviour.any_host = true);
        assert_eq!(code("nobody.us.qlikcloud.com"), "HTTP-401");
        assert_eq!(code("a.nobody.us.qlikcloud.com"), "LOGIN-2");
        assert_eq!(code("nobody.example.com"), "LOGIN-2");
    }

    #[test]
    fn a_new_tenant_may_take_its_time() {
        let world =
            world(Behaviour { tenant_settling: std::time::Duration::from_secs(30), ..Behaviour::default() });

        assert_eq!(me_of(&mut world.at(instant(29)), HOST, "t").unwrap_err().code, "LOGIN-2");
        assert_eq!(me_of(&mut world.at(instant(30)), HOST, "t").unwrap_err().code, "HTTP-401");
    }

    #[test]
    fn what_is_withheld_is_forbidden_to_the_region_there_and_to_nobody_else() {
        let world = world(Behaviour::default());
        let (token, other) = (region_token(&world, HOST), region_token(&world, OTHER));
        let list = |host, token: &str| {
            let caller = Caller { host, bearer: Some(token) };
            world.at(instant(0)).list_users(caller, &Filter::default(), &Paging::default()).map(drop)
        };

        world.withhold(HOST, [Endpoint::ListUsers]);
        assert_eq!(list(HOST, &token), Err(Problem::forbidden()));
        assert_eq!((list(OTHER, &other), me_of(&mut world.at(instant(0)), HOST, &token)), (Ok(()), Ok(())));
        world.withhold("us.qlikcloud.com", [Endpoint::ListUsers]);
        world.grant(HOST, [Endpoint::ListUsers]);
        assert_eq!(list(HOST, &token), Err(Problem::forbidden()));
        world.grant("us.qlikcloud.com", [Endpoint::ListUsers]);
        assert_eq!((list(HOST, &token), list(OTHER, &other)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_region_whose_user_is_no_administrator_gets_its_token_and_may_manage_nothing() {
        let world = world(Behaviour::default());
        let token = region_token(&world, HOST);
        let caller = Caller { host: HOST, bearer: Some(&token) };

        world.set_admin("us.qlikcloud.com", false);
        let problem = world.at(instant(0)).delete_user(caller, "x").unwrap_err();
        let roles = world.at(instant(0)).me(caller).unwrap().1.roles;
        world.set_admin("us.qlikcloud.com", true);

        assert_eq!((problem, roles), (Problem::forbidden(), vec![]));
        assert_eq!(world.at(instant(0)).delete_user(caller, "x").unwrap_err().status, 404);
    }

    #[test]
    fn the_tenant_limit_is_half_the_user_limit_for_each_user() {
        let limits = RateLimits { tier_one_per_minute: 2, tier_two_per_minute: 100, per_tenant: true };
        let world = world(Behaviour { rate_limits: Some(limits), ..Behaviour::default() });
        let token = region_token(&world, HOST);
        let mut moment = world.at(instant(0));

        let answers: Vec<_> = (0..6).map(|_| me_of(&mut moment, HOST, &token)).collect();

        assert!(answers[..5].iter().all(Result::is_ok));
        assert_eq!(answers[5].as_ref().unwrap_err().retry_after, Some(300));
    }
}
