use std::io::Write as _;

use reba_model::{MatchOp, Matcher, SampleColumns, TimeRange};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use reba_testkit::{MemConfig, MemStore};

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn receiver(config: InfluxConfig) -> (Arc<MemStore>, InfluxReceiver) {
    let store = Arc::new(MemStore::new(MemConfig::default()));
    (Arc::clone(&store), InfluxReceiver::new(store, config, 1000, 7))
}

fn request(db: &str) -> InfluxRequest<'_> {
    InfluxRequest { db, precision: Precision::Unknown, content_encoding: "", now: NOW }
}

fn stored(store: &MemStore) -> Vec<String> {
    let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    let hints = SelectHints::default();
    let budget = Budget::unlimited();
    let request = SelectRequest { matchers: &all, range: TimeRange::ALL, hints: &hints, budget: &budget };
    let mut out: Vec<String> = Vec::new();
    for series in store.select(&request).unwrap() {
        let mut columns = SampleColumns::default();
        series.read_into(TimeRange::ALL, &mut columns).unwrap();
        let samples = columns.t.iter().zip(&columns.v).map(|(t, v)| format!(" {v}@{}", t - NOW));
        out.push(series.labels.to_string() + &samples.collect::<String>());
    }
    out.sort();
    out
}

#[test]
fn a_field_is_a_series_with_the_tags_as_labels() {
    let (store, receiver) = receiver(InfluxConfig::default());
    let body = "cpu,host=a,cpu=0 usage=1.5,state=\"on\",up=true 1700000000000000001\n,a=b v=1\ncpu,host=a,cpu=0 usage=2";
    let lines = receiver.handle(body.as_bytes(), InfluxRequest { now: NOW + 5, ..request("tele") }).unwrap();
    assert_eq!(lines, InfluxWritten { samples: 4, refused: 0, reason: String::new() });
    assert_eq!(
        stored(&store),
        [
            r#"{__name__="cpu_up", cpu="0", db="tele", host="a"} 1@0"#,
            r#"{__name__="cpu_usage", cpu="0", db="tele", host="a"} 1.5@0 2@5"#,
            r#"{__name__="v", a="b", db="tele"} 1@5"#,
        ]
    );
}

#[test]
fn names_are_made_as_configured() {
    let name = |config: InfluxConfig, body: &str| {
        let (store, receiver) = receiver(config);
        receiver.handle(body.as_bytes(), request("x")).unwrap();
        stored(&store).join("")
    };
    let default = InfluxConfig::default;
    assert_eq!(
        name(InfluxConfig { separator: ".".to_owned(), db_label: String::new(), ..default() }, "m f=1"),
        r#"{__name__="m.f"} 1@0"#
    );
    assert_eq!(
        name(InfluxConfig { skip_measurement: true, ..default() }, "m f=1"),
        r#"{__name__="f", db="x"} 1@0"#
    );
    let single = InfluxConfig { skip_single_field: true, db_label: String::new(), ..default() };
    assert_eq!(name(single.clone(), "m f=1"), r#"{__name__="m"} 1@0"#);
    assert_eq!(name(single, "m f=1,g=2"), r#"{__name__="m_f"} 1@0{__name__="m_g"} 2@0"#);
    assert_eq!(name(default(), "m,db=own f=1"), r#"{__name__="m_f", db="own"} 1@0"#);
}

#[test]
fn wrong_lines_are_named_and_the_rest_is_stored() {
    let (store, receiver) = receiver(InfluxConfig::default());
    let body = "a v=1 1700000000\nb\nc v=x\nd,t v=1\ne v=1 1700000601\na v=2 1700000000\nf v=1 1700000000\n";
    let written = receiver.handle(body.as_bytes(), request("")).unwrap();
    assert_eq!((written.samples, written.refused), (2, 5));
    let lines: Vec<_> = written.reason.lines().map(|l| l.split(':').next().unwrap_or("")).collect();
    assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5", "line 6"], "{}", written.reason);
    assert_eq!(stored(&store), [r#"{__name__="a_v"} 1@0"#, r#"{__name__="f_v"} 1@0"#]);
    assert_eq!(receiver.refused_lines(), 5);
}

#[test]
fn bodies_may_be_compressed_and_are_bounded() {
    let (store, receiver) = receiver(InfluxConfig::default());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a v=1").unwrap();
    let request = InfluxRequest { content_encoding: "gzip", ..request("") };
    assert_eq!(receiver.handle(&gzip.finish().unwrap(), request).unwrap().samples, 1);
    assert_eq!(receiver.handle(b"a v=1", request).unwrap_err().status(), 400);
    assert_eq!(stored(&store).len(), 1);
    let many = vec!["v=1"; MAX_SAMPLES + 1].join(",");
    let error = receiver.handle(format!("a {many}").as_bytes(), self::request("")).unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (413, "request exceeds the limit of 1048576 samples")
    );
}

#[test]
fn tags_cannot_be_multiplied_without_end() {
    let (_, receiver) = receiver(InfluxConfig::default());
    let fields: Vec<_> = (0..300).map(|i| format!("f{i}=1")).collect();
    let body = format!("m,t={} {}\nn v=1", "x".repeat(1_000_000), fields.join(","));
    let written = receiver.handle(body.as_bytes(), request("")).unwrap();
    // After the limit, no new series of the request.
    assert_eq!((written.samples, written.refused), (0, 2));
    let written = receiver.handle(b"n v=1", request("")).unwrap();
    assert_eq!(written.refused, 0);
}
