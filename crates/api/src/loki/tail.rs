//! Following a query over a WebSocket: `/loki/api/v1/tail` and `/api/prom/tail`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        RawQuery, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::IntoResponse as _,
};
use reba_model::Tenant;
use reba_query::logs::{Direction, Line, LogData, RangeLogQuery, Tail, TailFrame};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    LokiApi,
    json::{Shape, rfc3339, write_frame},
    params::{Form, wants_categories},
    refusal::{Answer, Refusal},
    tenant::Owns,
};
use crate::json::{write_digits, write_labels, write_list, write_string};

/// Most lines of a frame.
const FRAME_LINES: usize = 100;

/// How often the client is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);

/// How long a client may leave a frame unread. Lines that come meanwhile are dropped by number and name, without end; so one
/// that does not read at all must go.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most lines that wait for `delay_for` to pass; then they are sent before.
const MAX_DELAYED: usize = 10_000;

/// Longest message of a client that is read: it has nothing to say.
const MAX_MESSAGE: usize = 16 << 10;

/// Longest reason that fits into a close frame.
const MAX_REASON: usize = 123;

/// `/loki/api/v1/tail`
pub async fn tail(
    State(api): State<Arc<LokiApi>>,
    Owns(tenant): Owns,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let shape = if wants_categories(&headers) { Shape::Categorized } else { Shape::Plain };
    follow(&api, tenant, &query.unwrap_or_default(), shape, upgrade).await
}

/// `/api/prom/tail`
pub async fn legacy(
    State(api): State<Arc<LokiApi>>,
    Owns(tenant): Owns,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    follow(&api, tenant, &query.unwrap_or_default(), Shape::Legacy, upgrade).await
}

async fn follow(
    api: &LokiApi,
    tenant: Tenant,
    query: &str,
    shape: Shape,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let form = Form::of_query(query);
    let delay = match form.number("delay_for", 0)? {
        seconds @ 0..=5 => Duration::from_secs(seconds.unsigned_abs()),
        seconds if seconds > 5 => return Err(Refusal::bad("delay_for can't be greater than 5")),
        _ => return Err(Refusal::bad("delay_for can't be negative")),
    };
    let upgrade = upgrade.map_err(|e| Refusal::new(e.status(), e.body_text()))?;
    let now = api.now_ns();
    // First listen, then ask what was before: so nothing is missed between the two.
    let mut tail = api.tails.follow(tenant.clone(), form.value("query"), now)?;
    let before = history(api, &form, tenant, now).await?;
    tail.skip(&before);
    let longest = api.config.load().querier.tail_max_duration.as_std();
    let session = Session { tail, shape, delay, longest, stop: api.stop.clone() };
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| session.run(socket, before)).into_response())
}

/// Lines from before, the oldest first.
async fn history(api: &LokiApi, form: &Form, tenant: Tenant, now: i64) -> Result<Vec<Line>, Refusal> {
    let range = form.range(now)?;
    let limit = if form.get("limit") == Some("0") { 0 } else { form.limit()? };
    // Up to now, whatever `end` says.
    let end = now.saturating_add(1);
    if limit == 0 || range.start >= end {
        return Ok(Vec::new());
    }
    let query = RangeLogQuery {
        tenant,
        query: form.value("query").to_owned(),
        start: range.start,
        end,
        step: 1,
        interval: 0,
        limit,
        direction: Direction::Backward,
        timeout: None,
    };
    match api.engine.range(query, now).await?.data {
        LogData::Streams(mut lines) => {
            lines.reverse();
            Ok(lines)
        }
        _ => Err(Refusal::bad("only log queries can be followed")),
    }
}

/// One follower.
struct Session {
    tail: Tail,
    shape: Shape,
    /// How long lines wait for others that are late.
    delay: Duration,
    /// How long it may go on; zero: without end.
    longest: Duration,
    stop: CancellationToken,
}

/// Why a follower ends.
enum End {
    /// The client has gone, or does not read.
    Gone,
    /// With a close frame.
    Close(u16, &'static str),
}

impl Session {
    async fn run(mut self, mut socket: WebSocket, before: Vec<Line>) {
        if let Err(End::Close(code, reason)) = self.talk(&mut socket, before).await {
            let reason = reason[..reason.len().min(MAX_REASON)].into();
            let _ = timeout(PATIENCE, socket.send(Message::Close(Some(CloseFrame { code, reason })))).await;
        }
    }

