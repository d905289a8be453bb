//! Remote write 1.0 and the text exposition, written by hand: the benchmark must not share code with what it measures.

use std::fmt::Write as _;

use anyhow::Result;

use crate::data::Series;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Labels of a series as protobuf, made once.
pub fn label_bytes(series: &Series) -> Vec<u8> {
    let mut out = Vec::new();
    let mut label = Vec::new();
    for (name, value) in &series.labels {
        label.clear();
        bytes_field(&mut label, 1, name.as_bytes());
        bytes_field(&mut label, 2, value.as_bytes());
        bytes_field(&mut out, 1, &label);
    }
    out
}

/// Adds one series with its samples to a write request.
pub fn push_series(request: &mut Vec<u8>, labels: &[u8], samples: &[(i64, f64)]) {
    let mut series = labels.to_vec();
    let mut sample = Vec::with_capacity(20);
    for (t, v) in samples {
        sample.clear();
        sample.push(1 << 3 | 1);
        sample.extend_from_slice(&v.to_bits().to_le_bytes());
        sample.push(2 << 3);
        varint(&mut sample, *t as u64);
        bytes_field(&mut series, 2, &sample);
    }
    bytes_field(request, 1, &series);
}

/// Compresses a finished request.
pub fn compress(request: &[u8]) -> Result<Vec<u8>> {
    Ok(snap::raw::Encoder::new().compress_vec(request)?)
}

/// Writes the page of a target. Labels that a scrape adds by itself (`job`, `instance`) are left out.
pub fn page(series: &[Series]) -> String {
    let mut out = String::with_capacity(series.len() * 160);
    let mut family = "";
    for s in series {
        let name = s.labels.iter().find(|(k, _)| k == "__name__").map_or("", |(_, v)| v.as_str());
        if name != family {
            let kind =
                if name.ends_with("_total") || name.ends_with("_bucket") { "counter" } else { "gauge" };
            let _ = writeln!(out, "# HELP {name} Generated.\n# TYPE {name} {kind}");
            family = name;
        }
        let _ = write!(out, "{name}{{");
        let shown = s.labels.iter().filter(|(k, _)| !matches!(k.as_str(), "__name__" | "job" | "instance"));
        for (i, (k, v)) in shown.enumerate() {
            let _ = write!(out, "{}{k}=\"{v}\"", if i > 0 { "," } else { "" });
        }
        let _ = writeln!(out, "}} {}", s.value);
    }
    out
}
