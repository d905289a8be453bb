//! Dashboards and folders: those that people save, and those that files provide.
//!
//! What people save lies in the state store, with its history. Files are read by [`files`] and win over what was saved before they
//! changed. Everything here may wait for the disk: it is called on threads that may block.

pub(super) mod diff;
pub(super) mod files;
pub(super) mod folder_routes;
pub(super) mod import;
pub(super) mod routes;
pub(super) mod search;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use parking_lot::{Mutex, RwLock};
use reba_storage::{StateChange, StateError, StateStore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::files::Files;
use super::{
    accounts::{Random, read_all, to_bytes},
    ids::{hex, is_uid, numeric_id, slug},
    refusal::Refusal,
};

const BOARDS: &str = "grafana/dashboards";
const FOLDERS: &str = "grafana/folders";

/// Dashboards that people saved.
const MAX_BOARDS: usize = 10_000;

/// Folders that people made.
const MAX_FOLDERS: usize = 2000;

/// Bytes of a title.
const MAX_TITLE: usize = 5000;

/// Older versions that are listed.
const VERSIONS: usize = 100;

/// A dashboard.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub uid: String,
    /// Empty: none.
    pub folder_uid: String,
    pub title: String,
    pub tags: Vec<String>,
    pub version: u64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub created_by: String,
    pub updated_by: String,
    pub message: String,
    /// The file that provides it.
    pub file: Option<FileOf>,
    /// As JSON.
    pub model: Vec<u8>,
    /// The version of its document in the store; zero if it is not there.
    stored: u64,
}

/// The file of a dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileOf {
    pub path: String,
    /// Of its content.
    pub checksum: String,
    /// Whether people may save over it.
    pub allow_updates: bool,
}

impl Board {
    pub(super) fn id(&self) -> u64 {
        numeric_id("dashboard", &self.uid)
    }

    /// Whether people may save it.
    pub(super) fn can_save(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.allow_updates)
    }

    /// The path of its page, below the base.
    pub(super) fn url(&self, base: &str) -> String {
        format!("{base}d/{}/{}", self.uid, self.slug())
    }

    pub(super) fn slug(&self) -> String {
        let slug = slug(&self.title);
        if slug.is_empty() { self.uid.clone() } else { slug }
    }

    /// The JSON that clients get: what was saved, with its number, uid and version.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut model: Map<String, Value> = serde_json::from_slice(&self.model).unwrap_or_default();
        model.insert("id".to_owned(), self.id().into());
        model.insert("uid".to_owned(), self.uid.clone().into());
        model.insert("version".to_owned(), self.version.into());
        model
    }
}

/// A dashboard as the store keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    folder_uid: String,
    version: u64,
    created_ms: i64,
    updated_ms: i64,
    created_by: String,
    updated_by: String,
    message: String,
    /// The checksum of the file over which it was saved.
    over: Option<String>,
    dashboard: Map<String, Value>,
}

/// A folder. There is one level of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Folder {
    pub uid: String,
    pub title: String,
    pub version: u64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub by: String,
    /// Whether files make it.
    #[serde(skip)]
    pub provisioned: bool,
}

impl Folder {
    pub(super) fn id(&self) -> u64 {
        numeric_id("folder", &self.uid)
    }

    pub(super) fn url(&self, base: &str) -> String {
        format!("{base}dashboards/f/{}/{}", self.uid, slug(&self.title))
    }
}

/// What somebody wants to save.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub dashboard: Map<String, Value>,
    /// None: where it is, or in no folder.
    pub folder_uid: Option<String>,
    pub message: String,
    pub overwrite: bool,
    pub by: String,
}

/// A saved dashboard, and the checksum of the file over which it was saved.
type Kept = (Arc<Board>, Option<String>);

