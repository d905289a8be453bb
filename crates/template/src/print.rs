//! Go's `fmt`: how values print, and the verbs of `printf`.

use std::fmt::Write as _;

use reba_model::float::go_quote;

use crate::{number, value::Value};

/// The text grew beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

type Printed = Result<(), TooLong>;

/// Formats as `fmt.Sprintf`; fails if the text would be longer than `limit` bytes.
pub fn sprintf(format: &str, args: &[Value], limit: usize) -> Result<String, TooLong> {
    let mut printer = Printer { out: String::new(), limit };
    printer.printf(format, args)?;
    Ok(printer.out)
}

/// `fmt.Sprint`: blanks only between operands neither of which is a text.
pub fn sprint(args: &[Value], limit: usize) -> Result<String, TooLong> {
    let mut printer = Printer { out: String::new(), limit };
    let is_text = |v: &Value| matches!(v, Value::String(_));
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && !is_text(arg) && !is_text(&args[i - 1]) {
            printer.put(" ")?;
        }
        printer.verb('v', &Spec::default(), arg, 0)?;
    }
    Ok(printer.out)
}

/// `fmt.Sprintln`: blanks between all operands, a newline at the end.
pub fn sprintln(args: &[Value], limit: usize) -> Result<String, TooLong> {
    let mut printer = Printer { out: String::new(), limit };
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            printer.put(" ")?;
        }
        printer.verb('v', &Spec::default(), arg, 0)?;
    }
    printer.put("\n")?;
    Ok(printer.out)
}

/// Flags, width and precision of one verb.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub minus: bool,
    pub plus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    /// `%+v`: names of fields.
    pub field_names: bool,
    /// `%#v`: as Go source.
    pub go_syntax: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

/// Go refuses wider fields; this engine prints nothing near it anyway.
const MAX_WIDTH: usize = 1_000_000;

/// Values may nest as deeply in print.
const MAX_DEPTH: usize = 64;

struct Printer {
    out: String,
    limit: usize,
}

