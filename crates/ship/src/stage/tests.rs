use std::path::Path as FilePath;

use proptest::prelude::*;
use reba_model::Labels;

use super::{config::Reading, *};
use crate::yaml::{self, Section};

/// 2026-01-02 03:04:05 UTC.
const NOW: i64 = 1_767_323_045_000_000_000;

fn build(stages: &str) -> Result<Pipeline, String> {
    let node = yaml::parse(stages, FilePath::new("p.yml")).map_err(|e| e.to_string())?;
    let (mut warnings, mut metrics) = (Vec::new(), Vec::new());
    let section = Section::new(&node, "").map_err(|f| f.reason)?;
    let mut reading = Reading::new(&mut warnings, &mut metrics, 1);
    pipeline(&section, "s", &mut reading).map_err(|f| format!("{}: {}", f.key, f.reason))
}

fn labels() -> Labels {
    Labels::from_pairs([("app", "x")])
}

/// Runs lines, a second apart, and gives what comes out, held entries at the end.
fn run_at(stages: &str, lines: &[(i64, &str)], counters: &Counters) -> Vec<Entry> {
    let mut pipeline = build(&format!("s:\n{stages}")).unwrap();
    let mut out = Vec::new();
    for (at, line) in lines {
        let mut cx = Context::new(*at, "job", counters);
        pipeline.tick(&mut cx, &mut out);
        pipeline.process(Entry::new(*at, *line, labels()), &mut cx, &mut out);
    }
    pipeline.drain(&mut Context::new(NOW, "job", counters), &mut out);
    out
}

fn run(stages: &str, lines: &[&str]) -> Vec<Entry> {
    let lines: Vec<(i64, &str)> = lines.iter().map(|l| (NOW, *l)).collect();
    run_at(stages, &lines, &Counters::default())
}

fn one(stages: &str, line: &str) -> Entry {
    let mut out = run(stages, &[line]);
    assert_eq!(out.len(), 1, "{out:?}");
    out.remove(0)
}

fn lines(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|e| e.line.as_str()).collect()
}

