//! Who looks at a page, as far as a page needs to know.

/// Who looks at a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Guest {
    /// By the name of the token.
    pub(super) name: Option<String>,
    pub(super) may_act: bool,
    /// There is a token to sign in with.
    pub(super) may_sign_in: bool,
    /// There is a token that acts.
    pub(super) somebody_acts: bool,
    /// What forms of this session bear; none without a session.
    pub(super) form: Option<String>,
}
