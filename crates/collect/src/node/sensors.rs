//! Sensors, fans, power supplies, thermal zones, energy, memory errors.

use std::{collections::BTreeMap, fs};

use super::{Fault, Files, Node, Outcome};
use crate::page::{Kind, Page};

/// Kinds of sensors in `/sys/class/hwmon`.
const SENSORS: [&str; 13] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
];

/// Texts of one sensor, by property; its own value has an empty name.
type Sensor = BTreeMap<String, String>;

/// `hwmon`
pub fn hwmon(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for entry in files.sys_names("class/hwmon")? {
        let base = format!("class/hwmon/{entry}");
        let chip = chip_name(files, &base, &entry);
        if node.options.hwmon_chips.ignores(&chip) {
            continue;
        }
        let mut sensors: BTreeMap<String, Sensor> = BTreeMap::new();
        read_sensors(files, &base, &mut sensors);
        read_sensors(files, &format!("{base}/device"), &mut sensors);
        let name = files.sys(&format!("{base}/name")).map(clean).unwrap_or_default();
        if !name.is_empty() {
            page.gauge("node_hwmon_chip_names", "What each chip is called; always 1.")
                .with(&[("chip", &chip), ("chip_name", &name)], 1.0);
        }
        for (sensor, properties) in &sensors {
            write_sensor(page, &chip, sensor, properties);
        }
    }
    Ok(())
}

/// Only letters, digits and underscores, none of these at an end.
fn clean(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' { c } else { '_' };
    let name: String = text.to_lowercase().chars().map(keep).collect();
    name.trim_matches('_').to_owned()
}

/// A name that is the same after every start: the device's, else the driver's, else the entry's.
fn chip_name(files: &mut Files<'_>, base: &str, entry: &str) -> String {
    let link = format!("{}/{base}/device", files.roots().sys);
    if let Ok(path) = fs::canonicalize(link) {
        let part = |name: Option<&std::ffi::OsStr>| clean(&name.unwrap_or_default().to_string_lossy());
        let device = part(path.file_name());
        let kind = part(path.parent().and_then(|parent| parent.file_name()));
        match (kind.as_str(), device.as_str()) {
            (_, "") => {}
            ("", device) => return device.to_owned(),
            (kind, device) => return format!("{kind}_{device}"),
        }
    }
    let name = files.sys(&format!("{base}/name")).map(clean).unwrap_or_default();
    if name.is_empty() { clean(entry) } else { name }
}

fn read_sensors(files: &mut Files<'_>, folder: &str, sensors: &mut BTreeMap<String, Sensor>) {
    for file in files.sys_names(folder).unwrap_or_default() {
        let Some((kind, number, property)) = split(&file) else { continue };
        // Broken drivers answer with errors, and folders cannot be read: both have nothing to tell.
        if let Ok(text) = files.sys(&format!("{folder}/{file}")) {
            let sensor = sensors.entry(format!("{kind}{number}")).or_default();
            sensor.insert(property.to_owned(), text.to_owned());
        }
    }
}

/// `temp1_input` is kind, number and property.
fn split(file: &str) -> Option<(&str, u32, &str)> {
    let digits = file.find(|c: char| c.is_ascii_digit());
    let (kind, number, property) = match digits {
        None if SENSORS.contains(&file) => (file, "", ""),
        None => {
            let (kind, property) = file.split_once('_')?;
            (kind, "", property)
        }
        Some(at) => {
            let (kind, rest) = file.split_at_checked(at)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, rest) = rest.split_at_checked(end)?;
            let property = if rest.is_empty() { "" } else { rest.strip_prefix('_')? };
            (kind, number, property)
        }
    };
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    SENSORS.contains(&kind).then_some((kind, number, property))
}

