//! What holds for every block, whatever its rows are.

use proptest::prelude::*;

use super::*;

pub(super) fn encoded(rows: &[OwnedRow]) -> Vec<u8> {
    let times: Vec<i64> = rows.iter().map(|r| r.ns).collect();
    let lines: Vec<&str> = rows.iter().map(|r| r.line.as_str()).collect();
    let pairs: Vec<Vec<(&str, &str)>> =
        rows.iter().map(|r| r.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()).collect();
    let metadata: Vec<Pairs<'_>> = pairs.iter().map(Vec::as_slice).collect();
    let mut bytes = b"before".to_vec();
    let summary = encode(&Rows { times: &times, lines: &lines, metadata: &metadata }, &mut bytes);
    assert_eq!((summary.rows as usize, summary.last_ns), (rows.len(), times.last().copied().unwrap_or(0)));
    bytes.split_off(6)
}

/// One line of any sort.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("[1,\"]\"]".to_owned()),
        Just("true".to_owned()),
        Just("{}".to_owned()),
        "-?[0-9]{1,5}(\\.[0-9]{1,3})?",
        "\"[a-z0-9 é=]{0,8}\"",
        "\"(\\\\n|\\\\u00e9|\\\\\"|x|\\\\q){0,3}\"",
        "\"[0-9a-f]{32}\"",
        "\"10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3}\"",
        "\"user [0-9]{1,4} took [0-9]{1,3}ms\"",
        "\\{\"x\":[0-9]\\}",
    ];
    let member = ("[abc.]{1,2}", value).prop_map(|(k, v)| format!("\"{k}\":{v}"));
    let object = prop::collection::vec(member, 0..5).prop_map(|m| format!("{{{}}}", m.join(",")));
    let pair = prop_oneof!["[a-c]{1,2}=[0-9a-f.]{0,4}", "[a-c]=\"[a-z \\\\n]{0,5}\"", "[a-z=\"]{0,4}"];
    let pairs = prop::collection::vec(pair, 0..5).prop_map(|p| p.join(" "));
    prop_oneof![
        4 => object,
        2 => pairs,
        1 => "GET /api/[a-c]/[0-9]{1,4} [0-9]{3} [0-9]{1,2}\\.[0-9]ms",
        1 => "2026-01-0[1-9]T0[0-9]:00:0[0-9](\\.[0-9]{1,3})?Z (INFO|WARN) user=[a-z]{3}",
        1 => "[\\[\\]{}\",:a-c0-9\\\\u. \\-é=]{0,30}",
    ]
}

pub(super) fn any_rows(most: usize) -> impl Strategy<Value = Vec<OwnedRow>> {
    let metadata = prop::collection::vec(("[abt]{1,2}", "[a-z0-9]{0,4}"), 0..3);
    let rows = prop::collection::vec((0u32..3_000_000, line(), metadata), 1..most);
    // Rows that come again make columns long enough for every form.
    (rows, 1usize..12, -1_000_000_000_000i64..2_000_000_000_000_000_000).prop_map(|(rows, times, start)| {
        let mut ns = start;
        let all = rows.iter().cycle().take(rows.len() * times);
        all.map(|(delta, line, metadata)| {
            ns += i64::from(*delta);
            OwnedRow { ns, line: line.clone(), metadata: metadata.clone() }
        })
        .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rows_come_back_as_they_were_written(rows in any_rows(40)) {
        let bytes = encoded(&rows);
        prop_assert_eq!(Block::open(&bytes).unwrap().rows(&mut Reading::default()), Ok(rows));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(block) = Block::open(&bytes) {
            let _ = block.rows(&mut Reading::default());
        }
    }

    #[test]
    fn damage_is_an_error_or_other_rows_but_no_panic(
        rows in any_rows(20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encoded(&rows);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(block) = Block::open(&bytes) {
            let _ = block.rows(&mut Reading::default());
            let mut cost = Reading::default();
            let _ = block.read(&Labels::empty(), NanoRange::ALL, &LogWant::everything(), &mut cost);
        }
    }
}

#[test]
fn a_block_without_rows_is_a_block() {
    assert_eq!(Block::open(&encoded(&[])).unwrap().rows(&mut Reading::default()), Ok(vec![]));
}
