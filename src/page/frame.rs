//! What every page has around its content: where one is, who one is, and when it was read.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::guest::Guest;
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

impl Frame<'_> {
    /// The whole document.
    pub(super) fn around(&self, content: &Markup) -> Markup {
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
                } @else if guest.may_sign_in {
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
                    p { "tenantd " (env!("CARGO_PKG_VERSION")) " · " a href="/api/v1/openapi.json" { "API" } }
                }
            }
        }
    }
}
