//! What Docker's API sends of a container's log: frames of two streams, lines with their times, long lines in pieces.

use crate::stage::moment_ns;

/// Longest line that pieces make.
const MAX_LINE: usize = 16 << 20;

/// A frame longer than this is none.
const MAX_FRAME: usize = 64 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DockerLine {
    pub stderr: bool,
    /// Unix nanoseconds; of the first piece.
    pub ns: i64,
    pub text: String,
}

#[derive(Debug, Default)]
struct Stream {
    /// Bytes of a piece that is not complete (terminals only).
    open: Vec<u8>,
    /// What pieces have made so far, and when it began.
    line: Option<(i64, String)>,
}

/// Takes a log apart.
#[derive(Debug)]
pub(super) struct Frames {
    /// Terminals have no frames, only lines.
    terminal: bool,
    rest: Vec<u8>,
    streams: [Stream; 2],
    /// Pieces that made no sense.
    pub errors: u64,
}

impl Frames {
    pub fn new(terminal: bool) -> Self {
        let rest = Vec::new();
        Frames { terminal, rest, streams: Default::default(), errors: 0 }
    }

    /// Takes more of the answer; lines that are complete are added to `out`.
    pub fn take(&mut self, data: &[u8], out: &mut Vec<DockerLine>) {
        if self.terminal {
            self.streams[0].open.extend_from_slice(data);
            while let Some(end) = memchr::memchr(b'\n', &self.streams[0].open) {
                let piece: Vec<u8> = self.streams[0].open.drain(..=end).collect();
                self.piece(false, &piece, out);
            }
            self.streams[0].open.truncate(MAX_LINE);
            return;
        }
        self.rest.extend_from_slice(data);
        let mut pos = 0;
        while let Some(header) = self.rest.get(pos..pos + 8) {
            let len = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let kind = header[0];
            if kind > 2 || len > MAX_FRAME {
                // This is no frame, and where the next one begins nobody knows.
                self.errors += 1;
                pos = self.rest.len();
                break;
            }
            let Some(payload) = self.rest.get(pos + 8..pos + 8 + len) else { break };
            let payload = payload.to_vec();
            pos += 8 + len;
            self.piece(kind == 2, &payload, out);
        }
        self.rest.drain(..pos);
    }

    /// One piece: a time, a space, text, and `\n` if the line ends here.
    fn piece(&mut self, stderr: bool, piece: &[u8], out: &mut Vec<DockerLine>) {
        let text = String::from_utf8_lossy(piece);
        let (time, text) = text.split_once(' ').unwrap_or((text.trim_end(), ""));
        let Some(ns) = moment_ns(time) else {
            self.errors += 1;
            return;
        };
        let stream = &mut self.streams[usize::from(stderr)];
        let (_, line) = stream.line.get_or_insert_with(|| (ns, String::new()));
        let ended = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t));
        line.push_str(ended.unwrap_or(text));
        // A line without text is a time and its end.
        let complete = ended.is_some() || text.is_empty() || line.len() >= MAX_LINE;
        if complete && let Some((ns, text)) = stream.line.take() {
            out.push(DockerLine { stderr, ns, text });
        }
    }

    /// What has no end, when none will come.
    pub fn finish(&mut self, out: &mut Vec<DockerLine>) {
        for (i, stream) in self.streams.iter_mut().enumerate() {
            if let Some((ns, text)) = stream.line.take() {
                out.push(DockerLine { stderr: i == 1, ns, text });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text.as_bytes());
        out
    }

    #[test]
    fn pieces_of_both_streams_are_joined_to_lines() {
        let t = |n: u8| format!("2023-11-14T22:13:2{n}.000000001Z");
        let big = "x".repeat(200 << 10);
        let mut data = Vec::new();
        for piece in big.as_bytes().chunks(16 << 10) {
            data.extend(frame(1, &format!("{} {}", t(0), std::str::from_utf8(piece).unwrap())));
            data.extend(frame(2, &format!("{} err\n", t(1))));
        }
        data.extend(frame(1, &format!("{} end\n", t(2))));
        // However the bytes arrive.
        for size in [1, 7, 4096, 1 << 20] {
            let (mut frames, mut out) = (Frames::new(false), Vec::new());
            data.chunks(size).for_each(|part| frames.take(part, &mut out));
            let (err, lines): (Vec<_>, Vec<_>) = out.into_iter().partition(|l| l.stderr);
            assert_eq!((err.len(), lines.len(), frames.errors), (13, 1, 0));
            assert_eq!(lines[0].text, format!("{big}end"));
            assert_eq!(lines[0].ns, 1_700_000_000_000_000_001);
        }
    }

    #[test]
    fn a_terminal_has_lines_without_frames() {
        let (mut frames, mut out) = (Frames::new(true), Vec::new());
        frames.take(b"2023-11-14T22:13:20Z one\r\n2023-11-14T22:13:20Z tw", &mut out);
        frames.take(b"o\n2023-11-14T22:13:20Z \n", &mut out);
        assert_eq!(out.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["one", "two", ""]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(data in prop::collection::vec(any::<u8>(), 0..200), terminal: bool) {
            let (mut frames, mut out) = (Frames::new(terminal), Vec::new());
            frames.take(&data, &mut out);
            frames.finish(&mut out);
        }
    }
}
