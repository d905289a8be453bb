//! The stages of a pipeline.

use super::{
    super::{
        ast::{Conversion, Extraction, LabelFormat, LabelPick, LineFilter, LineMatch, LineOp, Stage, Unwrap},
        error::ParseError,
        token::Token,
    },
    Parsed, Parser,
};

impl Parser<'_> {
    /// All stages that follow, and the `unwrap` at their end if there is one.
    pub(super) fn pipeline(&mut self) -> Parsed<(Vec<Stage>, Option<Unwrap>)> {
        let mut stages = Vec::new();
        loop {
            if let Some(op) = self.line_op() {
                self.next += 1;
                stages.push(Stage::Line(self.line_filter(op)?));
            } else if self.accept("|") {
                if self.is_stage("unwrap") {
                    self.next += 1;
                    return Ok((stages, Some(self.unwrap()?)));
                }
                stages.push(self.stage()?);
            } else {
                return Ok((stages, None));
            }
        }
    }

    fn line_op(&self) -> Option<LineOp> {
        Some(match self.peek() {
            Token::Sign("|=") => LineOp::Contains,
            Token::Sign("!=") => LineOp::NotContains,
            Token::Sign("|~") => LineOp::Matches,
            Token::Sign("!~") => LineOp::NotMatches,
            Token::Sign("|>") => LineOp::Pattern,
            Token::Sign("!>") => LineOp::NotPattern,
            _ => return None,
        })
    }

    /// What follows a line operator: `"a" or ip("…") or "c"`.
    fn line_filter(&mut self, op: LineOp) -> Parsed<LineFilter> {
        let mut alternatives = vec![self.line_match()?];
        while self.accept_name("or") {
            alternatives.push(self.line_match()?);
        }
        Ok(LineFilter { op, alternatives })
    }

    fn line_match(&mut self) -> Parsed<LineMatch> {
        if self.is_name("ip") {
            return self.ip_pattern().map(LineMatch::Ip);
        }
        match self.advance() {
            Token::Text(text) => Ok(LineMatch::Text(text)),
            _ => Err(self.unexpected_last(&["STRING", "ip"])),
        }
    }

    /// Whether the stage of that name is next, and not a filter on a label that is called so.
    fn is_stage(&self, name: &str) -> bool {
        let compares =
            matches!(self.peek_at(1), Token::Sign("=" | "!=" | "=~" | "!~" | "==" | ">" | ">=" | "<" | "<="));
        self.is_name(name)
            && (!compares || matches!(self.peek_at(1), Token::Sign("!=" | "!~")) && !self.filters_label())
    }

    /// After a name and `!=` or `!~` (both also start a line filter): whether a label is filtered, as in `| level != "x"`. A
    /// stage without arguments may be followed by a line filter, `| json != "x"`.
    fn filters_label(&self) -> bool {
        !matches!(self.peek(), Token::Ident(n) if matches!(n.as_str(), "json" | "logfmt" | "unpack" | "decolorize"))
    }

    fn stage(&mut self) -> Parsed<Stage> {
        let Token::Ident(name) = self.peek().clone() else {
            return self.label_filter().map(Stage::Label);
        };
        if !self.is_stage(&name) {
            return self.label_filter().map(Stage::Label);
        }
        self.next += 1;
        Ok(match name.as_str() {
            "json" => Stage::Json(self.extractions()?),
            "logfmt" => self.logfmt()?,
            "regexp" => Stage::Regexp(self.text()?),
            "pattern" => Stage::Pattern(self.text()?),
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.text()?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.label_picks()?),
            "keep" => Stage::Keep(self.label_picks()?),
            _ => {
                self.next -= 1;
                return self.label_filter().map(Stage::Label);
            }
        })
    }

    fn logfmt(&mut self) -> Parsed<Stage> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = self.peek().clone() {
            match flag.as_str() {
                "strict" => strict = true,
                "keep-empty" => keep_empty = true,
                _ => return Err(self.fail(format!("unexpected parser flag --{flag}"))),
            }
            self.next += 1;
        }
        Ok(Stage::Logfmt { strict, keep_empty, extractions: self.extractions()? })
    }

    /// `a, b="c.d"`; may be empty.
    fn extractions(&mut self) -> Parsed<Vec<Extraction>> {
        if !matches!(self.peek(), Token::Ident(_)) {
            return Ok(Vec::new());
        }
        self.list(|p| {
            let label = p.ident()?;
            let path = if p.accept("=") { p.text()? } else { label.clone() };
            Ok(Extraction { label, path })
        })
    }

    fn label_formats(&mut self) -> Parsed<Vec<LabelFormat>> {
        let formats = self.list(|p| {
            let to = p.ident()?;
            p.expect("=")?;
            match p.advance() {
                Token::Ident(from) => Ok(LabelFormat::Rename { to, from }),
                Token::Text(template) => Ok(LabelFormat::Template { to, template }),
                _ => Err(p.unexpected_last(&["STRING", "IDENTIFIER"])),
            }
        })?;
        let target = |f: &LabelFormat| match f {
            LabelFormat::Rename { to, .. } | LabelFormat::Template { to, .. } => to.clone(),
        };
        for (i, format) in formats.iter().enumerate() {
            let name = target(format);
            let fail = |why: String| {
                let stage = Stage::LabelFormat(formats.clone());
                Err(ParseError::whole(format!("stage '{stage}' : {why}")))
            };
            if name == "__error__" {
                return fail("__error__ cannot be formatted".to_owned());
            }
            if formats[..i].iter().any(|f| target(f) == name) {
                return fail(format!(
                    "multiple label name '{name}' not allowed in a single format operation"
                ));
            }
        }
        Ok(formats)
    }

    fn label_picks(&mut self) -> Parsed<Vec<LabelPick>> {
        self.list(|p| match p.peek_at(1) {
            Token::Sign("=" | "!=" | "=~" | "!~") => p.matcher().map(LabelPick::Match),
            _ => p.ident().map(LabelPick::Name),
        })
    }

    /// One or more, separated by commas.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// What follows `| unwrap`.
    fn unwrap(&mut self) -> Parsed<Unwrap> {
        let first = self.ident()?;
        let (label, conversion) = if self.accept("(") {
            let conversion = match first.as_str() {
                "bytes" => Conversion::Bytes,
                "duration" => Conversion::Duration,
                "duration_seconds" => Conversion::DurationSeconds,
                _ => return Err(self.fail(format!("unknown conversion {first:?} in unwrap"))),
            };
            let label = self.ident()?;
            self.expect(")")?;
            (label, conversion)
        } else {
            (first, Conversion::Float)
        };
        let mut filters = Vec::new();
        while self.accept("|") {
            filters.push(self.label_filter()?);
        }
        Ok(Unwrap { label, conversion, filters })
    }
}
