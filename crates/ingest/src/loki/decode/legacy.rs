//! `{"streams": [{"labels": "{k=\"v\"}", "entries": [{"ts": "<RFC 3339>", "line": "<line>"}]}]}`, as the API had it before 1.0.

use jiff::Timestamp;

use super::{
    LabelsText, PushFault, PushSink,
    cursor::Cursor,
    json::{Buffers, Form, each_stream, stream},
};

/// Hands over a push in the older JSON.
pub fn push_legacy_json(body: &str, sink: &mut impl PushSink) -> Result<(), PushFault> {
    let mut buffers = Buffers::default();
    let form = Form {
        object: "an object with labels and entries",
        labels: "labels",
        entries: "entries",
        none: LabelsText::Selector("{}"),
    };
    each_stream(body, |cursor| stream(form, cursor, &mut buffers, sink, begin, entry))
}

fn begin(cursor: &mut Cursor<'_>, buffers: &mut Buffers, sink: &mut impl PushSink) -> Result<(), PushFault> {
    let labels = cursor.string(&mut buffers.texts.text, "labels in quotes")?;
    sink.stream(LabelsText::Selector(labels.get(&buffers.texts.text)));
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
