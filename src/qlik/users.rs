//! The users API: only who we are.
//!
//! The rule: the bot user's id is what tells secrets of our own making from those
//! an administrator made by hand, so it is asked and never derived.

use super::Cloud;
use super::endpoint::{Call, READ_ME};
use super::wire::Me;
use crate::domain::failure::Failure;
use crate::domain::ids::UserId;
use crate::domain::region::AllowedHost;

/// The user that the region's credential acts as on this tenant. Qlik makes it
/// at the first token request.
pub(super) async fn me(cloud: &Cloud, host: &AllowedHost) -> Result<UserId, Failure> {
    let answer = cloud.call(host, &Call::new(&READ_ME, &[])?).await?;
    Ok(UserId::new(answer.read::<Me>()?.id))
}
