//! What a browser sends along: the fields of a form, and the parameters of an address.
//!
//! The rules: a form is bounded, and what no row can hold is in no field. **A parameter that a page
//! does not know is named, with those that it knows**: a misspelt filter must not show everything.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::guest::Guest;
use super::trouble::{self, Trouble};

/// Largest form.
const MOST_BYTES: usize = 8 * 1024;

/// The form of a request.
pub(super) async fn form(body: Body) -> Result<String, Trouble> {
    let bytes =
        to_bytes(body, MOST_BYTES).await.map_err(|_| trouble::bad_request("The form is too large."))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| trouble::bad_request("The form is no text."))
}

/// A parameter of a query or a form. What no row can hold is none.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.replace('\0', ""))
}

/// Lets through whoever gives each of these parameters at most once, and no other.
pub(super) async fn only(
    State(known): State<&'static [&'static str]>,
    request: Request,
    next: Next,
) -> Response {
    match misfit(request.uri().query(), known) {
        None => next.run(request).await,
        Some(said) => {
            let guest = request.extensions().get::<Guest>().cloned().unwrap_or_default();
            trouble::bad_request(&said).told_to(&guest).into_response()
        }
    }
}

/// What is wrong with the parameters, in a sentence.
fn misfit(query: Option<&str>, known: &[&str]) -> Option<String> {
    let mut seen = Vec::new();
    for (name, _) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !known.contains(&name.as_ref()) {
            let known = match known {
                [] => "none".to_owned(),
                known => known.join(", "),
            };
            return Some(format!("There is no parameter {name:?} here. Known are: {known}."));
        }
        if seen.contains(&name) {
            return Some(format!("The parameter {name} is given twice."));
        }
        seen.push(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_unknown_or_given_twice_is_named() {
        for (query, known, said) in [
            (
                "fitler=x",
                &["filter", "after"][..],
                "There is no parameter \"fitler\" here. Known are: filter, after.",
            ),
            ("filter=a&x=", &["filter"], "There is no parameter \"x\" here. Known are: filter."),
            ("x", &[], "There is no parameter \"x\" here. Known are: none."),
            ("filter=a&filter=b", &["filter"], "The parameter filter is given twice."),
        ] {
            assert_eq!(misfit(Some(query), known).as_deref(), Some(said), "{query}");
        }
        assert_eq!(misfit(Some("after=b&filter=a"), &["filter", "after"]), None);
        assert_eq!(misfit(None, &[]), None);
    }
}
