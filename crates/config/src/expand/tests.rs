use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const REFUSE: Unknown<'static> = Unknown { keep: false, groups: &["replacement"] };
const KEEP: Unknown<'static> = Unknown { keep: true, groups: &[] };

fn variables() -> Variables {
    let all = [
        ("PORT", "9100"),
        ("HOST", "db.example"),
        ("ODD", "a: b # \"c\" 'd' \\ {e}"),
        ("LINES", "one\ntwo"),
        ("EMPTY", ""),
        ("TOKEN", "s3cr3t\"x"),
        ("NULL", "null"),
    ];
    Variables::new(all.map(|(n, v)| (n.to_owned(), v.to_owned())).into())
}

fn expand(text: &str) -> Result<Expanded, ConfigError> {
    variables().expand(text, Path::new("dir/f.yml"), &REFUSE)
}

fn parsed(text: &str) -> BTreeMap<String, String> {
    crate::read(&expand(text).unwrap().text, Path::new("f.yml")).unwrap()
}

#[test]
fn a_value_may_hold_anything_in_every_kind_of_scalar() {
    let text = "plain: x ${ODD} y\nsingle: '${ODD}''${HOST}'\ndouble: \"${ODD}\\t\"\nliteral: |\n  a ${ODD}\n  ${LINES}\n\
                folded: >-\n  ${LINES}\n  x\nover: ${HOST}\n  ${ODD}\nempty: '${EMPTY}'\nnil: ${NULL}\n";
    let odd = "a: b # \"c\" 'd' \\ {e}";
    let got = parsed(text);
    assert_eq!(got["plain"], format!("x {odd} y"));
    assert_eq!(got["single"], format!("{odd}'db.example"));
    assert_eq!(got["double"], format!("{odd}\t"));
    assert_eq!(got["literal"], format!("a {odd}\none\ntwo\n"));
    assert_eq!(got["folded"], "one\ntwo x");
    assert_eq!(got["over"], format!("db.example {odd}"));
    assert_eq!((got["empty"].as_str(), got["nil"].as_str()), ("", "null"));
}

#[test]
fn numbers_stay_numbers_and_lists_in_brackets_work() {
    #[derive(Default, Deserialize)]
    struct Doc {
        port: u16,
        targets: Vec<String>,
        map: BTreeMap<String, String>,
    }
    let text = "port: ${PORT}\ntargets: [${HOST}:${PORT}, ${NOPE:-x, y}]\nmap: {a: ${TOKEN}}\n";
    let doc: Doc = crate::read(&expand(text).unwrap().text, Path::new("f.yml")).unwrap();
    assert_eq!(doc.port, 9100);
    assert_eq!(doc.targets, ["db.example:9100", "x, y"]);
    assert_eq!(doc.map["a"], "s3cr3t\"x");
}

#[test]
fn comments_keys_and_what_is_no_reference_stay_as_they_are() {
    let text = "# ${NOPE}\na: $${HOST} ${1} $1 ${{ x }} # ${NOPE}\n${HOST}: b\n";
    let got = expand(text).unwrap();
    assert_eq!(got.text, "# ${NOPE}\na: \"${HOST} ${1} $1 ${{ x }}\" # ${NOPE}\n${HOST}: b\n");
    assert_eq!(got.unresolved, []);
    assert_eq!(expand("a: [b\n").unwrap().text, "a: [b\n");
}

#[test]
fn defaults_are_for_names_that_are_not_set_or_empty() {
    let text = "a: ${NOPE:-x}\nb: ${EMPTY:-y}\nc: '${EMPTY}'\nd: ${PORT:-1}\ne: '${NOPE:-}'\n";
    let got = parsed(text);
    assert_eq!(got.values().map(String::as_str).collect::<Vec<_>>(), ["x", "y", "", "9100", ""]);
}

#[test]
fn an_unknown_name_is_an_error_with_file_line_and_key() {
    let error = expand("a:\n- b: x\n- b: y\n  é: 'é ${NOPE}'\n").unwrap_err();
    assert!(
        error.to_string().starts_with("dir/f.yml:4:9: key a[1].é: ${NOPE}: the variable NOPE is set"),
        "{error}"
    );
    let text = "x: ${NOPE}\n";
    let kept = variables().expand(text, Path::new("f"), &KEEP).unwrap();
    assert_eq!(kept.text, "x: \"${NOPE}\"\n");
    assert_eq!(kept.unresolved, [Unresolved { name: "NOPE".into(), at: (1, 4), key: "x".into() }]);
}

