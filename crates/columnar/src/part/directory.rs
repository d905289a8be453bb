//! The directory of a part: what it is, and where its index pages are.

use reba_disk::checksum;
use reba_model::Tenant;

use super::{END_MAGIC, MAX_PAGE_BYTES, PartInfo, TRAILER};
use crate::{
    day::Day,
    varint::{Reader, put, put_signed, put_text},
};

/// A compressed page of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRef {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) unpacked: u32,
    pub(super) checksum: u32,
}

/// A page of streams with their blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamPage {
    pub(super) page: PageRef,
    /// Packed labels of its first stream.
    pub(super) first: Box<str>,
    pub(super) first_stream: u32,
    pub(super) streams: u32,
    /// Number of the first block, and where it stands.
    pub(super) first_block: u32,
    pub(super) block_offset: u64,
    pub(super) min_ns: i64,
    pub(super) max_ns: i64,
}

/// A page of label values with the streams that have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValuePage {
    pub(super) page: PageRef,
    /// Its first pair of name and value.
    pub(super) first: (Box<str>, Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) info: PartInfo,
    pub(super) stream_pages: Vec<StreamPage>,
    pub(super) value_pages: Vec<ValuePage>,
}

fn put_page(out: &mut Vec<u8>, page: PageRef) {
    put(out, page.offset);
    put(out, u64::from(page.len));
    put(out, u64::from(page.unpacked));
    out.extend_from_slice(&page.checksum.to_le_bytes());
}

fn page(r: &mut Reader<'_>) -> Option<PageRef> {
    let page = PageRef { offset: r.unsigned()?, len: r.u32()?, unpacked: r.u32()?, checksum: r.fixed_u32()? };
    (page.unpacked <= MAX_PAGE_BYTES).then_some(page)
}

impl Directory {
    /// The directory and the trailer behind it, to stand at `offset` of the file.
    pub(super) fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let info = &self.info;
        put(&mut out, info.number);
        put_signed(&mut out, i64::from(info.day.0));
        put_text(&mut out, info.tenant.as_str());
        put(&mut out, info.parents.len() as u64);
        for parent in &info.parents {
            put(&mut out, *parent);
        }
        for n in [info.rows, info.text_bytes, info.streams, info.blocks] {
            put(&mut out, n);
        }
        put_signed(&mut out, info.min_ns);
        put_signed(&mut out, info.max_ns);
        put(&mut out, self.stream_pages.len() as u64);
        for p in &self.stream_pages {
            put_page(&mut out, p.page);
            put_text(&mut out, &p.first);
            for n in [p.first_stream, p.streams, p.first_block] {
                put(&mut out, u64::from(n));
            }
            put(&mut out, p.block_offset);
            put_signed(&mut out, p.min_ns);
            put_signed(&mut out, p.max_ns);
        }
        put(&mut out, self.value_pages.len() as u64);
        for p in &self.value_pages {
            put_page(&mut out, p.page);
            put_text(&mut out, &p.first.0);
            put_text(&mut out, &p.first.1);
        }
        let (len, sum) = (out.len() as u32, checksum(&out));
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out
    }

    /// Reads the directory of a file; says what is wrong with it.
    pub(super) fn read(file: &[u8]) -> Result<Self, &'static str> {
        let trailer = file.len().checked_sub(TRAILER).ok_or("too short")?;
        let mut r = Reader(&file[trailer..]);
        let place = (|| Some((r.fixed_u64()?, r.fixed_u32()?, r.fixed_u32()?)))();
        let (offset, len, sum) = place.ok_or("too short")?;
        if r.0 != END_MAGIC {
            return Err("its end is missing");
        }
        let bytes = usize::try_from(offset)
            .ok()
            .filter(|o| o.checked_add(len as usize) == Some(trailer))
            .and_then(|o| file.get(o..trailer))
            .ok_or("directory out of place")?;
        if checksum(bytes) != sum {
            return Err("wrong checksum of the directory");
        }
        Self::decode(bytes, file.len() as u64).ok_or("directory contradicts itself")
    }

    fn decode(bytes: &[u8], file_len: u64) -> Option<Self> {
        let mut r = Reader(bytes);
        let number = r.unsigned()?;
        let day = Day(i32::try_from(r.signed()?).ok()?);
        let tenant = Tenant::new(r.text()?).ok()?;
        let parents = (0..r.count()?).map(|_| r.unsigned()).collect::<Option<_>>()?;
        let (rows, text_bytes, streams, blocks) =
            (r.unsigned()?, r.unsigned()?, r.unsigned()?, r.unsigned()?);
        let (min_ns, max_ns) = (r.signed()?, r.signed()?);
        let stream_pages = (0..r.count()?)
            .map(|_| {
                Some(StreamPage {
                    page: page(&mut r)?,
                    first: r.text()?.into(),
                    first_stream: r.u32()?,
                    streams: r.u32()?,
                    first_block: r.u32()?,
                    block_offset: r.unsigned()?,
                    min_ns: r.signed()?,
                    max_ns: r.signed()?,
                })
            })
            .collect::<Option<_>>()?;
        let value_pages = (0..r.count()?)
            .map(|_| Some(ValuePage { page: page(&mut r)?, first: (r.text()?.into(), r.text()?.into()) }))
            .collect::<Option<_>>()?;
        // What is counted is bounded by the file, so that nobody allocates for more.
        let sane = r.is_empty()
            && blocks <= file_len
            && streams <= file_len
            && u32::try_from(blocks).is_ok()
            && [min_ns, max_ns].iter().all(|ns| Day::of(*ns) == day);
        let info = PartInfo {
            number,
            day,
            tenant,
            parents,
            bytes: file_len,
            rows,
            text_bytes,
            streams,
            blocks,
            min_ns,
            max_ns,
        };
        sane.then_some(Directory { info, stream_pages, value_pages })
    }
}