    /// Sends lines until something ends it, which is what it returns.
    async fn talk(&mut self, socket: &mut WebSocket, before: Vec<Line>) -> Result<(), End> {
        for lines in before.chunks(FRAME_LINES) {
            send(socket, frame(lines, &TailFrame::default(), self.shape)).await?;
        }
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let far = Duration::from_secs(10 * 365 * 86_400);
        let end = Instant::now() + if self.longest.is_zero() { far } else { self.longest };
        let mut delayed = Delayed::default();
        loop {
            tokio::select! {
                news = self.tail.next() => {
                    let Some(news) = news else {
                        return Err(End::Close(close_code::AWAY, "there will be no more lines"));
                    };
                    delayed.add(news, Instant::now() + self.delay);
                    if self.delay.is_zero() || delayed.lines.len() >= MAX_DELAYED {
                        self.flush(socket, &mut delayed).await?;
                    }
                }
                () = sleep_until(delayed.due.unwrap_or(end)), if delayed.due.is_some() => {
                    self.flush(socket, &mut delayed).await?;
                }
                message = socket.recv() => match message {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Err(End::Gone),
                    Some(Ok(_)) => {}
                },
                _ = ping.tick() => send(socket, Message::Ping(Vec::new().into())).await?,
                () = sleep_until(end) => {
                    return Err(End::Close(close_code::ERROR, "reached tail max duration limit"));
                }
                () = self.stop.cancelled() => {
                    return Err(End::Close(close_code::AWAY, "the server stops"));
                }
            }
        }
    }

    async fn flush(&self, socket: &mut WebSocket, delayed: &mut Delayed) -> Result<(), End> {
        let mut news = std::mem::take(delayed);
        news.lines.sort_by_key(|line| line.ns);
        let mut dropped = news.dropped;
        for lines in news.lines.chunks(FRAME_LINES) {
            send(socket, frame(lines, &std::mem::take(&mut dropped), self.shape)).await?;
        }
        if dropped.dropped_count > 0 {
            send(socket, frame(&[], &dropped, self.shape)).await?;
        }
        Ok(())
    }
}

/// Lines that wait until those that are late have come.
#[derive(Default)]
struct Delayed {
    lines: Vec<Line>,
    /// Only what was dropped.
    dropped: TailFrame,
    due: Option<Instant>,
}

impl Delayed {
    fn add(&mut self, news: TailFrame, due: Instant) {
        self.lines.extend(news.lines);
        self.dropped.dropped.extend(news.dropped);
        self.dropped.dropped_count += news.dropped_count;
        self.due.get_or_insert(due);
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(End::Gone),
    }
}

fn frame(lines: &[Line], news: &TailFrame, shape: Shape) -> Message {
    let text: usize = lines.iter().map(|line| line.text.len() + 200).sum();
    let mut out = Vec::with_capacity(text);
    write_frame(&mut out, lines, shape);
    let key = match shape {
        Shape::Legacy => Some("droppedEntries"),
        _ if news.dropped.is_empty() => None,
        _ => Some("dropped_entries"),
    };
    if let Some(key) = key {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        write_list(&mut out, &news.dropped, |out, dropped| {
            match shape {
                Shape::Legacy => {
                    out.extend_from_slice(br#"{"timestamp":"#);
                    write_string(out, &rfc3339(dropped.ns));
                    out.extend_from_slice(br#","labels":"#);
                    write_string(out, &dropped.labels.to_string());
                }
                _ => {
                    out.extend_from_slice(br#"{"timestamp":""#);
                    write_digits(out, dropped.ns.unsigned_abs());
                    out.extend_from_slice(br#"","labels":"#);
                    write_labels(out, &dropped.labels);
                }
            }
            out.push(b'}');
            true
        });
    }
    out.push(b'}');
    // All of it was written from texts.
    Message::Text(String::from_utf8(out).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;
    use reba_query::logs::Dropped;

    use super::*;

    #[test]
    fn a_frame_names_what_was_dropped_only_if_something_was() {
        let text = |news: &TailFrame, shape| frame(&[], news, shape).into_text().unwrap().to_string();
        let labels = Labels::from_pairs([("app", "a")]);
        let news =
            TailFrame { dropped: vec![Dropped { ns: 5, labels }], dropped_count: 1, ..TailFrame::default() };
        assert_eq!(text(&TailFrame::default(), Shape::Plain), r#"{"streams":[]}"#);
        assert_eq!(
            text(&news, Shape::Plain),
            r#"{"streams":[],"dropped_entries":[{"timestamp":"5","labels":{"app":"a"}}]}"#
        );
        assert_eq!(text(&TailFrame::default(), Shape::Legacy), r#"{"streams":[],"droppedEntries":[]}"#);
        assert_eq!(
            text(&news, Shape::Legacy),
            r#"{"streams":[],"droppedEntries":[{"timestamp":"1970-01-01T00:00:00.000000005Z","labels":"{app=\"a\"}"}]}"#
        );
    }
}
