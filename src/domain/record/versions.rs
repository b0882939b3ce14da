//! The numbers of a tenant's secrets: which one comes next, and whether another is asked for.
//!
//! The rule: numbers never go back, and none is given twice, also not in a new life. Whoever
//! asks, the core or a person, asks this.

/// There is no number left for a further secret of this tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the versions of this tenant are used up: {} is the last there is; remove the tenant, and insert it anew under another external_id",
    i32::MAX
)]
pub struct VersionsUsedUp;

/// Whatever decides that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The one that serves.
    pub current: Option<i32>,
    /// The highest that was ever given; the version before notes none.
    pub last: Option<i32>,
    /// The desired one that was served; the version before notes none.
    pub served: Option<i32>,
    /// The one that its owner asks for.
    pub desired: i32,
    /// The one that is to be renewed for its age.
    pub aged: Option<i32>,
    /// No secret gets a lower one.
    pub floor: i32,
}

impl Versions {
    /// The number of the next secret that is proven. Only a life that begins where all numbers are
    /// used up takes the last again, so that it may begin at all.
    ///
    /// # Errors
    ///
    /// [`VersionsUsedUp`].
    pub fn next(self) -> Result<i32, VersionsUsedUp> {
        let next = match self.last.max(self.current) {
            Some(i32::MAX) if self.current.is_some() => return Err(VersionsUsedUp),
            Some(last) => last.saturating_add(1),
            None => 1,
        };
        Ok(next.max(self.desired).max(self.floor))
    }

    /// Whether its owner, or its age, asks for another secret than the current one.
    #[must_use]
    pub fn is_another_asked_for(self) -> bool {
        self.current.is_some_and(|current| {
            self.desired > self.served.unwrap_or(current) || self.aged == Some(current)
        })
    }
}