fn write_sensor(page: &mut Page, chip: &str, sensor: &str, properties: &Sensor) {
    let labels = [("chip", chip), ("sensor", sensor)];
    if let Some(label) = properties.get("label") {
        page.gauge("node_hwmon_sensor_label", "What each sensor is called; always 1.")
            .with(&[("chip", chip), ("label", label), ("sensor", sensor)], 1.0);
    }
    let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
    let own = properties.get("").map_or("", String::as_str);
    let help = "A sensor of the hardware.";
    match kind {
        "beep_enable" => {
            let on = if own == "1" { 1.0 } else { 0.0 };
            page.gauge("node_hwmon_beep_enabled", help).with(&labels, on);
        }
        "vrm" => {
            if let Ok(value) = own.parse() {
                page.gauge("node_hwmon_voltage_regulator_version", help).with(&labels, value);
            }
        }
        "update_interval" => {
            if let Ok(ms) = own.parse::<f64>() {
                page.gauge("node_hwmon_update_interval_seconds", help).with(&labels, ms * 0.001);
            }
        }
        _ => {
            for (property, text) in properties.iter().filter(|(property, _)| *property != "label") {
                let Ok(value) = text.parse::<f64>() else { continue };
                let (name, family, value) = sensor_family(kind, property, properties.contains_key(""), value);
                page.family(name, family, help).with(&labels, value);
            }
        }
    }
}

/// What a property becomes: its family, the type, and the value in its base unit.
fn sensor_family(kind: &str, property: &str, has_own: bool, value: f64) -> (String, Kind, f64) {
    let mut name = format!("node_hwmon_{kind}");
    match property {
        "" => {}
        // That is the value itself, unless there is another.
        "input" if !has_own => {}
        property => {
            name.push('_');
            name.push_str(&clean(property));
        }
    }
    let gauge = |suffix: &str, value: f64| (format!("{name}{suffix}"), Kind::Gauge, value);
    match (kind, property) {
        (_, "fault" | "alarm") => gauge("", value),
        (_, "beep") => gauge("_enabled", value),
        ("in" | "cpu", _) => gauge("_volts", value * 0.001),
        ("temp", property) if property != "type" => gauge("_celsius", value * 0.001),
        ("curr", _) => gauge("_amps", value * 0.001),
        ("energy", _) => (format!("{name}_joule_total"), Kind::Counter, value / 1e6),
        ("power", "accuracy") => gauge("", value / 1e6),
        ("power", p) if p.starts_with("average_interval") => gauge("_seconds", value * 0.001),
        ("power", _) => gauge("_watt", value / 1e6),
        ("humidity", _) => gauge("", value / 1e6),
        ("fan", "input" | "min" | "max" | "target") => gauge("_rpm", value),
        _ => gauge("", value),
    }
}

/// `thermal_zone`
pub fn thermal_zone(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for name in files.sys_names("class/thermal")? {
        let base = format!("class/thermal/{name}");
        let Ok(kind) = files.sys(&format!("{base}/type")).map(str::to_owned) else { continue };
        if let Some(zone) = name.strip_prefix("thermal_zone") {
            // A zone that is off has no temperature.
            if let Some(temp) = files.sys_number::<f64>(&format!("{base}/temp")) {
                page.gauge("node_thermal_zone_temp", "The temperature of each zone, in degrees Celsius.")
                    .with(&[("type", &kind), ("zone", zone)], temp / 1000.0);
            }
        } else if let Some(device) = name.strip_prefix("cooling_device") {
            let labels = [("name", device), ("type", kind.as_str())];
            for (file, family) in [
                ("cur_state", "node_cooling_device_cur_state"),
                ("max_state", "node_cooling_device_max_state"),
            ] {
                if let Some(state) = files.sys_number::<f64>(&format!("{base}/{file}")) {
                    page.gauge(family, "How hard each device cools.").with(&labels, state);
                }
            }
        }
    }
    Ok(())
}

