//! `{"streams": [{"stream": {"k": "v"}, "values": [["<ns>", "<line>", {"k": "v"}]]}]}`

use super::{LabelsText, Pairs, PushFault, PushSink, cursor::Cursor};

/// Buffers for texts with escapes.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) name: String,
    pub(super) text: String,
}

/// What is needed from one entry to the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) texts: Texts,
    pub(super) metadata: Texts,
    pub(super) pairs: Pairs,
}

/// Hands over a push in JSON.
pub fn push_json(body: &str, sink: &mut impl PushSink) -> Result<(), PushFault> {
    let mut buffers = Buffers::default();
    let form = Form {
        object: "an object with stream and values",
        labels: "stream",
        entries: "values",
        none: LabelsText::Object("{}"),
    };
    each_stream(body, |cursor| stream(form, cursor, &mut buffers, sink, begin, entry))
}

/// Walks over the outer object and its list of streams, each of which `each` passes.
pub(super) fn each_stream<'a>(
    body: &'a str,
    mut each: impl FnMut(&mut Cursor<'a>) -> Result<(), PushFault>,
) -> Result<(), PushFault> {
    let mut cursor = Cursor::new(body);
    let mut buffer = String::new();
    cursor.expect(b'{', "an object with streams")?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        if cursor.key(&mut buffer)?.get(&buffer) != "streams" {
            cursor.skip(&mut buffer)?;
        } else if !cursor.null() {
            cursor.expect(b'[', "a list of streams")?;
            let mut number = 0;
            while cursor.another(number == 0, b']').map_err(|e| e.in_stream(number))? {
                each(&mut cursor).map_err(|e| e.in_stream(number))?;
                number += 1;
            }
        }
    }
    cursor.end()
}

/// How one age of the format writes a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// What must stand there.
    pub(super) object: &'static str,
    /// The key of its labels.
    pub(super) labels: &'static str,
    /// The key of its entries.
    pub(super) entries: &'static str,
    /// The labels of a stream without any.
    pub(super) none: LabelsText<'static>,
}

/// One stream, whose labels may stand behind its entries: these are gone back to then. `begin` reads the labels, `entry` an entry.
pub(super) fn stream<S: PushSink>(
    form: Form,
    cursor: &mut Cursor<'_>,
    buffers: &mut Buffers,
    sink: &mut S,
    begin: impl Fn(&mut Cursor<'_>, &mut Buffers, &mut S) -> Result<(), PushFault>,
    entry: impl Fn(&mut Cursor<'_>, &mut Buffers, &mut S) -> Result<(), PushFault>,
) -> Result<(), PushFault> {
    let mut begun = false;
    let mut waiting = None;
    cursor.expect(b'{', form.object)?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        let key = cursor.key(&mut buffers.texts.name)?;
        let key = key.get(&buffers.texts.name);
        if key == form.labels {
            if begun {
                return Err(cursor.fault(format!("{:?} twice", form.labels)));
            }
            begin(cursor, buffers, sink)?;
            begun = true;
        } else if key != form.entries {
            cursor.skip(&mut buffers.texts.text)?;
        } else if begun {
            entries(cursor, buffers, sink, &entry)?;
        } else {
            cursor.peek();
            if waiting.replace(cursor.at()).is_some() {
                return Err(cursor.fault(format!("{:?} twice", form.entries)));
            }
            cursor.skip(&mut buffers.texts.text)?;
        }
    }
    let end = cursor.at();
    if let Some(start) = waiting {
        if !begun {
            sink.stream(form.none);
        }
        cursor.go_to(start);
        entries(cursor, buffers, sink, &entry)?;
        cursor.go_to(end);
    }
    Ok(())
}

fn entries<S: PushSink>(
    cursor: &mut Cursor<'_>,
    buffers: &mut Buffers,
    sink: &mut S,
    entry: &impl Fn(&mut Cursor<'_>, &mut Buffers, &mut S) -> Result<(), PushFault>,
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

fn begin(cursor: &mut Cursor<'_>, buffers: &mut Buffers, sink: &mut impl PushSink) -> Result<(), PushFault> {
    sink.stream(LabelsText::Object(labels(cursor, buffers)?));
    Ok(())
}

/// The object with the labels, as it stands.
fn labels<'a>(cursor: &mut Cursor<'a>, buffers: &mut Buffers) -> Result<&'a str, PushFault> {
    if cursor.null() {
        return Ok("{}");
    }
    cursor.peek();
    let start = cursor.at();
    cursor.expect(b'{', "an object with labels")?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        cursor.key(&mut buffers.texts.name)?;
        cursor.string(&mut buffers.texts.text, "the value of a label, in quotes")?;
    }
    Ok(cursor.since(start))
}

fn entry(cursor: &mut Cursor<'_>, buffers: &mut Buffers, sink: &mut impl PushSink) -> Result<(), PushFault> {
    cursor.expect(b'[', "an entry: a list of time and line")?;
    let start = cursor.at();
    let time = cursor.string(&mut buffers.texts.name, "a time: nanoseconds in quotes")?;
    let time = time.get(&buffers.texts.name);
    let ns =
        time.parse().map_err(|_| PushFault::new(start, format!("{time:?} is no time in nanoseconds")))?;
    cursor.expect(b',', "',' and a line")?;
    let line = cursor.string(&mut buffers.texts.text, "a line in quotes")?;
    buffers.pairs.clear();
    if cursor.take(b',') {
        pairs(
            cursor,
            &mut buffers.metadata,
            &mut buffers.pairs,
            "a value of structured metadata, in quotes",
        )?;
        while cursor.take(b',') {
            cursor.skip(&mut buffers.texts.name)?;
        }
    }
    cursor.expect(b']', "the end of an entry")?;
    sink.entry(ns, line.get(&buffers.texts.text), &buffers.pairs).map_err(|e| cursor.fault(e.to_string()))
}

/// An object whose values are texts.
pub(super) fn pairs(
    cursor: &mut Cursor<'_>,
    texts: &mut Texts,
    out: &mut Pairs,
    what: &str,
) -> Result<(), PushFault> {
    if cursor.null() {
        return Ok(());
    }
    cursor.expect(b'{', "an object")?;
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        let name = cursor.key(&mut texts.name)?;
        let value = cursor.string(&mut texts.text, what)?;
        out.push(name.get(&texts.name), value.get(&texts.text));
    }
    Ok(())
}
