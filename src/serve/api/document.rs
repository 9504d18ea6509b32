//! The OpenAPI document.

use axum::Json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, OpenApi, Required, Type};
use utoipa::{Modify, OpenApi as _};

use super::{
    deletion, downloads, events, limit, models, plan, sharing, space, status, trash, verify,
};

/// Looks after a store of AI model files. Sizes are bytes, times are seconds since the epoch.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "tonnage"),
    paths(
        show, status::show, models::list, models::show, models::pin, deletion::delete, trash::list,
        trash::restore, plan::plan, downloads::list, downloads::begin, downloads::pause,
        downloads::resume, downloads::cancel, downloads::retry, downloads::forget, space::show,
        space::plan, space::evict, space::clear, limit::set, verify::show, verify::begin,
        verify::cancel, sharing::families, sharing::matrix, events::listen,
    ),
    modifiers(&Conditions),
    security((), ("token" = [])),
)]
struct Document;

#[utoipa::path(
    get, path = "/api/tonnage/openapi.json", operation_id = "openapi",
    responses((status = OK, body = serde_json::Value, description = "this document")),
)]
pub async fn show() -> Json<OpenApi> {
    Json(document())
}

/// The document.
pub fn document() -> OpenApi {
    Document::openapi()
}

/// What holds for all routes.
struct Conditions;

impl Modify for Conditions {
    fn modify(&self, document: &mut OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", token);
        for path in document.paths.paths.values_mut() {
            for change in [&mut path.post, &mut path.put, &mut path.delete].into_iter().flatten() {
                change.parameters.get_or_insert_default().push(proof());
            }
        }
    }
}

/// What a request that changes something must have.
fn proof() -> Parameter {
    ParameterBuilder::new()
        .name("X-Tonnage")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("anything: another site's page cannot send it"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
