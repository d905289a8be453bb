//! A YAML file as a tree whose nodes know where they stand, for readers that want to say something of every key.

use std::{cell::RefCell, collections::HashMap, fmt, path::Path};

use granit_parser::{Event, Parser, ScalarStyle};

use crate::{ConfigError, ConfigErrorKind};

/// Nodes that one file may have, aliases counted at full size: anchors of anchors can ask for billions.
const MAX_NODES: usize = 500_000;

/// Lists and maps that may stand inside each other.
const MAX_DEPTH: usize = 64;

/// Line and column, from 1.
pub type At = (u64, u64);

/// A node and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: At,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A text; `plain` if it stands without quotes and may mean a number, a truth value or nothing.
    Scalar {
        /// The text, without quotes and escapes.
        text: String,
        /// Whether it stands without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written; no key is there twice.
    Map(Vec<(String, Node)>),
}

/// The reason of a key that does not exist.
const UNKNOWN_KEY: &str = "unknown key";

/// A fault in a section; [`Fault::in_file`] completes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Where.
    pub at: Option<At>,
    /// The path of the key.
    pub key: String,
    /// What is wrong, without a full stop.
    pub reason: String,
}

impl Fault {
    /// A fault of a key at a place.
    pub fn new(at: At, key: impl Into<String>, reason: impl fmt::Display) -> Self {
        Fault { at: Some(at), key: key.into(), reason: reason.to_string() }
    }

    /// A key that does not exist.
    pub fn unknown_key(at: At, key: impl Into<String>) -> Self {
        Fault::new(at, key, UNKNOWN_KEY)
    }

    /// Whether a key does not exist: wrong, whatever its value is. What serde reads says it in its own words.
    pub fn is_unknown_key(&self) -> bool {
        self.reason == UNKNOWN_KEY || self.reason.starts_with("unknown field ")
    }

    /// The error of the file it is in.
    pub fn in_file(self, file: &Path) -> ConfigError {
        ConfigError::invalid(file, self.at, self.key, self.reason)
    }
}

impl Node {
    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar; the empty text for null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { .. } if self.is_null() => Some(""),
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The same as YAML, for people to read: values of keys that are `secret` are not shown, nor passwords in URLs.
    pub fn yaml_without_secrets(&self, secret: &dyn Fn(&str) -> bool) -> String {
        let mut out = String::new();
        self.show(0, secret, &mut out);
        out
    }

    /// The same in JSON: truth values where they stand without quotes, texts otherwise.
    pub fn json(&self) -> serde_json::Value {
        match &self.kind {
            _ if self.is_null() => serde_json::Value::Null,
            Kind::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" => true.into(),
                "false" | "False" => false.into(),
                other => other.into(),
            },
            Kind::Scalar { text, .. } => text.as_str().into(),
            Kind::List(items) => items.iter().map(Node::json).collect(),
            Kind::Map(entries) => entries.iter().map(|(k, v)| (k.clone(), v.json())).collect(),
        }
    }

    /// Writes the node behind its key or dash, which stand `depth` deep. Trees are at most [`MAX_DEPTH`] deep.
    fn show(&self, depth: usize, secret: &dyn Fn(&str) -> bool, out: &mut String) {
        let indent = "  ".repeat(depth);
        match &self.kind {
            _ if self.is_null() => out.push('\n'),
            Kind::Scalar { text, plain } if *plain && is_simple(text) => out.extend([text, "\n"]),
            Kind::Scalar { text, .. } => {
                out.push_str(&serde_json::Value::from(url_without_password(text)).to_string());
                out.push('\n');
            }
            Kind::List(items) if items.is_empty() => out.push_str("[]\n"),
            Kind::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
            Kind::List(items) => {
                end_line(out);
                for item in items {
                    out.extend([indent.as_str(), "- "]);
                    item.show(depth + 1, secret, out);
                }
            }
            Kind::Map(entries) => {
                end_line(out);
                for (i, (key, value)) in entries.iter().enumerate() {
                    // The first key stands behind the dash of a list.
                    if i > 0 || !out.ends_with("- ") {
                        out.push_str(&indent);
                    }
                    out.extend([key, ": "]);
                    if secret(key) && !value.is_null() {
                        out.push_str("<secret>\n");
                    } else {
                        value.show(depth + 1, secret, out);
                    }
                }
            }
        }
    }
}

/// Whether a text needs no quotes.
fn is_simple(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    !text.is_empty() && text.chars().all(safe) && !text.starts_with('-')
}

/// A list or map begins on a line of its own, unless it is an item of a list.
fn end_line(out: &mut String) {
    if out.ends_with(": ") {
        out.pop();
        out.push('\n');
    }
}

