//! What goes wrong at the simulated Qlik Cloud.
//!
//! The rule: everything here may happen at the real one, and none of it needs a
//! human.

use std::time::Duration;

use crate::simulator::{Endpoint, Fault, FaultPlan, RetryAfter, Spoil, World};

/// Faults that strike by chance: lost, spoilt and refused answers.
pub(super) fn by_chance() -> FaultPlan {
    use Endpoint::{CreateClient, MintSecret, RegionToken};
    FaultPlan::none()
        .with_share(CreateClient, 0.06, Fault::close_after())
        .with_share(CreateClient, 0.03, Fault::status_after(502))
        .with_share(CreateClient, 0.03, Fault::spoilt(Spoil::Truncated))
        .with_share(MintSecret, 0.10, Fault::close_after())
        .with_share(RegionToken, 0.02, Fault::spoilt(Spoil::InvalidJson))
        .with_share_of_all(0.03, Fault::throttle(RetryAfter::Seconds(1)))
        .with_share_of_all(0.03, Fault::status(503))
}

/// One fault for each of the first hosts, so that even a small tour meets every
/// kind; `late` is when a create lands that was given up long before.
pub(super) fn script(world: &World, hosts: &[&str], late: Duration) {
    use Endpoint::{ClientToken, CreateClient, SetConsent};
    let cast = [
        (CreateClient, Fault::close_after()),
        (CreateClient, Fault::late(late)),
        (CreateClient, Fault::throttle(RetryAfter::Seconds(3))),
        (CreateClient, Fault::spoilt(Spoil::Truncated)),
        (SetConsent, Fault::status(503)),
        (ClientToken, Fault::html(502)),
    ];
    // The first customer has a good day.
    for (host, (endpoint, fault)) in hosts.iter().skip(1).zip(cast) {
        world.script(host, endpoint, [fault]);
    }
}

/// Lets the first create on this host pass, for what people try by themselves.
pub(super) fn spare(world: &World, host: &str) {
    world.script(host, Endpoint::CreateClient, [Fault::none()]);
}
