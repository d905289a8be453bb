//! Markdown that leads nowhere: relative links, headings within pages, and paths in backquotes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result};

/// Folders at the root of which files are spoken of by path. What stands in `monitoring/` may be optional.
const FOLDERS: &[&str] = &[
    "bench/",
    "crates/",
    "docs/",
    "fuzz/",
    "packages/",
    "packaging/",
    "scripts/",
    "tests/",
    "web/",
    "xtask/",
];

/// Attributes of HTML in Markdown that name a file.
const ATTRIBUTES: &[&str] = &["src=\"", "srcset=\"", "href=\""];

/// Looks at every tracked Markdown file; a finding names the file, the line and where it does not lead.
pub fn check(root: &Path, files: &[PathBuf], findings: &mut Vec<String>) -> Result<usize> {
    let mut looked_at = 0;
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for (number, line) in prose(&text) {
            for target in targets(line) {
                looked_at += 1;
                if let Some(why) = leads_nowhere(root, file, target)? {
                    findings.push(format!("{}:{number}: `{target}` {why}", file.display()));
                }
            }
            for path in spoken_of(line) {
                looked_at += 1;
                if !root.join(path).exists() && !beside(root, file, path).exists() {
                    findings.push(format!("{}:{number}: there is no `{path}`", file.display()));
                }
            }
        }
    }
    Ok(looked_at)
}

/// Lines outside fenced blocks, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

/// Where the links of a line lead: `[…](HERE)`, `[…]: HERE`, `src="HERE"`; code is none.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for text in line.split('`').step_by(2) {
        found.extend(text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()));
        for attribute in ATTRIBUTES {
            found.extend(text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
        }
    }
    if let Some((_, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        found.extend(rest.split_whitespace().next());
    }
    found
}

/// Paths in backquotes that begin with a folder of the root, without those that stand for several.
fn spoken_of(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split('`').skip(1).step_by(2);
    code.flat_map(str::split_whitespace).map(|word| word.trim_end_matches([',', ';', '.'])).filter(|word| {
        FOLDERS.iter().any(|folder| word.starts_with(folder))
            && !word.contains(['*', '{', '<', '$', ':', '|', '…'])
    })
}

/// Why a link leads nowhere, if it does. What has a scheme leads elsewhere.
fn leads_nowhere(root: &Path, file: &Path, target: &str) -> Result<Option<&'static str>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let page = if path.is_empty() { root.join(file) } else { beside(root, file, path) };
    if !page.exists() {
        return Ok(Some("is not there"));
    }
    if heading.is_empty() || page.extension().is_none_or(|e| e != "md") {
        return Ok(None);
    }
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    Ok((!headings(&text).contains(heading)).then_some("names no heading"))
}

/// A path as it stands in a file, without the steps back.
fn beside(root: &Path, file: &Path, path: &str) -> PathBuf {
    let mut out = root.join(file);
    out.pop();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

/// The names that GitHub gives headings: small letters, `-` for each space, no punctuation.
fn headings(text: &str) -> BTreeSet<String> {
    let name = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || ['-', '_'].contains(c)).collect()
    };
    let titles = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then_some(title)
    });
    titles.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_found_and_all_else_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        };
        write("docs/a.md", "# One, and two: `x`!\n\n```\n# no heading\n```\n");
        write(
            "README.md",
            "[a](docs/a.md) [b](docs/a.md#one-and-two-x) [c](https://x.example/y) `[d](no)` [e](#here)\n\n## Here\n\n```\n[f](no)\n```\n\
             [g](docs/no.md) [h](docs/a.md#no-heading) <img src=\"no.png\">\n[i]: ./no\n`docs/a.md`, `cat docs/no.rs`, `tests/*.rs`\n",
        );
        write("docs/b.md", "[up](../README.md) [beyond](../no/../docs/a.md) `a.md`\n");
        let files = ["README.md", "docs/a.md", "docs/b.md"].map(PathBuf::from);
        let mut findings = Vec::new();
        assert_eq!(check(root, &files, &mut findings).unwrap(), 12);
        let want = [
            "README.md:8: `docs/no.md` is not there",
            "README.md:8: `docs/a.md#no-heading` names no heading",
            "README.md:8: `no.png` is not there",
            "README.md:9: `./no` is not there",
            "README.md:10: there is no `docs/no.rs`",
        ];
        assert_eq!(findings, want);
    }
}