fn url_without_password(text: &str) -> String {
    let hidden = text.split_once("://").and_then(|(scheme, rest)| {
        let (user, rest) = rest.split_once('@').filter(|(user, _)| !user.contains('/'))?;
        let name = user.split(':').next()?;
        Some(format!("{scheme}://{name}:<secret>@{rest}"))
    });
    hidden.unwrap_or_else(|| text.to_owned())
}

/// An open list or map.
enum Open {
    List(Vec<Node>),
    /// `merged` is what `<<` brings, for the keys that the map does not have itself.
    Map {
        entries: Vec<(String, Node)>,
        merged: Vec<(String, Node)>,
        key: Option<String>,
    },
}

/// Builds the tree from the parser's events.
#[derive(Default)]
struct Builder {
    open: Vec<(At, usize, Open)>,
    anchors: HashMap<usize, (Node, usize)>,
    /// Nodes made by each open structure so far, for the size of what an anchor stands for.
    nodes: usize,
    starts: Vec<usize>,
    root: Option<Node>,
}

/// Reads the first document of `text`, which stands in `file`; an empty one is null.
pub fn parse(text: &str, file: &Path) -> Result<Node, ConfigError> {
    let mut builder = Builder::default();
    let syntax = |at: At, reason: String| ConfigError {
        kind: ConfigErrorKind::Syntax,
        file: file.to_owned(),
        at: Some(at),
        key: String::new(),
        reason,
    };
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|e| {
            let marker = e.marker();
            syntax((marker.line() as u64, marker.col() as u64 + 1), e.info().clone())
        })?;
        let at = (span.start.line() as u64, span.start.col() as u64 + 1);
        builder.event(event, at).map_err(|reason| syntax(at, reason))?;
        if builder.root.is_some() {
            break;
        }
    }
    let empty = Node { at: (1, 1), kind: Kind::Scalar { text: String::new(), plain: true } };
    Ok(builder.root.unwrap_or(empty))
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: At) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                self.nodes += 1;
                let node = Node { at, kind: Kind::Scalar { text: text.into_owned(), plain } };
                self.remember(anchor, &node, 1);
                self.add(node)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, Open::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.begin(at, anchor, Open::Map { entries: Vec::new(), merged: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let (node, size) =
                    self.anchors.get(&anchor).cloned().ok_or("alias of something unfinished")?;
                self.nodes += size;
                self.add(node)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: At, anchor: usize, open: Open) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} lists and maps inside each other"));
        }
        self.starts.push(self.nodes);
        self.nodes += 1;
        self.open.push((at, anchor, open));
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let (Some((at, anchor, open)), Some(start)) = (self.open.pop(), self.starts.pop()) else {
            return Ok(());
        };
        let kind = match open {
            Open::List(items) => Kind::List(items),
            Open::Map { mut entries, merged, .. } => {
                for (name, node) in merged {
                    if !entries.iter().any(|(n, _)| *n == name) {
                        entries.push((name, node));
                    }
                }
                Kind::Map(entries)
            }
        };
        let node = Node { at, kind };
        self.remember(anchor, &node, self.nodes - start);
        self.add(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    fn add(&mut self, node: Node) -> Result<(), String> {
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((_, _, Open::List(items))) => items.push(node),
            Some((_, _, Open::Map { entries, merged, key })) => match key.take() {
                None => match node.kind {
                    Kind::Scalar { text, .. } => *key = Some(text),
                    _ => return Err("a key must be a text".to_owned()),
                },
                Some(name) if name == "<<" => match node.kind {
                    Kind::Map(more) => merged.extend(more),
                    Kind::List(maps) => merged.extend(maps.into_iter().flat_map(|m| match m.kind {
                        Kind::Map(more) => more,
                        _ => Vec::new(),
                    })),
                    Kind::Scalar { .. } => return Err("<< takes a map, or a list of maps".to_owned()),
                },
                Some(name) if entries.iter().any(|(n, _)| *n == name) => {
                    return Err(format!("duplicate key {name}"));
                }
                Some(name) => entries.push((name, node)),
            },
        }
        Ok(())
    }
}

/// A map that remembers which of its keys were asked for.
pub struct Section<'a> {
    at: At,
    path: String,
    entries: &'a [(String, Node)],
    used: RefCell<Vec<&'a str>>,
}

