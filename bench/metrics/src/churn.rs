//! Churn: a day in which a tenth of the series is replaced every ten minutes, beside the same day without.
//!
//! The day is compressed by its timestamps: samples are sent as fast as the server takes them, but ten minutes of the day
//! take at least [`PACE`], so that work that servers do by the wall clock (Reba looks once a second what is due) keeps up.
//! Compactions would follow each other without a pause, though, which they do not in life: so memory is looked at once an hour of
//! the day, when the server has come to rest. The highest figure is that of the busy times.
//! What a server does only after minutes of wall time (VictoriaMetrics' caches turn over every half an hour) is worse here than
//! in life, and the document says so.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    report::{Figure, Outcome},
    scenarios::{Fleet, Setup, send_all, settle},
    server::{Server, Usage},
};

/// Rounds of ten minutes in a day.
const DAY: usize = 144;
const ROUND_MS: i64 = 600_000;

const ROUNDS_AN_HOUR: usize = 6;

/// Least wall time of ten minutes of the day.
const PACE: Duration = Duration::from_secs(1);

/// From the end of work until memory is looked at: allocators give back what is free seconds later.
const REST: Duration = Duration::from_secs(6);

/// One of the two days.
struct Day {
    server: Server,
    fleet: Fleet,
    churn: bool,
    /// Memory at rest, once an hour of the second half: the first half fills the head, which is not what churn costs.
    rest: Vec<Usage>,
    /// The highest resident memory of the second half, at any time.
    highest: f64,
}

/// Two servers of the same kind live through the same day, one of them with churn.
pub async fn churn(setup: &Setup<'_>) -> Result<Outcome> {
    let targets = (20 / setup.shrink).max(1);
    let mut days = Vec::new();
    for churn in [false, true] {
        let scratch = setup.scratch.join(if churn { "churn" } else { "calm" });
        let server = Server::start(setup.kind, setup.programs, &scratch, &[]).await?;
        let fleet = Fleet::new(targets, setup.seed);
        days.push(Day { server, fleet, churn, rest: Vec::new(), highest: 0.0 });
    }
    let start = setup.end - DAY as i64 * ROUND_MS;
    for round in 0..DAY {
        let (began, from) = (Instant::now(), start + round as i64 * ROUND_MS);
        for day in &mut days {
            day.live(round, from).await?;
        }
        tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        if round < DAY / 2 {
            continue;
        }
        for day in &mut days {
            day.highest = day.highest.max(day.server.usage()?.resident);
        }
        if (round + 1) % ROUNDS_AN_HOUR == 0 {
            look(&mut days).await?;
        }
    }
    let mut out = Outcome::default();
    let mut anonymous = Vec::new();
    for day in &days {
        let what = format!("{targets} k series for a day, {}", if day.churn { "churn" } else { "calm" });
        let mean = |f: fn(&Usage) -> f64| day.rest.iter().map(f).sum::<f64>() / day.rest.len() as f64 / 1e6;
        anonymous.push(mean(|u| u.anonymous));
        out.add(Figure::less(format!("{what}: anonymous MB"), mean(|u| u.anonymous)));
        out.add(Figure::less(format!("{what}: resident MB"), mean(|u| u.resident)));
        out.add(Figure::less(format!("{what}: highest resident MB"), day.highest / 1e6));
        out.add(Figure::less(format!("{what}: CPU seconds"), day.server.usage()?.cpu));
        out.add(Figure::less(format!("{what}: MB on disk"), day.server.disk_bytes() as f64 / 1e6));
    }
    out.add(Figure::less("churn: memory with / without (anonymous)", anonymous[1] / anonymous[0]));
    Ok(out)
}

/// Memory of both when they have come to rest.
async fn look(days: &mut [Day]) -> Result<()> {
    for day in days.iter() {
        settle(&day.server, Duration::from_secs(10)).await?;
    }
    tokio::time::sleep(REST).await;
    for day in days {
        day.rest.push(day.server.usage()?);
    }
    Ok(())
}

impl Day {
    /// Ten minutes: twenty samples of every series.
    async fn live(&mut self, round: usize, from: i64) -> Result<()> {
        const INTERVAL: i64 = 30_000;
        const STEPS: usize = 10;
        if self.churn && round > 0 {
            let ends = self.fleet.renew(round, from - 1)?;
            send_all(self.server.port, ends).await?;
        }
        for half in 0..2 {
            let at = from + half * STEPS as i64 * INTERVAL;
            send_all(self.server.port, self.fleet.requests(at, INTERVAL, STEPS)?).await?;
        }
        Ok(())
    }
}
