//! Metrics that other programs leave in files: `--collector.textfile.directory`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{Files, Node, Outcome};
use crate::page::{Kind, Page};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Files at most in all folders.
const MAX_FILES: usize = 10_000;

/// `textfile`
pub fn textfile(node: &Node, _: &mut Files<'_>, page: &mut Page) -> Outcome {
    let directory = node.options.textfile_directory.as_str();
    let (mut failed, mut found) = (false, Vec::new());
    for folder in folders(directory) {
        match fs::read_dir(&folder) {
            Ok(entries) => found.extend(entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| is_prom(p))),
            Err(error) if !directory.is_empty() => {
                tracing::warn!(folder = %folder.display(), %error, "a folder of the textfile collector cannot be read");
                failed = true;
            }
            Err(_) => {}
        }
    }
    found.sort_unstable();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for path in found.iter().take(MAX_FILES) {
        match read(path) {
            Ok((read, seconds)) => {
                let file = path.to_string_lossy();
                page.gauge("node_textfile_mtime_seconds", "When each file was changed, in Unix time.")
                    .with(&[("file", &file)], seconds);
                for (name, family) in read {
                    join(&mut families, name, family, &file);
                }
            }
            Err(reason) => {
                tracing::warn!(file = %path.display(), reason, "a file of the textfile collector is left out");
                failed = true;
            }
        }
    }
    for (name, family) in families {
        family.write(page, name);
    }
    let failed = if failed { 1.0 } else { 0.0 };
    page.gauge("node_textfile_scrape_error", "Whether a file or folder could not be read.").value(failed);
    Ok(())
}

fn is_prom(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "prom")
}

/// The folder, or those that a pattern means; `*` and `?` stand for parts of one name.
fn folders(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "." })];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in found {
            let entries = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            next.extend(
                entries.filter(|e| matches(part, &e.file_name().to_string_lossy())).map(|e| e.path()),
            );
        }
        found = next;
    }
    if found.is_empty() { vec![PathBuf::from(pattern)] } else { found }
}

/// Whether a name fits a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => (p, n) = (p + 1, n + 1),
            // The last star takes one more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// A family of a file.
#[derive(Debug)]
struct Family {
    kind: Kind,
    help: Option<String>,
    files: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    suffix: &'static str,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Default for Family {
    fn default() -> Self {
        Family { kind: Kind::Untyped, help: None, files: String::new(), rows: Vec::new() }
    }
}

impl Family {
    /// Rows get all labels of their family: absent ones are empty.
    fn write(mut self, page: &mut Page, name: String) {
        let of_rows = |row: &Row| row.labels.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let own = |name: &String| {
            (self.kind == Kind::Histogram && name == "le")
                || (self.kind == Kind::Summary && name == "quantile")
        };
        let names: BTreeSet<String> = self.rows.iter().flat_map(of_rows).filter(|name| !own(name)).collect();
        for row in &mut self.rows {
            for name in &names {
                if !row.labels.iter().any(|(n, _)| n == name) {
                    row.labels.push((name.clone(), String::new()));
                }
            }
            row.labels.sort();
        }
        if page.kind(&name).is_some_and(|kind| kind != self.kind) {
            tracing::warn!(family = name, files = self.files, "of another type than a collector's: left out");
            return;
        }
        let help = self.help.unwrap_or_else(|| format!("Metric read from {}", self.files));
        let (mut seen, shown) = (BTreeSet::new(), name.clone());
        let mut out = page.family(name, self.kind, help);
        for row in &self.rows {
            if !seen.insert((row.suffix, &row.labels)) {
                tracing::warn!(family = shown, files = self.files, "a sample stands there twice: left out");
                continue;
            }
            let labels: Vec<(&str, &str)> =
                row.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            out.suffixed(row.suffix, &labels, row.value);
        }
    }
}

