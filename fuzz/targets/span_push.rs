//! Any push of spans is refused or taken: its first byte says in which form. Of what is refused nothing is stored.
#![no_main]

use std::{path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use reba_ingest::{
    otlp::body::Encoding,
    traces::{TraceReceiver, config::TempoConfig},
};
use reba_model::Tenant;
use reba_storage::SpanQuerier;
use reba_testkit::MemSpanStore;

/// Limits there are to be reached.
const CONFIG: &str = "overrides: {defaults: {global: {max_bytes_per_trace: 500}}}";

fuzz_target!(|data: &[u8]| {
    let Some((form, body)) = data.split_first() else { return };
    let config = TempoConfig::parse(CONFIG, Path::new("tempo.yml"), &Default::default());
    let config = Arc::new(Arc::new(config.expect("the configuration is valid").0).into());
    let store = Arc::new(MemSpanStore::default());
    let receiver =
        TraceReceiver::new(Arc::clone(&store) as _, config, Arc::new(|| 1_700_000_000_000_000_000));
    let tenant = Tenant::single();
    let is_refused = match form {
        b'o' => receiver.push_otlp(&tenant, Encoding::Protobuf, "", body).is_err(),
        b'j' => receiver.push_otlp(&tenant, Encoding::Json, "", body).is_err(),
        b'z' => receiver.push_zipkin(&tenant, "application/json", "", body).is_err(),
        b'p' => receiver.push_zipkin(&tenant, "application/x-protobuf", "", body).is_err(),
        b't' => receiver.push_jaeger_thrift(&tenant, "", body).is_err(),
        _ => receiver.push_jaeger_grpc(&tenant, "", body).is_err(),
    };
    assert!(!is_refused || store.tenants().is_empty());
});
