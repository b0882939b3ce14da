//! Who looks at a page, as far as a page needs to know.

/// Who looks at a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Guest {
    /// By the name of the token.
    pub(super) name: Option<String>,
    pub(super) may_act: bool,
    pub(super) looks: Looks,
    /// There is a token that acts.
    pub(super) somebody_acts: bool,
    /// What forms of this session bear; none without a session.
    pub(super) form: Option<String>,
}

/// Who is let in to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Looks {
    /// Not known where this is told.
    #[default]
    Unsaid,
    Anybody,
    /// Whoever has a token.
    Bearer,
}

impl Guest {
    /// Whether there is a token to sign in with.
    pub(super) fn may_sign_in(&self) -> bool {
        self.somebody_acts || self.looks == Looks::Bearer
    }
}