#[test]
fn values_are_taken_out_of_lines() {
    let json = "- json: {expressions: {a: , b: x.y, c: 'l[1]', o: x, n: none}}\n";
    for (stages, line, name, expected) in [
        (json, r#"{"a":1}"#, "a", Some("1")),
        (json, r#"{"a":1.5}"#, "a", Some("1.5")),
        (json, r#"{"a":1700000000000000001}"#, "a", Some("1700000000000000001")),
        (json, r#"{"a":1.7e12}"#, "a", Some("1700000000000")),
        (json, r#"{"a":true}"#, "a", Some("true")),
        (json, r#"{"x":{"y":"z"}}"#, "b", Some("z")),
        (json, r#"{"x":{"y":"z"}}"#, "o", Some(r#"{"y":"z"}"#)),
        (json, r#"{"l":["p","q"]}"#, "c", Some("q")),
        (json, r#"{"a":1}"#, "n", None),
        (json, "[1]", "a", None),
        (json, "no json", "a", None),
        (json, "no json", "app", Some("x")),
        ("- logfmt: {mapping: {a: , b: k}}\n", r#"a=1 k="q \"r\"" z"#, "b", Some(r#"q "r""#)),
        ("- logfmt: {mapping: {z: }}\n", "a=1 z", "z", Some("")),
        ("- regex: {expression: '^(?P<a>\\w+) (?P<b>x)?'}\n", "one two", "a", Some("one")),
        ("- regex: {expression: '^(?P<a>\\w+) (?P<b>x)?'}\n", "one two", "b", Some("")),
        ("- regex: {expression: '(?P<a>x)', source: app}\n", "line", "a", Some("x")),
        ("- template: {source: n, template: '{{ .app }}-{{ ToUpper .Entry }}'}\n", "l", "n", Some("x-L")),
        ("- template: {source: app, template: '{{ .Value }}{{ .Value }}'}\n", "l", "app", Some("xx")),
        ("- template: {source: app, template: '{{ if false }}y{{ end }}'}\n", "l", "app", None),
        ("- template: {source: n, template: '{{ Sha2Hash \"s\" .app }}'}\n", "l", "n", None),
    ] {
        let found = one(stages, line).extracted.text(name);
        if name == "n" && stages.contains("Sha2Hash") {
            // The digest itself is tested where it is made.
            assert_eq!(found.map(|f| f.len()), Some(64));
            continue;
        }
        assert_eq!(found.as_deref(), expected, "{stages} {line}");
    }
}

#[test]
fn every_group_of_every_match_is_replaced() {
    let replace = |options: &str| format!("- replace: {{{options}}}\n");
    let ip = "expression: '(\\d+)\\.(\\d+)'";
    for (stages, line, expected) in [
        (replace(&format!("{ip}, replace: 'x'")), "1.2 - 3.4", "x.x - x.x"),
        (replace(&format!("{ip}, replace: '<{{{{ .Value }}}}>'")), "1.2", "<1>.<2>"),
        (replace("expression: 'p=(\\S+)'"), "p=secret q", "p= q"),
        (replace("expression: '((a)b)', replace: 'z'"), "ab ab", "z z"),
        (replace("expression: '(q)', replace: 'z'"), "ab", "ab"),
    ] {
        assert_eq!(one(&stages, line).line, expected, "{stages}");
    }
    let kept = one(
        "- replace: {expression: '(?P<a>\\d)', replace: '{{ .Value }}!', source: app}\n- output: {source: app}\n",
        "l",
    );
    assert_eq!(kept.line, "x");
}

#[test]
fn labels_metadata_and_tenant_come_from_values() {
    let json = "- json: {expressions: {a: , b: , t: }}\n";
    let line = r#"{"a":"1","b":2,"t":"team"}"#;
    let label =
        |stages: &str, name: &str| one(&format!("{json}{stages}"), line).labels.get(name).map(str::to_owned);
    assert_eq!(label("- labels: {a: , c: b, app: none}\n", "c").as_deref(), Some("2"));
    assert_eq!(label("- labels: {app: none}\n", "app").as_deref(), Some("x"));
    assert_eq!(label("- static_labels: {k: v, e: ''}\n", "k").as_deref(), Some("v"));
    assert_eq!(label("- labeldrop: [app]\n", "app"), None);
    assert_eq!(label("- labels: {a: }\n- labelallow: [a]\n", "app"), None);
    let e = one(&format!("{json}- structured_metadata: {{a: , m: b}}\n- tenant: {{source: t}}\n"), line);
    assert_eq!(e.metadata, [("a".to_owned(), "1".to_owned()), ("m".to_owned(), "2".to_owned())]);
    assert_eq!(e.tenant.as_deref(), Some("team"));
    assert_eq!(one("- tenant: {label: app}\n", "l").tenant.as_deref(), Some("x"));
}

#[test]
fn times_are_read_in_every_format() {
    let at = |text: &str, format: &str, options: &str| {
        let stages = format!(
            "- regex: {{expression: '^(?P<t>.*)$'}}\n- timestamp: {{source: t, format: '{format}', action_on_failure: skip{options}}}\n"
        );
        one(&stages, text).ns
    };
    let base = 1_700_000_000_000_000_000; // 2023-11-14T22:13:20Z
    for (text, format, expected) in [
        ("2023-11-14T22:13:20Z", "RFC3339", base),
        ("2023-11-14T22:13:20.5+00:00", "RFC3339", base + 500_000_000),
        ("2023-11-14T23:13:20.000000001+01:00", "RFC3339Nano", base + 1),
        ("Tue Nov 14 22:13:20 2023", "ANSIC", base),
        ("Tue Nov 14 22:13:20 UTC 2023", "UnixDate", base),
        ("Tue Nov 14 22:13:20 +0000 2023", "RubyDate", base),
        ("14 Nov 23 22:13 UTC", "RFC822", base - 20_000_000_000),
        ("14 Nov 23 22:13 +0000", "RFC822Z", base - 20_000_000_000),
        ("Tuesday, 14-Nov-23 22:13:20 UTC", "RFC850", base),
        ("Tue, 14 Nov 2023 22:13:20 UTC", "RFC1123", base),
        ("Tue, 14 Nov 2023 23:13:20 +0100", "RFC1123Z", base),
        ("1700000000", "Unix", base),
        ("1700000000.123456", "Unix", base + 123_456_000),
        ("1700000000123", "UnixMs", base + 123_000_000),
        ("1700000000123456", "UnixUs", base + 123_456_000),
        ("1700000000123456789", "UnixNs", base + 123_456_789),
        ("2023-11-14 22:13:20,250", "2006-01-02 15:04:05,000", base + 250_000_000),
        ("14/Nov/2023:22:13:20 +0000", "02/Jan/2006:15:04:05 -0700", base),
        // Automatically, and when the format is not what was said.
        ("1700000000123", "auto", base + 123_000_000),
        ("1700000000123", "RFC3339", base + 123_000_000),
        ("2023-11-14T22:13:20Z", "Unix", base),
        ("14/Nov/2023:22:13:20 +0000", "RFC3339", base),
        // Without a year: now is the second of January 2026.
        ("Jan  2 03:00:00", "Jan _2 15:04:05", 1_767_322_800_000_000_000),
        ("Dec 31 23:00:00", "Jan _2 15:04:05", 1_767_222_000_000_000_000),
        ("nonsense", "RFC3339", NOW),
    ] {
        assert_eq!(at(text, format, ""), expected, "{text} as {format}");
    }
    let berlin = at("2023-11-14 23:13:20", "2006-01-02 15:04:05", ", location: Europe/Berlin");
    assert_eq!(berlin, base);
    assert_eq!(at("2023-11-14T22:13:20Z", "2006-01-02T15:04:05Z07:00", ", location: Europe/Berlin"), base);
    assert_eq!(at("1700000000", "2006", ", fallback_formats: [Unix]"), base);
}

#[test]
fn a_time_that_fails_follows_the_last_one_of_its_stream() {
    let stages = "- regex: {expression: '^(?P<t>.*)$'}\n- timestamp: {source: t, format: Unix}\n";
    let out = run(stages, &["x", "1700000000", "x", "x"]);
    let base = 1_700_000_000_000_000_000;
    assert_eq!(out.iter().map(|e| e.ns).collect::<Vec<_>>(), [NOW, base, base + 1, base + 2]);
}

#[test]
fn matches_see_the_labels_as_they_are_and_whole_queries() {
    let drop = |selector: &str| format!("- match: {{selector: '{selector}', action: drop}}\n");
    for (stages, kept) in [
        (drop("{app=\"x\"} |~ \"health\""), vec!["ok", r#"{"level":"debug"}"#]),
        (drop("{app=\"y\"}"), vec!["ok", "health", r#"{"level":"debug"}"#]),
        (drop("{app=\"x\"} | json | level=\"debug\""), vec!["ok", "health"]),
        (drop("{l=\"1\"}"), vec!["ok", "health", r#"{"level":"debug"}"#]),
        (format!("- static_labels: {{l: '1'}}\n{}", drop("{l=\"1\"}")), vec![]),
    ] {
        assert_eq!(lines(&run(&stages, &["ok", "health", r#"{"level":"debug"}"#])), kept, "{stages}");
    }
    let nested = "- match:\n    selector: '{app=\"x\"} |= \"a\"'\n    stages:\n    - static_labels: {hit: 'yes'}\n    - match: {selector: '{hit=\"yes\"} |= \"b\"', action: drop}\n";
    let out = run(nested, &["a", "ab", "c"]);
    assert_eq!(lines(&out), ["a", "c"]);
    assert_eq!((out[0].labels.value("hit"), out[1].labels.value("hit")), ("yes", ""));
}

#[test]
fn an_entry_is_dropped_when_all_conditions_hold() {
    let json = "- json: {expressions: {a: , b: }}\n";
    for (options, line, dropped) in [
        ("expression: '^x'", "xy", true),
        ("expression: '^x'", "yx", false),
        ("source: a", r#"{"a":"1"}"#, true),
        ("source: a", r#"{"b":"1"}"#, false),
        ("source: a, value: '1'", r#"{"a":1}"#, true),
        ("source: a, value: '1'", r#"{"a":2}"#, false),
        ("source: [a, b], expression: '^1;2$'", r#"{"a":1,"b":2}"#, true),
        ("source: [a, b], separator: '#', expression: '1#2'", r#"{"a":1,"b":2}"#, true),
        ("source: [a, b]", r#"{"a":1}"#, false),
        ("longer_than: 4", "12345", true),
        ("longer_than: 5", "12345", false),
        ("older_than: 1h", "l", false),
        ("longer_than: 1, expression: z", "aa", false),
    ] {
        let stages = format!("{json}- drop: {{{options}}}\n");
        assert_eq!(run(&stages, &[line]).is_empty(), dropped, "{options} {line}");
    }
    let counters = Counters::default();
    run_at("- drop: {expression: '^x', drop_counter_reason: mine}\n", &[(0, "x"), (0, "y")], &counters);
    assert_eq!(counters.get("logentry_dropped_lines_total", &[("reason", "mine")]), 1);
    assert_eq!(counters.dropped_samples()["mine"], ["x"]);
}

#[test]
fn limits_drop_or_delay_what_is_too_much() {
    let counters = Counters::default();
    let second = 1_000_000_000;
    let many: Vec<(i64, &str)> = vec![(0, "1"), (0, "2"), (0, "3"), (second, "4"), (second, "5")];
    let stages = "- limit: {rate: 1, burst: 2, drop: true}\n";
    assert_eq!(lines(&run_at(stages, &many, &counters)), ["1", "2", "4"]);
    let stages = "- limit: {rate: 1, burst: 1, drop: true, by_label_name: app}\n";
    assert_eq!(lines(&run_at(stages, &many, &counters)), ["1", "4"]);
    let by = [("label_name", "app"), ("label_value", "x")];
    assert_eq!(counters.get("logentry_dropped_lines_by_label_total", &by), 3);
    let mut pipeline = build("s: [{limit: {rate: 2, burst: 1}}]").unwrap();
    let mut cx = Context::new(0, "job", &counters);
    let mut out = Vec::new();
    for _ in 0..3 {
        pipeline.process(Entry::new(0, "l", labels()), &mut cx, &mut out);
    }
    assert_eq!((out.len(), cx.delay), (3, Duration::from_secs(1)));
}

#[test]
fn sampling_keeps_about_its_share() {
    let line = vec!["l"; 2000];
    let kept = run("- sampling: {rate: 0.25}\n", &line).len();
    assert!((400..600).contains(&kept), "{kept}");
    assert!(run("- sampling: {rate: 0}\n", &line).is_empty());
}

#[test]
fn lines_of_a_block_become_one_entry() {
    let stages = "- multiline: {firstline: '^\\d', max_lines: 3, max_wait_time: 2s}\n";
    let at = |lines: &[(i64, &str)]| {
        let out = run_at(stages, lines, &Counters::default());
        out.iter().map(|e| (e.ns, e.line.clone())).collect::<Vec<_>>()
    };
    let s = 1_000_000_000;
    assert_eq!(
        at(&[(0, "before"), (0, "1 a"), (1, " b"), (2, "2 c")]),
        [(0, "before".to_owned()), (0, "1 a\n b".to_owned()), (2, "2 c".to_owned())]
    );
    // Full blocks go, and what follows is a block like them; so do those that wait too long.
    assert_eq!(
        at(&[(5, "1"), (5, "b"), (5, "c"), (5, "d")]),
        [(5, "1\nb\nc".to_owned()), (5, "d".to_owned())]
    );
    assert_eq!(at(&[(0, "1"), (3 * s, "b")]), [(0, "1".to_owned()), (3 * s, "b".to_owned())]);
}

#[test]
fn pieces_of_lines_are_joined() {
    let t = "2023-11-14T22:13:20Z";
    let cri: Vec<String> = ["P a", "P b", "F c", "F d"].iter().map(|r| format!("{t} stdout {r}")).collect();
    let cri: Vec<&str> = cri.iter().map(String::as_str).collect();
    let out = run("- cri: {}\n", &cri);
    assert_eq!(lines(&out), ["abc", "d"]);
    assert_eq!((out[0].labels.value("stream"), out[0].ns), ("stdout", 1_700_000_000_000_000_000));
    let docker = [
        r#"{"log":"part ","stream":"stderr","time":"2023-11-14T22:13:20Z"}"#,
        r#"{"log":"end\n","stream":"stderr","time":"2023-11-14T22:13:21Z"}"#,
        "no json",
    ];
    let out = run("- docker: {}\n", &docker);
    assert_eq!(lines(&out), ["part end", "no json"]);
    assert_eq!((out[0].labels.value("stream"), out[0].ns), ("stderr", 1_700_000_000_000_000_000));
}

#[test]
fn lines_are_rewritten() {
    let e = one("- pack: {labels: [app]}\n", "the line");
    assert_eq!((e.line.as_str(), e.labels.is_empty()), (r#"{"_entry":"the line","app":"x"}"#, true));
    assert_eq!(one("- decolorize:\n", "\u{1b}[31mred\u{1b}[0m").line, "red");
    let event = "- template: {source: message, template: \"A: 1\\nB c: 2\"}\n- eventlogmessage: {}\n- output: {source: B_c}\n";
    assert_eq!(one(event, "l").line, "2");
    assert_eq!(one("- output: {source: none}\n", "l").line, "l");
}

#[test]
fn metrics_count_lines_and_values() {
    let node = "s:\n- json: {expressions: {d: , s: }}\n- metrics:\n    lines: {type: Counter, config: {match_all: true, action: inc}}\n    bytes: {type: counter, config: {match_all: true, count_entry_bytes: true, action: add}}\n    seconds: {type: Histogram, source: d, config: {buckets: [0.1, 1]}}\n    last: {type: Gauge, prefix: my_, source: s, config: {action: set}}\n    twos: {type: Counter, source: s, config: {value: '2', action: inc}}\n";
    let tree = yaml::parse(node, FilePath::new("p")).unwrap();
    let (mut warnings, mut metrics) = (Vec::new(), Vec::new());
    let section = Section::new(&tree, "").unwrap();
    let mut p = pipeline(&section, "s", &mut Reading::new(&mut warnings, &mut metrics, 1)).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let counters = Counters::default();
    for line in [r#"{"d":"500ms","s":2}"#, r#"{"d":3,"s":7}"#] {
        p.process(Entry::new(0, line, labels()), &mut Context::new(0, "j", &counters), &mut Vec::new());
    }
    let mut text = String::new();
    metrics[0].write(&mut text, 0);
    for expected in [
        "promtail_custom_lines{app=\"x\"} 2",
        "promtail_custom_bytes{app=\"x\"} 32",
        "promtail_custom_seconds_bucket{app=\"x\", le=\"0.1\"} 0",
        "promtail_custom_seconds_bucket{app=\"x\", le=\"1\"} 1",
        "promtail_custom_seconds_bucket{app=\"x\", le=\"+Inf\"} 2",
        "promtail_custom_seconds_sum{app=\"x\"} 3.5",
        "my_last{app=\"x\"} 7",
        "promtail_custom_twos{app=\"x\"} 1",
    ] {
        assert!(text.lines().any(|l| l == expected), "{expected} in {text}");
    }
    text.clear();
    metrics[0].write(&mut text, 301_000_000_000);
    assert_eq!(text, "", "idle metrics are forgotten");
}

#[test]
fn levels_are_found_in_logs_that_nobody_has_described() {
    for (line, level) in [
        (r#"{"level":20,"msg":"x"}"#, Some("debug")),
        (r#"{"severity":"WARNING"}"#, Some("warn")),
        ("ts=1 level=ERROR msg=x", Some("error")),
        (r#"1.2.3.4 - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 503 12"#, Some("error")),
        ("2023-11-14 22:13:20 [INFO] started", Some("info")),
        ("error: no such file", Some("error")),
        ("nothing to see", None),
    ] {
        let e = one("- auto: {}\n", line);
        assert_eq!(e.metadata.first().map(|(_, v)| v.as_str()), level, "{line}");
    }
    let trace = ["ERROR boom", "java.lang.X", "\tat a.b(C.java:1)", "Caused by: y", "INFO next"];
    assert_eq!(
        lines(&run("- auto: {}\n", &trace)),
        ["ERROR boom", "java.lang.X\n\tat a.b(C.java:1)\nCaused by: y", "INFO next"]
    );
}

#[test]
fn traces_of_four_languages_are_one_entry_each() {
    let java = "2026-01-02 03:04:05 ERROR c.e.Pay - failed\njava.lang.IllegalStateException: no\n\tat c.e.Pay.run(Pay.java:7)\n\t... 3 more\nCaused by: java.io.IOException: gone\n\tat x.Y.z(Y.java:1)";
    let node = "Error: boom\n    at run (/app/x.js:1:2)\n    at node:internal:5 {\n  code: 'E'\n}";
    let python = "ERROR:root:failed\nTraceback (most recent call last):\n  File \"x.py\", line 1, in f\n    g()\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"x.py\", line 3, in <module>\n    f()\nmy.pkg.Odd: b";
    let go = "panic: runtime error: index\n\ngoroutine 1 [running]:\nmain.main()\n\t/x/main.go:3 +0x1\nexit status 2";
    for (trace, level) in [(java, "error"), (node, "error"), (python, "error"), (go, "fatal")] {
        let all: Vec<&str> = ["INFO before"].into_iter().chain(trace.lines()).chain(["INFO after"]).collect();
        let out = run("- auto: {}\n", &all);
        assert_eq!(lines(&out), ["INFO before", trace, "INFO after"]);
        let found = out[1].metadata.first().map_or("", |(_, v)| v.as_str());
        assert_eq!(found, level, "{trace}");
    }
}

#[test]
fn lines_that_belong_to_no_trace_stay_apart() {
    let all = ["INFO a", "plain", "Error: alone", "", "TypeError: also alone", "GET /x 200", "b = 2", "}{"];
    assert_eq!(lines(&run("- auto: {}\n", &all)).len(), all.len());
    // JSON is whole, and waits for nobody.
    let mut pipeline = build("s: [{auto: {}}]").unwrap();
    let (counters, mut out) = (Counters::default(), Vec::new());
    let mut cx = Context::new(NOW, "j", &counters);
    pipeline.process(Entry::new(NOW, "INFO a", labels()), &mut cx, &mut out);
    assert!(out.is_empty());
    pipeline.process(Entry::new(NOW, r#"{"level":30}"#, labels()), &mut cx, &mut out);
    assert_eq!(lines(&out), ["INFO a", r#"{"level":30}"#]);
}

#[test]
fn the_time_that_a_line_says_is_taken_if_it_can_be_true() {
    let written = NOW - 5_000_000_000;
    for (line, ns) in [
        (r#"{"level":30,"time":1767323040000,"msg":"pino"}"#, written),
        (r#"{"ts":"2026-01-02T03:04:00Z"}"#, written),
        ("time=2026-01-02T03:04:00Z level=info msg=x", written),
        ("2026-01-02T04:04:00+01:00 INFO x", written),
        ("[2026-01-02T03:04:00.000Z] WARN x", written),
        ("::1 - - [02/Jan/2026:03:04:00 +0000] \"GET / HTTP/1.1\" 200 1 ", written),
        // Without a zone, in the far future, or no time at all.
        ("2026-01-02T03:04:00 INFO x", NOW),
        (r#"{"time":"2036-01-02T03:04:00Z"}"#, NOW),
        (r#"{"time":12}"#, NOW),
    ] {
        assert_eq!(one("- auto: {}\n", line).ns, ns, "{line}");
    }
    assert_eq!(one("- auto: {timestamps: false}\n", r#"{"time":1767323040000}"#).ns, NOW);
}

#[test]
fn nonsense_is_refused_when_it_is_read() {
    for (stages, reason) in [
        ("[{a: {}, b: {}}]", "exactly one key"),
        ("[{foo: {}}]", "unknown stage"),
        ("[{regex: {expression: 'x'}}]", "must have a name"),
        ("[{regex: {}}]", "required"),
        ("[{replace: {expression: x}}]", "needs a group"),
        ("[{labels: {a-b: }}]", "invalid label name"),
        ("[{tenant: {label: a, source: b}}]", "exactly one"),
        ("[{match: {selector: '{a=', action: drop}}]", "syntax"),
        ("[{match: {selector: '{a=\"b\"}', action: drop, stages: [{cri: }]}}]", "not allowed"),
        ("[{drop: {value: x}}]", "needs a source"),
        ("[{drop: {}}]", "needs one of"),
        ("[{limit: {rate: 0, burst: 1}}]", "above 0"),
        ("[{limit: {rate: 1, burst: 1, by_label_name: a}}]", "drop must be true"),
        ("[{sampling: {rate: 2}}]", "between 0 and 1"),
        ("[{timestamp: {source: a, format: Unix, location: Nowhere}}]", "unknown time zone"),
        ("[{template: {source: a, template: '{{'}}]", "template"),
    ] {
        let error = build(&format!("s: {stages}")).unwrap_err();
        assert!(error.contains(reason), "{stages}: {error}");
    }
}

#[test]
fn a_pipeline_tells_which_stages_found_nothing() {
    let mut p = build("s: [{regex: {expression: '(?P<a>zzz)'}}, {static_labels: {k: v}}]").unwrap();
    let counters = Counters::default();
    p.process(Entry::new(0, "l", labels()), &mut Context::new(0, "j", &counters), &mut Vec::new());
    let report = p.report();
    assert_eq!((report[0].path.as_str(), report[0].seen, report[0].missed), ("s[0].regex", 1, 1));
    assert_eq!(report[1].missed, 0);
}

const TRACE_LIKE: &str = "(Traceback \\(most recent call last\\):|panic: x|goroutine 1|main\\.f\\(\\)|  at x|Error: y|\\{\"level\":30\\}|INFO a=b|)|[ -~\u{e9}]{0,30}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_line_makes_a_pipeline_panic(input in prop::collection::vec(".{0,60}|[0-9{}\":, a=\\[\\]\\n-]{0,40}", 1..6)) {
        let stages = "- json: {expressions: {a: , b: 'x[0].y'}}\n- logfmt: {mapping: {a: }}\n- regex: {expression: '(?P<t>\\S+)'}\n- timestamp: {source: t, format: auto}\n- cri: {}\n- docker: {}\n- replace: {expression: '(.)(.*)', replace: '{{ .Value | ToUpper }}'}\n- auto: {}\n- multiline: {firstline: '^\\S'}\n- pack: {labels: [a]}\n";
        let lines: Vec<&str> = input.iter().map(String::as_str).collect();
        let out = run(stages, &lines);
        prop_assert!(out.len() <= lines.len());
    }

    #[test]
    fn auto_keeps_every_byte_in_its_order(input in prop::collection::vec(TRACE_LIKE, 1..40)) {
        let texts: Vec<&str> = input.iter().map(String::as_str).collect();
        let out = run("- auto: {}\n", &texts);
        prop_assert_eq!(lines(&out).join("\n"), texts.join("\n"));
    }

    #[test]
    fn no_text_makes_the_reader_of_pipelines_panic(text in "(- (json|match|drop|limit): )?[{}a-z:'\", \\[\\]\n-]{0,60}") {
        let _ = build(&format!("s:\n{text}"));
    }
}