/// Files of a power supply, what they are called, and what they are divided by.
const SUPPLY: [(&str, &str, f64); 49] = [
    ("authentic", "authentic", 1.0),
    ("calibrate", "calibrate", 1.0),
    ("capacity", "capacity", 1.0),
    ("capacity_alert_max", "capacity_alert_max", 1.0),
    ("capacity_alert_min", "capacity_alert_min", 1.0),
    ("cycle_count", "cyclecount", 1.0),
    ("online", "online", 1.0),
    ("present", "present", 1.0),
    ("time_to_empty_now", "time_to_empty_seconds", 1.0),
    ("time_to_full_now", "time_to_full_seconds", 1.0),
    ("current_boot", "current_boot", 1e6),
    ("current_max", "current_max", 1e6),
    ("current_now", "current_ampere", 1e6),
    ("energy_empty", "energy_empty", 1e6),
    ("energy_empty_design", "energy_empty_design", 1e6),
    ("energy_full", "energy_full", 1e6),
    ("energy_full_design", "energy_full_design", 1e6),
    ("energy_now", "energy_watthour", 1e6),
    ("voltage_boot", "voltage_boot", 1e6),
    ("voltage_max", "voltage_max", 1e6),
    ("voltage_max_design", "voltage_max_design", 1e6),
    ("voltage_min", "voltage_min", 1e6),
    ("voltage_min_design", "voltage_min_design", 1e6),
    ("voltage_now", "voltage_volt", 1e6),
    ("voltage_ocv", "voltage_ocv", 1e6),
    ("charge_control_limit", "charge_control_limit", 1e6),
    ("charge_control_limit_max", "charge_control_limit_max", 1e6),
    ("charge_counter", "charge_counter", 1e6),
    ("charge_empty", "charge_empty", 1e6),
    ("charge_empty_design", "charge_empty_design", 1e6),
    ("charge_full", "charge_full", 1e6),
    ("charge_full_design", "charge_full_design", 1e6),
    ("charge_now", "charge_ampere", 1e6),
    ("charge_term_current", "charge_term_current", 1e6),
    ("constant_charge_current", "constant_charge_current", 1e6),
    ("constant_charge_current_max", "constant_charge_current_max", 1e6),
    ("constant_charge_voltage", "constant_charge_voltage", 1e6),
    ("constant_charge_voltage_max", "constant_charge_voltage_max", 1e6),
    ("precharge_current", "precharge_current", 1e6),
    ("input_current_limit", "input_current_limit", 1e6),
    ("power_now", "power_watt", 1e6),
    ("temp", "temp_celsius", 10.0),
    ("temp_alert_max", "temp_alert_max_celsius", 10.0),
    ("temp_alert_min", "temp_alert_min_celsius", 10.0),
    ("temp_ambient", "temp_ambient_celsius", 10.0),
    ("temp_ambient_max", "temp_ambient_max_celsius", 10.0),
    ("temp_ambient_min", "temp_ambient_min_celsius", 10.0),
    ("temp_max", "temp_max_celsius", 10.0),
    ("temp_min", "temp_min_celsius", 10.0),
];

/// `powersupplyclass`
pub fn power_supplies(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const TEXTS: [&str; 11] = [
        "capacity_level",
        "charge_type",
        "health",
        "manufacturer",
        "model_name",
        "scope",
        "serial_number",
        "status",
        "technology",
        "type",
        "usb_type",
    ];
    for supply in files.sys_names("class/power_supply")? {
        if node.options.supplies_ignored.as_ref().is_some_and(|r| r.is_match(&supply)) {
            continue;
        }
        let base = format!("class/power_supply/{supply}");
        let present = files.sys_names(&base).unwrap_or_default();
        for (file, name, divisor) in SUPPLY {
            if present.iter().any(|p| p == file)
                && let Some(value) = files.sys_number::<i64>(&format!("{base}/{file}"))
            {
                page.gauge(format!("node_power_supply_{name}"), "A property of each power supply.")
                    .with(&[("power_supply", &supply)], value as f64 / divisor);
            }
        }
        let mut texts: Vec<(&str, String)> = vec![("power_supply", supply.clone())];
        for text in TEXTS.iter().filter(|text| present.iter().any(|p| p == *text)) {
            let value = files.sys(&format!("{base}/{text}")).unwrap_or_default().to_owned();
            if !value.is_empty() {
                texts.push((text, value));
            }
        }
        texts.sort();
        let labels: Vec<(&str, &str)> = texts.iter().map(|(n, v)| (*n, v.as_str())).collect();
        page.gauge("node_power_supply_info", "What each power supply is; always 1.").with(&labels, 1.0);
    }
    Ok(())
}