/// Where `printf` stands in its arguments.
struct Arguments<'a> {
    values: &'a [Value],
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl Printer {
    fn put(&mut self, s: &str) -> Printed {
        if self.out.len() + s.len() > self.limit {
            return Err(TooLong);
        }
        self.out.push_str(s);
        Ok(())
    }

    fn printf(&mut self, format: &str, values: &[Value]) -> Printed {
        let mut args = Arguments { values, next: 0, reordered: false, good_index: true };
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            self.put(&rest[..at])?;
            rest = self.directive(&rest[at + 1..], &mut args)?;
        }
        self.put(rest)?;
        if !args.reordered && args.next < values.len() {
            self.put("%!(EXTRA ")?;
            for (i, value) in values[args.next..].iter().enumerate() {
                if i > 0 {
                    self.put(", ")?;
                }
                if matches!(value, Value::Nil) {
                    self.put("<nil>")?;
                } else {
                    self.put(value.type_name())?;
                    self.put("=")?;
                    self.verb('v', &Spec::default(), value, 0)?;
                }
            }
            self.put(")")?;
        }
        Ok(())
    }

    /// One directive behind its `%`; returns what follows it.
    fn directive<'f>(&mut self, format: &'f str, args: &mut Arguments<'_>) -> Result<&'f str, TooLong> {
        let mut spec = Spec::default();
        let mut rest = format;
        args.good_index = true;
        let mut after_index = false;
        while let Some(c) = rest.chars().next() {
            match c {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                ' ' => spec.space = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest = args.index(rest, &mut after_index);
        if let Some(r) = rest.strip_prefix('*') {
            rest = r;
            match args.integer() {
                Some(n) if n.unsigned_abs() as usize <= MAX_WIDTH => {
                    spec.minus |= n < 0;
                    spec.width = Some(n.unsigned_abs() as usize);
                }
                _ => self.put("%!(BADWIDTH)")?,
            }
            after_index = false;
        } else {
            let (width, r) = digits(rest);
            if width.is_some() && after_index {
                args.good_index = false;
            }
            spec.width = width;
            rest = r;
        }
        if let Some(r) = rest.strip_prefix('.') {
            rest = r;
            if after_index {
                args.good_index = false;
            }
            rest = args.index(rest, &mut after_index);
            if let Some(r) = rest.strip_prefix('*') {
                rest = r;
                match args.integer() {
                    Some(n) if (0..=MAX_WIDTH as i64).contains(&n) => spec.precision = Some(n as usize),
                    _ => self.put("%!(BADPREC)")?,
                }
                after_index = false;
            } else {
                let (precision, r) = digits(rest);
                spec.precision = Some(precision.unwrap_or(0));
                rest = r;
            }
        }
        if !after_index {
            rest = args.index(rest, &mut after_index);
        }
        let Some(verb) = rest.chars().next() else {
            self.put("%!(NOVERB)")?;
            return Ok("");
        };
        let rest = &rest[verb.len_utf8()..];
        if verb == 'v' {
            // These two flags mean something else under `%v`.
            spec.field_names = std::mem::take(&mut spec.plus);
            spec.go_syntax = std::mem::take(&mut spec.sharp);
        }
        if verb == '%' {
            self.put("%")?;
        } else if !args.good_index {
            self.put(&format!("%!{verb}(BADINDEX)"))?;
        } else if let Some(value) = args.values.get(args.next) {
            args.next += 1;
            self.verb(verb, &spec, value, 0)?;
        } else {
            self.put(&format!("%!{verb}(MISSING)"))?;
        }
        Ok(rest)
    }

    /// Prints one value under one verb.
    fn verb(&mut self, verb: char, spec: &Spec, value: &Value, depth: usize) -> Printed {
        if depth > MAX_DEPTH {
            return Err(TooLong);
        }
        if verb == 'T' {
            return self.string('s', spec, value.type_name(), value);
        }
        match value {
            Value::Nil if depth > 0 => self.put(if spec.go_syntax { "interface {}(nil)" } else { "<nil>" }),
            Value::Nil if verb == 'v' => self.padded("<nil>", spec),
            Value::Nil => self.put(&format!("%!{verb}(<nil>)")),
            Value::Bool(b) => match verb {
                't' | 'v' => self.padded(if *b { "true" } else { "false" }, spec),
                _ => self.bad(verb, spec, value),
            },
            Value::Int(i) => match number::format_int(*i, verb, spec, MAX_WIDTH) {
                Some(text) => self.padded_number(&text, spec),
                None => self.bad(verb, spec, value),
            },
            Value::Float(f) => match number::format_float(*f, verb, spec) {
                Some(text) => self.padded_number(&text, spec),
                None => self.bad(verb, spec, value),
            },
            Value::String(s) => self.string(verb, spec, s, value),
            Value::List(list) => {
                self.put(if spec.go_syntax { "[]interface {}{" } else { "[" })?;
                self.items(verb, spec, &list.items, depth)?;
                self.put(if spec.go_syntax { "}" } else { "]" })
            }
            Value::StringMap(map) => {
                let entries = map.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str())));
                self.map(verb, spec, value, entries, depth)
            }
            Value::Map(map) => {
                let entries = map.entries.iter().map(|(k, v)| (k.as_str(), v.clone()));
                self.map(verb, spec, value, entries, depth)
            }
            Value::Object(object) => {
                let stringer = matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') && !spec.go_syntax;
                if let Some(text) = object.text().filter(|_| stringer) {
                    let verb = if verb == 'v' { 's' } else { verb };
                    return self.string(verb, spec, &text, value);
                }
                match object.underlying() {
                    Value::Nil => self.fields(verb, spec, &object.fields(), depth),
                    plain => self.verb(verb, spec, &plain, depth + 1),
                }
            }
        }
    }

    fn items(&mut self, verb: char, spec: &Spec, items: &[Value], depth: usize) -> Printed {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.put(if spec.go_syntax { ", " } else { " " })?;
            }
            self.verb(verb, spec, item, depth + 1)?;
        }
        Ok(())
    }

    fn map<'v>(
        &mut self,
        verb: char,
        spec: &Spec,
        whole: &Value,
        entries: impl Iterator<Item = (&'v str, Value)>,
        depth: usize,
    ) -> Printed {
        let go_syntax = spec.go_syntax;
        if go_syntax {
            self.put(whole.type_name())?;
            self.put("{")?;
        } else {
            self.put("map[")?;
        }
        for (i, (name, value)) in entries.enumerate() {
            if i > 0 {
                self.put(if go_syntax { ", " } else { " " })?;
            }
            self.verb(verb, spec, &Value::from(name), depth + 1)?;
            self.put(":")?;
            self.verb(verb, spec, &value, depth + 1)?;
        }
        self.put(if go_syntax { "}" } else { "]" })
    }

    fn fields(&mut self, verb: char, spec: &Spec, fields: &[(&str, Value)], depth: usize) -> Printed {
        self.put("{")?;
        for (i, (name, value)) in fields.iter().enumerate() {
            if i > 0 {
                self.put(" ")?;
            }
            if spec.field_names {
                self.put(name)?;
                self.put(":")?;
            }
            self.verb(verb, spec, value, depth + 1)?;
        }
        self.put("}")
    }

    fn string(&mut self, verb: char, spec: &Spec, s: &str, value: &Value) -> Printed {
        let cut = match spec.precision {
            Some(n) => s.char_indices().nth(n).map_or(s, |(at, _)| &s[..at]),
            _ => s,
        };
        match verb {
            'v' if spec.go_syntax => self.padded(&go_quote(cut), spec),
            'v' | 's' => self.padded(cut, spec),
            'q' if spec.sharp && !cut.contains('`') => self.padded(&format!("`{cut}`"), spec),
            'q' => self.padded(&go_quote(cut), spec),
            'x' | 'X' => {
                let mut hex = String::new();
                let bytes = s.as_bytes();
                let bytes = spec.precision.map_or(bytes, |n| &bytes[..n.min(bytes.len())]);
                for (i, byte) in bytes.iter().enumerate() {
                    if spec.space && i > 0 {
                        hex.push(' ');
                    }
                    if spec.sharp && (spec.space || i == 0) {
                        hex.push_str(if verb == 'x' { "0x" } else { "0X" });
                    }
                    let _ = if verb == 'x' { write!(hex, "{byte:02x}") } else { write!(hex, "{byte:02X}") };
                    if hex.len() > self.limit {
                        return Err(TooLong);
                    }
                }
                self.padded(&hex, spec)
            }
            _ => self.bad(verb, spec, value),
        }
    }

    /// `%!d(string=hi)`: the flags stay in force.
    fn bad(&mut self, verb: char, spec: &Spec, value: &Value) -> Printed {
        self.put(&format!("%!{verb}({}=", value.type_name()))?;
        self.verb('v', spec, &value.plain(), 1)?;
        self.put(")")
    }

    fn padded(&mut self, text: &str, spec: &Spec) -> Printed {
        self.pad(text, spec, if spec.zero && !spec.minus { "0" } else { " " })
    }

    /// Numbers put the zeros between the sign and the digits.
    fn padded_number(&mut self, text: &str, spec: &Spec) -> Printed {
        let numeric = text.bytes().any(|b| b.is_ascii_digit());
        if !spec.zero || spec.minus || !numeric {
            return self.pad(text, spec, " ");
        }
        let (sign, digits) = match text.strip_prefix(['+', '-', ' ']) {
            Some(digits) => (&text[..1], digits),
            None => ("", text),
        };
        self.put(sign)?;
        let width = spec.width.map(|w| w.saturating_sub(sign.len()));
        self.pad(digits, &Spec { width, ..spec.clone() }, "0")
    }

    fn pad(&mut self, text: &str, spec: &Spec, fill: &str) -> Printed {
        let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.out.len() + missing + text.len() > self.limit {
            return Err(TooLong);
        }
        if spec.minus {
            self.out.push_str(text);
        }
        for _ in 0..missing {
            self.out.push_str(fill);
        }
        if !spec.minus {
            self.out.push_str(text);
        }
        Ok(())
    }
}

impl Arguments<'_> {
    /// `[3]`: the next argument is the third.
    fn index<'f>(&mut self, format: &'f str, found: &mut bool) -> &'f str {
        let Some(inner) = format.strip_prefix('[') else { return format };
        self.reordered = true;
        *found = true;
        let Some((number, rest)) = inner.split_once(']') else {
            self.good_index = false;
            return inner;
        };
        match number.parse::<usize>() {
            Ok(n) if n >= 1 && n <= self.values.len() => self.next = n - 1,
            _ => self.good_index = false,
        }
        rest
    }

    fn integer(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }
}

/// Leading digits; a number that is too large counts as none.
fn digits(s: &str) -> (Option<usize>, &str) {
    let n = s.bytes().take_while(u8::is_ascii_digit).count();
    let number = s[..n].parse().ok().filter(|n| *n <= MAX_WIDTH);
    (number, &s[n..])
}
