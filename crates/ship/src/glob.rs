//! Patterns of paths: `*`, `?`, `[a-z]`, `{a,b}` and `**` for any number of folders.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Patterns that the braces of one may stand for.
const MAX_ALTERNATIVES: usize = 1000;

/// Folders that `**` goes down.
const MAX_DEPTH: usize = 32;

/// Folders that one pattern may have watched.
const MAX_FOLDERS: usize = 4096;

/// Files that one pattern may find.
const MAX_FILES: usize = 100_000;

/// A pattern, ready to be matched.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    /// What the braces stand for, each in pieces between slashes.
    alternatives: Vec<Vec<String>>,
}

impl Glob {
    pub fn new(pattern: &str) -> Self {
        let mut alternatives = Vec::new();
        expand_braces(pattern.to_owned(), &mut alternatives);
        let pieces = |p: &String| p.split('/').map(str::to_owned).collect();
        Glob { alternatives: alternatives.iter().map(pieces).collect() }
    }

    /// Whether `path` is meant.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        self.alternatives.iter().any(|pieces| matches_pieces(pieces, &path))
    }

    /// The folders in which there may be such files, as far as they exist.
    pub fn folders(&self, out: &mut BTreeSet<PathBuf>) {
        for pieces in &self.alternatives {
            let absolute = pieces.first().is_some_and(String::is_empty);
            let rest = if absolute { &pieces[1..] } else { pieces };
            let mut at = vec![PathBuf::from(if absolute { "/" } else { "" })];
            for piece in &rest[..rest.len().saturating_sub(1)] {
                at = at.iter().flat_map(|folder| below(folder, piece)).take(MAX_FOLDERS).collect();
                if out.len() >= MAX_FOLDERS {
                    return;
                }
                if piece.contains(['*', '?', '[']) {
                    // A folder may come whose name matches.
                    out.extend(at.iter().filter_map(|f| f.parent()).map(Path::to_owned));
                }
            }
            out.extend(at);
        }
    }

    /// The files that there are, sorted, each once. Folders that cannot be read have none.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut out = Vec::new();
        for pieces in &self.alternatives {
            let start = if pieces.first().is_some_and(String::is_empty) { "/" } else { "" };
            let rest = if start == "/" { &pieces[1..] } else { pieces };
            walk(Path::new(start), rest, 0, &mut out);
        }
        out.sort();
        out.dedup();
        out
    }
}

/// Writes out the first pair of braces until there is none.
fn expand_braces(pattern: String, out: &mut Vec<String>) {
    let mut todo = vec![pattern];
    while let Some(pattern) = todo.pop() {
        let parts = pattern.find('{').and_then(|open| Some((open, closing(&pattern, open)?)));
        let Some((open, close)) = parts.filter(|_| todo.len() + out.len() < MAX_ALTERNATIVES) else {
            out.push(pattern);
            continue;
        };
        for choice in choices(&pattern[open + 1..close]) {
            todo.push(format!("{}{choice}{}", &pattern[..open], &pattern[close + 1..]));
        }
    }
}

