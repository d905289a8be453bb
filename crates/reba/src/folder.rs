//! The configuration folder: the owner's layout, upstream's formats.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use reba_config::Variables;

/// Where the files of a configuration folder are. What is missing has defaults.
#[derive(Clone, Debug)]
pub struct Folder {
    /// `prometheus/prometheus.yml`.
    pub prometheus: PathBuf,
    /// `loki/loki-config.yml`.
    pub loki: PathBuf,
    /// `promtail/promtail-config.yml`.
    pub promtail: PathBuf,
    /// `grafana/grafana.ini`.
    pub grafana: PathBuf,
    /// The folder itself.
    pub root: PathBuf,
    /// `tempo/tempo.yml`.
    pub tempo: PathBuf,
    /// `alertmanager/alertmanager.yml`.
    pub alertmanager: PathBuf,
    /// `reba.yml`: only what upstream has no place for.
    pub reba: PathBuf,
    /// `.env`: secrets.
    pub env: PathBuf,
}

impl Folder {
    /// Looks at `path`: a folder in the owner's layout, a folder with a prometheus.yml in it, or such a file.
    pub fn at(path: &Path) -> Result<Self> {
        if path.is_file() {
            let folder = path.parent().unwrap_or(Path::new("."));
            return Ok(Folder { prometheus: path.to_owned(), ..Self::layout(folder) });
        }
        if !path.is_dir() {
            bail!("{}: no such folder (--config)", path.display());
        }
        let mut folder = Self::layout(path);
        let flat =
            [(&mut folder.prometheus, "prometheus.yml"), (&mut folder.alertmanager, "alertmanager.yml")];
        for (file, name) in flat {
            let flat = path.join(name);
            if !file.exists() && flat.exists() {
                *file = flat;
            }
        }
        Ok(folder)
    }

    /// The folder of an alertmanager.yml that is named by itself.
    pub fn of_alertmanager(file: &Path) -> Result<Self> {
        if !file.is_file() {
            bail!("{}: no such file (--config.file)", file.display());
        }
        let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Folder { alertmanager: file.to_owned(), ..Self::layout(folder) })
    }

    fn layout(path: &Path) -> Self {
        Folder {
            prometheus: path.join("prometheus/prometheus.yml"),
            loki: path.join("loki/loki-config.yml"),
            promtail: path.join("promtail/promtail-config.yml"),
            grafana: path.join("grafana/grafana.ini"),
            root: path.to_owned(),
            tempo: path.join("tempo/tempo.yml"),
            alertmanager: path.join("alertmanager/alertmanager.yml"),
            reba: path.join("reba.yml"),
            env: path.join(".env"),
        }
    }

    /// Values for `${NAME}`: the process environment, and `.env` for what it lacks.
    pub fn variables(&self, process: impl IntoIterator<Item = (String, String)>) -> Result<Variables> {
        variables(&self.env, process)
    }
}

/// Values for `${NAME}` in a rule file that is read by itself: as for the configuration folder that it is in.
pub fn variables_beside(file: &Path) -> Result<Variables> {
    let folders = file.parent().into_iter().flat_map(|f| [Some(f), f.parent()]).flatten();
    let found = folders.map(|f| f.join(".env")).find(|env| env.is_file());
    found.map_or_else(|| Ok(Variables::new(process().collect())), |env| variables(&env, process()))
}

/// The environment of this process, without what is no text.
pub fn process() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)))
}

fn variables(env: &Path, process: impl IntoIterator<Item = (String, String)>) -> Result<Variables> {
    let mut all = match fs::read_to_string(env) {
        Ok(text) => parse_env(&text).with_context(|| env.display().to_string())?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        // systemd and Compose read it for us, as root; who runs as a user of their own may not.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let file = env.display();
            tracing::info!(%file, "may not be read: what it sets counts as far as it is in the environment");
            BTreeMap::new()
        }
        Err(e) => return Err(e).with_context(|| env.display().to_string()),
    };
    all.extend(process);
    Ok(Variables::new(all))
}

/// `NAME=value` lines; comments, blank lines, `export`, and quotes around a value are understood.
fn parse_env(text: &str) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { bail!("line {}: no `=`", i + 1) };
        let name = name.trim();
        if !reba_model::is_legacy_label_name(name) {
            bail!("line {}: {name:?} is no name of a variable", i + 1);
        }
        all.insert(name.to_owned(), unquote(value.trim()).to_owned());
    }
    Ok(all)
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files_are_read_as_shells_read_them() {
        let env = parse_env("# c\n\nA=1\nexport B = \"x y\" \nC='#'\nD=\n").unwrap();
        let want = [("A", "1"), ("B", "x y"), ("C", "#"), ("D", "")];
        assert_eq!(env, want.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(parse_env("A=1\nnonsense").unwrap_err().to_string(), "line 2: no `=`");
        assert!(parse_env("a b=1").is_err());
    }

    #[test]
    fn a_file_a_flat_folder_and_the_owners_layout_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let flat = dir.path().join("prometheus.yml");
        fs::write(&flat, "").unwrap();
        assert_eq!(Folder::at(&flat).unwrap().prometheus, flat);
        assert_eq!(Folder::at(dir.path()).unwrap().prometheus, flat);
        fs::create_dir(dir.path().join("prometheus")).unwrap();
        let nested = dir.path().join("prometheus/prometheus.yml");
        fs::write(&nested, "").unwrap();
        assert_eq!(Folder::at(dir.path()).unwrap().prometheus, nested);
        assert!(Folder::at(&dir.path().join("nope")).is_err());
    }

    #[test]
    fn the_process_environment_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".env"), "A=file\nB=file\n").unwrap();
        let env =
            Folder::at(dir.path()).unwrap().variables([("A".to_owned(), "process".to_owned())]).unwrap();
        assert_eq!((env.get("A"), env.get("B")), (Some("process"), Some("file")));
    }
}
