//! Answers as JSON, written straight into the body: an answer may hold 5,000 lines.

use std::io::Write as _;

use reba_model::{Labels, float};
use reba_query::logs::{Line, LogData, LogOutput, LogStats, MatrixSeries, StreamView};

use crate::json::{write_digits, write_labels, write_list, write_string};

/// Writes the whole answer to a query; `categorized` as clients ask for by `categorize-labels`.
pub fn write_output(out: &mut Vec<u8>, output: &LogOutput, categorized: bool) {
    out.extend_from_slice(br#"{"status":"success","data":"#);
    write_data(out, &output.data, &output.stats, categorized);
    if !output.warnings.is_empty() {
        out.extend_from_slice(br#","warnings":"#);
        write_strings(out, &output.warnings);
    }
    out.push(b'}');
}

fn write_data(out: &mut Vec<u8>, data: &LogData, stats: &LogStats, categorized: bool) {
    let _ = write!(out, r#"{{"resultType":"{}","#, data.result_type());
    if categorized {
        out.extend_from_slice(br#""encodingFlags":["categorize-labels"],"#);
    }
    out.extend_from_slice(br#""result":"#);
    match data {
        LogData::Streams(lines) => {
            let streams = StreamView::group(lines, categorized);
            write_list(out, &streams, |out, stream| {
                out.extend_from_slice(br#"{"stream":"#);
                write_labels(out, &stream.labels);
                out.extend_from_slice(br#","values":"#);
                write_list(out, &stream.lines, |out, line| write_line(out, line, categorized));
                out.push(b'}');
                true
            });
        }
        LogData::Vector { ns, samples } => write_list(out, samples, |out, (labels, value)| {
            out.extend_from_slice(br#"{"metric":"#);
            write_labels(out, labels);
            out.extend_from_slice(br#","value":"#);
            write_point(out, *ns, *value);
            out.push(b'}');
            true
        }),
        LogData::Matrix(series) => write_list(out, series, write_series),
        LogData::Scalar { ns, value } => write_point(out, *ns, *value),
    }
    out.extend_from_slice(br#","stats":"#);
    out.extend_from_slice(stats.to_json().as_bytes());
    out.push(b'}');
}

fn write_series(out: &mut Vec<u8>, series: &MatrixSeries) -> bool {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &series.labels);
    out.extend_from_slice(br#","values":"#);
    write_list(out, &series.points, |out, (ns, value)| {
        write_point(out, *ns, *value);
        true
    });
    out.push(b'}');
    true
}

/// `["ns","line"]`, and behind them what the line has besides the labels of its stream.
fn write_line(out: &mut Vec<u8>, line: &Line, categorized: bool) -> bool {
    out.extend_from_slice(b"[\"");
    write_whole(out, line.ns);
    out.extend_from_slice(b"\",");
    write_string(out, &line.text);
    if categorized {
        out.extend_from_slice(b",{");
        let parts = [("structuredMetadata", &line.labels.metadata), ("parsed", &line.labels.parsed)];
        let mut separator = "";
        for (name, labels) in parts.into_iter().filter(|(_, labels)| !labels.is_empty()) {
            let _ = write!(out, "{separator}\"{name}\":");
            write_labels(out, labels);
            separator = ",";
        }
        out.push(b'}');
    } else if !line.labels.metadata.is_empty() {
        out.push(b',');
        write_labels(out, &line.labels.metadata);
    }
    out.push(b']');
    true
}

fn write_whole(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    write_digits(out, n.unsigned_abs());
}

/// `[1700000015.5,"2"]`
fn write_point(out: &mut Vec<u8>, ns: i64, value: f64) {
    out.push(b'[');
    write_seconds(out, ns);
    out.extend_from_slice(b",\"");
    if value.abs() < 1e15 && value.trunc() == value && (value != 0.0 || value.is_sign_positive()) {
        write_whole(out, value as i64);
    } else {
        out.extend_from_slice(float::format_f(value).as_bytes());
    }
    out.extend_from_slice(b"\"]");
}

/// Nanoseconds as seconds with up to three decimals.
pub fn write_seconds(out: &mut Vec<u8>, ns: i64) {
    let ms = ns.div_euclid(1_000_000);
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    write_digits(out, ms / 1000);
    match ms % 1000 {
        0 => {}
        rest => {
            let _ = write!(out, ".{}", format!("{rest:03}").trim_end_matches('0'));
        }
    }
}

/// Writes a list of texts.
pub fn write_strings<T: AsRef<str>>(out: &mut Vec<u8>, texts: &[T]) {
    write_list(out, texts, |out, text| {
        write_string(out, text.as_ref());
        true
    });
}

/// `{"status":"success","data":…}`; `write` adds the data.
pub fn success(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = br#"{"status":"success","data":"#.to_vec();
    write(&mut out);
    out.push(b'}');
    out
}

/// An answer about volumes: like one to a query.
pub fn volumes(data: &LogData) -> Vec<u8> {
    success(|out| write_data(out, data, &LogStats::default(), false))
}

/// What a part of a legacy answer or of a frame looks like: lines of one stream.
///
/// Frames keep the order of time, so that a stream may come more than once: `runs` are lines that follow each other.
pub fn write_frame(out: &mut Vec<u8>, lines: &[Line], shape: Shape) {
    out.extend_from_slice(br#"{"streams":"#);
    let same = |a: &Line, b: &Line| stream_of(a, shape) == stream_of(b, shape);
    write_list(out, lines.chunk_by(same), |out, run| write_run(out, run, shape));
    if shape == Shape::Categorized {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All labels together.
    Plain,
    /// Told apart by where they come from.
    Categorized,
    /// As the API below `/api/prom` has it.
    Legacy,
}

fn stream_of(line: &Line, shape: Shape) -> &Labels {
    match shape {
        Shape::Categorized => &line.labels.stream,
        Shape::Plain | Shape::Legacy => &line.labels.all,
    }
}

fn write_run(out: &mut Vec<u8>, run: &[Line], shape: Shape) -> bool {
    let Some(first) = run.first() else { return false };
    let labels = stream_of(first, shape);
    if shape == Shape::Legacy {
        write_legacy_stream(out, labels, run.iter());
        return true;
    }
    out.extend_from_slice(br#"{"stream":"#);
    write_labels(out, labels);
    out.extend_from_slice(br#","values":"#);
    write_list(out, run, |out, line| write_line(out, line, shape == Shape::Categorized));
    out.push(b'}');
    true
}

fn write_legacy_stream<'a>(out: &mut Vec<u8>, labels: &Labels, lines: impl Iterator<Item = &'a Line>) {
    out.extend_from_slice(br#"{"labels":"#);
    write_string(out, &labels.to_string());
    out.extend_from_slice(br#","entries":"#);
    write_list(out, lines, |out, line| {
        out.extend_from_slice(br#"{"ts":"#);
        write_string(out, &rfc3339(line.ns));
        out.extend_from_slice(br#","line":"#);
        write_string(out, &line.text);
        out.push(b'}');
        true
    });
    out.push(b'}');
}

/// The answer of `/api/prom/query`.
pub fn legacy_output(lines: &[Line], stats: &LogStats) -> Vec<u8> {
    let mut out = br#"{"streams":"#.to_vec();
    write_list(&mut out, &StreamView::group(lines, false), |out, stream| {
        write_legacy_stream(out, &stream.labels, stream.lines.iter().copied());
        true
    });
    out.extend_from_slice(br#","stats":"#);
    out.extend_from_slice(stats.to_json().as_bytes());
    out.push(b'}');
    out
}

/// A time as RFC 3339 with as many decimals as it needs.
pub fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |t| t.to_string())
}

/// About how many bytes an answer takes.
pub fn size(data: &LogData) -> usize {
    match data {
        LogData::Streams(lines) => {
            let metadata =
                |line: &Line| line.labels.metadata.as_packed().len() + line.labels.parsed.as_packed().len();
            lines.iter().map(|line| line.text.len() + metadata(line) + 48).sum()
        }
        data => data.entries() * 64,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reba_query::logs::LineLabels;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    fn line(ns: i64, text: &str, metadata: &[(&str, &str)], parsed: &[(&str, &str)]) -> Line {
        let all = [&[("app", "a")], metadata, parsed].concat();
        let (stream, all) = (labels(&[("app", "a")]), labels(&all));
        let labels = LineLabels { all, stream, metadata: labels(metadata), parsed: labels(parsed) };
        Line { ns, text: text.to_owned(), labels: Arc::new(labels) }
    }

    /// The answer without its statistics.
    fn answer(data: LogData, categorized: bool) -> String {
        let output = LogOutput { data, stats: LogStats::default(), warnings: Vec::new() };
        let text = text(|out| write_output(out, &output, categorized));
        let stats = format!(",\"stats\":{}", LogStats::default().to_json());
        assert!(text.contains(&stats), "{text}");
        text.replace(&stats, "")
    }

    #[test]
    fn lines_stand_by_their_labels_with_nanoseconds_as_text() {
        let lines = vec![line(1_700_000_000_000_000_001, "<b>\"x\"\n", &[], &[])];
        assert_eq!(
            answer(LogData::Streams(lines), false),
            r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"a"},"values":[["1700000000000000001","<b>\"x\"\n"]]}]}}"#
        );
        assert_eq!(
            answer(LogData::Streams(Vec::new()), false),
            r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#
        );
    }

    #[test]
    fn metadata_and_parsed_labels_are_told_apart_for_those_who_ask() {
        let lines = || vec![line(2, "x", &[("trace", "t")], &[("level", "info")]), line(1, "y", &[], &[])];
        assert_eq!(
            answer(LogData::Streams(lines()), false),
            r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"a"},"values":[["1","y"]]},{"stream":{"app":"a","level":"info","trace":"t"},"values":[["2","x",{"trace":"t"}]]}]}}"#
        );
        assert_eq!(
            answer(LogData::Streams(lines()), true),
            r#"{"status":"success","data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{"app":"a"},"values":[["2","x",{"structuredMetadata":{"trace":"t"},"parsed":{"level":"info"}}],["1","y",{}]]}]}}"#
        );
    }

    #[test]
    fn numbers_stand_with_seconds_and_as_text() {
        let points = vec![(1_700_000_000_000_000_000, 1.0), (1_700_000_015_500_000_000, f64::NAN)];
        let series = MatrixSeries { labels: labels(&[("a", "b")]), points };
        assert_eq!(
            answer(LogData::Matrix(vec![series]), false),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1700000000,"1"],[1700000015.5,"NaN"]]}]}}"#
        );
        assert_eq!(
            answer(LogData::Scalar { ns: 4_000_000_000, value: -0.25 }, false),
            r#"{"status":"success","data":{"resultType":"scalar","result":[4,"-0.25"]}}"#
        );
        for (value, want) in
            [(f64::INFINITY, "+Inf"), (1e21, "1000000000000000000000"), (-0.0, "-0"), (-7.0, "-7")]
        {
            assert_eq!(text(|out| write_point(out, 0, value)), format!("[0,\"{want}\"]"));
        }
    }

    #[test]
    fn a_frame_keeps_the_order_of_time() {
        let lines = [line(1, "x", &[], &[]), line(2, "y", &[("k", "v")], &[]), line(3, "z", &[], &[])];
        assert_eq!(
            text(|out| write_frame(out, &lines, Shape::Plain)),
            r#"{"streams":[{"stream":{"app":"a"},"values":[["1","x"]]},{"stream":{"app":"a","k":"v"},"values":[["2","y",{"k":"v"}]]},{"stream":{"app":"a"},"values":[["3","z"]]}]"#
        );
        assert_eq!(
            text(|out| write_frame(out, &lines[..1], Shape::Legacy)),
            r#"{"streams":[{"labels":"{app=\"a\"}","entries":[{"ts":"1970-01-01T00:00:00.000000001Z","line":"x"}]}]"#
        );
    }
}
