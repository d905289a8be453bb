//! Writing a part: stream by stream in order of their packed labels.

use std::collections::BTreeMap;

use reba_disk::{Dir, DiskError, FileWriter, checksum};
use reba_model::{Labels, Tenant};

use super::{
    BlockRef, MAGIC, PAGE_BYTES, PartInfo,
    directory::{Directory, PageRef, StreamPage, ValuePage},
    file_name, small,
};
use crate::{
    ColumnarError,
    block::{BlockSummary, Encoder, MAX_ROWS, MAX_TEXT_BYTES, OwnedRow, Pairs, Rows},
    day::Day,
    varint::{put, put_signed, put_text},
};

const INDEX_LEVEL: i32 = 3;

/// What a part is to be.
#[derive(Clone, Debug)]
pub(crate) struct PartSpec {
    pub(crate) number: u64,
    pub(crate) day: Day,
    pub(crate) tenant: Tenant,
    pub(crate) parents: Vec<u64>,
}

/// A part that is being written.
#[derive(Debug)]
pub(crate) struct PartWriter {
    dir: Dir,
    tmp: String,
    file: FileWriter,
    info: PartInfo,
    stream_pages: Pages<StreamPage>,
    /// The page that is being filled; its place is not known yet.
    page: Option<StreamPage>,
    /// Streams by label name and value.
    values: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
    blocks: Vec<BlockRef>,
    bytes: Vec<u8>,
    encoder: Encoder,
}

/// Finished pages, kept until the blocks are written.
#[derive(Debug)]
struct Pages<T> {
    bytes: Vec<u8>,
    list: Vec<T>,
    open: Vec<u8>,
}

impl<T> Pages<T> {
    fn new() -> Self {
        Pages { bytes: Vec::new(), list: Vec::new(), open: Vec::new() }
    }

    /// Compresses what has been put into the open page; its offset counts from the first page.
    fn close(&mut self) -> PageRef {
        // Compression into memory cannot fail; an empty page would be refused on reading.
        let packed = zstd::bulk::compress(&self.open, INDEX_LEVEL).unwrap_or_default();
        let page = PageRef {
            offset: self.bytes.len() as u64,
            len: packed.len() as u32,
            unpacked: self.open.len() as u32,
            checksum: checksum(&packed),
        };
        self.bytes.extend_from_slice(&packed);
        self.open.clear();
        page
    }
}

impl PartWriter {
    /// Starts a part in the folder of its day.
    pub(crate) fn new(dir: &Dir, spec: PartSpec) -> Result<Self, DiskError> {
        let tmp = format!("{}.tmp", file_name(spec.number));
        let mut file = dir.writer(&tmp)?;
        file.write(MAGIC)?;
        let info = PartInfo {
            number: spec.number,
            day: spec.day,
            tenant: spec.tenant,
            parents: spec.parents,
            bytes: 0,
            rows: 0,
            text_bytes: 0,
            streams: 0,
            blocks: 0,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        };
        Ok(PartWriter {
            dir: dir.clone(),
            tmp,
            file,
            info,
            stream_pages: Pages::new(),
            page: None,
            values: BTreeMap::new(),
            blocks: Vec::new(),
            bytes: Vec::new(),
            encoder: Encoder::default(),
        })
    }

    /// Adds a block of the stream that [`PartWriter::end_stream`] will name.
    pub(crate) fn rows(
        &mut self,
        times: &[i64],
        lines: &[&str],
        metadata: &[Pairs<'_>],
    ) -> Result<(), DiskError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let small = small::encode(times, lines, metadata, &mut bytes);
        let is_small = small.is_some();
        let summary =
            small.unwrap_or_else(|| self.encoder.encode(&Rows { times, lines, metadata }, &mut bytes));
        let put = self.put_block(summary, is_small, &bytes);
        self.bytes = bytes;
        put
    }

    /// Adds rows of that stream in as many blocks as they need.
    pub(crate) fn owned_rows(&mut self, mut rows: &[OwnedRow]) -> Result<(), ColumnarError> {
        while !rows.is_empty() {
            let mut bytes = 0;
            let fits = |row: &&OwnedRow| {
                bytes += row.text_bytes();
                bytes <= MAX_TEXT_BYTES
            };
            let n = rows.iter().take(MAX_ROWS).take_while(fits).count().max(1);
            let (block, rest) = rows.split_at(n);
            rows = rest;
            let times: Vec<i64> = block.iter().map(|r| r.ns).collect();
            let lines: Vec<&str> = block.iter().map(|r| r.line.as_str()).collect();
            let pairs: Vec<Vec<(&str, &str)>> = block.iter().map(OwnedRow::pairs).collect();
            let metadata: Vec<Pairs<'_>> = pairs.iter().map(Vec::as_slice).collect();
            self.rows(&times, &lines, &metadata)?;
        }
        Ok(())
    }

    /// Adds a block of that stream as it stands in another part.
    pub(crate) fn copy(&mut self, block: &BlockRef, bytes: &[u8]) -> Result<(), DiskError> {
        let summary = BlockSummary {
            rows: block.rows,
            text_bytes: block.text_bytes,
            first_ns: block.first_ns,
            last_ns: block.last_ns,
        };
        self.put_block(summary, block.is_small, bytes)
    }

