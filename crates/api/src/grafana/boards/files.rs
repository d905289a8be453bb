//! Dashboards from files: what `provisioning/dashboards/*.yml` points at, looked at again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Board, FileOf, Folder,
    import::{defaults, fill_in},
    tags_of,
};
use crate::grafana::{
    body::MAX_BODY,
    ids::{hex, is_uid, numeric_id, uid_from},
    provisioning::{self, Fault, Paths},
    settings::Lookup,
};

/// Files that one provider may have.
const MAX_FILES: usize = 5000;

/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 16;

/// How often files are looked at if nobody says otherwise.
const INTERVAL: Duration = Duration::from_secs(10);

/// What the files provide.
#[derive(Debug, Default)]
pub(in crate::grafana) struct Files {
    pub boards: BTreeMap<String, Arc<Board>>,
    pub folders: BTreeMap<String, Folder>,
    /// What is wrong, in the order of the files.
    pub faults: Vec<Fault>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawFile {
    providers: Vec<Provider>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provider {
    name: String,
    r#type: String,
    folder: String,
    folder_uid: String,
    disable_deletion: bool,
    allow_ui_updates: bool,
    update_interval_seconds: Option<u64>,
    options: Options,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    path: String,
    /// The name of `path` in early versions.
    folder: String,
    folders_from_files_structure: bool,
}

/// A file as it was read, until it changes.
#[derive(Debug)]
struct Cached {
    stamp: (SystemTime, u64),
    content: Result<Content, Fault>,
}

#[derive(Clone, Debug)]
struct Content {
    dashboard: Map<String, Value>,
    checksum: String,
}

/// Reads the files, remembering those that have not changed.
#[derive(Debug)]
pub(in crate::grafana) struct Reader {
    paths: Paths,
    cache: BTreeMap<PathBuf, Cached>,
    /// Uids that stay when their file goes.
    staying: BTreeSet<String>,
}

/// What a look at the files found.
#[derive(Debug)]
pub(in crate::grafana) struct Found {
    pub files: Files,
    /// Dashboards whose file is gone and that stay nevertheless.
    pub adopted: Vec<Arc<Board>>,
    /// When to look again.
    pub again: Duration,
}

impl Reader {
    pub(in crate::grafana) fn new(paths: Paths) -> Self {
        Reader { paths, cache: BTreeMap::new(), staying: BTreeSet::new() }
    }

    /// Looks at the files. `before` is what the look before found; `default_of` names the default data source of a kind.
    pub(in crate::grafana) fn look(
        &mut self,
        before: &Files,
        lookup: Lookup<'_>,
        default_of: &dyn Fn(&str) -> Option<String>,
    ) -> Found {
        let mut files = Files::default();
        let mut seen = BTreeSet::new();
        let mut staying = BTreeSet::new();
        let mut again = None;
        for provider in self.providers(&mut files.faults, lookup) {
            let interval =
                provider.update_interval_seconds.map_or(INTERVAL, |s| Duration::from_secs(s.max(1)));
            again = Some(again.map_or(interval, |a: Duration| a.min(interval)));
            let Some(root) = self.root(&provider, &mut files.faults) else { continue };
            for path in json_files(&root, &mut files.faults) {
                seen.insert(path.clone());
                let content = match self.content(&path) {
                    Ok(content) => content,
                    Err(fault) => {
                        files.faults.push(fault);
                        continue;
                    }
                };
                let folder = folder_of(&provider, &root, &path);
                let board = board(&path, content, &folder, &provider, default_of, self.mtime_ms(&path));
                if let Some(first) = files.boards.get(&board.uid) {
                    let first = first.file.as_ref().map_or("", |f| f.path.as_str());
                    files
                        .faults
                        .push(Fault::new(&path, format!("uid {:?} is that of {first} as well", board.uid)));
                    continue;
                }
                if provider.disable_deletion {
                    staying.insert(board.uid.clone());
                }
                if !folder.uid.is_empty() {
                    files.folders.entry(folder.uid.clone()).or_insert(folder);
                }
                files.boards.insert(board.uid.clone(), Arc::new(board));
            }
        }
        self.cache.retain(|path, _| seen.contains(path));
        let stays = |b: &&Arc<Board>| self.staying.contains(&b.uid) && !files.boards.contains_key(&b.uid);
        let adopted = before.boards.values().filter(stays).cloned().collect();
        self.staying = staying;
        Found { files, adopted, again: again.unwrap_or(INTERVAL) }
    }

    /// The providers of all files; without any, the folder of dashboards itself.
    fn providers(&self, faults: &mut Vec<Fault>, lookup: Lookup<'_>) -> Vec<Provider> {
        let all = provisioning::yaml_files(&self.paths.provisioning.join("dashboards"));
        if all.is_empty() {
            let options = Options { path: self.paths.dashboards.display().to_string(), ..Options::default() };
            return if self.paths.dashboards.is_dir() {
                vec![Provider { options, ..Provider::default() }]
            } else {
                Vec::new()
            };
        }
        let mut out = Vec::new();
        for file in all {
            match provisioning::read::<RawFile>(&file, lookup) {
                Ok(raw) => out.extend(raw.providers),
                Err(fault) => faults.push(fault),
            }
        }
        out.retain(|p| {
            let known = p.r#type.is_empty() || p.r#type == "file";
            if !known {
                faults.push(Fault::new(
                    &self.paths.provisioning,
                    format!("provider {:?}: type {:?} is not supported", p.name, p.r#type),
                ));
            }
            known
        });
        out
    }

    /// Where a provider's files are. A path that leads into Grafana's container is taken to mean our folder of dashboards.
    fn root(&self, provider: &Provider, faults: &mut Vec<Fault>) -> Option<PathBuf> {
        let options = &provider.options;
        let path = if options.path.is_empty() { &options.folder } else { &options.path };
        let given = self.paths.root.join(path);
        if given.exists() {
            return Some(given);
        }
        let ours = &self.paths.dashboards;
        let instead = Path::new(path).is_absolute() && ours.is_dir();
        let what = if instead {
            format!("taking {} instead", ours.display())
        } else {
            "nothing is loaded".to_owned()
        };
        let fault = Fault::new(&given, format!("provider {:?}: no such folder, {what}", provider.name));
        faults.push(if instead { fault.but_loaded() } else { fault });
        instead.then(|| ours.clone())
    }

    fn mtime_ms(&self, path: &Path) -> i64 {
        let stamp = self.cache.get(path).map_or(UNIX_EPOCH, |c| c.stamp.0);
        stamp.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0))
    }

    fn content(&mut self, path: &Path) -> Result<Content, Fault> {
        let meta = fs::metadata(path).map_err(|e| Fault::new(path, e.to_string()))?;
        let stamp = (meta.modified().unwrap_or(UNIX_EPOCH), meta.len());
        if let Some(cached) = self.cache.get(path).filter(|c| c.stamp == stamp) {
            return cached.content.clone();
        }
        let content = read_dashboard(path, meta.len());
        self.cache.insert(path.to_owned(), Cached { stamp, content: content.clone() });
        content
    }
}

fn read_dashboard(path: &Path, length: u64) -> Result<Content, Fault> {
    if length > MAX_BODY as u64 {
        return Err(Fault::new(path, format!("larger than {MAX_BODY} bytes (MAX_BODY)")));
    }
    let text = fs::read(path).map_err(|e| Fault::new(path, e.to_string()))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let value: Value = serde_json::from_slice(text).map_err(|e| Fault::json(path, &e))?;
    let Value::Object(mut dashboard) = value else {
        return Err(Fault::new(path, "no dashboard: it is not an object").at(1, 1));
    };
    // As the API exports it.
    if let Some(Value::Object(_)) = dashboard.get("dashboard")
        && let Some(Value::Object(inner)) = dashboard.remove("dashboard")
    {
        dashboard = inner;
    }
    let checksum = hex(&xxhash_rust::xxh3::xxh3_128(text).to_be_bytes());
    Ok(Content { dashboard, checksum })
}

/// The dashboard of a file; what it lacks is filled in.
fn board(
    path: &Path,
    content: Content,
    folder: &Folder,
    provider: &Provider,
    default_of: &dyn Fn(&str) -> Option<String>,
    mtime_ms: i64,
) -> Board {
    let Content { dashboard, checksum } = content;
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let given = dashboard.get("uid").and_then(Value::as_str).filter(|uid| is_uid(uid)).map(str::to_owned);
    let from_stem = || Some(uid_from(&stem)).filter(|uid| is_uid(uid));
    let uid = given.or_else(from_stem).unwrap_or_else(|| format!("file-{:x}", numeric_id("file", &stem)));
    let values = defaults(&dashboard, default_of);
    let mut dashboard = dashboard;
    dashboard.values_mut().for_each(|value| fill_in(value, &values));
    let title = dashboard.get("title").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let title = if title.is_empty() { stem } else { title };
    dashboard.insert("title".to_owned(), title.clone().into());
    Board {
        folder_uid: folder.uid.clone(),
        tags: tags_of(&dashboard),
        version: 1,
        created_ms: mtime_ms,
        updated_ms: mtime_ms,
        created_by: String::new(),
        updated_by: String::new(),
        message: String::new(),
        file: Some(FileOf {
            path: path.display().to_string(),
            checksum,
            allow_updates: provider.allow_ui_updates,
        }),
        model: serde_json::to_vec(&dashboard).unwrap_or_default(),
        stored: 0,
        uid,
        title,
    }
}

/// The folder that a file's dashboard is shown in.
fn folder_of(provider: &Provider, root: &Path, path: &Path) -> Folder {
    let below = path.parent().and_then(|p| p.strip_prefix(root).ok()).and_then(Path::file_name);
    let (title, uid) = match below {
        Some(name) if provider.options.folders_from_files_structure => {
            (name.to_string_lossy().into_owned(), "")
        }
        _ => (provider.folder.clone(), provider.folder_uid.as_str()),
    };
    if title.is_empty() {
        return Folder::default();
    }
    let made = uid_from(&title);
    let uid = match (is_uid(uid), made.as_str()) {
        (true, _) => uid.to_owned(),
        (false, "") => format!("folder-{:x}", numeric_id("folder", &title)),
        (false, made) => made.to_owned(),
    };
    Folder { uid, title, version: 1, provisioned: true, ..Folder::default() }
}

/// The JSON files below `root`, by path; or `root` itself, if it is a file.
fn json_files(root: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut out = Vec::new();
    if root.is_file() {
        return vec![root.to_owned()];
    }
    walk(root, MAX_DEPTH, &mut out);
    out.sort();
    if out.len() > MAX_FILES {
        faults
            .push(Fault::new(root, format!("more than {MAX_FILES} files (MAX_FILES): the rest is left out")));
        out.truncate(MAX_FILES);
    }
    out
}

fn walk(folder: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Kubernetes mounts files through hidden folders and links into them.
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) || out.len() > MAX_FILES {
            continue;
        }
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, out);
            }
        } else if path.extension().is_some_and(|e| e == "json") {
            out.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folders(tempfile::TempDir, Reader);

    impl Folders {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let reader = Reader::new(Paths::below(dir.path()));
            let folders = Folders(dir, reader);
            for (name, text) in files {
                folders.write(name, text);
            }
            folders
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join("grafana").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn look(&mut self, before: &Files) -> Found {
            self.1.look(before, &|_| None, &|kind| (kind == "prometheus").then(|| "prom".to_owned()))
        }
    }

    const PROVIDER: &str = "apiVersion: 1\nproviders:\n- {name: a, folder: Team A, type: file, disableDeletion: true, options: {path: grafana/dashboards}}\n";

    #[test]
    fn what_can_be_loaded_is_and_the_rest_is_named_by_file_and_line() {
        let mut folders = Folders::new(&[
            ("provisioning/dashboards/d.yml", PROVIDER),
            ("dashboards/a.json", r#"{"uid": "one", "title": "One", "tags": ["x"]}"#),
            ("dashboards/b.json", r#"{"dashboard": {"title": "Wrapped"}, "meta": {}}"#),
            ("dashboards/c.json", "{\"title\": \"C\"\n \"panels\": []}"),
            ("dashboards/d.json", r#"{"uid": "one", "title": "Again"}"#),
            (
                "dashboards/e.json",
                r#"{"uid": "in", "title": "E", "__inputs": [{"name": "DS", "type": "datasource", "pluginId": "prometheus"}], "x": "${DS}"}"#,
            ),
        ]);
        let found = folders.look(&Files::default());
        let boards = &found.files.boards;
        assert_eq!(boards.keys().collect::<Vec<_>>(), ["b", "in", "one"]);
        assert_eq!((boards["b"].title.as_str(), boards["one"].folder_uid.as_str()), ("Wrapped", "team-a"));
        assert_eq!(boards["in"].json()["x"], "prom");
        assert_eq!(found.files.folders["team-a"].title, "Team A");
        let faults: Vec<String> = found.files.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("c.json:2:2: expected `,` or `}`"), "{faults:?}");
        assert!(faults[1].contains("d.json: uid \"one\" is that of"), "{faults:?}");
    }

    #[test]
    fn changes_are_seen_and_what_must_stay_is_handed_over() {
        let mut folders = Folders::new(&[
            ("provisioning/dashboards/d.yml", PROVIDER),
            ("dashboards/a.json", r#"{"title": "One"}"#),
        ]);
        let first = folders.look(&Files::default()).files;
        folders.write("dashboards/a.json", r#"{"title": "Another"}"#);
        let second = folders.look(&first).files;
        assert_eq!(second.boards["a"].title, "Another");
        fs::remove_file(folders.0.path().join("grafana/dashboards/a.json")).unwrap();
        let third = folders.look(&second);
        assert!(third.files.boards.is_empty());
        assert_eq!(third.adopted[0].title, "Another");
    }

    #[test]
    fn a_path_of_the_container_means_our_folder() {
        let provider =
            "providers: [{name: x, type: file, options: {path: /nonexistent/var/lib/grafana/dashboards}}]";
        let mut folders = Folders::new(&[
            ("provisioning/dashboards/d.yml", provider),
            ("dashboards/a.json", r#"{"title": "A"}"#),
        ]);
        let found = folders.look(&Files::default());
        assert_eq!(found.files.boards.len(), 1);
        assert!(found.files.faults[0].message.contains("instead"));
    }
}
