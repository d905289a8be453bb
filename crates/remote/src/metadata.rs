//! What the metric families are, sent every minute or so (version 1.0).

use std::{collections::BTreeMap, sync::Arc};

use reba_ingest::remote_write::WriteRequest;
use reba_model::Metadata;

use crate::request::Sender;

/// The metadata of all metric families, by name.
pub type MetadataOf = Arc<dyn Fn() -> BTreeMap<String, Metadata> + Send + Sync>;

/// Sends all metadata in turn until the sender is stopped. What fails is not tried again: the next turn sends it all.
pub(crate) async fn run(sender: Sender, source: MetadataOf) {
    let config = &sender.config.metadata_config;
    let pause = config.send_interval.as_std();
    let per_request = usize::try_from(config.max_samples_per_send).unwrap_or(0).max(1);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sender.stop.cancelled() => return,
        }
        let all: Vec<(String, Metadata)> = source().into_iter().collect();
        for some in all.chunks(per_request) {
            let mut request = WriteRequest::new();
            for (name, metadata) in some {
                request.metadata(name, metadata);
            }
            let Ok(body) = request.body() else { continue };
            sender.send_metadata(body, some.len() as u64).await;
            if sender.stop.is_cancelled() {
                return;
            }
        }
    }
}