impl<'a> Section<'a> {
    /// The map at `node`; null is an empty one.
    pub fn new(node: &'a Node, path: impl Into<String>) -> Result<Self, Fault> {
        let path = path.into();
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ if node.is_null() => &[],
            _ => return Err(Fault::new(node.at, path, "expected a map")),
        };
        Ok(Section { at: node.at, path, entries, used: RefCell::default() })
    }

    /// Where it begins.
    pub fn at(&self) -> At {
        self.at
    }

    /// The path of the map itself; empty for the whole file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All entries.
    pub fn entries(&self) -> &'a [(String, Node)] {
        self.entries
    }

    /// The path of one of its keys.
    pub fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A fault of one of its keys, or of the whole section if the key is not there.
    pub fn fault(&self, key: &str, reason: impl fmt::Display) -> Fault {
        let at = self.entries.iter().find(|(n, _)| n == key).map_or(self.at, |(_, node)| node.at);
        Fault::new(at, self.key(key), reason)
    }

    /// What stands under a key; nothing if it is null.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let (name, node) = self.entries.iter().find(|(n, _)| n == key)?;
        self.used.borrow_mut().push(name);
        (!node.is_null()).then_some(node)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.text() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(self.fault(key, "expected a text")),
        }
    }

    /// A value with a reader of its own.
    pub fn read<T, E: fmt::Display>(
        &self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        read(&text).map(Some).map_err(|e| self.fault(key, e))
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, Fault> {
        self.read(key, |text| match text {
            "true" | "True" | "yes" | "on" => Ok(true),
            "false" | "False" | "no" | "off" => Ok(false),
            _ => Err("expected true or false"),
        })
    }

    /// A number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Fault> {
        self.read(key, |text| text.trim().parse().map_err(|_| "expected a number in range"))
    }

    /// The items of a list, with the path of each.
    pub fn list(&self, key: &str) -> Result<Vec<(String, &'a Node)>, Fault> {
        match self.get(key).map(|n| &n.kind) {
            None => Ok(Vec::new()),
            Some(Kind::List(items)) => {
                Ok(items.iter().enumerate().map(|(i, n)| (format!("{}[{i}]", self.key(key)), n)).collect())
            }
            Some(_) => Err(self.fault(key, "expected a list")),
        }
    }

    /// A list of texts; one text is a list of one.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, Fault> {
        if let Some(text) = self.get(key).and_then(Node::text) {
            return Ok(vec![text.to_owned()]);
        }
        let item = |(path, node): (String, &Node)| {
            node.text().map(str::to_owned).ok_or_else(|| Fault::new(node.at, path, "expected a text"))
        };
        self.list(key)?.into_iter().map(item).collect()
    }

    /// A map of texts, in the order written; null reads as the empty text.
    pub fn text_map(&self, key: &str) -> Result<Vec<(String, String)>, Fault> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(node) => Section::new(node, self.key(key))?.all_texts(),
        }
    }

    /// All its entries as texts.
    pub fn all_texts(&self) -> Result<Vec<(String, String)>, Fault> {
        let text = |(name, node): &(String, Node)| match node.text() {
            Some(text) => Ok((name.clone(), text.to_owned())),
            None => Err(Fault::new(node.at, self.key(name), "expected a text")),
        };
        self.entries.iter().map(text).collect()
    }

    /// A map.
    pub fn section(&self, key: &str) -> Result<Option<Section<'a>>, Fault> {
        self.get(key).map(|node| Section::new(node, self.key(key))).transpose()
    }

    /// The keys that nobody asked for.
    pub fn unknown(&self) -> Vec<Fault> {
        let used = self.used.borrow();
        let left = self.entries.iter().filter(|(n, _)| !used.contains(&n.as_str()));
        left.map(|(name, node)| Fault::unknown_key(node.at, self.key(name))).collect()
    }

    /// Tells of the keys that nobody asked for.
    pub fn finish(self, warnings: &mut Vec<Fault>) {
        let used = self.used.borrow();
        for (name, node) in self.entries.iter().filter(|(n, _)| !used.contains(&n.as_str())) {
            warnings.push(Fault::new(node.at, self.key(name), "unknown key, which has no effect"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_merges_and_unknown_keys_are_understood() {
        let text = "a: &x {p: 1, q: '2'}\nb:\n  <<: *x\n  r: 5m\nc: *x\n";
        let node = parse(text, Path::new("f")).unwrap();
        let root = Section::new(&node, "").unwrap();
        let b = root.section("b").unwrap().unwrap();
        assert_eq!(b.text("p").unwrap().as_deref(), Some("1"));
        assert_eq!(b.text("r").unwrap().as_deref(), Some("5m"));
        let mut warnings = Vec::new();
        b.finish(&mut warnings);
        assert_eq!(warnings.len(), 1);
        assert_eq!((warnings[0].at, warnings[0].key.as_str()), (Some((1, 17)), "b.q"));
    }

    #[test]
    fn a_map_overrides_what_is_merged_into_it() {
        let text = "a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}\nc: {<<: [*x, {r: 4}], q: 5}\n";
        let node = parse(text, Path::new("f")).unwrap();
        assert_eq!(node.json()["b"], serde_json::json!({"p": "3", "q": "2"}));
        assert_eq!(node.json()["c"], serde_json::json!({"p": "1", "q": "5", "r": "4"}));
    }

    #[test]
    fn a_file_of_aliases_cannot_grow_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let before = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        assert!(parse(&text, Path::new("f")).is_err());
        assert!(parse(&"[".repeat(100_000), Path::new("f")).is_err());
    }
}
