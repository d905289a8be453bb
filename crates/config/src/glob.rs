//! File names with `*` in their last element.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Whether `*` occurs in the last element of the path only.
pub fn is_simple(pattern: &str) -> bool {
    match pattern.find('*') {
        Some(star) => !pattern[star..].contains('/'),
        None => true,
    }
}

/// The existing files that `pattern` names, sorted. A folder that does not exist has no files.
pub fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !name.contains(['*', '?', '[']) {
        return Ok(if pattern.try_exists()? { vec![pattern.to_owned()] } else { Vec::new() });
    }
    let dir = pattern.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|n| matches(name, n)) {
            out.push(pattern.with_file_name(entry.file_name()));
        }
    }
    out.sort();
    Ok(out)
}

/// Matches `*` (anything), `?` (one character), `[a-z]` and `[^a-z]` (one of a class).
fn matches(pattern: &str, text: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let t: Vec<char> = text.chars().collect();
    let (mut i, mut j) = (0, 0);
    // Where to go on after the last star if what follows it does not match here: linear memory, no recursion.
    let mut retry: Option<(usize, usize)> = None;
    while j < t.len() || i < p.len() {
        if p.get(i) == Some(&'*') {
            retry = Some((i, j + 1));
            i += 1;
            continue;
        }
        if let Some(n) = t.get(j).and_then(|c| one(&p[i..], *c)) {
            i += n;
            j += 1;
            continue;
        }
        match retry {
            Some((star, next)) if next <= t.len() => (i, j) = (star, next),
            _ => return false,
        }
    }
    true
}

/// If the first element of `pattern` matches `c`: how many characters of the pattern it takes.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => {
            let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
            let negated = pattern[1] == '^';
            let class = &pattern[if negated { 2 } else { 1 }..end];
            let mut found = false;
            let mut i = 0;
            while i < class.len() {
                let range = class.get(i + 1) == Some(&'-') && i + 2 < class.len();
                let last = if range { class[i + 2] } else { class[i] };
                found |= class[i] <= c && c <= last;
                i += if range { 3 } else { 1 };
            }
            (found != negated).then_some(end + 1)
        }
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        p => (p == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_questions_and_classes_match() {
        for (pattern, text, yes) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "axxbxbc", true),
            ("a*b*c", "axxbxb", false),
            ("?.yml", "ab.yml", false),
            ("[a-c]?", "bz", true),
            ("[^a-c]", "b", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), yes, "{pattern} {text}");
        }
    }

    #[test]
    fn files_are_listed_in_order_and_a_missing_folder_has_none() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = |p: &str| expand(&dir.path().join(p)).unwrap().len();
        assert_eq!(expand(&dir.path().join("*.yml")).unwrap()[0], dir.path().join("a.yml"));
        assert_eq!((names("*.yml"), names("c.txt"), names("no.txt"), names("no/*.yml")), (2, 1, 0, 0));
    }

    proptest! {
        #[test]
        fn any_pattern_never_panics(p in "[a-c*?\\[\\]^\\\\-]{0,10}", t in "[a-c]{0,6}") {
            let _ = matches(&p, &t);
        }
    }
}
