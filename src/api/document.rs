//! The API described for programs: `OpenAPI` 3.1.

use std::sync::LazyLock;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::Answered;
use super::query::Query;
use super::reply::json;
use super::{fleet, tenants, verbs};
use axum::http::Uri;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tenantd",
        description = "What tenantd knows of tenants and of the fleet. It is served by every daemon; `docs/api.md` tells more.",
    ),
    servers((url = "/api/v1")),
    paths(fleet::fleet, fleet::regions, fleet::workers, tenants::list, tenants::one, verbs::act, verbs::act_on_all, page),
    modifiers(&Bearer),
)]
struct Described;

/// The tokens.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
        env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    }
}

/// What `/api/v1/openapi.json` answers.
#[must_use]
pub fn document() -> &'static utoipa::openapi::OpenApi {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Described::openapi);
    &DOCUMENT
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "api", responses(
    (status = 200, body = Object, content_type = "application/json"),
    (status = "default", body = super::problem::Details, content_type = "application/problem+json"),
))]
pub(super) async fn page(uri: Uri) -> Answered {
    Query::of(&uri).end()?;
    Ok(json(document()))
}
