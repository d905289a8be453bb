//! Patterns: literal text with captures between, `<method> <_> <status>`.

/// A compiled pattern: captures and literal texts by turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A name, or none for `<_>`.
    Capture(Option<String>),
}

impl Pattern {
    /// For `| pattern`: at least one name, none twice.
    pub(super) fn parser(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        let names: Vec<&str> = pattern.names().collect();
        if names.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        if let Some((_, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(format!("duplicate capture name ({name})"));
        }
        Ok(pattern)
    }

    /// For `|>`: no names.
    pub(super) fn filter(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        if pattern.names().next().is_some() {
            return Err("named captures are not allowed".to_owned());
        }
        Ok(pattern)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((name, behind)) = capture(rest) {
                if let Some(Part::Capture(_)) = parts.last() {
                    return Err(format!("found consecutive capture '<{}>'", name.unwrap_or("_")));
                }
                parts.push(Part::Capture(name.map(str::to_owned)));
                rest = behind;
            } else {
                let len = rest.char_indices().skip(1).find(|(i, _)| capture(&rest[*i..]).is_some());
                let len = len.map_or(rest.len(), |(i, _)| i);
                parts.push(Part::Literal(rest[..len].to_owned()));
                rest = &rest[len..];
            }
        }
        Ok(Pattern { parts })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| match p {
            Part::Capture(name) => name.as_deref(),
            Part::Literal(_) => None,
        })
    }

    /// Whether the whole line has this shape.
    pub(super) fn matches(&self, line: &str) -> bool {
        match self.parts.as_slice() {
            [] => line.is_empty(),
            [Part::Literal(literal)] => line == literal,
            parts => shape(parts, line),
        }
    }

    /// Hands over what the captures take from the line. Text before the first literal anchors at the start; a literal that is not
    /// there leaves the rest to the capture before it and ends the parsing.
    pub(super) fn extract<'l>(&self, line: &'l str, mut found: impl FnMut(&str, &'l str)) {
        let mut rest = line;
        let mut parts = self.parts.iter().peekable();
        if let Some(Part::Literal(literal)) = parts.peek() {
            match rest.strip_prefix(literal.as_str()) {
                Some(behind) => rest = behind,
                None => return,
            }
            parts.next();
        }
        while let Some(part) = parts.next() {
            let Part::Capture(name) = part else { continue };
            let (taken, behind) = match parts.peek() {
                Some(Part::Literal(literal)) => match rest.split_once(literal.as_str()) {
                    Some((taken, behind)) => (taken, Some(behind)),
                    None => (rest, None),
                },
                _ => (rest, None),
            };
            if let (Some(name), false) = (name, taken.is_empty() && behind.is_none()) {
                found(name, taken);
            }
            match behind {
                Some(behind) => rest = behind,
                None => return,
            }
        }
    }
}

/// Greedy from the left, the last literal at the end: enough, since every capture takes any text.
fn shape(parts: &[Part], line: &str) -> bool {
    let mut rest = line;
    let mut floating = false;
    for (i, part) in parts.iter().enumerate() {
        match part {
            Part::Capture(_) => floating = true,
            Part::Literal(literal) if i + 1 == parts.len() => {
                return if floating { rest.ends_with(literal.as_str()) } else { rest == literal };
            }
            Part::Literal(literal) => {
                let behind = if floating {
                    rest.split_once(literal.as_str()).map(|(_, behind)| behind)
                } else {
                    rest.strip_prefix(literal.as_str())
                };
                match behind {
                    Some(behind) => rest = behind,
                    None => return false,
                }
                floating = false;
            }
        }
    }
    true
}

/// `<name>` or `<_>` at the start of the text, and what follows it.
fn capture(text: &str) -> Option<(Option<&str>, &str)> {
    let (name, behind) = text.strip_prefix('<')?.split_once('>')?;
    let mut bytes = name.bytes();
    let first = bytes.next()?;
    let valid = (first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric());
    valid.then_some(((name != "_").then_some(name), behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extracted<'l>(pattern: &str, line: &'l str) -> Vec<(String, &'l str)> {
        let mut all = Vec::new();
        Pattern::parser(pattern).unwrap().extract(line, |n, v| all.push((n.to_owned(), v)));
        all
    }

    #[test]
    fn captures_reach_up_to_the_next_literal() {
        let pairs = |list: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
            list.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect()
        };
        assert_eq!(
            extracted("<method> <path> <status>", "GET /home 200"),
            pairs(&[("method", "GET"), ("path", "/home"), ("status", "200")])
        );
        assert_eq!(extracted("<method> <path>", "POST"), pairs(&[("method", "POST")]));
        assert_eq!(
            extracted("[<level>] <_>: <msg>", "[warn] app: x"),
            pairs(&[("level", "warn"), ("msg", "x")])
        );
        assert_eq!(extracted("[<level>]", "no bracket"), pairs(&[]));
    }

    #[test]
    fn a_filter_pattern_is_about_the_whole_line() {
        let matches = |pattern, line| Pattern::filter(pattern).unwrap().matches(line);
        assert!(matches("GET <_> 200", "GET /api 200"));
        assert!(!matches("GET <_> 200", "GET /api 200 x"));
        assert!(!matches("GET /api", "GET /api 200"));
        assert!(matches("<_>", "anything"));
        assert!(matches("a<_>b<_>b", "a b b"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(Pattern::parser("no captures"), Err("at least one capture is required".to_owned()));
        assert_eq!(Pattern::filter("<verb> x"), Err("named captures are not allowed".to_owned()));
        assert!(Pattern::parser("<a><b>").unwrap_err().contains("consecutive"));
        assert!(Pattern::parser("<a> <a>").unwrap_err().contains("duplicate"));
    }

    proptest! {
        #[test]
        fn a_line_made_from_a_pattern_has_its_shape(a in "[a-z ]{0,6}", b in "[a-z ]{0,6}") {
            let line = format!("x={a};y={b}");
            prop_assert!(Pattern::filter("x=<_>;y=<_>").unwrap().matches(&line));
        }
    }
}