/// All dashboards and folders.
pub(super) struct Boards {
    store: Arc<dyn StateStore>,
    random: Random,
    /// By uid.
    saved: RwLock<BTreeMap<String, Kept>>,
    folders: RwLock<BTreeMap<String, Folder>>,
    files: ArcSwap<Files>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Boards {
    pub(super) fn open(store: Arc<dyn StateStore>, random: Random) -> Result<Self, StateError> {
        let mut saved = BTreeMap::new();
        for document in store.list(BOARDS)? {
            let board: Saved = serde_json::from_slice(&document.body).map_err(|e| {
                StateError::Unavailable(format!("{BOARDS}/{} cannot be read: {e}", document.key))
            })?;
            let over = board.over.clone();
            let board = board.into_board(document.key.clone(), document.version)?;
            saved.insert(document.key, (Arc::new(board), over));
        }
        let folders = read_all::<Folder>(&*store, FOLDERS)?.into_iter().collect();
        Ok(Boards {
            store,
            random,
            saved: RwLock::new(saved),
            folders: RwLock::new(folders),
            files: ArcSwap::default(),
            changing: Mutex::new(()),
        })
    }

    /// What the files provide from now on.
    pub(super) fn provide(&self, files: Files) {
        self.files.store(Arc::new(files));
    }

    pub(super) fn files(&self) -> Arc<Files> {
        self.files.load_full()
    }

    pub(super) fn get(&self, uid: &str) -> Option<Arc<Board>> {
        let saved = self.saved.read().get(uid).cloned();
        let provided = self.files.load().boards.get(uid).cloned();
        chosen(saved, provided)
    }

    pub(super) fn by_id(&self, id: u64) -> Option<Arc<Board>> {
        self.all().into_iter().find(|board| board.id() == id)
    }

    /// All of them, by title.
    pub(super) fn all(&self) -> Vec<Arc<Board>> {
        let files = self.files.load();
        let saved = self.saved.read();
        let mut all: Vec<Arc<Board>> = saved
            .iter()
            .filter_map(|(uid, s)| chosen(Some(s.clone()), files.boards.get(uid).cloned()))
            .collect();
        all.extend(
            files.boards.iter().filter(|(uid, _)| !saved.contains_key(*uid)).map(|(_, b)| Arc::clone(b)),
        );
        all.sort_by(|a, b| (a.title.to_lowercase(), &a.uid).cmp(&(b.title.to_lowercase(), &b.uid)));
        all
    }

    /// Saves a draft as a new version.
    pub(super) fn save(&self, mut draft: Draft, now_ms: i64) -> Result<Arc<Board>, Refusal> {
        let title = title_of(&draft.dashboard)?;
        let _one = self.changing.lock();
        let before = self.target(&mut draft, &title)?;
        let uid = match &before {
            Some(board) => board.uid.clone(),
            None => self.new_uid(&draft.dashboard)?,
        };
        let folder_uid = match (draft.folder_uid, &before) {
            (Some(folder), _) => folder,
            (None, Some(board)) => board.folder_uid.clone(),
            (None, None) => String::new(),
        };
        if !folder_uid.is_empty() && self.folder(&folder_uid).is_none() {
            return Err(Refusal::not_found("folder not found").with("status", "not-found"));
        }
        self.check_name(&title, &folder_uid, &uid)?;
        let (created_ms, created_by) = match &before {
            Some(board) => (board.created_ms, board.created_by.clone()),
            None => (now_ms, draft.by.clone()),
        };
        let saved = Saved {
            folder_uid,
            version: before.as_ref().map_or(0, |b| b.version) + 1,
            created_ms,
            updated_ms: now_ms,
            created_by,
            updated_by: draft.by,
            message: draft.message,
            over: before.as_ref().and_then(|b| b.file.as_ref()).map(|f| f.checksum.clone()),
            dashboard: draft.dashboard,
        };
        let stored = self.saved.read().get(&uid).map_or(0, |(board, _)| board.stored);
        self.put(uid, saved, stored, now_ms)
    }

    /// The dashboard that a draft changes, if it changes one.
    fn target(&self, draft: &mut Draft, title: &str) -> Result<Option<Arc<Board>>, Refusal> {
        let uid = draft.dashboard.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
        let id = draft.dashboard.get("id").and_then(Value::as_u64).filter(|id| *id != 0);
        let mut before =
            match (uid, id) {
                (Some(uid), _) => self.get(uid),
                (None, Some(id)) => {
                    let found = self.by_id(id);
                    Some(found.ok_or_else(|| {
                        Refusal::not_found("Dashboard not found").with("status", "not-found")
                    })?)
                }
                (None, None) => None,
            };
        if before.is_none() && draft.overwrite {
            // As upstream: one of the same name in the same folder is the one that is meant.
            let folder = draft.folder_uid.as_deref().unwrap_or_default();
            before = self.all().into_iter().find(|b| b.title == title && b.folder_uid == folder);
        }
        let Some(board) = &before else { return Ok(None) };
        if !board.can_save() {
            return Err(Refusal::bad("Cannot save provisioned dashboard").with("status", "provisioned"));
        }
        let version = draft.dashboard.get("version").and_then(Value::as_u64).unwrap_or(0);
        if !draft.overwrite && version != board.version {
            let message = "The dashboard has been changed by someone else";
            return Err(
                Refusal::new(StatusCode::PRECONDITION_FAILED, message).with("status", "version-mismatch")
            );
        }
        Ok(before)
    }

    fn new_uid(&self, dashboard: &Map<String, Value>) -> Result<String, Refusal> {
        if self.saved.read().len() >= MAX_BOARDS {
            return Err(Refusal::full("MAX_BOARDS", MAX_BOARDS));
        }
        match dashboard.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()) {
            Some(uid) if is_uid(uid) => Ok(uid.to_owned()),
            Some(_) => Err(Refusal::bad("uid contains illegal characters or is too long")),
            None => Ok(hex(&(self.random)())[..14].to_owned()),
        }
    }

