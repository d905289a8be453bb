//! Targets from files, which are looked at again and again.
//!
//! Polling rather than notification: it also sees network mounts and the renamed folders of mounted configuration
//! maps, and a file costs one `stat` a few seconds.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reba_model::Labels;

use super::{
    TargetGroup,
    group::{self, GroupTexts},
};
use crate::{config::FileSd, glob};

/// The label that names the file a target comes from.
const FILEPATH_LABEL: &str = "__meta_filepath";

/// How often files are looked at; their sections may ask for less.
const POLL: Duration = Duration::from_secs(5);

/// A larger file is an accident.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Reads the groups of one file, JSON or YAML by its name.
pub fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut limited = file.take(MAX_FILE_BYTES + 1);
    limited.read_to_string(&mut text).map_err(|e| format!("{}: {e}", path.display()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{}: larger than {MAX_FILE_BYTES} bytes", path.display()));
    }
    parse(&text, path)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<TargetGroup>, String> {
    let name = path.display().to_string();
    let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let groups: GroupTexts = if json {
        serde_json::from_str(text).map_err(|e| format!("{name}: {e}"))?
    } else {
        serde_saphyr::from_str(text)
            .map_err(|e| format!("{name}: {}", e.to_string().lines().next().unwrap_or_default()))?
    };
    group::build(groups, &name, FILEPATH_LABEL, &name).map_err(|e| format!("{name}: {e}"))
}

/// What one look at the files found.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    /// Whether the groups differ from before.
    pub changed: bool,
    /// Files that could not be read; their last good groups stay.
    pub errors: Vec<String>,
}

#[derive(Debug)]
struct Known {
    modified: Option<SystemTime>,
    size: u64,
    /// Polls since the file was last read.
    age: u32,
    groups: Vec<TargetGroup>,
}

/// Remembers what the files of a section held.
#[derive(Debug)]
pub(crate) struct Watcher {
    configs: Vec<FileSd>,
    files: BTreeMap<PathBuf, Known>,
}

impl Watcher {
    pub fn new(configs: Vec<FileSd>) -> Self {
        Watcher { configs, files: BTreeMap::new() }
    }

    /// How often [`Watcher::refresh`] is to be called.
    pub fn poll_interval(&self) -> Duration {
        let shortest = self.configs.iter().map(|c| c.refresh_interval.as_std()).min();
        shortest.unwrap_or(POLL).clamp(Duration::from_millis(100), POLL)
    }

    /// The groups of all files, ordered by file.
    pub fn groups(&self) -> impl Iterator<Item = TargetGroup> {
        self.files.values().flat_map(|f| f.groups.iter().cloned())
    }

    /// Reads files that are new, look changed, or have not been read for their refresh interval.
    pub fn refresh(&mut self) -> Refresh {
        let mut out = Refresh::default();
        let poll = self.poll_interval();
        let mut present: BTreeMap<PathBuf, Duration> = BTreeMap::new();
        for config in &self.configs {
            for pattern in &config.files {
                match glob::expand(pattern) {
                    Ok(found) => {
                        for path in found {
                            let every = present.entry(path).or_insert(Duration::MAX);
                            *every = (*every).min(config.refresh_interval.as_std());
                        }
                    }
                    Err(e) => out.errors.push(format!("{}: {e}", pattern.display())),
                }
            }
        }
        if out.errors.is_empty() {
            let before = self.files.len();
            self.files.retain(|path, _| present.contains_key(path));
            out.changed |= self.files.len() != before;
        }
        for (path, every) in present {
            self.look(&path, every, poll, &mut out);
        }
        out
    }

    fn look(&mut self, path: &Path, every: Duration, poll: Duration, out: &mut Refresh) {
        let meta = fs::metadata(path);
        let (modified, size) = meta.map(|m| (m.modified().ok(), m.len())).unwrap_or_else(|_| (None, 0));
        if let Some(known) = self.files.get_mut(path) {
            known.age += 1;
            let due = poll * known.age >= every;
            if known.modified == modified && known.size == size && modified.is_some() && !due {
                return;
            }
        }
        match read(path) {
            Ok(groups) => {
                let old = self
                    .files
                    .insert(path.to_owned(), Known { modified, size, age: 0, groups: groups.clone() });
                out.changed |= old.is_none_or(|old| old.groups != groups);
            }
            Err(e) => out.errors.push(e),
        }
    }
}

/// The labels of every target with those of its group, for tests and tools.
pub fn merged(group: &TargetGroup) -> impl Iterator<Item = Labels> {
    group.targets.iter().map(|t| {
        let mut b = group.labels.to_builder();
        for (n, v) in t {
            b.set(n, v);
        }
        b.build()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Millis;

    fn watcher(dir: &Path) -> Watcher {
        Watcher::new(vec![FileSd {
            files: vec![dir.join("*.json"), dir.join("x.yml")],
            refresh_interval: Millis::seconds(300),
        }])
    }

    fn addresses(w: &Watcher) -> Vec<String> {
        w.groups()
            .flat_map(|g| g.targets.iter().map(|t| t.value("__address__").to_owned()).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn groups_come_from_json_and_yaml_with_the_name_of_their_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), r#"[{"targets":["h:1","h:2"],"labels":{"x":"1"}}]"#).unwrap();
        fs::write(dir.path().join("x.yml"), "- targets: ['y:1']\n- targets:\n").unwrap();
        let mut w = watcher(dir.path());
        assert!(w.refresh().changed);
        assert_eq!(addresses(&w), ["h:1", "h:2", "y:1"]);
        let first = w.groups().next().unwrap();
        assert_eq!(first.labels.value("x"), "1");
        assert_eq!(first.labels.value("__meta_filepath"), dir.path().join("a.json").to_str().unwrap());
        assert!(!w.refresh().changed);
    }

    #[test]
    fn the_last_good_groups_stay_while_a_file_is_broken_and_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.json");
        fs::write(&file, r#"[{"targets":["h:1"]}]"#).unwrap();
        let mut w = watcher(dir.path());
        w.refresh();
        fs::write(&file, r#"[{"targets":["h:1""#).unwrap();
        let r = w.refresh();
        assert_eq!((r.changed, r.errors.len()), (false, 1));
        assert_eq!(addresses(&w), ["h:1"]);
        fs::write(&file, r#"[{"targets":["h:2","h:3"]}]"#).unwrap();
        assert!(w.refresh().changed);
        assert_eq!(addresses(&w), ["h:2", "h:3"]);
        fs::remove_file(&file).unwrap();
        assert!(w.refresh().changed);
        assert!(addresses(&w).is_empty());
    }

    #[test]
    fn wrong_files_are_refused() {
        for (name, text) in [
            ("a.json", "[null]"),
            ("a.json", r#"[{"target":["x"]}]"#),
            ("a.yml", "- {targets: [a], nonsense: 1}"),
            ("a.yml", "targets: [a]"),
            ("a.json", "{"),
        ] {
            assert!(parse(text, Path::new(name)).is_err(), "{text}");
        }
        assert!(parse("", Path::new("a.yml")).unwrap().is_empty());
    }
}
