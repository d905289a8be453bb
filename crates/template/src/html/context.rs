//! Where in an HTML text the next byte stands.

use super::{Content, escape};

/// What an attribute's value, or an element's content, is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Plain,
    Url(UrlPart),
    Js(Js),
    Css(Css),
}

/// Which part of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UrlPart {
    Start,
    BeforeQuery,
    Query,
}

/// Where in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Js {
    Code,
    Quoted(char),
    LineComment,
    BlockComment,
}

/// Where in a style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Css {
    Code,
    Quoted(char),
    Url(UrlPart),
    LineComment,
    BlockComment,
}

/// The element that is open, if its content is special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    None,
    Script,
    Style,
    Textarea,
    Title,
}

impl Element {
    fn name(self) -> &'static str {
        match self {
            Element::None => "",
            Element::Script => "script",
            Element::Style => "style",
            Element::Textarea => "textarea",
            Element::Title => "title",
        }
    }
}

/// How an attribute's value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    Quote(char),
    /// At a blank or `>`.
    Space,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Inside of an element with special content.
    Inside(Language),
    Comment,
    /// Between attributes.
    Tag,
    /// In the name of an attribute.
    Name,
    /// Behind the name, before `=`.
    AfterName,
    /// Behind `=`.
    BeforeValue,
    Value(Language, Delimiter),
}

/// A place in an HTML text; follows the text byte by byte.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    state: State,
    element: Element,
    /// The name of the attribute that is open, in lower case.
    attribute: String,
}

impl Context {
    pub fn new() -> Self {
        Context { state: State::Text, element: Element::None, attribute: String::new() }
    }

    /// Follows a text of the template, and appends it: without comments, and with stray `<` escaped.
    pub fn text(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while !rest.is_empty() {
            let length = match self.state {
                State::Text => self.in_text(rest, out),
                State::Inside(language) => self.in_element(language, rest, out),
                State::Comment => {
                    let end = rest.find("-->").map(|at| at + 3);
                    if end.is_some() {
                        self.state = State::Text;
                    }
                    end.unwrap_or(rest.len())
                }
                State::Value(language, delimiter) => self.in_value(language, delimiter, rest, out),
                _ => self.in_tag(rest, out),
            };
            rest = &rest[length..];
        }
    }

    /// In text: until an element or a comment begins.
    fn in_text(&mut self, text: &str, out: &mut String) -> usize {
        let Some(open) = text.find('<') else {
            out.push_str(text);
            return text.len();
        };
        out.push_str(&text[..open]);
        let behind = &text[open + 1..];
        if behind.starts_with("!--") {
            self.state = State::Comment;
            return open + 4;
        }
        let slash = usize::from(behind.starts_with('/'));
        let name = tag_name(&behind[slash..]);
        if name.is_empty() {
            let doctype = behind.get(..8).is_some_and(|d| d.eq_ignore_ascii_case("!doctype"));
            out.push_str(if doctype { "<" } else { "&lt;" });
            return open + 1;
        }
        self.state = State::Tag;
        self.element = match name.to_ascii_lowercase().as_str() {
            _ if slash == 1 => Element::None,
            "script" => Element::Script,
            "style" => Element::Style,
            "textarea" => Element::Textarea,
            "title" => Element::Title,
            _ => Element::None,
        };
        let end = open + 1 + slash + name.len();
        out.push_str(&text[open..end]);
        end
    }

    /// In an element with special content: until its end tag.
    fn in_element(&mut self, language: Language, text: &str, out: &mut String) -> usize {
        let end = end_tag(text, self.element.name());
        let inside = &text[..end.unwrap_or(text.len())];
        match language {
            // Stray `<` in a title or text area are escaped, code stands as it is.
            Language::Plain => out.push_str(&inside.replace('<', "&lt;")),
            code => {
                self.state = State::Inside(follow(code, inside));
                out.push_str(inside);
            }
        }
        if end.is_some() {
            self.state = State::Text;
            self.element = Element::None;
            // The end tag itself is read as text.
            if inside.is_empty() {
                return self.in_text(text, out);
            }
        }
        inside.len()
    }

