//! Writes Reba's own metrics in the text format 0.0.4.
//!
//! The numbers live as plain atomics in the crates that count them; a page is put together when somebody asks.

use std::fmt::{Display, Write as _};

use reba_model::float;

/// A page of metrics in the making. Families must be written one after the other: all series of a family together.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    family: String,
}

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a counter family.
    pub fn counter(&mut self, name: &str, help: &str) -> &mut Self {
        self.family(name, "counter", help)
    }

    /// Starts a gauge family.
    pub fn gauge(&mut self, name: &str, help: &str) -> &mut Self {
        self.family(name, "gauge", help)
    }

    /// Starts a summary family.
    pub fn summary(&mut self, name: &str, help: &str) -> &mut Self {
        self.family(name, "summary", help)
    }

    /// Starts a histogram family.
    pub fn histogram(&mut self, name: &str, help: &str) -> &mut Self {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        name.clone_into(&mut self.family);
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// Adds a series of the family with these labels.
    pub fn with(&mut self, labels: &[(&str, &dyn Display)], value: f64) -> &mut Self {
        self.suffixed("", labels, value)
    }

    /// Adds the series without labels.
    pub fn value(&mut self, value: f64) -> &mut Self {
        self.with(&[], value)
    }

    /// Adds a series whose name is the family's with a suffix (`_sum`, `_count`, `_bucket`).
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: f64) -> &mut Self {
        self.text.push_str(&self.family);
        self.text.push_str(suffix);
        for (i, (name, text)) in labels.iter().enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            let escaped = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{name}=\"{escaped}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {}", float::format_g(value));
        self
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_in_the_text_format() {
        let mut page = Page::new();
        page.counter("a_total", "How\nmany.").with(&[("x", &"q\"\\\n"), ("y", &1)], 2.0).value(1e21);
        page.summary("s", "S.").suffixed("_count", &[], 3.0);
        assert_eq!(
            page.finish(),
            "# HELP a_total How\\nmany.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\",y=\"1\"} 2\na_total 1e+21\n\
             # HELP s S.\n# TYPE s summary\ns_count 3\n"
        );
    }
}
