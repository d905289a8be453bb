//! Numbers within a text that are somebody's: telephones, cards, national ids.

use super::{
    mask_card, mask_id, mask_phone,
    text::{Found, word_at, word_before},
};

/// What may stand between the digits of a telephone number, and between those of all others.
const PHONE_GAPS: &[u8] = b" .-";
const GAPS: &[u8] = b" -";
/// Digits in groups that may hold a card's number and other numbers beside it.
const CARD_RUN: std::ops::RangeInclusive<usize> = 13..=40;
/// The digits of a card (ISO/IEC 7812-1).
const CARD: std::ops::RangeInclusive<usize> = 13..=19;
/// The digits of an international telephone number, with one to spare (ITU-T E.164 has 15 at most).
const PHONE: std::ops::RangeInclusive<usize> = 8..=15;

/// Digits one after the other, with at most one separator between two of them.
struct Run {
    digits: Vec<u8>,
    /// Where each digit ends.
    ends: Vec<usize>,
}

impl Run {
    /// The run that begins with the digit at `start`; no more than `most` digits of it.
    fn at(text: &str, start: usize, gaps: &[u8], most: usize) -> Self {
        let bytes = text.as_bytes();
        let mut run = Self { digits: Vec::new(), ends: Vec::new() };
        let mut at = start;
        while run.digits.len() < most {
            let gap = usize::from(!run.digits.is_empty() && bytes.get(at).is_some_and(|b| gaps.contains(b)));
            match bytes.get(at + gap) {
                Some(digit @ b'0'..=b'9') => run.digits.push(*digit),
                _ => break,
            }
            at += gap + 1;
            run.ends.push(at);
        }
        run
    }

    /// Whether a separator stands before the digit of this index.
    fn gap(&self, index: usize) -> bool {
        index > 0 && self.ends.get(index).is_some_and(|end| end - self.ends[index - 1] > 1)
    }

    /// The end of the longest part that has so many digits and is no part of a longer word.
    fn longest(&self, text: &str, counts: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let most = self.ends.len().min(*counts.end());
        (*counts.start()..=most).rev().map(|count| self.ends[count - 1]).find(|end| !word_at(text, *end))
    }

    /// The end of the part of exactly `count` digits, if no word goes on there.
    fn exactly(&self, text: &str, count: usize) -> Option<usize> {
        self.longest(text, count..=count)
    }
}

/// Digits that neither a word nor a point stands before, from `from` on.
fn starts(text: &str, from: usize) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).filter(move |at| {
        bytes[*at].is_ascii_digit() && (*at == 0 || bytes[at - 1] != b'.' && !word_before(text, *at))
    })
}

fn found(text: &str, start: usize, end: usize, mask: fn(&str) -> String) -> Found {
    Found { start, end, masked: mask(&text[start..end]) }
}

/// Rwanda's: kind, year of birth, sex, number, issue, check digits; 16 in all.
pub(super) fn national_id(text: &str, from: usize) -> Option<Found> {
    starts(text, from).find_map(|start| {
        let run = Run::at(text, start, GAPS, 16);
        let d = &run.digits;
        let right = d.len() == 16
            && (b'1'..=b'3').contains(&d[0])
            && matches!(&d[1..3], b"19" | b"20")
            && matches!(d[5], b'7' | b'8')
            && (1..16).all(|index| !run.gap(index) || matches!(index, 1 | 5 | 6 | 13 | 14));
        right.then(|| run.exactly(text, 16)).flatten().map(|end| found(text, start, end, mask_id))
    })
}

/// A card's number, in whole groups, whose check digit is right, also among other digits.
pub(super) fn card(text: &str, from: usize) -> Option<Found> {
    let mut behind = from;
    for start in starts(text, from) {
        if start < behind {
            continue;
        }
        let run = Run::at(text, start, GAPS, *CARD_RUN.end());
        let Some(end) = run.longest(text, CARD_RUN) else { continue };
        if let Some(card) = card_within(text, start, end) {
            return Some(card);
        }
        behind = end;
    }
    None
}

fn card_within(text: &str, start: usize, end: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    let firsts = (start..end)
        .filter(|&at| matches!(bytes[at], b'2'..=b'6') && (at == start || !bytes[at - 1].is_ascii_digit()));
    for first in firsts {
        let run = Run::at(&text[..end], first, GAPS, *CARD.end());
        let most = run.ends.len();
        for count in (*CARD.start()..=most).rev() {
            let last = run.ends[count - 1];
            let whole = !bytes[..end].get(last).is_some_and(u8::is_ascii_digit);
            if whole && luhn(&run.digits[..count]) {
                return Some(found(text, first, last, mask_card));
            }
        }
    }
    None
}

/// The check digit of cards (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            let twice = digit * 2;
            if at % 2 == 0 { digit } else { twice / 10 + twice % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A telephone number in international form, of anywhere: behind `+`, `%2B` or `00`.
pub(super) fn phone(text: &str, from: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    for start in from..bytes.len() {
        let sign = match bytes[start] {
            b'+' => 1,
            b'%' if bytes[start..].get(1..3).is_some_and(|rest| rest.eq_ignore_ascii_case(b"2B")) => 3,
            b'0' if bytes.get(start + 1) == Some(&b'0') => 2,
            _ => continue,
        };
        if word_before(text, start) || !matches!(bytes.get(start + sign), Some(b'1'..=b'9')) {
            continue;
        }
        let run = Run::at(text, start + sign, PHONE_GAPS, *PHONE.end());
        if let Some(end) = run.longest(text, PHONE) {
            return Some(found(text, start, end, mask_phone));
        }
    }
    None
}

/// A telephone number as Rwanda and its neighbours write it without `+`, or at home.
pub(super) fn local_phone(text: &str, from: usize) -> Option<Found> {
    starts(text, from).find_map(|start| {
        let run = Run::at(text, start, GAPS, 12);
        let gaps_from = |index: usize, but: usize| (1..index).all(|at| at == but || !run.gap(at));
        let count = match run.digits.as_slice() {
            [b'2', b'5', b'0'..=b'7', b'1' | b'6' | b'7', ..]
            | [b'2', b'4', b'3', b'1' | b'8' | b'9', ..]
                if gaps_from(5, 3) =>
            {
                12
            }
            [b'0', b'7', ..] if gaps_from(3, 0) => 10,
            _ => return None,
        };
        run.exactly(text, count).map(|end| found(text, start, end, mask_phone))
    })
}
