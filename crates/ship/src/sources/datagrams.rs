//! Packets over UDP: nobody sends them again, so they are taken from the socket whatever the store does, as far as memory allows.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::mpsc,
    time::Duration,
};

use crate::{entry::Entry, job::Job};

/// Packets that wait while the store takes nothing; at 64 KiB each they are 64 MiB.
const WAITING: usize = 1024;

/// Packets handed on together.
const BATCH: usize = 512;

/// How long a read waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(500);

/// Receives packets until the job is stopped; `each` makes entries of one. What there is no room for is counted as lost.
pub(super) fn receive(
    job: &Job,
    source: &'static str,
    address: &str,
    mut each: impl FnMut(&[u8], IpAddr) -> Vec<Entry>,
) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(LOOK))?;
    let (send, packets) = mpsc::sync_channel::<(Vec<u8>, IpAddr)>(WAITING);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(job, source, &socket, &send));
        while let Some(first) = next(job, &packets) {
            let more = packets.try_iter().take(BATCH - 1);
            let entries: Vec<Entry> =
                std::iter::once(first).chain(more).flat_map(|(data, from)| each(&data, from)).collect();
            if !entries.is_empty() && !job.handle(entries) {
                break;
            }
        }
        drop(packets);
        reader.join().unwrap_or(Ok(()))
    })
}

/// The next packet; none when there will be none.
fn next(job: &Job, packets: &mpsc::Receiver<(Vec<u8>, IpAddr)>) -> Option<(Vec<u8>, IpAddr)> {
    loop {
        match packets.recv_timeout(LOOK) {
            Ok(packet) => return Some(packet),
            Err(mpsc::RecvTimeoutError::Timeout) if !job.stop.is_cancelled() => {}
            Err(_) => return None,
        }
    }
}

fn read(
    job: &Job,
    source: &str,
    socket: &UdpSocket,
    send: &mpsc::SyncSender<(Vec<u8>, IpAddr)>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while !job.stop.is_cancelled() {
        match socket.recv_from(&mut buffer) {
            Ok((n, from)) => match send.try_send((buffer[..n].to_vec(), from.ip())) {
                Ok(()) => {}
                Err(mpsc::TrySendError::Full(_)) => {
                    let counters = &job.outlet.counters;
                    counters.add("reba_ship_lost_packets_total", &[("source", source)], 1);
                }
                Err(mpsc::TrySendError::Disconnected(_)) => return Ok(()),
            },
            Err(e) if super::is_pause(&e) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
