//! The forms that lines are written in: pino's JSON, and two kinds of plain text.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    About,
    line::{Level, Line},
};
use crate::{
    Service,
    dice::{Dice, mix},
};

/// Who writes, and how.
#[derive(Clone, Debug)]
pub(super) struct Face {
    service: Service,
    form: Form,
    environment: String,
    hostname: String,
    pid: u32,
}

/// How a service's logger writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A JSON object a line, in pino's shape.
    Pino,
    /// `2026-01-01T00:00:00.000Z ERROR [scope] message`.
    Dated,
    /// `console.log("message", { … })`: neither time nor level.
    Console,
}

impl Face {
    pub(super) fn of(service: Service, environment: &str, seed: u64) -> Self {
        let form = match service {
            Service::VoiceBridge => Form::Dated,
            Service::Support => Form::Console,
            _ => Form::Pino,
        };
        let dice = Dice::new(mix(seed)).for_asker(service.name());
        let instance = (dice.roll("instance") * f64::from(u32::MAX)) as u32;
        Self {
            service,
            form,
            environment: environment.to_owned(),
            hostname: format!("{}-{instance:08x}", service.name()),
            pid: 20 + (dice.roll("pid") * 4000.0) as u32,
        }
    }

    /// The text of a line with the newline at its end.
    pub(super) fn render(&self, line: &Line, about: Option<&About>, now: SystemTime) -> String {
        let ms = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut out = match self.form {
            Form::Pino => self.pino(line, about, ms),
            Form::Dated => dated(line, about, ms),
            Form::Console => console(line),
        };
        out.push('\n');
        out
    }

    fn pino(&self, line: &Line, about: Option<&About>, ms: u64) -> String {
        let mut object = Object::new();
        object.put("level", &(line.level as u8).into());
        object.put("time", &ms.into());
        object.put("pid", &self.pid.into());
        object.put("hostname", &self.hostname.as_str().into());
        object.put("service", &self.service.name().into());
        object.put("environment", &self.environment.as_str().into());
        if let Some(about) = about {
            object.put("trace_id", &about.trace_id.as_str().into());
            object.put("span_id", &about.span_id.as_str().into());
            object.put("request_id", &about.request_id.as_str().into());
            object.put("user_id", &about.user_id.as_str().into());
        }
        object.put("event", &line.event.into());
        for (name, value) in &line.fields {
            object.put(name, value);
        }
        if let Some(failure) = &line.failure {
            let err = serde_json::json!({
                "type": failure.kind, "message": failure.message, "stack": failure.stack(),
            });
            object.put("err", &err);
        }
        object.put("msg", &line.message.as_ref().into());
        object.end()
    }
}

/// A JSON object whose fields stay in the order they were put in.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn put(&mut self, name: &str, value: &Value) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn dated(line: &Line, about: Option<&About>, ms: u64) -> String {
    let scope = line.event.split('_').next().unwrap_or_default();
    let mut out = format!("{} {} [{scope}] {}", rfc3339(ms), line.level.word(), line.message);
    for (name, value) in &line.fields {
        let _ = match value.as_str() {
            Some(text) => write!(out, " {name}={text}"),
            None => write!(out, " {name}={value}"),
        };
    }
    if let Some(about) = about {
        let _ = write!(out, " trace_id={} user_id={}", about.trace_id, about.user_id);
    }
    if let Some(failure) = &line.failure {
        let _ = write!(out, " {}", failure.stack());
    }
    out
}

fn console(line: &Line) -> String {
    let mut out = match line.level {
        Level::Warn => format!("Warning: {}", line.message),
        Level::Error | Level::Fatal => format!("Error: {}", line.message),
        Level::Debug | Level::Info => line.message.to_string(),
    };
    let fields = line.fields.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}: '{text}'"),
        None => format!("{name}: {value}"),
    });
    let fields = fields.collect::<Vec<_>>().join(", ");
    if !fields.is_empty() {
        let _ = write!(out, " {{ {fields} }}");
    }
    if let Some(failure) = &line.failure {
        let _ = write!(out, " {}", failure.stack());
    }
    out
}

/// Milliseconds since 1970 as a date in UTC (civil from days, Howard Hinnant 2013).
fn rfc3339(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::logs::line::stacks;

    const MS: u64 = 1_709_208_001_234;

    fn failed() -> Line {
        Line::error("payment_failed", "payment \"failed\"")
            .with_rounded("amount", 12.3456, 2)
            .with("payment_method", "momo")
            .because("ProviderError", "503 from\tprovider", stacks::PROVIDER)
    }

    fn about() -> About {
        About {
            trace_id: "4bf9".to_owned(),
            span_id: "00f0".to_owned(),
            request_id: "req-1".to_owned(),
            user_id: "usr_00007".to_owned(),
        }
    }

    fn render(service: Service, line: &Line) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(MS);
        Face::of(service, "test", 7).render(line, Some(&about()), at)
    }

    #[test]
    fn most_services_write_one_json_object_a_line_in_pinos_shape() {
        let text = render(Service::Wallet, &failed());
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.starts_with("{\"level\":50,\"time\":1709208001234,\"pid\":"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["amount"], 12.35);
        assert_eq!(value["service"], "wallet-service");
        assert_eq!(value["user_id"], "usr_00007");
        assert_eq!(value["msg"], "payment \"failed\"");
        assert_eq!(value["err"]["type"], "ProviderError");
        let stack = value["err"]["stack"].as_str().unwrap();
        assert!(stack.starts_with("ProviderError: 503 from\tprovider\n    at ProviderClient"), "{stack}");
        assert!(value["hostname"].as_str().unwrap().starts_with("wallet-service-"), "{text}");
    }

    #[test]
    fn two_services_write_for_people_with_stack_traces_of_many_lines() {
        let text = render(Service::VoiceBridge, &failed());
        let first = "2024-02-29T12:00:01.234Z ERROR [payment] payment \"failed\" amount=12.35 payment_method=momo \
                     trace_id=4bf9 user_id=usr_00007 ProviderError: 503 from\tprovider\n    at ";
        assert!(text.starts_with(first), "{text}");
        let text = render(Service::Support, &failed());
        let first =
            "Error: payment \"failed\" { amount: 12.35, payment_method: 'momo' } ProviderError: 503 from";
        assert!(text.starts_with(first), "{text}");
        assert_eq!(text.matches("\n    at ").count(), stacks::PROVIDER.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        assert_eq!(render(Service::Wallet, &failed()), render(Service::Wallet, &failed()));
        let at = |seed| Face::of(Service::Wallet, "test", seed).hostname;
        assert_ne!(at(1), at(2));
    }

    #[test]
    fn dates_are_right_around_the_ends_of_months_and_years() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }
}
