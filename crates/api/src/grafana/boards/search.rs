//! `/api/search`

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use serde_json::{Value, json};

use super::{Board, Folder};
use crate::grafana::{GrafanaApi, login::Asker};

/// Results on one page, upstream's.
const MOST: usize = 5000;

/// What is searched for.
#[derive(Debug, Default)]
struct Wanted {
    text: String,
    tags: Vec<String>,
    kind: Option<String>,
    folder_uids: Vec<String>,
    folder_ids: Vec<u64>,
    uids: Vec<String>,
    ids: Vec<u64>,
    starred: bool,
    limit: usize,
    page: usize,
    descending: bool,
}

impl Wanted {
    fn of(query: &str) -> Self {
        let mut wanted = Wanted { limit: 1000, page: 1, ..Wanted::default() };
        let split = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "query" => wanted.text = value.to_lowercase(),
                "tag" => wanted.tags.push(value.into_owned()),
                "type" => wanted.kind = Some(value.into_owned()).filter(|t| !t.is_empty()),
                "folderUIDs" | "folderUids" => wanted.folder_uids.extend(split(&value)),
                "folderIds" => {
                    wanted.folder_ids.extend(value.split(',').filter_map(|v| v.parse::<u64>().ok()));
                }
                "dashboardUIDs" | "dashboardUIDs[]" => wanted.uids.extend(split(&value)),
                "dashboardIds" => wanted.ids.extend(value.split(',').filter_map(|v| v.parse::<u64>().ok())),
                "starred" => wanted.starred = value == "true",
                "limit" => wanted.limit = value.parse().unwrap_or(1000),
                "page" => wanted.page = value.parse().unwrap_or(1),
                "sort" => wanted.descending = value == "alpha-desc",
                _ => {}
            }
        }
        wanted.limit = if wanted.limit == 0 { 1000 } else { wanted.limit.min(MOST) };
        wanted
    }

    /// Whether only dashboards can be meant.
    fn is_narrow(&self) -> bool {
        let lists = self.uids.is_empty() && self.ids.is_empty() && self.folder_ids.is_empty();
        !lists || !self.tags.is_empty() || self.starred || !self.folder_uids.is_empty()
    }

    fn fits(&self, board: &Board, folder: Option<&Folder>, stars: &BTreeSet<String>) -> bool {
        let in_folder = self.folder_uids.is_empty()
            || self
                .folder_uids
                .iter()
                .any(|uid| *uid == board.folder_uid || uid == "general" && board.folder_uid.is_empty());
        let in_folder_id =
            self.folder_ids.is_empty() || self.folder_ids.contains(&folder.map_or(0, Folder::id));
        let words = [&board.title, &board.uid].iter().any(|text| text.to_lowercase().contains(&self.text));
        words
            && in_folder
            && in_folder_id
            && self.tags.iter().all(|tag| board.tags.contains(tag))
            && (self.uids.is_empty() || self.uids.contains(&board.uid))
            && (self.ids.is_empty() || self.ids.contains(&board.id()))
            && (!self.starred || stars.contains(&board.uid))
    }
}

/// `GET /api/search`
pub(in crate::grafana) async fn search(
    State(api): State<Arc<GrafanaApi>>,
    Extension(asker): Asker,
    RawQuery(query): RawQuery,
) -> Json<Value> {
    let wanted = Wanted::of(&query.unwrap_or_default());
    let base = api.settings.base();
    let stars = api.accounts.user(asker.id).map(|u| u.stars).unwrap_or_default();
    let folders = api.boards.folders();
    let mut hits: Vec<Value> = Vec::new();
    if wanted.kind.as_deref() != Some("dash-db") && !wanted.is_narrow() {
        let fits = folders.iter().filter(|f| f.title.to_lowercase().contains(&wanted.text));
        hits.extend(fits.map(|f| folder_hit(f, &base)));
    }
    if wanted.kind.as_deref() != Some("dash-folder") {
        for board in api.boards.all() {
            let folder = folders.iter().find(|f| f.uid == board.folder_uid);
            if wanted.fits(&board, folder, &stars) {
                hits.push(board_hit(&board, folder, stars.contains(&board.uid), &base));
            }
        }
    }
    if wanted.descending {
        hits.reverse();
    }
    let skipped = wanted.page.saturating_sub(1).saturating_mul(wanted.limit);
    Json(hits.into_iter().skip(skipped).take(wanted.limit).collect::<Vec<_>>().into())
}

fn board_hit(board: &Board, folder: Option<&Folder>, starred: bool, base: &str) -> Value {
    let mut hit = json!({
        "id": board.id(), "uid": board.uid, "title": board.title, "uri": format!("db/{}", board.slug()),
        "url": board.url(base), "slug": "", "type": "dash-db", "tags": board.tags, "isStarred": starred, "sortMeta": 0,
    });
    if let (Some(folder), Some(object)) = (folder, hit.as_object_mut()) {
        object.insert("folderId".to_owned(), folder.id().into());
        object.insert("folderUid".to_owned(), folder.uid.clone().into());
        object.insert("folderTitle".to_owned(), folder.title.clone().into());
        object.insert("folderUrl".to_owned(), folder.url(base).into());
    }
    hit
}

fn folder_hit(folder: &Folder, base: &str) -> Value {
    json!({
        "id": folder.id(), "uid": folder.uid, "title": folder.title, "uri": format!("db/{}", crate::grafana::ids::slug(&folder.title)),
        "url": folder.url(base), "slug": "", "type": "dash-folder", "tags": [], "isStarred": false, "sortMeta": 0,
    })
}
