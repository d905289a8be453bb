//! Where a walk over YAML events is: the path of a key, and whether a scalar is a key or a value.

use granit_parser::Event;

/// What is open.
enum Frame {
    Mapping { key: Option<String> },
    Sequence { index: usize },
}

/// Follows the events of a document.
#[derive(Default)]
pub(crate) struct Position(Vec<Frame>);

impl Position {
    /// Whether the next node is the key of a mapping.
    pub fn is_key(&self) -> bool {
        matches!(self.0.last(), Some(Frame::Mapping { key: None }))
    }

    /// The key whose value comes next, through lists: `replacement`.
    pub fn last_key(&self) -> &str {
        let keys = self.0.iter().rev().filter_map(|f| match f {
            Frame::Mapping { key } => key.as_deref(),
            Frame::Sequence { .. } => None,
        });
        keys.into_iter().next().unwrap_or_default()
    }

    /// The path of the value that comes next: `scrape_configs[0].scheme`.
    pub fn path(&self) -> String {
        let mut out = String::new();
        for frame in &self.0 {
            match frame {
                Frame::Mapping { key: Some(key) } if out.is_empty() => out.push_str(key),
                Frame::Mapping { key: Some(key) } => {
                    out.push('.');
                    out.push_str(key);
                }
                Frame::Mapping { key: None } => {}
                Frame::Sequence { index } => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }

    /// Goes on behind `event`.
    pub fn pass(&mut self, event: &Event<'_>) {
        match event {
            Event::MappingStart(..) => self.0.push(Frame::Mapping { key: None }),
            Event::SequenceStart(..) => self.0.push(Frame::Sequence { index: 0 }),
            Event::MappingEnd | Event::SequenceEnd => {
                self.0.pop();
                self.node("");
            }
            Event::Scalar(text, ..) => self.node(text),
            Event::Alias(_) => self.node("*"),
            _ => {}
        }
    }

    /// A whole node has gone by.
    fn node(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Frame::Mapping { key: key @ None }) => *key = Some(text.to_owned()),
            Some(Frame::Mapping { key }) => *key = None,
            Some(Frame::Sequence { index }) => *index += 1,
            None => {}
        }
    }
}