    /// In a tag: names of attributes, `=`, `>`.
    fn in_tag(&mut self, text: &str, out: &mut String) -> usize {
        let c = text.chars().next().unwrap_or(' ');
        let blank = c.is_ascii_whitespace();
        match self.state {
            _ if c == '>' => {
                self.state = match self.element {
                    Element::None => State::Text,
                    Element::Script => State::Inside(Language::Js(Js::Code)),
                    Element::Style => State::Inside(Language::Css(Css::Code)),
                    Element::Textarea | Element::Title => State::Inside(Language::Plain),
                };
            }
            State::Name | State::AfterName if c == '=' => self.state = State::BeforeValue,
            State::Name if blank => self.state = State::AfterName,
            State::Name => self.attribute.push(c.to_ascii_lowercase()),
            State::BeforeValue if blank => {}
            State::BeforeValue => {
                let language = language_of(&self.attribute);
                let quoted = matches!(c, '"' | '\'');
                self.state =
                    State::Value(language, if quoted { Delimiter::Quote(c) } else { Delimiter::Space });
                if !quoted {
                    return 0;
                }
            }
            _ if blank || c == '/' => {}
            _ => {
                self.attribute = c.to_ascii_lowercase().to_string();
                self.state = State::Name;
            }
        }
        out.push(c);
        c.len_utf8()
    }

    fn in_value(&mut self, language: Language, delimiter: Delimiter, text: &str, out: &mut String) -> usize {
        let end = match delimiter {
            Delimiter::Quote(q) => text.find(q),
            Delimiter::Space => text.find(|c: char| c.is_ascii_whitespace() || c == '>'),
        };
        let inside = &text[..end.unwrap_or(text.len())];
        out.push_str(inside);
        let Some(end) = end else {
            self.state = State::Value(follow(language, &escape::unescape(inside)), delimiter);
            return text.len();
        };
        self.state = State::Tag;
        match delimiter {
            Delimiter::Quote(q) => {
                out.push(q);
                end + 1
            }
            Delimiter::Space => end,
        }
    }

    /// Makes the outcome of an action safe for this place, and goes on behind it. `escaper` is the predefined function in which the
    /// action ends, if there is one: nothing is escaped twice for the same reason.
    pub fn action(&mut self, text: &str, kind: Content, escaper: Option<&str>) -> String {
        if self.state == State::BeforeValue {
            self.state = State::Value(language_of(&self.attribute), Delimiter::Space);
        }
        if matches!(self.state, State::Tag | State::AfterName) {
            self.attribute.clear();
            self.state = State::Name;
        }
        let by_html = escaper == Some("html");
        match self.state {
            State::Text if by_html => text.to_owned(),
            State::Text if kind == Content::Html => text.to_owned(),
            State::Text => escape::html(text),
            State::Comment => String::new(),
            State::Name => escape::name(text),
            State::Inside(Language::Plain) if kind == Content::Html => escape::html_again(text),
            State::Inside(Language::Plain) => escape::html(text),
            State::Inside(language) => {
                let (escaped, next) = in_language(language, text, kind, escaper);
                self.state = State::Inside(next);
                escaped
            }
            State::Value(language, delimiter) => {
                let (escaped, next) = in_language(language, text, kind, escaper);
                self.state = State::Value(next, delimiter);
                let kind = if language == Language::Plain { kind } else { Content::Plain };
                match delimiter {
                    Delimiter::Quote(_) if by_html => escaped,
                    Delimiter::Quote(_) if kind == Content::Html => {
                        escape::html_again(&escape::without_tags(&escaped))
                    }
                    Delimiter::Quote(_) => escape::html(&escaped),
                    Delimiter::Space if kind == Content::Html => {
                        escape::unquoted_again(&escape::without_tags(&escaped))
                    }
                    Delimiter::Space => escape::unquoted(&escaped),
                }
            }
            State::Tag | State::AfterName | State::BeforeValue => String::new(),
        }
    }
}

/// The outcome of an action inside of a language, and where the language goes on.
fn in_language(language: Language, text: &str, kind: Content, escaper: Option<&str>) -> (String, Language) {
    match language {
        Language::Plain => (text.to_owned(), language),
        Language::Url(part) => {
            let (escaped, part) = in_url(part, text, kind, escaper);
            (escaped, Language::Url(part))
        }
        Language::Js(Js::Code) if kind == Content::Number => (format!(" {text} "), language),
        Language::Js(Js::Code) => (escape::js_value(text), language),
        Language::Js(Js::Quoted(_)) => (escape::js_text(text), language),
        Language::Css(Css::Code) => (escape::css_value(text), language),
        Language::Css(Css::Quoted(_)) => (escape::css_text(text), language),
        Language::Css(Css::Url(part)) => {
            let (escaped, part) = in_url(part, text, kind, escaper);
            (escaped, Language::Css(Css::Url(part)))
        }
        Language::Js(_) | Language::Css(_) => (String::new(), language),
    }
}

