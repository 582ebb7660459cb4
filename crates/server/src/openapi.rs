//! `GET /api/openapi.json`: the API's description, generated from the handlers.

use axum::Json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::usenet::{files, mounts, streams as nzb};
use crate::vod::{assets, mint, shares};
use crate::{api, events, resolvers, streams};

#[derive(OpenApi)]
#[openapi(
    info(title = "Perennial", description = "One stable, private URL for streams whose sources come and go."),
    paths(
        api::channels, api::channel, api::add, api::replace, api::remove, api::switch, api::stop, api::viewers, api::kick,
        api::reload, events::events,
        assets::list, assets::add, assets::one, assets::change, assets::remove, assets::revoke, assets::libraries,
        assets::scan, assets::scanned, shares::add, shares::of_asset, shares::one, shares::change, shares::remove,
        shares::activity, mint::mint, mint::exchange, mint::revoke, streams::schedule::sessions,
        nzb::submit, files::stream, mounts::list, mounts::one, mounts::remove, mounts::retry, mounts::providers,
        resolvers::list
    ),
    modifiers(&Keys),
    security(("api_key" = []))
)]
struct Api;

struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key")));
        api.components
            .get_or_insert_default()
            .add_security_scheme("api_key", key);
    }
}

/// The description.
pub fn document() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_description_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/openapi.json");
        let generated = super::document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/ref/openapi.json is old: run UPDATE_DOCS=1 cargo test -p server openapi"
        );
    }
}
