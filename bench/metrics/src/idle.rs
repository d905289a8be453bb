//! What `reba demo` needs when nobody uses it.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    report::{Figure, Outcome},
    scenarios::Setup,
    server::{Kind, Running, free_port},
};

/// Resident memory of `reba demo`, the simulated fleet included, since it lives in the same process: what Reba needs
/// without it is less.
pub async fn demo(setup: &Setup<'_>) -> Result<Outcome> {
    let mut out = Outcome::default();
    if setup.kind != Kind::Reba {
        return Ok(out);
    }
    let folder = setup.scratch.join("demo");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let offset = free_port()?.wrapping_sub(9090) % 20_000;
    let child = Command::new(&setup.programs.reba)
        .args(["--log=warn", "demo", &format!("--port-offset={offset}")])
        .arg("--data")
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log"))?)
        .spawn()
        .context("start reba demo")?;
    let mut demo = Running(child);
    let (warm_up, samples) = if setup.quick { (10, 5) } else { (60, 30) };
    tokio::time::sleep(Duration::from_secs(warm_up)).await;
    let (mut resident, mut anonymous) = (0.0, 0.0);
    for _ in 0..samples {
        if let Some(status) = demo.0.try_wait()? {
            bail!("reba demo ended with {status}; see {}", folder.join("log").display());
        }
        let usage = demo.usage()?;
        resident += usage.resident / 1e6 / f64::from(samples);
        anonymous += usage.anonymous / 1e6 / f64::from(samples);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    out.add(Figure::less("idle reba demo with its fleet: resident MB", resident));
    out.add(Figure::less("idle reba demo with its fleet: anonymous MB", anonymous));
    Ok(out)
}
