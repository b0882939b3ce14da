//! The form that takes a token.

use maud::{Markup, html};

/// What it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignIn<'a> {
    /// Where one goes from here.
    pub(super) next: &'a str,
    pub(super) because: Because,
    /// Everybody looks without one.
    pub(super) anybody_looks: bool,
    /// The browser is on another machine.
    pub(super) needs_tls: bool,
}

/// Why it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// No session is known. Whoever comes from a page elsewhere brings no cookie, and may be in all
    /// the same: the script looks, and goes on.
    NoSession,
    /// The token before was none of ours.
    Refused,
    /// Whoever is in already wants to act.
    ToAct,
}

impl SignIn<'_> {
    pub(super) fn content(&self) -> Markup {
        let is_refused = self.because == Because::Refused;
        html! {
            section .sign-in data-sign-in[self.because == Because::NoSession] {
                h1 { "Sign in" }
                p {
                    @if self.anybody_looks {
                        "Everybody looks here. To act, present the token of " code { "http.act_token_file" } "."
                    } @else {
                        "Present the token of " code { "http.token_file" } " to look, or that of "
                        code { "http.act_token_file" } " to act."
                    }
                }
                form method="post" action="/status/sign-in" {
                    input type="hidden" name="next" value=(self.next);
                    label for="token" { "Token" }
                    input #token type="password" name="token" autocomplete="current-password" required maxlength="1000"
                        autofocus aria-invalid=[is_refused.then_some("true")]
                        aria-describedby=[is_refused.then_some("refused")];
                    @if is_refused {
                        p #refused .fault { "This token opens nothing here." }
                    }
                    button type="submit" { "Sign in" }
                }
                @if self.needs_tls {
                    p .quiet {
                        "From another machine a browser keeps the session only over HTTPS: put a proxy with TLS before the port."
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(because: Because) -> String {
        let form = SignIn { next: "/status/x", because, anybody_looks: false, needs_tls: false };
        form.content().into_string()
    }

    #[test]
    fn the_script_looks_only_where_somebody_may_be_in() {
        assert!(shown(Because::NoSession).contains(" data-sign-in"));
        for page in [shown(Because::Refused), shown(Because::ToAct)] {
            assert!(!page.contains("data-sign-in"), "{page}");
        }
        assert!(shown(Because::NoSession).contains("name=\"next\" value=\"/status/x\""), "where it goes on");
    }
}
