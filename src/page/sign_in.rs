//! The form that takes a token.

use maud::{Markup, html};

/// What it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignIn<'a> {
    /// Where one goes from here.
    pub(super) next: &'a str,
    /// The token before was none of ours.
    pub(super) is_refused: bool,
    /// Everybody looks without one.
    pub(super) anybody_looks: bool,
    /// The browser is on another machine.
    pub(super) needs_tls: bool,
}

impl SignIn<'_> {
    pub(super) fn content(&self) -> Markup {
        html! {
            section .sign-in data-sign-in {
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
                        autofocus aria-invalid=[self.is_refused.then_some("true")]
                        aria-describedby=[self.is_refused.then_some("refused")];
                    @if self.is_refused {
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
