//! The alert history: every change of an alert or a silence, and every try to notify, as a line of JSON in our own log store.
//!
//!     {job="alert-history"} | json | alertname="ServiceDown"

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use parking_lot::Mutex;
use reba_alerting::{
    Alert, RecurringSilence, Silence,
    event::{AlertChange, Attempt, Event, Outcome, RecurringChange, What},
    fingerprint_text,
    shell::OnEvent,
};
use reba_api::{
    alertmanager::{RecentEvents, rfc3339},
    prometheus::{MetricsSource, exposition::Page},
};
use reba_model::{Labels, LogBatch, Matcher, Tenant};
use reba_storage::LogAppender;
use serde_json::{Map, Value, json};

/// Events that wait: ten thousand alerts may begin to fire at once, and alerting must not wait for the log store.
const WAITING: usize = 65_536;

/// Lines that are stored at once.
const BATCH: usize = 1024;

enum Item {
    Event(Event),
    /// No more are written.
    End,
}

/// Writes events down, in the order in which they happened.
pub struct History {
    queue: SyncSender<Item>,
    recent: Arc<RecentEvents>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl History {
    /// Starts the thread that writes. Without a log store the newest events are kept in memory only.
    pub fn start(logs: Option<Arc<dyn LogAppender>>) -> Result<Self> {
        let (queue, items) = sync_channel(WAITING);
        let (recent, lost) = (Arc::new(RecentEvents::default()), Arc::new(AtomicU64::new(0)));
        let work = Writer { items, recent: Arc::clone(&recent), logs, lost: Arc::clone(&lost) };
        let writer =
            std::thread::Builder::new().name("alert-history".to_owned()).spawn(move || work.run())?;
        Ok(History { queue, recent, lost, writer: Mutex::new(Some(writer)) })
    }

    /// Where alerting tells what happens. It never waits.
    pub fn sink(&self) -> OnEvent {
        let (queue, lost) = (self.queue.clone(), Arc::clone(&self.lost));
        Arc::new(move |event| {
            if let Err(TrySendError::Full(_)) = queue.try_send(Item::Event(event)) {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// The newest events.
    pub fn recent(&self) -> Arc<RecentEvents> {
        Arc::clone(&self.recent)
    }

    /// What `/metrics` says of it.
    pub fn metrics(&self) -> MetricsSource {
        let lost = Arc::clone(&self.lost);
        Box::new(move |page: &mut Page| {
            page.counter("reba_alert_history_lost_total", "Events that the alert history did not take.")
                .value(lost.load(Ordering::Relaxed) as f64);
        })
    }

    /// Waits until what has happened is written.
    pub async fn finish(&self) {
        let (queue, writer) = (self.queue.clone(), self.writer.lock().take());
        let end = tokio::task::spawn_blocking(move || {
            // The thread is gone, or ends when it has read this.
            let _ = queue.send(Item::End);
            writer.map(JoinHandle::join)
        });
        let _ = end.await;
    }
}

struct Writer {
    items: Receiver<Item>,
    recent: Arc<RecentEvents>,
    logs: Option<Arc<dyn LogAppender>>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(self) {
        let (mut batch, mut last_ns) = (LogBatch::default(), 0);
        while let Ok(first) = self.items.recv() {
            batch.clear();
            let mut ended = false;
            for item in std::iter::once(first).chain(self.items.try_iter().take(BATCH)) {
                match item {
                    Item::Event(event) => self.note(&event, &mut last_ns, &mut batch),
                    Item::End => ended = true,
                }
            }
            if let Some(logs) = &self.logs
                && logs.append_logs(&Tenant::single(), &batch).is_err()
            {
                self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            if ended {
                return;
            }
        }
    }

    /// Keeps an event. Two of the same millisecond are told apart, for a log store keeps no two equal lines of one moment.
    fn note(&self, event: &Event, last_ns: &mut i64, batch: &mut LogBatch) {
        let line = line(event);
        *last_ns = (event.at_ms.saturating_mul(1_000_000)).max(*last_ns + 1);
        batch.begin_stream(labels(event));
        if batch.push(*last_ns, &Value::Object(line.clone()).to_string(), []).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.recent.push(Value::Object(line));
    }
}

/// The stream of an event: few of them, what differs is in the line.
fn labels(event: &Event) -> Labels {
    let level = match &event.what {
        What::Attempt(Attempt { outcome: Outcome::Failed(_), .. }) => "error",
        What::Attempt(Attempt { outcome: Outcome::Retrying { .. }, .. }) => "warn",
        _ => "info",
    };
    Labels::from_pairs([
        ("job", "alert-history"),
        ("service", "alertmanager"),
        ("event", kind(event)),
        ("level", level),
    ])
}

fn kind(event: &Event) -> &'static str {
    match event.what {
        What::Alert { .. } => "alert",
        What::Silence { .. } => "silence",
        What::Recurring { .. } => "recurring",
        What::Attempt(_) => "notification",
    }
}

/// The line of an event.
fn line(event: &Event) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("ts".to_owned(), rfc3339(event.at_ms).into());
    out.insert("event".to_owned(), kind(event).into());
    match &event.what {
        What::Alert { change, alert } => put_alert(&mut out, change, alert),
        What::Silence { change, silence } => {
            out.insert("change".to_owned(), change.as_str().into());
            put_silence(&mut out, silence);
        }
        What::Recurring { change, recurring } => put_recurring(&mut out, *change, recurring),
        What::Attempt(attempt) => put_attempt(&mut out, attempt),
    }
    out
}

fn put(out: &mut Map<String, Value>, fields: Value) {
    if let Value::Object(fields) = fields {
        out.extend(fields);
    }
}

fn pairs(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

fn put_alert(out: &mut Map<String, Value>, change: &AlertChange, alert: &Alert) {
    let fields = json!({
        "change": change.as_str(),
        "alertname": alert.labels.value("alertname"),
        "fingerprint": fingerprint_text(alert.fingerprint),
        "labels": pairs(&alert.labels),
        "annotations": pairs(&alert.annotations),
        "startsAt": rfc3339(alert.starts_at_ms),
        "endsAt": rfc3339(alert.ends_at_ms),
    });
    put(out, fields);
    if let AlertChange::Suppressed { silenced_by, inhibited_by } = change {
        let inhibited_by = inhibited_by.map(fingerprint_text);
        put(out, json!({ "silencedBy": silenced_by.join(","), "inhibitedBy": inhibited_by }));
    }
}

fn put_silence(out: &mut Map<String, Value>, silence: &Silence) {
    let fields = json!({
        "id": silence.id,
        "matchers": matchers(&silence.matchers),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "startsAt": rfc3339(silence.starts_at_ms),
        "endsAt": rfc3339(silence.ends_at_ms),
    });
    put(out, fields);
    if let Some(schedule) = &silence.recurring {
        out.insert("recurring".to_owned(), schedule.as_str().into());
    }
}

fn put_recurring(out: &mut Map<String, Value>, change: RecurringChange, recurring: &RecurringSilence) {
    let change = match change {
        RecurringChange::Set => "set",
        RecurringChange::Deleted => "deleted",
    };
    let fields = json!({
        "change": change,
        "id": recurring.id,
        "matchers": matchers(&recurring.matchers),
        "createdBy": recurring.created_by,
        "comment": recurring.comment,
    });
    put(out, fields);
}

fn put_attempt(out: &mut Map<String, Value>, attempt: &Attempt) {
    let key = &attempt.integration;
    let fields = json!({
        "alertname": attempt.group_labels.value("alertname"),
        "receiver": key.receiver,
        "integration": key.integration,
        "index": key.index,
        "group": &*attempt.group_key,
        "groupLabels": pairs(&attempt.group_labels),
        "reason": attempt.reason,
        "attempt": attempt.number,
        "firing": attempt.firing_total,
        "resolved": attempt.resolved_total,
        "firingAlerts": attempt.firing.iter().copied().map(fingerprint_text).collect::<Vec<_>>(),
        "resolvedAlerts": attempt.resolved.iter().copied().map(fingerprint_text).collect::<Vec<_>>(),
        "tookMs": attempt.took_ms,
    });
    put(out, fields);
    match &attempt.outcome {
        Outcome::Delivered(answer) => put(out, json!({ "outcome": "delivered", "answer": answer })),
        Outcome::Retrying { message, in_ms } => {
            put(out, json!({ "outcome": "retrying", "error": message, "nextTryMs": in_ms }));
        }
        Outcome::Failed(message) => put(out, json!({ "outcome": "failed", "error": message })),
    }
}

fn matchers(all: &[Matcher]) -> String {
    let texts: Vec<String> =
        all.iter().map(|m| format!("{}{}{}", m.name, m.op.as_str(), Value::from(m.value.as_str()))).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use reba_alerting::{IntegrationKey, PostedAlert};
    use reba_model::NanoRange;
    use reba_storage::{Budget, LogQuerier as _};
    use reba_testkit::MemLogStore;

    use super::*;

    fn alert() -> Event {
        let labels = vec![("alertname".to_owned(), "A".to_owned()), ("s".to_owned(), "\"x".to_owned())];
        let posted = PostedAlert { labels, ..PostedAlert::default() };
        let alert = Arc::new(Alert::new(&posted, 1_700_000_000_000, 60_000).unwrap());
        Event { at_ms: 1_700_000_000_000, what: What::Alert { change: AlertChange::Firing, alert } }
    }

    fn attempt(outcome: Outcome) -> Event {
        let what = What::Attempt(Attempt {
            integration: IntegrationKey { receiver: "r".to_owned(), integration: "slack", index: 1 },
            group_key: "{}:{}".into(),
            group_labels: Labels::from_pairs([("alertname", "A")]),
            reason: "first notification",
            number: 2,
            firing: vec![255],
            firing_total: 1,
            resolved: vec![],
            resolved_total: 0,
            took_ms: 7,
            outcome,
        });
        Event { at_ms: 1_700_000_000_000, what }
    }

    #[test]
    fn an_event_is_a_line_of_json_whose_fields_logql_can_ask_for() {
        let line = Value::Object(line(&alert()));
        assert_eq!(
            (line["change"].as_str(), line["alertname"].as_str(), line["labels"]["s"].as_str()),
            (Some("firing"), Some("A"), Some("\"x"))
        );
        let failed = attempt(Outcome::Failed("503".to_owned()));
        let line = Value::Object(super::line(&failed));
        assert_eq!((line["outcome"].as_str(), line["error"].as_str()), (Some("failed"), Some("503")));
        assert_eq!(
            (line["firingAlerts"][0].as_str(), labels(&failed).value("level")),
            (Some("00000000000000ff"), "error")
        );
    }

    #[tokio::test]
    async fn what_happens_in_the_same_moment_is_kept_in_order_and_all_of_it_is_written_at_the_end() {
        let store = Arc::new(MemLogStore::default());
        let history = History::start(Some(Arc::clone(&store) as _)).unwrap();
        let sink = history.sink();
        for _ in 0..3000 {
            sink(alert());
        }
        sink(attempt(Outcome::Delivered("ok".to_owned())));
        history.finish().await;
        let budget = Budget::new(u64::MAX, u64::MAX);
        let streams = store.streams(&Tenant::single(), &[], NanoRange::ALL, &budget).unwrap();
        let counts: Vec<_> = streams.iter().map(|s| (s.labels.value("event"), s.entries)).collect();
        assert_eq!(counts, [("alert", 3000), ("notification", 1)]);
        let (last, events) = history.recent().since(3000);
        assert_eq!((last, events[0]["answer"].as_str()), (3001, Some("ok")));
        // Later ones are nobody's concern any more.
        sink(alert());
    }
}