/// `rapl`
pub fn rapl(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for entry in files.sys_names("class/powercap")? {
        let base = format!("class/powercap/{entry}");
        let Ok(name) = files.sys(&format!("{base}/name")).map(str::to_owned) else { continue };
        let energy = match files.sys(&format!("{base}/energy_uj")) {
            Ok(text) => text.parse::<f64>().unwrap_or(0.0) / 1e6,
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Err(Fault::NoData),
            Err(_) => continue,
        };
        // `package-1` says which it is; others are counted.
        let (zone, index) = match name.rsplit_once('-') {
            Some((zone, n)) if n.parse::<u32>().is_ok() => (zone.to_owned(), n.to_owned()),
            _ => {
                let n = seen.entry(name.clone()).or_default();
                *n += 1;
                (name.clone(), (*n - 1).to_string())
            }
        };
        let path = format!("{}/{base}", files.roots().sys);
        if node.options.rapl_zone_label {
            page.counter("node_rapl_joules_total", "Energy used.")
                .with(&[("index", &index), ("path", &path), ("rapl_zone", &zone)], energy);
        } else {
            let zone: String =
                zone.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            page.counter(format!("node_rapl_{zone}_joules_total"), "Energy used.")
                .with(&[("index", &index), ("path", &path)], energy);
        }
    }
    Ok(())
}

/// `edac`
pub fn edac(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let help = "Errors of memory that were corrected, or not.";
    let controllers = files.sys_names("devices/system/edac/mc").unwrap_or_default();
    for controller in controllers {
        let Some(number) = controller.strip_prefix("mc").filter(|n| n.parse::<u32>().is_ok()) else {
            continue;
        };
        let base = format!("devices/system/edac/mc/{controller}");
        let mut count = |file: &str| {
            let missing = || Fault::failed(format!("{base}/{file} is not a number"));
            files.sys_number::<f64>(&format!("{base}/{file}")).ok_or_else(missing)
        };
        let (ce, ue) = (count("ce_count")?, count("ue_count")?);
        let (ce_unknown, ue_unknown) = (count("ce_noinfo_count")?, count("ue_noinfo_count")?);
        let labels = [("controller", number)];
        page.counter("node_edac_correctable_errors_total", help).with(&labels, ce);
        page.counter("node_edac_uncorrectable_errors_total", help).with(&labels, ue);
        let mut rows = vec![("unknown".to_owned(), ce_unknown, ue_unknown)];
        for entry in files.sys_names(&base).unwrap_or_default() {
            let Some(row) = entry.strip_prefix("csrow").filter(|n| n.parse::<u32>().is_ok()) else {
                continue;
            };
            let mut count =
                |file: &str| files.sys_number::<f64>(&format!("{base}/{entry}/{file}")).unwrap_or(0.0);
            rows.push((row.to_owned(), count("ce_count"), count("ue_count")));
        }
        for (row, ce, ue) in rows {
            let labels = [("controller", number), ("csrow", row.as_str())];
            page.counter("node_edac_csrow_correctable_errors_total", help).with(&labels, ce);
            page.counter("node_edac_csrow_uncorrectable_errors_total", help).with(&labels, ue);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sensor_files_are_split() {
        for (file, want) in [
            ("temp1_input", Some(("temp", 1, "input"))),
            ("pwm1", Some(("pwm", 1, ""))),
            ("pwm1_auto_point2_temp", Some(("pwm", 1, "auto_point2_temp"))),
            ("beep_enable", Some(("beep_enable", 0, ""))),
            ("intrusion0_alarm", Some(("intrusion", 0, "alarm"))),
            ("uevent", None),
            ("temp99999999999_input", None),
        ] {
            assert_eq!(split(file), want, "{file}");
        }
    }

    #[test]
    fn values_come_in_base_units() {
        let of = |kind, property, value| sensor_family(kind, property, false, value);
        assert_eq!(of("temp", "input", 55_000.0), ("node_hwmon_temp_celsius".into(), Kind::Gauge, 55.0));
        assert_eq!(of("temp", "crit_alarm", 0.0).0, "node_hwmon_temp_crit_alarm_celsius");
        assert_eq!(of("fan", "input", 1098.0).0, "node_hwmon_fan_rpm");
        assert_eq!(of("fan", "alarm", 0.0).0, "node_hwmon_fan_alarm");
        assert_eq!(of("energy", "input", 5e6), ("node_hwmon_energy_joule_total".into(), Kind::Counter, 5.0));
        assert_eq!(of("in", "beep", 1.0).0, "node_hwmon_in_beep_enabled");
        assert_eq!(clean("nvme-pci-0100"), "nvme_pci_0100");
    }
}