    fn put_block(&mut self, summary: BlockSummary, is_small: bool, bytes: &[u8]) -> Result<(), DiskError> {
        self.blocks.push(BlockRef {
            number: self.info.blocks as u32,
            offset: self.file.position(),
            len: bytes.len() as u32,
            checksum: checksum(bytes),
            first_ns: summary.first_ns,
            last_ns: summary.last_ns,
            rows: summary.rows,
            text_bytes: summary.text_bytes,
            is_small,
        });
        self.info.blocks += 1;
        self.info.rows += u64::from(summary.rows);
        self.info.text_bytes += summary.text_bytes;
        self.info.min_ns = self.info.min_ns.min(summary.first_ns);
        self.info.max_ns = self.info.max_ns.max(summary.last_ns);
        self.file.write(bytes)
    }

    /// Names the stream that the blocks since the last call belong to; a stream without blocks is left out. Streams come in
    /// order of their packed labels.
    pub(crate) fn end_stream(&mut self, labels: &Labels) {
        let Some(first) = self.blocks.first().copied() else { return };
        let stream = self.info.streams as u32;
        self.info.streams += 1;
        for (name, value) in labels {
            if !self.values.contains_key(name) {
                self.values.insert(name.to_owned(), BTreeMap::new());
            }
            let Some(values) = self.values.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(streams) => streams.push(stream),
                None => drop(values.insert(value.to_owned(), vec![stream])),
            }
        }
        let page = self.page.get_or_insert_with(|| StreamPage {
            page: PageRef { offset: 0, len: 0, unpacked: 0, checksum: 0 },
            first: labels.as_packed().into(),
            first_stream: stream,
            streams: 0,
            first_block: first.number,
            block_offset: first.offset,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        });
        page.streams += 1;
        let out = &mut self.stream_pages.open;
        put_text(out, labels.as_packed());
        put(out, self.blocks.len() as u64);
        let mut before = 0;
        for block in self.blocks.drain(..) {
            put(out, u64::from(block.len));
            out.extend_from_slice(&block.checksum.to_le_bytes());
            put_signed(out, block.first_ns.wrapping_sub(before));
            put(out, block.last_ns.wrapping_sub(block.first_ns) as u64);
            before = block.last_ns;
            put(out, u64::from(block.rows) << 1 | u64::from(block.is_small));
            put(out, block.text_bytes);
            page.min_ns = page.min_ns.min(block.first_ns);
            page.max_ns = page.max_ns.max(block.last_ns);
        }
        if out.len() >= PAGE_BYTES {
            self.close_stream_page();
        }
    }

    fn close_stream_page(&mut self) {
        if let Some(page) = self.page.take() {
            let place = self.stream_pages.close();
            self.stream_pages.list.push(StreamPage { page: place, ..page });
        }
    }

    /// The name of its file as long as it is not finished.
    pub(crate) fn tmp_name(&self) -> String {
        self.tmp.clone()
    }

    /// Publishes the part under its own name; `None` if it has no rows. It is not live before the manifest says so.
    pub(crate) fn finish(mut self) -> Result<Option<PartInfo>, DiskError> {
        if self.info.blocks == 0 {
            drop(self.file);
            self.dir.remove_file(&self.tmp)?;
            return Ok(None);
        }
        self.close_stream_page();
        let values = value_pages(&self.values);
        let base = self.file.position();
        let moved = |page: PageRef, by: u64| PageRef { offset: page.offset + by, ..page };
        let mut stream_pages = self.stream_pages.list;
        for p in &mut stream_pages {
            p.page = moved(p.page, base);
        }
        let value_base = base + self.stream_pages.bytes.len() as u64;
        let mut value_list = values.list;
        for p in &mut value_list {
            p.page = moved(p.page, value_base);
        }
        self.file.write(&self.stream_pages.bytes)?;
        self.file.write(&values.bytes)?;
        let offset = self.file.position();
        let directory = Directory { info: self.info, stream_pages, value_pages: value_list };
        self.file.write(&directory.encode(offset))?;
        let mut info = directory.info;
        info.bytes = self.file.finish()?;
        self.dir.publish(&self.tmp, &info.file_name())?;
        Ok(Some(info))
    }

    /// Gives the part up.
    pub(crate) fn abandon(self) {
        drop(self.file);
        if let Err(error) = self.dir.remove_file(&self.tmp) {
            tracing::debug!(%error, "an unfinished part is left for the next start");
        }
    }
}

fn value_pages(values: &BTreeMap<String, BTreeMap<String, Vec<u32>>>) -> Pages<ValuePage> {
    let mut pages = Pages::new();
    let mut first = None;
    for (name, values) in values {
        for (value, streams) in values {
            first.get_or_insert_with(|| (name.as_str().into(), value.as_str().into()));
            let out = &mut pages.open;
            put_text(out, name);
            put_text(out, value);
            put(out, streams.len() as u64);
            let mut before = 0;
            for stream in streams {
                put(out, u64::from(stream - before));
                before = *stream;
            }
            if out.len() >= PAGE_BYTES
                && let Some(first) = first.take()
            {
                let page = pages.close();
                pages.list.push(ValuePage { page, first });
            }
        }
    }
    if let Some(first) = first {
        let page = pages.close();
        pages.list.push(ValuePage { page, first });
    }
    pages
}
