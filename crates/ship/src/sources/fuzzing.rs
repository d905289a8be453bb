//! A door for the fuzzer to what reads foreign bytes.

use std::time::Instant;

use super::{
    frames::Frames,
    gelf::Chunks,
    journal::Export,
    syslog::{Framing, Message},
};

/// Reads `pieces`, as they arrive one after the other, in the form that `form` names.
pub fn read<'a>(form: u8, pieces: impl Iterator<Item = &'a [u8]>) {
    let mut export = Export::default();
    let mut frames = Frames::new(form == b't');
    let mut framing = Framing::new(100);
    let mut chunks = Chunks::default();
    let (mut entries, mut lines, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        match form {
            b'j' => export.take(piece, &mut entries),
            b'd' | b't' => frames.take(piece, &mut lines),
            b's' => {
                if !framing.take(piece, &mut messages) {
                    break;
                }
            }
            _ => {
                let _ = chunks.take(piece, Instant::now());
            }
        }
    }
    frames.finish(&mut lines);
    for message in &messages {
        let _ = Message::parse(message);
    }
}
