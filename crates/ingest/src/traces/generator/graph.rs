//! Who calls whom: `traces_service_graph_*`.
//!
//! A client's span and the server's below it are two halves of an edge. A half waits for the other one, for a while; then it may
//! still become an edge to somebody who sends no spans.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use reba_model::spans::{SpanId, SpanKind, SpanStatus, TraceId};

use super::{
    GeneratorCounters, Spot, label_name,
    registry::{Key, Part, Registry},
    span_metrics::sorted,
};
use crate::traces::config::{self, Limits, TempoConfig};

/// Attributes of a client's span that name a database, which sends no spans: the first that is there is its name.
const DATABASE: [&str; 3] = ["db.name", "db.namespace", "db.system"];

/// One side of an edge.
#[derive(Debug)]
struct Side {
    service: String,
    seconds: f64,
    dimensions: Vec<String>,
}

/// An edge, or half of one.
#[derive(Debug)]
struct Edge {
    client: Option<Side>,
    server: Option<Side>,
    kind: &'static str,
    failed: bool,
    trace: TraceId,
    end_ns: i64,
    /// Of a client's span: whom it calls, if that sends no spans.
    peer: Option<String>,
    /// Of a server's span: whether nobody called it.
    is_root: bool,
}

/// The processor.
#[derive(Debug)]
pub(super) struct Graph {
    config: config::ServiceGraphs,
    bounds: Arc<[f64]>,
    waiting: HashMap<(TraceId, SpanId), Edge>,
    /// In the order in which they came.
    queue: VecDeque<(i64, (TraceId, SpanId))>,
    key: Key,
}

impl Graph {
    pub(super) fn new(config: &TempoConfig, limits: &Limits) -> Self {
        let mut own = config.metrics_generator.processor.service_graphs.clone();
        let over = &limits.service_graphs;
        if let Some(buckets) = &over.histogram_buckets {
            own.histogram_buckets.clone_from(buckets);
        }
        if let Some(dimensions) = &over.dimensions {
            own.dimensions.clone_from(dimensions);
        }
        if let Some(peers) = &over.peer_attributes {
            own.peer_attributes.clone_from(peers);
        }
        own.enable_client_server_prefix =
            over.enable_client_server_prefix.unwrap_or(own.enable_client_server_prefix);
        Graph {
            bounds: sorted(&own.histogram_buckets),
            config: own,
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            key: Key::default(),
        }
    }

