//! The kernel's own clock discipline, as `adjtimex` tells it. It stands here because no crate wraps that call safely, and this is the
//! one with `unsafe`.
#![allow(unsafe_code)]

use std::io;

/// What the kernel knows of its clock. Units are the kernel's: nanoseconds or microseconds as `status` says, scaled parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelClock {
    /// 5 if the clock is not synchronised.
    pub state: i32,
    /// Distance to the reference.
    pub offset: i64,
    /// Correction of the frequency, in 2^-16 parts per million.
    pub freq: i64,
    /// The largest error, in microseconds.
    pub maxerror: i64,
    /// The estimated error, in microseconds.
    pub esterror: i64,
    /// Bits; 0x2000 means nanoseconds.
    pub status: i32,
    /// The loop's time constant.
    pub constant: i64,
    /// Microseconds between two ticks.
    pub tick: i64,
    /// Frequency of pulses, in 2^-16 parts per million.
    pub ppsfreq: i64,
    /// Jitter of pulses.
    pub jitter: i64,
    /// Interval of pulses, as a power of two of seconds.
    pub shift: i32,
    /// Stability of pulses, in 2^-16 parts per million.
    pub stabil: i64,
    /// How often the jitter was too large.
    pub jitcnt: i64,
    /// Calibrations.
    pub calcnt: i64,
    /// Failed calibrations.
    pub errcnt: i64,
    /// How often the stability was too low.
    pub stbcnt: i64,
    /// Seconds between TAI and UTC.
    pub tai: i32,
}

/// Asks the kernel. Some containers may not.
#[expect(clippy::useless_conversion, reason = "these numbers have 32 bits elsewhere")]
pub fn kernel_clock() -> io::Result<KernelClock> {
    // SAFETY: `timex` is made of integers only, for which zeros are values; with `modes` 0 the call changes nothing, and writes
    // into the one structure that it is given.
    let (state, t) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(KernelClock {
        state,
        offset: i64::from(t.offset),
        freq: i64::from(t.freq),
        maxerror: i64::from(t.maxerror),
        esterror: i64::from(t.esterror),
        status: t.status,
        constant: i64::from(t.constant),
        tick: i64::from(t.tick),
        ppsfreq: i64::from(t.ppsfreq),
        jitter: i64::from(t.jitter),
        shift: t.shift,
        stabil: i64::from(t.stabil),
        jitcnt: i64::from(t.jitcnt),
        calcnt: i64::from(t.calcnt),
        errcnt: i64::from(t.errcnt),
        stbcnt: i64::from(t.stbcnt),
        tai: t.tai,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_the_length_of_its_ticks_or_refuses() {
        match kernel_clock() {
            // 10 ms, but for a tenth.
            Ok(clock) => assert!((9_000..=11_000).contains(&clock.tick), "{clock:?}"),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::PermissionDenied),
        }
    }
}
