//! `{"streams": [{"labels": "{k=\"v\"}", "entries": [{"ts": "<RFC 3339>", "line": "<line>"}]}]}`, as the API had it before 1.0.

use jiff::Timestamp;

use super::{
    LabelsText, PushFault, PushSink,
    cursor::Cursor,
    json::{Buffers, each_stream},
};

/// Hands over a push in the older JSON.
pub fn push_legacy_json(body: &str, sink: &mut impl PushSink) -> Result<(), PushFault> {
    let mut buffers = Buffers::default();
    each_stream(body, |cursor| stream(cursor, &mut buffers, sink))
}

fn stream(cursor: &mut Cursor<'_>, buffers: &mut Buffers, sink: &mut impl PushSink) -> Result<(), PushFault> {
    let mut begun = false;
    let mut waiting = None;
    cursor.expect(b'{', "an object with labels and entries")?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        match cursor.key(&mut buffers.texts.name)?.get(&buffers.texts.name) {
            "labels" if begun => return Err(cursor.fault("\"labels\" twice")),
            "labels" => {
                let labels = cursor.string(&mut buffers.texts.text, "labels in quotes")?;
                sink.stream(LabelsText::Selector(labels.get(&buffers.texts.text)));
                begun = true;
            }
            "entries" if begun => entries(cursor, buffers, sink)?,
            "entries" => {
                cursor.peek();
                if waiting.replace(cursor.at()).is_some() {
                    return Err(cursor.fault("\"entries\" twice"));
                }
                cursor.skip(&mut buffers.texts.text)?;
            }
            _ => cursor.skip(&mut buffers.texts.text)?,
        }
    }
    let end = cursor.at();
    if let Some(start) = waiting {
        if !begun {
            sink.stream(LabelsText::Selector("{}"));
        }
        cursor.go_to(start);
        entries(cursor, buffers, sink)?;
        cursor.go_to(end);
    }
    Ok(())
}

fn entries(
    cursor: &mut Cursor<'_>,
    buffers: &mut Buffers,
    sink: &mut impl PushSink,
) -> Result<(), PushFault> {
    if cursor.null() {
        return Ok(());
    }
    cursor.expect(b'[', "a list of entries")?;
    let mut number = 0;
    while cursor.another(number == 0, b']').map_err(|e| e.in_entry(number))? {
        entry(cursor, buffers, sink).map_err(|e| e.in_entry(number))?;
        number += 1;
    }
    Ok(())
}

fn entry(cursor: &mut Cursor<'_>, buffers: &mut Buffers, sink: &mut impl PushSink) -> Result<(), PushFault> {
    buffers.pairs.clear();
    let start = cursor.at();
    let (mut ns, mut line) = (None, String::new());
    cursor.expect(b'{', "an entry: an object with ts and line")?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        match cursor.key(&mut buffers.texts.name)?.get(&buffers.texts.name) {
            "ts" => {
                let at = cursor.at();
                let time = cursor.string(&mut buffers.texts.text, "a time in quotes")?;
                ns = Some(nanoseconds(time.get(&buffers.texts.text)).map_err(|e| PushFault::new(at, e))?);
            }
            "line" => {
                let text = cursor.string(&mut buffers.texts.text, "a line in quotes")?;
                text.get(&buffers.texts.text).clone_into(&mut line);
            }
            _ => cursor.skip(&mut buffers.texts.text)?,
        }
    }
    let ns = ns.ok_or_else(|| PushFault::new(start, "an entry without \"ts\""))?;
    sink.entry(ns, &line, &buffers.pairs).map_err(|e| cursor.fault(e.to_string()))
}

fn nanoseconds(text: &str) -> Result<i64, String> {
    let time: Timestamp = text.parse().map_err(|e| format!("{text:?} is no time: {e}"))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| format!("{text:?} is out of range"))
}
