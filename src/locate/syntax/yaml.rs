//! A document of YAML as a tree of values: scalars know their bytes, quotes included.
//!
//! What `yamldecode` may read in another way than YAML 1.2 says (octal numbers, `yes`, merge keys, tags) is not evaluated.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Expr, FileId, Kind, Place, SyntaxError, position};

/// Values within values.
const DEEPEST: usize = 64;

/// Reads the only document of `text`, which starts after `skipped` bytes of the file.
pub fn parse(file: FileId, text: &str, skipped: usize) -> Result<Expr, SyntaxError> {
    let mut events = Vec::new();
    for event in Parser::new_from_str(text) {
        events.push(event.map_err(|error| SyntaxError {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            message: error.info().to_owned(),
        })?);
    }
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut reader = Reader { file, text, skipped, offsets, events: events.into_iter(), anchors: BTreeMap::new() };
    reader.document()
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    skipped: usize,
    /// The byte at which each character starts.
    offsets: Vec<usize>,
    events: std::vec::IntoIter<(Event<'a>, Span)>,
    anchors: BTreeMap<usize, Expr>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Expr, SyntaxError> {
        let mut found = None;
        while let Some((event, span)) = self.events.next() {
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(self.error(span, "several documents, which yamldecode does not accept"));
                }
                Event::DocumentStart(_) => {}
                event => found = Some(self.node(event, span, 0)?),
            }
        }
        Ok(found.unwrap_or(Expr { place: Place::new(self.file, self.skipped..self.skipped), kind: Kind::Null }))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Expr, SyntaxError> {
        if depth > DEEPEST {
            return Err(self.error(span, "values that are nested too deeply"));
        }
        let start = self.bytes(span).start;
        let (kind, anchor) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let kind = match tag {
                    None => self.scalar(&value, style, span),
                    Some(_) => Kind::Other("a value with a tag"),
                };
                (kind, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::SequenceStart(anchor, None) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, None) => (self.mapping(depth)?, anchor),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(self.error(span, "a tag, which kgen does not follow"));
            }
            _ => return Err(self.error(span, "a missing value")),
        };
        let end = match &kind {
            Kind::List(items) => items.last().map_or(start, |item| item.place.end - self.skipped),
            Kind::Object(items) => items.last().map_or(start, |(_, value)| value.place.end - self.skipped),
            Kind::String(text) => self.written(text, span).map_or(start, |range| range.end),
            _ => self.bytes(span).end,
        };
        let expr = Expr { place: Place::new(self.file, start + self.skipped..end.max(start) + self.skipped), kind };
        if anchor > 0 {
            self.anchors.insert(anchor, expr.clone());
        }
        Ok(expr)
    }

    fn alias(&self, anchor: usize, span: Span) -> Result<Expr, SyntaxError> {
        self.anchors.get(&anchor).cloned().ok_or_else(|| self.error(span, "an alias that contains itself"))
    }

    fn sequence(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.events.next() {
            match event {
                Event::SequenceEnd => return Ok(Kind::List(items)),
                event => items.push(self.node(event, span, depth + 1)?),
            }
        }
        Ok(Kind::List(items))
    }

    fn mapping(&mut self, depth: usize) -> Result<Kind, SyntaxError> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.events.next() {
            if let Event::MappingEnd = event {
                return Ok(Kind::Object(items));
            }
            let Event::Scalar(name, ..) = &event else {
                return Err(self.error(span, "a key that is not a string"));
            };
            if name == "<<" {
                return Err(self.error(span, "a merge key (<<), which kgen does not follow"));
            }
            let range = self.bytes(span);
            let place = Place::new(self.file, range.start + self.skipped..range.end + self.skipped);
            let key = Expr { place, kind: Kind::Fixed(name.to_string()) };
            let Some((event, span)) = self.events.next() else { break };
            items.push((key, self.node(event, span, depth + 1)?));
        }
        Ok(Kind::Object(items))
    }

    fn scalar(&self, value: &str, style: ScalarStyle, span: Span) -> Kind {
        let kind = match style {
            ScalarStyle::Plain => plain(value),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Kind::String(value.to_owned()),
            _ => return Kind::Other("a block of text"),
        };
        match &kind {
            Kind::String(text) if self.written(text, span).is_none() => Kind::Other("a string over several lines"),
            _ => kind,
        }
    }

    /// The bytes of a string, with its quotes: the parser's span may reach over what stands behind. Nothing, where it is
    /// not written on one line as it is.
    fn written(&self, value: &str, span: Span) -> Option<std::ops::Range<usize>> {
        let start = self.bytes(span).start;
        let text = self.text.get(start..)?;
        let length = match text.chars().next()? {
            '\'' => {
                let mut rest = text.char_indices().skip(1).peekable();
                loop {
                    match rest.next()? {
                        (_, '\'') if rest.peek().is_some_and(|(_, c)| *c == '\'') => drop(rest.next()),
                        (at, '\'') => break at + 1,
                        (_, '\n' | '\r') => return None,
                        _ => {}
                    }
                }
            }
            '"' => {
                let mut rest = text.char_indices().skip(1);
                loop {
                    match rest.next()? {
                        (_, '\\') => drop(rest.next()?),
                        (at, '"') => break at + 1,
                        (_, '\n' | '\r') => return None,
                        _ => {}
                    }
                }
            }
            _ => text.starts_with(value).then_some(value.len())?,
        };
        Some(start..start + length)
    }

    fn bytes(&self, span: Span) -> std::ops::Range<usize> {
        let at = |index: usize| self.offsets.get(index).copied().unwrap_or(self.text.len());
        let (start, end) = (at(span.start.index()), at(span.end.index()));
        start..end.max(start)
    }

    fn error(&self, span: Span, message: &str) -> SyntaxError {
        let (line, column) = position(self.text, self.bytes(span).start);
        SyntaxError { line, column, message: message.to_owned() }
    }
}

/// A word without quotes.
fn plain(value: &str) -> Kind {
    match value {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    if ["y", "n", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str()) {
        return Kind::Other("a word that versions of YAML read differently");
    }
    let digits = value.trim_start_matches(['-', '+']);
    let is_number_like = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !digits.starts_with("..");
    match value.parse::<f64>() {
        Ok(number) if is_number_like && (digits == "0" || !digits.starts_with('0') || digits.starts_with("0.")) => {
            Kind::Number(number)
        }
        _ if is_number_like && digits.chars().all(|c| c.is_ascii_hexdigit() || "xo._:+-".contains(c)) => {
            Kind::Other("a number that versions of YAML read differently")
        }
        _ => Kind::String(value.to_owned()),
    }
}

/// `text` in the style of `written`, which it replaces.
pub fn quoted(text: &str, written: &str) -> String {
    let is_simple = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        && matches!(plain(text), Kind::String(_));
    let is_printable = text.chars().all(|c| !c.is_control() && !"\u{85}\u{2028}\u{2029}\u{feff}".contains(c));
    match written.chars().next() {
        Some('\'') if is_printable => format!("'{}'", text.replace('\'', "''")),
        Some('"' | '\'') => serde_json::Value::from(text).to_string(),
        _ if is_simple => text.to_owned(),
        _ => serde_json::Value::from(text).to_string(),
    }
}
