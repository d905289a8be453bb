//! `/api/dashboards/import`, and the place-holders that exported dashboards have for data sources.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Draft, routes::store};
use crate::grafana::{GrafanaApi, body::Body, login::Asker, refusal::Answer};

#[derive(Deserialize)]
struct Input {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::grafana) struct Form {
    #[serde(default)]
    dashboard: Map<String, Value>,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    overwrite: bool,
    folder_uid: Option<String>,
}

/// `POST /api/dashboards/import`
pub(in crate::grafana) async fn import(
    State(api): State<Arc<GrafanaApi>>,
    Extension(asker): Asker,
    Body(form): Body<Form>,
) -> Answer {
    let mut values: BTreeMap<String, String> =
        defaults(&form.dashboard, &|kind| api.sources.default_of(kind));
    values.extend(form.inputs.into_iter().map(|input| (input.name, input.value)));
    let mut dashboard = Value::Object(form.dashboard);
    fill_in(&mut dashboard, &values);
    let Value::Object(mut dashboard) = dashboard else { return Ok(Json(json!({}))) };
    for key in ["__inputs", "__requires", "__elements", "id", "version"] {
        dashboard.remove(key);
    }
    let draft = Draft {
        dashboard,
        folder_uid: form.folder_uid,
        message: String::new(),
        overwrite: form.overwrite,
        by: asker.login.clone(),
    };
    let board = store(&api, draft, &asker).await?;
    let url = board.url(&api.settings.base());
    Ok(Json(json!({
        "uid": board.uid, "pluginId": "", "title": board.title, "imported": true, "importedUri": format!("db/{}", board.slug()),
        "importedUrl": url, "slug": board.slug(), "dashboardId": board.id(), "folderUid": board.folder_uid,
        "importedRevision": 1, "revision": 1, "description": "", "path": "", "removed": false,
    })))
}

/// The data source that stands for each place-holder of `__inputs`: the default one of its kind.
pub(super) fn defaults(
    dashboard: &Map<String, Value>,
    default_of: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let inputs = dashboard.get("__inputs").and_then(Value::as_array);
    let one = |input: &Value| {
        let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
        let value = match text("type") {
            "datasource" => default_of(text("pluginId")),
            _ => input.get("value").and_then(Value::as_str).map(str::to_owned),
        };
        Some((text("name").to_owned(), value?))
    };
    inputs.into_iter().flatten().filter_map(one).filter(|(name, _)| !name.is_empty()).collect()
}

/// Puts values in the place of `${NAME}` in every text. The depth was bounded by the parser.
pub(super) fn fill_in(value: &mut Value, values: &BTreeMap<String, String>) {
    if values.is_empty() {
        return;
    }
    match value {
        Value::String(text) if text.contains("${") => {
            for (name, value) in values {
                *text = text.replace(&format!("${{{name}}}"), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, values)),
        Value::Object(map) => map.values_mut().for_each(|item| fill_in(item, values)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_holders_become_the_default_source_of_their_kind() {
        let mut board = json!({
            "__inputs": [{"name": "DS_PROM", "type": "datasource", "pluginId": "prometheus"}, {"name": "VAR", "type": "constant", "value": "x"}],
            "panels": [{"datasource": {"uid": "${DS_PROM}"}, "title": "${VAR} ${other}"}],
        });
        let values =
            defaults(board.as_object().unwrap(), &|kind| (kind == "prometheus").then(|| "prom1".to_owned()));
        fill_in(&mut board, &values);
        assert_eq!(board["panels"][0], json!({"datasource": {"uid": "prom1"}, "title": "x ${other}"}));
    }
}
