//! The soak: scrapes, rules and dashboard queries for minutes or hours, and whether memory keeps growing.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    data::SERIES_PER_TARGET,
    farm::Farm,
    measure::total_of,
    paths,
    report::{Figure, Outcome},
    scenarios::Setup,
    server::Server,
};

const TARGETS: usize = 50;
const EVERY: Duration = Duration::from_secs(5);

/// What the dashboard shows: full before growth is looked for, so that queries do not get dearer meanwhile.
const WINDOW_MS: i64 = 180_000;

/// Memory may grow by so many bytes for each sample taken: what the head keeps of samples until their block is written, two or three
/// hours later. A run that is longer must stop growing then.
const KEPT_BYTES_PER_SAMPLE: f64 = 1.0;

const RULES: &str = "groups:
- name: soak
  interval: 5s
  rules:
  - record: namespace:cpu:rate1m
    expr: sum by (namespace) (rate(container_cpu_usage_seconds_total[1m]))
  - record: status:requests:rate1m
    expr: sum by (status) (rate(http_requests_total[1m]))
  - alert: TargetDown
    expr: up == 0
    for: 1m
  - alert: Errors
    expr: sum by (instance) (rate(http_requests_total{status=\"500\"}[1m])) > 1e9
";

/// One look at the server.
struct Look {
    seconds: f64,
    anonymous: f64,
    resident: f64,
}

/// Runs for `minutes` and fails on memory that keeps growing.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub async fn soak(setup: &Setup<'_>, minutes: u64) -> Result<Outcome> {
    let farm = Farm::start(TARGETS, setup.seed).await?;
    let targets = vec![farm.address.clone(); TARGETS];
    let server = Server::start_with_rules(setup.kind, setup.programs, setup.scratch, &targets, RULES).await?;
    let client = crate::client::Client::new(server.port);
    let (began, length) = (Instant::now(), Duration::from_secs(minutes * 60));
    println!("seconds\tanonymous MB\tresident MB\tCPU seconds\tscrapes\tfailed queries");
    let (mut looks, mut failed, mut served) = (Vec::new(), 0, 0);
    while began.elapsed() < length {
        let round = Instant::now();
        let now = crate::now_ms()?;
        for path in dashboard(now) {
            // The first minute has no rates yet.
            let answer = total_of(&client, &format!("{path}&nocache=1")).await;
            failed += usize::from(answer.is_err());
        }
        tokio::time::sleep(EVERY.saturating_sub(round.elapsed())).await;
        let usage = server.usage()?;
        let seconds = began.elapsed().as_secs_f64();
        served = farm.served();
        let (anonymous, resident) = (usage.anonymous / 1e6, usage.resident / 1e6);
        println!("{seconds:.0}\t{anonymous:.1}\t{resident:.1}\t{:.1}\t{served}\t{failed}", usage.cpu);
        std::io::stdout().flush()?;
        looks.push(Look { seconds, anonymous, resident });
    }
    // Threads, caches and chunks of the first minutes are not growth.
    let later = &looks[looks.len() * 2 / 5..];
    let slope = slope(later) * 60.0;
    let samples_a_minute = (served * SERIES_PER_TARGET) as f64 / (began.elapsed().as_secs_f64() / 60.0);
    let allowed = samples_a_minute * KEPT_BYTES_PER_SAMPLE / 1e6;
    let name = setup.kind.name();
    println!(
        "{name}: {slope:+.3} MB a minute; {samples_a_minute:.0} samples a minute may keep {allowed:.3} MB"
    );
    let mut out = Outcome::default();
    let mean = |f: fn(&Look) -> f64| later.iter().map(f).sum::<f64>() / later.len() as f64;
    out.add(Figure::less(format!("soak of {minutes} minutes: anonymous MB"), mean(|l| l.anonymous)));
    out.add(Figure::less(format!("soak of {minutes} minutes: resident MB"), mean(|l| l.resident)));
    out.add(Figure::less(format!("soak of {minutes} minutes: MB a minute"), slope));
    if failed > 0 {
        bail!("{failed} queries failed");
    }
    if slope > allowed {
        bail!("memory grows by {slope:.3} MB a minute, {allowed:.3} are explained by the samples taken");
    }
    Ok(out)
}

fn dashboard(now: i64) -> Vec<String> {
    let range = |expr: &str| paths::range(expr, now - WINDOW_MS, now, 5);
    vec![
        range("sum by(status)(rate(http_requests_total[1m]))"),
        range("sum by(namespace)(rate(container_cpu_usage_seconds_total[1m]))"),
        range("histogram_quantile(0.99, sum by(le,route)(rate(http_request_duration_seconds_bucket[1m])))"),
        paths::instant("topk(10, sum by(pod)(rate(container_cpu_usage_seconds_total[1m])))", now),
        paths::instant("count by(job)(up)", now),
    ]
}

/// Least squares: megabytes a second.
fn slope(looks: &[Look]) -> f64 {
    let n = looks.len() as f64;
    let mean = |f: fn(&Look) -> f64| looks.iter().map(f).sum::<f64>() / n;
    let (t, m) = (mean(|l| l.seconds), mean(|l| l.anonymous));
    let (mut above, mut below) = (0.0, 0.0);
    for l in looks {
        above += (l.seconds - t) * (l.anonymous - m);
        below += (l.seconds - t).powi(2);
    }
    above / below
}
