//! Clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, tz::TimeZone};

use super::{Files, Node, Outcome};
use crate::page::Page;

/// `time`
pub fn time(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    page.gauge("node_time_seconds", "The host's time, in Unix time.").value(now);
    let zone = TimeZone::system();
    let info = zone.to_offset_info(Timestamp::now());
    page.gauge("node_time_zone_offset_seconds", "How far the host's zone is east of Greenwich.")
        .with(&[("time_zone", info.abbreviation())], f64::from(info.offset().seconds()));
    let base = "devices/system/clocksource";
    let names = files.sys_names(base)?;
    let devices = names.iter().filter_map(|name| Some((name, name.strip_prefix("clocksource")?)));
    for (i, (name, _)) in devices.enumerate() {
        let device = i.to_string();
        let available = files.sys(&format!("{base}/{name}/available_clocksource"))?.to_owned();
        let mut rows =
            page.gauge("node_time_clocksource_available_info", "Clocks that the kernel could use; always 1.");
        for source in available.split_ascii_whitespace() {
            rows.with(&[("clocksource", source), ("device", &device)], 1.0);
        }
        let current = files.sys(&format!("{base}/{name}/current_clocksource"))?;
        page.gauge("node_time_clocksource_current_info", "The clock that the kernel uses; always 1.")
            .with(&[("clocksource", current), ("device", &device)], 1.0);
    }
    Ok(())
}

/// `timex`
pub fn timex(_: &Node, _: &mut Files<'_>, page: &mut Page) -> Outcome {
    const NOT_SYNCHRONISED: i32 = 5;
    const NANOSECONDS: i32 = 0x2000;
    const MICRO: f64 = 1e6;
    /// Scaled parts per million.
    const PPM: f64 = 1e6 * 65_536.0;
    let clock = reba_disk::kernel_clock()?;
    let unit = if clock.status & NANOSECONDS == 0 { MICRO } else { 1e9 };
    let synchronised = if clock.state == NOT_SYNCHRONISED { 0.0 } else { 1.0 };
    let help = "What the kernel knows of its clock.";
    for (name, value) in [
        ("node_timex_sync_status", synchronised),
        ("node_timex_offset_seconds", clock.offset as f64 / unit),
        ("node_timex_frequency_adjustment_ratio", 1.0 + clock.freq as f64 / PPM),
        ("node_timex_maxerror_seconds", clock.maxerror as f64 / MICRO),
        ("node_timex_estimated_error_seconds", clock.esterror as f64 / MICRO),
        ("node_timex_status", f64::from(clock.status)),
        ("node_timex_loop_time_constant", clock.constant as f64),
        ("node_timex_tick_seconds", clock.tick as f64 / MICRO),
        ("node_timex_pps_frequency_hertz", clock.ppsfreq as f64 / PPM),
        ("node_timex_pps_jitter_seconds", clock.jitter as f64 / unit),
        ("node_timex_pps_shift_seconds", f64::from(clock.shift)),
        ("node_timex_pps_stability_hertz", clock.stabil as f64 / PPM),
        ("node_timex_tai_offset_seconds", f64::from(clock.tai)),
    ] {
        page.gauge(name, help).value(value);
    }
    for (name, value) in [
        ("node_timex_pps_jitter_total", clock.jitcnt),
        ("node_timex_pps_calibration_total", clock.calcnt),
        ("node_timex_pps_error_total", clock.errcnt),
        ("node_timex_pps_stability_exceeded_total", clock.stbcnt),
    ] {
        page.counter(name, help).value(value as f64);
    }
    Ok(())
}
