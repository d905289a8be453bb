//! Any page is read to its end or refused with a place inside it. The first byte chooses the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_ingest::exposition::{Event, TextParser, series_labels};
use reba_model::{LabelsBuilder, MetricType};

fuzz_target!(|data: &[u8]| {
    let Some((kind, page)) = data.split_first() else { return };
    let mut parser = if kind % 2 == 0 { TextParser::text(page) } else { TextParser::openmetrics(page) };
    let mut labels = LabelsBuilder::new();
    loop {
        match parser.next_event() {
            Ok(Some(Event::Sample(sample))) => {
                let _ = series_labels(sample.series, MetricType::Unknown, &mut labels);
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(e) => return assert!(e.at <= page.len()),
        }
    }
});