fn in_url(part: UrlPart, text: &str, kind: Content, escaper: Option<&str>) -> (String, UrlPart) {
    let by_query = escaper == Some("urlquery");
    match part {
        UrlPart::Start => {
            let text = if kind == Content::Url || escape::is_safe_url(text) { text } else { "#ZgotmplZ" };
            let escaped = if by_query { text.to_owned() } else { escape::url(text, true) };
            (escaped, UrlPart::BeforeQuery)
        }
        _ if by_query => (text.to_owned(), part),
        UrlPart::BeforeQuery => (escape::url(text, true), part),
        UrlPart::Query => (escape::url(text, kind == Content::Url), part),
    }
}

/// Where a language goes on behind a text of the template.
fn follow(language: Language, text: &str) -> Language {
    match language {
        Language::Plain => language,
        Language::Url(part) => Language::Url(follow_url(part, text)),
        Language::Js(js) => Language::Js(follow_js(js, text)),
        Language::Css(css) => Language::Css(follow_css(css, text)),
    }
}

fn follow_url(part: UrlPart, text: &str) -> UrlPart {
    if text.contains(['?', '#']) {
        UrlPart::Query
    } else if part == UrlPart::Start && !text.trim().is_empty() {
        UrlPart::BeforeQuery
    } else {
        part
    }
}

fn follow_js(mut js: Js, text: &str) -> Js {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        js = match (js, c) {
            (Js::Code, '"' | '\'' | '`') => Js::Quoted(c),
            (Js::Code, '/') if chars.peek() == Some(&'/') => Js::LineComment,
            (Js::Code, '/') if chars.peek() == Some(&'*') => Js::BlockComment,
            (Js::Quoted(_), '\\') => {
                chars.next();
                js
            }
            (Js::Quoted(q), c) if c == q => Js::Code,
            (Js::LineComment, '\n' | '\r') => Js::Code,
            (Js::BlockComment, '*') if chars.peek() == Some(&'/') => {
                chars.next();
                Js::Code
            }
            _ => js,
        };
    }
    js
}

fn follow_css(mut css: Css, text: &str) -> Css {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        css = match (css, c) {
            (Css::Code, '"' | '\'') => Css::Quoted(c),
            (Css::Code, '(') if text[..at].trim_end().to_ascii_lowercase().ends_with("url") => {
                Css::Url(UrlPart::Start)
            }
            (Css::Code, '/') if next == Some('*') => Css::BlockComment,
            (Css::Code, '/') if next == Some('/') => Css::LineComment,
            (Css::Quoted(_), '\\') => {
                chars.next();
                css
            }
            (Css::Quoted(q), c) if c == q => Css::Code,
            (Css::Url(_), ')') => Css::Code,
            (Css::Url(UrlPart::Start), '"' | '\'') => css,
            (Css::Url(part), c) => Css::Url(follow_url(part, c.encode_utf8(&mut [0; 4]))),
            (Css::LineComment, '\n' | '\r') => Css::Code,
            (Css::BlockComment, '*') if next == Some('/') => {
                chars.next();
                Css::Code
            }
            _ => css,
        };
    }
    css
}

/// The name of an element at the beginning of a text; empty if none begins there.
fn tag_name(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return "";
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '-';
    &text[..text.find(|c: char| !inside(c)).unwrap_or(text.len())]
}

/// Where the end tag of an element begins.
fn end_tag(text: &str, name: &str) -> Option<usize> {
    text.match_indices("</").map(|(at, _)| at).find(|at| {
        let rest = &text[at + 2..];
        rest.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name))
            && !rest[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// Attributes whose values are URLs.
const URLS: [&str; 19] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xmlns",
    "srcset",
    "dynsrc",
];

/// What the value of an attribute is written in.
fn language_of(attribute: &str) -> Language {
    let name = attribute.strip_prefix("data-").unwrap_or(attribute);
    let name = match name.split_once(':') {
        Some(("xmlns", _)) => return Language::Url(UrlPart::Start),
        Some((_, local)) => local,
        None => name,
    };
    if URLS.contains(&name) {
        Language::Url(UrlPart::Start)
    } else if name == "style" {
        Language::Css(Css::Code)
    } else if name.starts_with("on") {
        Language::Js(Js::Code)
    } else if ["src", "uri", "url"].iter().any(|part| name.contains(part)) {
        Language::Url(UrlPart::Start)
    } else {
        Language::Plain
    }
}