    fn check_name(&self, title: &str, folder_uid: &str, uid: &str) -> Result<(), Refusal> {
        let same = |b: &Arc<Board>| b.title == title && b.folder_uid == folder_uid && b.uid != uid;
        if self.all().iter().any(same) {
            let message = "A dashboard with the same name in the folder already exists";
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message).with("status", "name-exists"));
        }
        Ok(())
    }

    /// Writes a dashboard; the caller holds `changing`.
    fn put(&self, uid: String, saved: Saved, stored: u64, now_ms: i64) -> Result<Arc<Board>, Refusal> {
        let change = StateChange::Put {
            space: BOARDS.to_owned(),
            key: uid.clone(),
            body: to_bytes(&saved)?,
            at_ms: now_ms,
            expected: Some(stored),
            keep_history: true,
        };
        let versions = self.store.write(&[change])?;
        let over = saved.over.clone();
        let board = saved.into_board(uid.clone(), versions.first().copied().unwrap_or(stored + 1))?;
        self.saved.write().insert(uid.clone(), (Arc::new(board), over));
        self.get(&uid).ok_or_else(|| Refusal::not_found("Dashboard not found"))
    }

    /// Keeps a dashboard whose file is gone.
    pub(super) fn adopt(&self, board: &Board, now_ms: i64) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        let stored = self.saved.read().get(&board.uid).map_or(0, |(b, _)| b.stored);
        let saved = Saved {
            folder_uid: board.folder_uid.clone(),
            version: board.version,
            created_ms: board.created_ms,
            updated_ms: board.updated_ms,
            created_by: board.created_by.clone(),
            updated_by: board.updated_by.clone(),
            message: board.message.clone(),
            over: None,
            dashboard: board.json(),
        };
        self.put(board.uid.clone(), saved, stored, now_ms).map(drop)
    }

    pub(super) fn remove(&self, uid: &str) -> Result<Arc<Board>, Refusal> {
        let _one = self.changing.lock();
        let board = self.get(uid).ok_or_else(|| Refusal::not_found("Dashboard not found"))?;
        if self.files.load().boards.contains_key(uid) {
            return Err(Refusal::bad("provisioned dashboard cannot be deleted"));
        }
        self.store.write(&[StateChange::delete(BOARDS, uid)])?;
        self.saved.write().remove(uid);
        Ok(board)
    }

    /// All versions, the newest first.
    pub(super) fn versions(&self, uid: &str) -> Result<Vec<Board>, Refusal> {
        let current = self.get(uid).ok_or_else(|| Refusal::not_found("Dashboard not found"))?;
        let mut all = Vec::new();
        if current.stored > 0 {
            for document in self.store.history(BOARDS, uid, VERSIONS)? {
                if let Ok(saved) = serde_json::from_slice::<Saved>(&document.body) {
                    all.push(saved.into_board(uid.to_owned(), document.version)?);
                }
            }
        }
        all.insert(0, Board::clone(&current));
        Ok(all)
    }

    pub(super) fn version(&self, uid: &str, version: u64) -> Result<Board, Refusal> {
        let found = self.versions(uid)?.into_iter().find(|board| board.version == version);
        found.ok_or_else(|| Refusal::not_found("Dashboard version not found"))
    }

    // --- folders

    pub(super) fn folder(&self, uid: &str) -> Option<Folder> {
        let made = self.folders.read().get(uid).cloned();
        made.or_else(|| self.files.load().folders.get(uid).cloned())
    }

    /// All of them, by title.
    pub(super) fn folders(&self) -> Vec<Folder> {
        let files = self.files.load();
        let folders = self.folders.read();
        let provided = files.folders.iter().filter(|(uid, _)| !folders.contains_key(*uid));
        let mut all: Vec<Folder> = folders.values().chain(provided.map(|(_, f)| f)).cloned().collect();
        all.sort_by(|a, b| (a.title.to_lowercase(), &a.uid).cmp(&(b.title.to_lowercase(), &b.uid)));
        all
    }

    pub(super) fn add_folder(
        &self,
        uid: Option<&str>,
        title: &str,
        by: &str,
        now_ms: i64,
    ) -> Result<Folder, Refusal> {
        check_title(title)?;
        let _one = self.changing.lock();
        let uid = match uid.filter(|uid| !uid.is_empty()) {
            Some(uid) if is_uid(uid) => uid.to_owned(),
            Some(_) => return Err(Refusal::bad("uid contains illegal characters or is too long")),
            None => hex(&(self.random)())[..14].to_owned(),
        };
        if self.folder(&uid).is_some() {
            return Err(Refusal::conflict("a folder with that uid already exists"));
        }
        if self.folders().iter().any(|f| f.title == title) {
            return Err(Refusal::conflict(
                "a folder with the same name already exists in the current location",
            ));
        }
        if self.folders.read().len() >= MAX_FOLDERS {
            return Err(Refusal::full("MAX_FOLDERS", MAX_FOLDERS));
        }
        let folder = Folder {
            uid,
            title: title.to_owned(),
            version: 1,
            created_ms: now_ms,
            updated_ms: now_ms,
            by: by.to_owned(),
            provisioned: false,
        };
        self.put_folder(folder, now_ms)
    }

    /// Gives a folder another title. `version` is the one that the client knows; none if it does not care.
    pub(super) fn rename_folder(
        &self,
        uid: &str,
        title: &str,
        version: Option<u64>,
        now_ms: i64,
    ) -> Result<Folder, Refusal> {
        check_title(title)?;
        let _one = self.changing.lock();
        let folder = self.folders.read().get(uid).cloned();
        let Some(folder) = folder else { return Err(self.no_such_folder(uid)) };
        if version.is_some_and(|v| v != folder.version) {
            let message = "the folder has been changed by someone else";
            return Err(
                Refusal::new(StatusCode::PRECONDITION_FAILED, message).with("status", "version-mismatch")
            );
        }
        if self.folders().iter().any(|f| f.title == title && f.uid != uid) {
            return Err(Refusal::conflict(
                "a folder with the same name already exists in the current location",
            ));
        }
        let version = folder.version + 1;
        self.put_folder(Folder { title: title.to_owned(), version, updated_ms: now_ms, ..folder }, now_ms)
    }

    fn put_folder(&self, folder: Folder, now_ms: i64) -> Result<Folder, Refusal> {
        self.store.write(&[StateChange::put(FOLDERS, &folder.uid, to_bytes(&folder)?, now_ms)])?;
        self.folders.write().insert(folder.uid.clone(), folder.clone());
        Ok(folder)
    }

    fn no_such_folder(&self, uid: &str) -> Refusal {
        match self.folder(uid) {
            Some(_) => Refusal::bad("this folder is made by files and cannot be changed here"),
            None => Refusal::not_found("folder not found"),
        }
    }

    /// Removes a folder and the dashboards in it.
    pub(super) fn remove_folder(&self, uid: &str) -> Result<Folder, Refusal> {
        let _one = self.changing.lock();
        let folder = self.folders.read().get(uid).cloned();
        let Some(folder) = folder else { return Err(self.no_such_folder(uid)) };
        let inside: Vec<Arc<Board>> = self.all().into_iter().filter(|b| b.folder_uid == uid).collect();
        if inside.iter().any(|b| b.file.is_some()) {
            return Err(Refusal::bad("there are provisioned dashboards in this folder"));
        }
        let mut changes: Vec<StateChange> =
            inside.iter().map(|b| StateChange::delete(BOARDS, &b.uid)).collect();
        changes.push(StateChange::delete(FOLDERS, uid));
        self.store.write(&changes)?;
        let mut saved = self.saved.write();
        for board in &inside {
            saved.remove(&board.uid);
        }
        self.folders.write().remove(uid);
        Ok(folder)
    }
}