fn closing(pattern: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in pattern.char_indices().skip_while(|(i, _)| *i < open) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(i),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The texts between the commas that are in no inner braces.
fn choices(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn walk(folder: &Path, pieces: &[String], depth: usize, out: &mut Vec<PathBuf>) {
    let Some((piece, rest)) = pieces.split_first() else { return };
    if out.len() >= MAX_FILES {
        return;
    }
    if piece == "**" {
        walk(folder, rest, depth, out);
        if depth < MAX_DEPTH {
            for name in names(folder) {
                let path = folder.join(name);
                // Links to folders could go round in circles.
                if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
                    walk(&path, pieces, depth + 1, out);
                }
            }
        }
        return;
    }
    let special = piece.contains(['*', '?', '[']);
    let candidates = if special { names(folder) } else { vec![piece.clone()] };
    for name in candidates.iter().filter(|n| !special || matches_name(piece, n)) {
        let path = folder.join(name);
        let Ok(meta) = path.metadata() else { continue };
        if rest.is_empty() {
            // A pipe that nobody writes to would be waited for without end.
            if meta.is_file() {
                out.push(path);
            }
        } else if meta.is_dir() {
            walk(&path, rest, depth, out);
        }
    }
}

/// The folders in `folder` that one piece of a pattern means.
fn below(folder: &Path, piece: &str) -> Vec<PathBuf> {
    if piece == "**" {
        let mut found = vec![folder.to_owned()];
        let mut next = 0;
        while next < found.len() && found.len() < MAX_FOLDERS {
            let here = found[next].clone();
            found.extend(
                names(&here)
                    .into_iter()
                    .map(|n| here.join(n))
                    .filter(|p| p.symlink_metadata().is_ok_and(|m| m.is_dir())),
            );
            next += 1;
        }
        return found;
    }
    let special = piece.contains(['*', '?', '[']);
    let candidates = if special { names(folder) } else { vec![piece.to_owned()] };
    let matching = candidates.into_iter().filter(|n| !special || matches_name(piece, n));
    matching.map(|n| folder.join(n)).filter(|p| p.is_dir()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().into_string().ok()).collect()
}

/// Matches piece by piece; `**` takes any number of them. Like stars in a name: linear memory, no recursion.
fn matches_pieces(pieces: &[String], path: &[&str]) -> bool {
    let (mut i, mut j) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while j < path.len() || i < pieces.len() {
        if pieces.get(i).is_some_and(|p| p == "**") {
            retry = Some((i + 1, j + 1));
            i += 1;
        } else if i < pieces.len() && j < path.len() && matches_name(&pieces[i], path[j]) {
            (i, j) = (i + 1, j + 1);
        } else if let Some((start, next)) = retry.filter(|(_, next)| *next <= path.len()) {
            (i, j) = (start, next);
            retry = Some((start, next + 1));
        } else {
            return false;
        }
    }
    true
}

/// Matches one name.
fn matches_name(pattern: &str, text: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let t: Vec<char> = text.chars().collect();
    let (mut i, mut j) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while j < t.len() || i < p.len() {
        if p.get(i) == Some(&'*') {
            retry = Some((i + 1, j + 1));
            i += 1;
        } else if let Some(len) = t.get(j).and_then(|c| one(&p[i..], *c)) {
            (i, j) = (i + len, j + 1);
        } else if let Some((start, next)) = retry.filter(|(_, next)| *next <= t.len()) {
            (i, j) = (start, next);
            retry = Some((start, next + 1));
        } else {
            return false;
        }
    }
    true
}

/// How much of the pattern takes the character, if it does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', literal, ..] => (*literal == c).then_some(2),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|i| i + 1) else {
                return (c == '[').then_some(1);
            };
            let (negated, set) = match &rest[..end] {
                ['^' | '!', set @ ..] => (true, set),
                set => (false, set),
            };
            let mut found = false;
            let mut k = 0;
            while k < set.len() {
                if set.get(k + 1) == Some(&'-') && k + 2 < set.len() {
                    found |= (set[k]..=set[k + 2]).contains(&c);
                    k += 3;
                } else {
                    found |= set[k] == c;
                    k += 1;
                }
            }
            (found != negated).then_some(end + 2)
        }
        [literal, ..] => (*literal == c).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_doublestar_does() {
        for (pattern, path, matches) in [
            ("/a/*.log", "/a/b.log", true),
            ("/a/*.log", "/a/b/c.log", false),
            ("/a/**/*.log", "/a/c.log", true),
            ("/a/**/*.log", "/a/b/d/c.log", true),
            ("/a/{x,y{1,2}}.log", "/a/y2.log", true),
            ("/a/{x,y}.log", "/a/z.log", false),
            ("/a/?[0-9].log", "/a/b7.log", true),
            ("/a/[!b].log", "/a/b.log", false),
            ("/**", "/a/b/c", true),
            ("/a/**/z", "/a/z/y/z", true),
            ("/a*b*c", "/aXbYbZc", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn the_files_of_a_pattern_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.txt", "s/c.log", "s/t/d.log"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let files = Glob::new(&format!("{}/{pattern}", dir.path().display())).files();
            let relative = files.iter().map(|f| f.strip_prefix(dir.path()).unwrap().display().to_string());
            relative.collect::<Vec<_>>()
        };
        assert_eq!(found("*.log"), ["a.log"]);
        assert_eq!(found("**/*.log"), ["a.log", "s/c.log", "s/t/d.log"]);
        assert_eq!(found("{a.log,b.txt,none}"), ["a.log", "b.txt"]);
        assert_eq!(found("*/**/d.*"), ["s/t/d.log"]);
        let folders = |pattern: &str| {
            let mut out = BTreeSet::new();
            Glob::new(&format!("{}/{pattern}", dir.path().display())).folders(&mut out);
            let inside = out.iter().filter_map(|f| f.strip_prefix(dir.path()).ok());
            inside.map(|f| f.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(folders("*.log"), [""]);
        assert_eq!(folders("**/*.log"), ["", "s", "s/t"]);
        assert_eq!(folders("{s,none}/t/*"), ["s/t"]);
    }

    proptest! {
        #[test]
        fn no_pattern_makes_matching_panic(p in "[a{},*?\\[\\]!/-]{0,24}", t in "[ab/-]{0,12}") {
            Glob::new(&p).matches(&t);
        }
    }
}