/// Puts a file's family to those of other files; the first one says what it is.
fn join(families: &mut BTreeMap<String, Family>, name: String, family: Family, file: &str) {
    let place = families.entry(name).or_insert_with(|| Family { kind: family.kind, ..Family::default() });
    if place.kind != family.kind {
        tracing::warn!(file, "a family has another type in another file, and is left out here");
        return;
    }
    place.help = place.help.take().or(family.help);
    if !place.files.is_empty() {
        place.files.push_str(", ");
    }
    place.files.push_str(file);
    place.rows.extend(family.rows);
}

fn read(path: &Path) -> Result<(BTreeMap<String, Family>, f64), String> {
    let about = fs::metadata(path).map_err(|e| e.to_string())?;
    // Nobody may ever write to a pipe: every scrape would wait for it for ever.
    if !about.is_file() {
        return Err("not a file".to_owned());
    }
    if about.len() > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes (MAX_FILE_BYTES)"));
    }
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let families = parse(&text)?;
    let changed = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok((families, changed.map_or(0.0, |d| d.as_secs() as f64)))
}

/// Reads the text format 0.0.4. Times are not allowed: a file is as old as it is.
fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let fail = |reason: &str| format!("line {}: {reason}", number + 1);
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim_start().splitn(3, [' ', '\t']);
            match (words.next(), words.next(), words.next()) {
                (Some("HELP"), Some(name), help) => {
                    families.entry(name.to_owned()).or_default().help = Some(plain(help.unwrap_or_default()));
                }
                (Some("TYPE"), Some(name), Some(kind)) => {
                    let family = families.entry(name.to_owned()).or_default();
                    if !family.rows.is_empty() {
                        return Err(fail("TYPE stands behind samples"));
                    }
                    family.kind = kind_of(kind.trim()).ok_or_else(|| fail("unknown TYPE"))?;
                }
                _ => {}
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let (name, labels, value) = sample(line).map_err(fail)?;
        let (family, suffix) = family_of(&families, &name);
        families.entry(family).or_default().rows.push(Row { suffix, labels, value });
    }
    families.retain(|_, family| !family.rows.is_empty());
    Ok(families)
}

/// A help text without its escapes.
fn plain(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('n') {
            out.push('\n');
            rest = tail;
        } else {
            out.push('\\');
            rest = after.strip_prefix('\\').unwrap_or(after);
        }
    }
    out + rest
}

fn kind_of(text: &str) -> Option<Kind> {
    Some(match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "untyped" => Kind::Untyped,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => return None,
    })
}

/// The family that a sample belongs to.
fn family_of(families: &BTreeMap<String, Family>, name: &str) -> (String, &'static str) {
    for suffix in ["_bucket", "_sum", "_count"] {
        let Some(base) = name.strip_suffix(suffix) else { continue };
        match families.get(base).map(|family| family.kind) {
            Some(Kind::Histogram) => return (base.to_owned(), suffix),
            Some(Kind::Summary) if suffix != "_bucket" => return (base.to_owned(), suffix),
            _ => {}
        }
    }
    (name.to_owned(), "")
}

type Sample = (String, Vec<(String, String)>, f64);

fn sample(line: &str) -> Result<Sample, &'static str> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace()).ok_or("a value is missing")?;
    let (name, rest) = line.split_at_checked(end).ok_or("a value is missing")?;
    if !reba_model::is_legacy_metric_name(name) {
        return Err("not a name of a metric");
    }
    let (labels, rest) = match rest.trim_start().strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let mut fields = rest.split_whitespace();
    let value = fields.next().ok_or("a value is missing")?;
    if fields.next().is_some() {
        return Err("times of samples are not supported");
    }
    let value = reba_model::float::parse_go(value).ok_or("not a number")?;
    Ok((name.to_owned(), labels, value))
}