/// A file wins over what was saved before it changed.
fn chosen(saved: Option<Kept>, provided: Option<Arc<Board>>) -> Option<Arc<Board>> {
    match (saved, provided) {
        (Some((board, over)), Some(provided)) => {
            let file = provided.file.clone()?;
            if file.allow_updates && over.as_ref() == Some(&file.checksum) {
                return Some(Arc::new(Board { file: Some(file), ..Board::clone(&board) }));
            }
            Some(provided)
        }
        (Some((board, _)), None) => Some(board),
        (None, provided) => provided,
    }
}

impl Saved {
    fn into_board(self, uid: String, stored: u64) -> Result<Board, StateError> {
        Ok(Board {
            uid,
            folder_uid: self.folder_uid,
            title: self.dashboard.get("title").and_then(Value::as_str).unwrap_or_default().trim().to_owned(),
            tags: tags_of(&self.dashboard),
            version: self.version,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            created_by: self.created_by,
            updated_by: self.updated_by,
            message: self.message,
            file: None,
            model: to_bytes(&self.dashboard)?,
            stored,
        })
    }
}

fn title_of(dashboard: &Map<String, Value>) -> Result<String, Refusal> {
    let title = dashboard.get("title").and_then(Value::as_str).unwrap_or_default().trim();
    if title.is_empty() {
        return Err(Refusal::bad("Dashboard title cannot be empty").with("status", "empty-name"));
    }
    check_title(title)?;
    Ok(title.to_owned())
}

fn check_title(title: &str) -> Result<(), Refusal> {
    match title.trim() {
        "" => Err(Refusal::bad("folder title cannot be empty")),
        t if t.len() > MAX_TITLE => {
            Err(Refusal::bad(format!("a title has {MAX_TITLE} bytes at most (MAX_TITLE)")))
        }
        _ => Ok(()),
    }
}

fn tags_of(dashboard: &Map<String, Value>) -> Vec<String> {
    let tags = dashboard.get("tags").and_then(Value::as_array);
    tags.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
