//! The data: targets of a thousand series, as a container platform has them.
//!
//! Half of the series are CPU counters with random steps, which no codec can shrink much; the rest are what targets
//! usually say: request counters, a histogram, constants, memory, gauges, byte counters, rare counters. Everything comes from
//! a seed, so that every server gets the same samples.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Series of one target.
pub const SERIES_PER_TARGET: usize = 1000;

/// After so many rounds of [`renew`] every series has been replaced.
pub const ROUNDS: usize = 10;

/// How a series moves from one step to the next.
#[derive(Clone, Copy)]
enum Motion {
    CpuSeconds { rate: f64 },
    Requests { most: u32 },
    Bucket { share: f64 },
    Constant,
    Memory,
    Gauge,
    Bytes,
    Rare,
}

/// One series with its present value.
pub struct Series {
    /// Name first, then labels sorted by name; the form that remote write sends.
    pub labels: Vec<(String, String)>,
    motion: Motion,
    /// The value at the present step.
    pub value: f64,
}

/// Makes the series of target `n`.
pub fn target(n: usize, rng: &mut StdRng) -> Vec<Series> {
    let mut all = Vec::with_capacity(SERIES_PER_TARGET);
    let mut add = |name: &str, extra: &[(&str, String)], motion: Motion, value: f64| {
        all.push(Series { labels: labels(n, name, extra), motion, value });
    };
    for i in 0..500 {
        let rate = 15.0 * rng.random_range(0.02..0.52);
        let extra = [
            ("container", format!("c{}", i % 5)),
            ("pod", format!("svc-{}-{:05x}", i / 5, (n * 7919 + i / 5) & 0xf_ffff)),
            ("id", format!("/kubepods/burstable/pod{n:04}{i:04}")),
        ];
        add(
            "container_cpu_usage_seconds_total",
            &extra,
            Motion::CpuSeconds { rate },
            rng.random_range(0.0..1e5),
        );
    }
    for route in 0..5 {
        for status in ["200", "204", "400", "404", "500"] {
            let extra = [("route", format!("/api/v1/r{route}")), ("status", status.to_owned())];
            let most = rng.random_range(1..30);
            add(
                "http_requests_total",
                &extra,
                Motion::Requests { most },
                f64::from(rng.random_range(0..100_000)),
            );
        }
    }
    for route in 0..5 {
        for (i, le) in
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"].iter().enumerate()
        {
            let extra = [("le", (*le).to_owned()), ("route", format!("/api/v1/r{route}"))];
            add(
                "http_request_duration_seconds_bucket",
                &extra,
                Motion::Bucket { share: (i + 1) as f64 / 10.0 },
                0.0,
            );
        }
    }
    for i in 0..100 {
        add(
            "config_value",
            &[("key", format!("k{i}"))],
            Motion::Constant,
            f64::from(rng.random_range(0..1000)),
        );
    }
    for i in 0..100 {
        let pages = f64::from(rng.random_range(1000..100_000));
        add("process_resident_memory_bytes", &[("process", format!("p{i}"))], Motion::Memory, pages * 4096.0);
    }
    for i in 0..75 {
        add("queue_fill_percent", &[("queue", format!("q{i}"))], Motion::Gauge, 50.0);
    }
    for i in 0..100 {
        add("network_bytes_total", &[("device", format!("eth{i}"))], Motion::Bytes, 0.0);
    }
    for i in 0..50 {
        add("restarts_total", &[("unit", format!("u{i}"))], Motion::Rare, 0.0);
    }
    all
}

fn labels(n: usize, name: &str, extra: &[(&str, String)]) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    for (k, v) in [
        ("job", "kubelet".to_owned()),
        ("instance", format!("10.0.{}.{}:9100", n / 250, n % 250)),
        ("cluster", "kigali-1".to_owned()),
        ("region", "rw-central".to_owned()),
        ("node", format!("node-{n:04}")),
        ("namespace", format!("ns-{}", n % 10)),
    ] {
        labels.push((k.to_owned(), v));
    }
    labels.push(("__name__".to_owned(), name.to_owned()));
    labels.sort();
    labels
}

/// Moves every series by one step.
pub fn step(series: &mut [Series], rng: &mut StdRng) {
    for s in series {
        s.value = match s.motion {
            Motion::CpuSeconds { rate } => {
                ((s.value + rate * rng.random_range(0.7..1.3)) * 1e6).round() / 1e6
            }
            Motion::Requests { most } => s.value + f64::from(rng.random_range(0..=most)),
            Motion::Bucket { share } => s.value + (50.0 * share).floor(),
            Motion::Constant => s.value,
            Motion::Memory if rng.random_bool(1.0 / 3.0) => s.value,
            Motion::Memory => (s.value + f64::from(rng.random_range(-256..=256)) * 4096.0).max(0.0),
            Motion::Gauge => ((s.value + rng.random_range(-1.0..1.0)) * 100.0).round() / 100.0,
            Motion::Bytes => s.value + f64::from(rng.random_range(0..30_000_000)),
            Motion::Rare => s.value + f64::from(u8::from(rng.random_bool(0.005))),
        };
    }
}

/// Replaces a tenth of the series of target `n`, as a rollout does: new addresses, pods and ids, counters from zero.
/// Which tenth, and the new names, follow from `round`.
pub fn renew(series: &mut [Series], n: usize, round: usize) {
    for s in series.iter_mut().skip(round % ROUNDS).step_by(ROUNDS) {
        for (name, value) in &mut s.labels {
            match name.as_str() {
                "instance" => *value = format!("10.{}.{}.{}:9100", 1 + round % 250, n / 250, n % 250),
                "pod" | "id" => {
                    let stem = value.split('@').next().unwrap_or_default().to_owned();
                    *value = format!("{stem}@{round:x}");
                }
                _ => {}
            }
        }
        if !matches!(s.motion, Motion::Constant | Motion::Memory | Motion::Gauge) {
            s.value = 0.0;
        }
    }
}

/// A generator from a seed.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