#[test]
fn groups_of_regular_expressions_are_left_alone_where_they_may_stand() {
    let text = "regex: (?P<HOST>.*)\nreplacement: ${HOST} ${NOPE} ${PORT}\nother: ${HOST}\n";
    let got = expand(text).unwrap();
    let read: BTreeMap<String, String> = crate::read(&got.text, Path::new("f")).unwrap();
    assert_eq!(read["replacement"], "${HOST} ${NOPE} 9100");
    assert_eq!(read["other"], "db.example");
    assert_eq!(got.unresolved.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["NOPE"]);
}

#[test]
fn files_are_read_beside_the_configuration_without_their_last_line_break() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yml");
    fs::write(dir.path().join("token"), "hunter2: é\r\n").unwrap();
    fs::write(dir.path().join("two"), "a\n\n").unwrap();
    fs::write(dir.path().join("bad"), [0xff]).unwrap();
    fs::write(dir.path().join("big"), vec![b'x'; MAX_FILE as usize + 1]).unwrap();
    let expand = |text: &str| Variables::default().expand(text, &file, &REFUSE);
    let got = expand("a: ${file:token}\nb: ${file:two}\n").unwrap();
    assert_eq!(got.text, "a: \"hunter2: é\"\nb: \"a\\n\"\n");
    assert_eq!(got.files, [dir.path().join("token"), dir.path().join("two")]);
    assert_eq!(got.secrets(), ["hunter2: é"]);
    for (name, reason) in [("nope", "No such file"), ("bad", "UTF-8"), ("big", "larger"), (".", "no file")] {
        let error = expand(&format!("k: ${{file:{name}}}\n")).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(":1:4: key k: "), "{error}");
    }
}

#[test]
fn what_was_filled_in_is_hidden_in_errors() {
    let got = expand("a: ${TOKEN}\nb: ${PORT}\n").unwrap();
    let error = crate::read::<BTreeMap<String, bool>>(&got.text, Path::new("f")).unwrap_err();
    let shown = got.hide(error).to_string();
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert_eq!(got.hide_in("\"s3cr3t\\\"x\" and s3cr3t\"x"), "\"${TOKEN}\" and ${TOKEN}");
}

#[test]
fn secrets_are_hidden_however_yaml_writes_them() {
    let secrets = ["a\"b".to_owned(), "c\nd".to_owned(), "it's".to_owned()];
    let yaml = "x: \"a\\\"b\"\ny: |\n  c\n  d\nz: 'it''s'\nv: \"c\\nd!\"\nw: plain a\"b\nk: ok\n";
    let shown = hide_in_yaml(yaml, &secrets, "<secret>");
    let read: BTreeMap<String, String> = crate::read(&shown, Path::new("f")).unwrap();
    assert_eq!(read["x"], "<secret>");
    assert_eq!(read["y"], "\"<secret>\\n\"\n");
    assert_eq!(
        [&read["z"], &read["v"], &read["w"], &read["k"]],
        ["<secret>", "<secret>!", "plain <secret>", "ok"]
    );
}

#[test]
fn errors_behind_a_value_have_the_line_of_the_file() {
    let got = expand("a: ${LINES}\nb: ${HOST}\n  ${LINES}\nc: {\n").unwrap_err();
    assert_eq!(got.at.map(|at| at.0), Some(4), "{got}");
    let got = expand("a: '${LINES}\n  x'\nb: x\n").unwrap();
    assert_eq!(got.text.lines().position(|l| l == "b: x"), Some(2), "{}", got.text);
}

#[test]
fn a_value_that_would_break_a_block_is_refused() {
    for text in ["a: |\n  ${EMPTY}x\n", "a: |\n  ${BELL:-\u{7}}\n"] {
        assert!(expand(text).unwrap_err().to_string().contains("cannot stand in a block"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_value_changes_the_shape_of_a_file(value in "\\PC{0,12}|[ -~\n\t]{0,12}") {
        let all = Variables::new([("V".to_owned(), value.clone())].into());
        for text in ["k: ${V}\nl: end\n", "k: '${V}'\nl: end\n", "k: \"${V}\"\nl: end\n", "{k: ${V}, l: end}\n"] {
            let got = all.expand(text, Path::new("f"), &REFUSE).unwrap();
            prop_assert_eq!(got.text.lines().count(), text.lines().count());
            let read: BTreeMap<String, String> = crate::read(&got.text, Path::new("f")).unwrap();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(&read["k"], &value);
            prop_assert_eq!(&read["l"], "end");
        }
    }

    #[test]
    fn any_text_never_panics(text in "[${}a:\n '\"|>#é-]{0,40}") {
        let _ = variables().expand(&text, Path::new("f"), &KEEP);
        let _ = expand(&text);
    }
}
