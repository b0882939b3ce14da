//! What every page has around its content: where one is, who one is, and when it was read.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::guest::{Guest, Looks};
use super::pieces::text;

/// Which page it is, in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Overview,
    Attention,
    Tenants,
    Calendar,
    /// None of these.
    Elsewhere,
}

const PAGES: [(Here, &str, &str); 4] = [
    (Here::Overview, "/status", "Overview"),
    (Here::Attention, "/status/attention", "Attention"),
    (Here::Tenants, "/status/tenants", "Tenants"),
    (Here::Calendar, "/status/calendar", "Calendar"),
];

/// A page around its content.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) here: Here,
    pub(super) guest: &'a Guest,
    /// Whether pages are there for whoever it is.
    pub(super) is_inside: bool,
    /// When the database was asked; a page that was read refreshes itself.
    pub(super) read_at: Option<DateTime<Utc>>,
}

impl<'a> Frame<'a> {
    /// Around what only those who may look are shown.
    pub(super) fn inside(
        title: &'a str,
        here: Here,
        guest: &'a Guest,
        read_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self { title, here, guest, is_inside: true, read_at }
    }

    /// The whole document, as an answer.
    pub(super) fn answer(&self, content: &Markup) -> Response {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        ([(CONTENT_TYPE, kind)], self.around(content).into_string()).into_response()
    }

    fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (text(self.title)) " · tenantd" }
                    link rel="stylesheet" href=(assets::style());
                    link rel="icon" type="image/svg+xml" href=(assets::icon());
                    script src=(assets::script()) defer {}
                }
                body data-refresh[self.read_at.is_some()] {
                    a .skip href="#content" { "Skip to content" }
                    (self.head())
                    main #content tabindex="-1" { (content) }
                    (self.foot())
                }
            }
        }
    }

    fn head(&self) -> Markup {
        html! {
            header {
                div .inner {
                    a .name href="/status" { span .mark aria-hidden="true" {} "tenantd" }
                    @if self.is_inside {
                        nav aria-label="Pages" {
                            @for (page, path, name) in PAGES {
                                a href=(path) aria-current=[(page == self.here).then_some("page")] { (name) }
                            }
                        }
                    }
                    (self.who())
                }
            }
        }
    }

    fn who(&self) -> Markup {
        let guest = self.guest;
        html! {
            div .who {
                @if let Some(form) = &guest.form {
                    span .quiet {
                        @match (&guest.name, guest.may_act) {
                            (Some(name), _) => { (text(name)) },
                            (None, true) => { "may act" },
                            (None, false) => { "may look" },
                        }
                    }
                    form method="post" action="/status/sign-out" {
                        input type="hidden" name="form" value=(form);
                        button .plain type="submit" { "Sign out" }
                    }
                } @else if guest.may_sign_in() {
                    a href="/status/sign-in" { "Sign in" }
                }
            }
        }
    }

    fn foot(&self) -> Markup {
        html! {
            footer {
                div .inner {
                    @if let Some(read_at) = self.read_at {
                        p {
                            "Read at "
                            time #read datetime=(read_at.to_rfc3339_opts(SecondsFormat::Secs, true)) {
                                (read_at.format("%Y-%m-%d %H:%M:%S UTC"))
                            }
                            " by the database's clock"
                            span #refreshed role="status" {}
                        }
                    }
                    p {
                        "tenantd " (env!("CARGO_PKG_VERSION"))
                        // A session opens these pages only: the API asks for the token itself.
                        @if self.guest.looks == Looks::Anybody { " · " a href="/api/v1/openapi.json" { "API" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_linked_where_it_answers_without_a_token() {
        for looks in [Looks::Unsaid, Looks::Anybody, Looks::Bearer] {
            let guest = Guest { form: Some("mark".to_owned()), looks, ..Guest::default() };

            let page = Frame::inside("x", Here::Overview, &guest, None).around(&html! {}).into_string();

            assert_eq!(page.contains("/api/v1"), looks == Looks::Anybody, "{page}");
        }
    }
}
