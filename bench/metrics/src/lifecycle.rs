//! Memory with many series, the restart after a SIGKILL, and what a SIGKILL loses.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    client::Client,
    data::SERIES_PER_TARGET,
    measure::{total_of, wait_visible},
    paths,
    report::{Figure, Outcome},
    scenarios::{Fleet, Setup, send_all, settle},
    server::Server,
};

/// Resident memory with many active series, and how long it takes until they answer again after a SIGKILL.
pub async fn memory(setup: &Setup<'_>) -> Result<Outcome> {
    let mut out = Outcome::default();
    let mut server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let idle = server.usage()?;
    let targets = (500 / setup.shrink).max(1);
    let mut fleet = Fleet::new(targets, setup.seed);
    fleet.forget_names();
    let (interval, per_series) = (15_000, 4);
    let start = setup.end - 20 * interval;
    for i in (0..20).step_by(per_series) {
        send_all(server.port, fleet.requests(start + i * interval, interval, per_series)?).await?;
    }
    settle(&server, Duration::from_secs(30)).await?;
    let count = "count(container_cpu_usage_seconds_total)";
    let expected = targets * SERIES_PER_TARGET / 2;
    wait_visible(&server, count, setup.end, expected).await?;
    // Some write what they hold only now and then: the restart is measured with all series there.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let series = (targets * SERIES_PER_TARGET) as f64;
    let usage = server.usage()?;
    out.add(Figure::less("idle: resident MB", idle.resident / 1e6));
    out.add(Figure::less(
        format!("memory of {targets} k active series: anonymous bytes a series"),
        usage.anonymous / series,
    ));
    out.add(Figure::less(format!("memory of {targets} k active series: resident MB"), usage.resident / 1e6));

    let started = Instant::now();
    server.restart_after_kill(setup.programs).await?;
    wait_visible(&server, count, setup.end, expected).await?;
    out.add(Figure::less(
        format!("restart after SIGKILL, {targets} k series, until a query answers: seconds"),
        started.elapsed().as_secs_f64(),
    ));
    out.add(Figure::less(
        format!("restart after SIGKILL, {targets} k series: CPU seconds"),
        server.usage()?.cpu,
    ));
    Ok(out)
}

/// Sends a steady stream, kills the server in the midst of it, and counts which acknowledged samples are gone.
pub async fn kill(setup: &Setup<'_>) -> Result<Outcome> {
    const TICK: Duration = Duration::from_millis(250);
    const TICKS: i64 = 60;
    let mut out = Outcome::default();
    let mut server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let mut fleet = Fleet::new((10 / setup.shrink).max(1), setup.seed);
    let interval = 1000;
    let start = setup.end - (TICKS + 60) * interval;
    let mut acknowledged = 0;
    for i in 0..TICKS {
        let began = Instant::now();
        send_all(server.port, fleet.requests(start + i * interval, interval, 1)?).await?;
        acknowledged += fleet.targets.len() * SERIES_PER_TARGET;
        tokio::time::sleep(TICK.saturating_sub(began.elapsed())).await;
    }
    server.restart_after_kill(setup.programs).await?;
    let client = Client::new(server.port);
    let expr = "sum(count_over_time({__name__=~\".+\"}[10m]))";
    let path = format!("{}&nocache=1", paths::instant(expr, setup.end));
    let mut found: f64 = 0.0;
    for _ in 0..5 {
        found = found.max(total_of(&client, &path).await.unwrap_or(0.0));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let share = 1.0 - found / acknowledged as f64;
    out.add(Figure::less(
        "SIGKILL in a stream: seconds of acknowledged samples lost",
        share * TICKS as f64 * TICK.as_secs_f64(),
    ));
    Ok(out)
}