    pub(super) fn observe(
        &mut self,
        spot: &Spot<'_, '_>,
        registry: &mut Registry,
        counters: &GeneratorCounters,
    ) {
        let span = spot.span;
        let (is_client, kind) = match span.kind {
            SpanKind::Client => (true, ""),
            SpanKind::Producer => (true, "messaging_system"),
            SpanKind::Server => (false, ""),
            SpanKind::Consumer => (false, "messaging_system"),
            SpanKind::Internal | SpanKind::Unspecified => return,
        };
        let is_root = !is_client && span.parent_id.is_none();
        let id = match (is_client, is_root) {
            (true, _) => span.span_id,
            // A root waits for nobody: it must not be taken for the caller of those below it.
            (false, true) => SpanId(span.span_id.0.map(|byte| !byte)),
            (false, false) => span.parent_id,
        };
        let key = (span.trace_id, id);
        let mut edge = self.waiting.remove(&key).unwrap_or(Edge {
            client: None,
            server: None,
            kind,
            failed: false,
            trace: span.trace_id,
            end_ns: span.end_ns,
            peer: None,
            is_root,
        });
        let is_waiting = edge.client.is_some() || edge.server.is_some();
        edge.failed |= span.status == SpanStatus::Error;
        let side = self.side(spot);
        if is_client {
            if kind.is_empty()
                && let Some(name) = first(spot, DATABASE)
            {
                edge.kind = "database";
                let (service, dimensions) = (name, vec![String::new(); self.config.dimensions.len()]);
                edge.server = Some(Side { service, seconds: side.seconds, dimensions });
            }
            edge.peer = first(spot, self.config.peer_attributes.iter().map(String::as_str));
            edge.client = Some(side);
        } else {
            edge.server = Some(side);
        }
        if edge.client.is_some() && edge.server.is_some() {
            self.complete(&edge, spot.now_ns, registry, counters);
            return;
        }
        if !is_waiting && self.waiting.len() >= self.config.max_items {
            counters.dropped_spans.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.waiting.insert(key, edge);
        if !is_waiting {
            self.queue.push_back((spot.now_ns.saturating_add(self.config.wait.as_ns()), key));
        }
    }

    fn side(&self, spot: &Spot<'_, '_>) -> Side {
        let dimensions = self.config.dimensions.iter().map(|name| spot.text(name).unwrap_or_default());
        Side { service: spot.service.to_owned(), seconds: spot.seconds(), dimensions: dimensions.collect() }
    }

    /// Gives up halves that waited long enough, or makes edges of them to somebody who sends no spans.
    pub(super) fn expire(&mut self, now_ns: i64, registry: &mut Registry, counters: &GeneratorCounters) {
        while self.queue.front().is_some_and(|(until, _)| *until <= now_ns) {
            let Some((_, key)) = self.queue.pop_front() else { break };
            // One that is not there any more is complete.
            let Some(mut edge) = self.waiting.remove(&key) else { continue };
            let unknown = |service: String, other: &Option<Side>| {
                let dimensions = vec![String::new(); other.as_ref().map_or(0, |side| side.dimensions.len())];
                Some(Side { service, seconds: f64::NAN, dimensions })
            };
            match (&edge.client, &edge.server) {
                (Some(_), None) if edge.peer.is_some() => {
                    edge.server = unknown(edge.peer.take().unwrap_or_default(), &edge.client);
                }
                (None, Some(_)) if edge.is_root && self.config.enable_virtual_node_label => {
                    edge.client = unknown("user".to_owned(), &edge.server);
                }
                _ => {
                    counters.expired_edges.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            edge.kind = "virtual_node";
            self.complete(&edge, now_ns, registry, counters);
        }
    }

    fn complete(&mut self, edge: &Edge, now_ns: i64, registry: &mut Registry, counters: &GeneratorCounters) {
        let (Some(client), Some(server)) = (&edge.client, &edge.server) else { return };
        counters.edges.fetch_add(1, Ordering::Relaxed);
        self.key.begin(b'g');
        let dimensions = client.dimensions.iter().chain(&server.dimensions);
        let texts = [client.service.as_str(), server.service.as_str(), edge.kind].into_iter();
        texts.chain(dimensions.map(String::as_str)).for_each(|text| self.key.text(text));
        let (config, bounds) = (&self.config, &self.bounds);
        let make = || {
            let parts = vec![
                Part::counter("traces_service_graph_request_total"),
                Part::counter("traces_service_graph_request_failed_total"),
                Part::histogram("traces_service_graph_request_server_seconds", bounds),
                Part::histogram("traces_service_graph_request_client_seconds", bounds),
            ];
            (labels(config, client, server, edge.kind), parts)
        };
        let Some(group) = registry.group(self.key.hash(), now_ns, make) else {
            counters.limited.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if let [total, failed, of_server, of_client] = group.parts.as_mut_slice() {
            total.add(1.0);
            failed.add(if edge.failed { 1.0 } else { 0.0 });
            for (part, side) in [(of_server, server), (of_client, client)] {
                // Of who sends no spans nobody knows how long it took.
                if !side.seconds.is_nan() {
                    part.observe(side.seconds, 1.0, edge.trace, edge.end_ns);
                }
            }
        }
    }
}

/// The first of these attributes that is there and not empty.
fn first<'n>(spot: &Spot<'_, '_>, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    names.into_iter().find_map(|name| spot.text(name).filter(|text| !text.is_empty()))
}

fn labels(config: &config::ServiceGraphs, client: &Side, server: &Side, kind: &str) -> Vec<(String, String)> {
    let mut labels = vec![
        ("client".to_owned(), client.service.clone()),
        ("server".to_owned(), server.service.clone()),
        ("connection_type".to_owned(), kind.to_owned()),
    ];
    for (i, name) in config.dimensions.iter().enumerate() {
        let of = |side: &Side| side.dimensions.get(i).cloned().unwrap_or_default();
        let name = label_name(name);
        if config.enable_client_server_prefix {
            labels.push((format!("client_{name}"), of(client)));
            labels.push((format!("server_{name}"), of(server)));
        } else {
            let value = Some(of(server)).filter(|v| !v.is_empty()).unwrap_or_else(|| of(client));
            labels.push((name, value));
        }
    }
    labels
}
