#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! From a store to text and back, and what is refused.

use std::{collections::BTreeMap, path::Path};

use proptest::prelude::*;
use reba_model::{Labels, Matcher, STALE_NAN, TimeRange};
use reba_storage::{AppendMode, FloatSample, MetricAppender, WriteBatch};
use reba_testkit::MemStore;
use reba_transfer::{Batch, ImportError, Imported, openmetrics};

fn store(series: &BTreeMap<Labels, Vec<(i64, f64)>>) -> MemStore {
    let store = MemStore::default();
    for (labels, samples) in series {
        let series = store.series_ref(labels).unwrap();
        let floats = samples.iter().map(|(t, v)| FloatSample { series, t: *t, v: *v }).collect();
        let report =
            store.append(&WriteBatch { floats, ..WriteBatch::default() }, AppendMode::Partial).unwrap();
        assert!(report.rejected.is_empty(), "{report:?}");
    }
    store
}

fn export(store: &MemStore, range: TimeRange) -> (String, openmetrics::Exported) {
    let mut out = Vec::new();
    let sets = [vec![Matcher::new(reba_model::MatchOp::Regex, "__name__", ".+").unwrap()]];
    let exported = openmetrics::export(store, &sets, range, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), exported)
}

fn import(text: &str) -> Result<(Batch, Imported), ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.om");
    std::fs::write(&path, text).unwrap();
    import_file(&path)
}

fn import_file(path: &Path) -> Result<(Batch, Imported), ImportError> {
    let mut all = Batch::new();
    let mut sink = |batch: Batch| {
        for (labels, mut columns) in batch {
            let to = all.entry(labels).or_default();
            to.t.append(&mut columns.t);
            to.v.append(&mut columns.v);
        }
        Ok(())
    };
    let imported = openmetrics::import(path, &mut sink, &mut |_, _| {})?;
    Ok((all, imported))
}

#[test]
fn markers_are_left_out_and_counted() {
    let labels = Labels::from_pairs([("__name__", "a.b"), ("c d", "x\"\\\ny")]);
    let series = BTreeMap::from([(labels.clone(), vec![(-1, 0.5), (1500, STALE_NAN), (3000, -0.0)])]);
    let (text, exported) = export(&store(&series), TimeRange::ALL);
    assert_eq!((exported.samples, exported.markers_left_out, exported.series), (2, 1, 1));
    assert_eq!(
        text,
        "{\"a.b\",\"c d\"=\"x\\\"\\\\\\ny\"} 0.5 -0.001\n{\"a.b\",\"c d\"=\"x\\\"\\\\\\ny\"} -0 3\n# EOF\n"
    );
    let (back, imported) = import(&text).unwrap();
    assert_eq!(back[&labels].t, [-1, 3000]);
    assert_eq!(imported.range, Some(TimeRange::new(-1, 3000)));
}

#[test]
fn exemplars_are_passed_over_with_a_remark_and_errors_name_the_line() {
    let (_, imported) = import("# TYPE a counter\na_total 1 2 # {trace=\"x\"} 1\n# EOF\n").unwrap();
    assert_eq!((imported.floats, imported.remarks.len()), (1, 1));
    for (text, reason) in [
        ("a 1 2\na 1\n# EOF\n", "line 2: a sample without a timestamp"),
        ("a 1 2\n\n\na{b=\"c\",b=\"d\"} 1 2\n# EOF\n", "line "),
        ("a 1 2\n", "# EOF"),
        ("", "# EOF"),
    ] {
        let error = import(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(matches!(import_file(Path::new("/nonexistent")), Err(ImportError::Source(_))));
}

#[test]
fn a_sink_that_refuses_ends_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.om");
    std::fs::write(&path, "a 1 2\n# EOF\n").unwrap();
    let result = openmetrics::import(&path, &mut |_| Err("full".to_owned()), &mut |_, _| {});
    assert!(matches!(result, Err(ImportError::Store(reason)) if reason == "full"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_exported_is_imported_to_the_same_bits(
        series in prop::collection::btree_map(
            (".{1,6}", ".{0,6}"),
            prop::collection::btree_map(-4_000_000_000_000i64..4_000_000_000_000, any::<f64>(), 1..20),
            1..6,
        )
    ) {
        let series: BTreeMap<Labels, Vec<(i64, f64)>> = series
            .into_iter()
            .map(|((name, value), samples)| {
                let samples = samples.into_iter().filter(|(_, v)| !v.is_nan()).collect();
                (Labels::from_pairs([("__name__", name.as_str()), ("l", value.as_str())]), samples)
            })
            .filter(|(_, samples): &(Labels, Vec<_>)| !samples.is_empty())
            .collect();
        let (text, _) = export(&store(&series), TimeRange::ALL);
        let (back, _) = import(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        let bits = |s: &[(i64, f64)]| s.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        let back: BTreeMap<Labels, Vec<(i64, u64)>> = back
            .into_iter()
            .map(|(l, c)| (l, bits(&c.t.into_iter().zip(c.v).collect::<Vec<_>>())))
            .collect();
        let want: BTreeMap<Labels, Vec<(i64, u64)>> = series.iter().map(|(l, s)| (l.clone(), bits(s))).collect();
        prop_assert_eq!(back, want);
    }
}