/// Reads labels behind their opening brace; the rest of the line.
#[expect(clippy::type_complexity, reason = "labels, and what follows them")]
fn read_labels(mut rest: &str) -> Result<(Vec<(String, String)>, &str), &'static str> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = rest.split_once('=').ok_or("a label has no value")?;
        let name = name.trim();
        if !reba_model::is_legacy_label_name(name) || labels.iter().any(|(n, _)| n == name) {
            return Err("not a name of a label, or it is there twice");
        }
        let after = after.trim_start().strip_prefix('"').ok_or("a label's value has no quotes")?;
        let (value, after) = read_value(after)?;
        labels.push((name.to_owned(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return Err("labels are parted by commas"),
        };
    }
}

fn read_value(text: &str) -> Result<(String, &str), &'static str> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("an unknown escape"),
            },
            c => value.push(c),
        }
    }
    Err("a quote is open")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(files: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let folder = format!("--collector.textfile.directory={}", dir.path().display());
        let node = Node::new(&[folder], &|_| None).unwrap();
        node.page(&["textfile"].into()).text().replace(dir.path().to_str().unwrap(), "DIR")
    }

    #[test]
    fn files_are_read_and_one_that_is_wrong_costs_only_itself() {
        let page = page(&[
            ("a.prom", "# HELP jobs Jobs.\n# TYPE jobs counter\njobs{a=\"x\\\"y\"} 1\njobs 2e3\n"),
            ("b.prom", "jobs_other 1 1700000000000\n"),
            (
                "c.prom",
                "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
            ),
            ("d.prom", "no_end 1"),
            ("e.txt", "other 1\n"),
        ]);
        for line in [
            "# HELP jobs Jobs.",
            "jobs{a=\"x\\\"y\"} 1",
            "jobs{a=\"\"} 2000",
            "h_bucket{le=\"+Inf\"} 2",
            "h_count 2",
            "# HELP h Metric read from DIR/c.prom",
            "node_textfile_scrape_error 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
        for absent in ["jobs_other", "no_end", "other 1", "DIR/b.prom", "DIR/d.prom"] {
            assert!(!page.contains(absent), "{absent}\n{page}");
        }
    }

    #[test]
    fn what_is_there_twice_or_is_another_thing_elsewhere_is_left_out_and_the_rest_served() {
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
        let page = page(&[
            ("a.prom", histogram),
            ("b.prom", histogram),
            (
                "c.prom",
                "twice 1\ntwice 2\n# TYPE node_textfile_mtime_seconds counter\nnode_textfile_mtime_seconds 7\n",
            ),
        ]);
        for line in ["h_bucket{le=\"+Inf\"} 2", "h_count 2", "twice 1"] {
            assert_eq!(page.lines().filter(|l| *l == line).count(), 1, "{line}\n{page}");
        }
        assert!(!page.contains("twice 2") && !page.contains("node_textfile_mtime_seconds 7"), "{page}");
        assert!(page.contains("node_textfile_mtime_seconds{file=\"DIR/c.prom\"}"), "{page}");
    }

    #[test]
    fn help_keeps_its_backslashes() {
        let page = page(&[("a.prom", "# HELP w In C:\\\\new\\nor \\elsewhere\nw 1\n")]);
        // As it stood there, but for the one that was not escaped.
        assert!(page.contains("# HELP w In C:\\\\new\\nor \\\\elsewhere\n"), "{page}");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.prom"), "a 1\n").unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe.prom")).status();
        assert!(made.unwrap().success());
        let node =
            Node::new(&[format!("--collector.textfile.directory={}", dir.path().display())], &|_| None)
                .unwrap();
        let page = node.page(&["textfile"].into()).text();
        assert!(page.contains("\na 1\n") && page.contains("node_textfile_scrape_error 1"), "{page}");
    }

    #[test]
    fn patterns_mean_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a1", "a2", "b"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert_eq!(folders(&format!("{}/a*", dir.path().display())).len(), 2);
        assert!(
            matches("*a?c", "xxabc") && !matches("a?", "a") && matches("*", "") && matches("a*b*", "aXbY")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_text_panics(text in "([a-z#{}=\",\\\\ 0-9\n]|\\PC){0,60}", pattern in "[a*?]{0,8}") {
            let _ = (parse(&text), matches(&pattern, &text));
        }
    }
}
