//! The status page: what an operator looks at, rendered here, for any browser.
//!
//! The rules: **rendering is pure**: a page is made of [`crate::answers`] and an instant, and
//! only `serve`, `retries` and `sessions` ask anybody. Nothing runs in the browser but a few lines of our own, and
//! every page is whole without them. Text that somebody else wrote goes through
//! `pieces::text`, is never markup, and a secret is on no page.

mod assets;
mod attention;
mod blame;
mod calendar;
mod confirm;
mod form;
mod frame;
mod guard;
mod guest;
mod needs;
mod overview;
mod pieces;
mod reload;
mod retries;
mod routes;
mod serve;
mod sessions;
mod sign_in;
mod state;
mod tenant;
mod tenants;
mod trouble;
mod way;
mod words;

pub use routes::router;
pub use state::{Page, Parts};
