//! From the push of a line until who follows has it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_common::client::Client;
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    queries::escape,
    report::Report,
    server::{Kind, Server},
};

const LINES: usize = 40;

/// Follows a stream, writes lines to it, and waits for each. The program that paints them on the screen is not in it.
pub async fn follow(server: &Server, now_ns: impl Fn() -> i64, report: &mut Report) -> Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port)).await?;
    let path = match server.kind {
        Kind::VictoriaLogs => format!("/select/logsql/tail?query={}", escape("{service=\"followed\"}")),
        _ => format!("/loki/api/v1/tail?query={}", escape("{service=\"followed\"}")),
    };
    let upgrade = match server.kind {
        Kind::VictoriaLogs => "",
        _ => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{upgrade}\r\n", server.port);
    socket.write_all(request.as_bytes()).await?;
    sleep(Duration::from_secs(1)).await;
    let client = Client::new(server.port);
    let mut taken = Vec::with_capacity(LINES);
    // What has been read is searched for the mark of a line: no line is cut by frames of either protocol.
    let mut read = Vec::new();
    for i in 0..LINES {
        let mark = format!("mark-{i:04}-of-the-followed");
        let started = Instant::now();
        push(&client, server.kind, now_ns(), &mark).await?;
        loop {
            if read.windows(mark.len()).any(|w| w == mark.as_bytes()) {
                break;
            }
            let mut buffer = [0; 4096];
            let n = timeout(Duration::from_secs(20), socket.read(&mut buffer))
                .await
                .context("a line did not come within 20 s")??;
            if n == 0 {
                bail!(
                    "the follower was sent away: {}",
                    String::from_utf8_lossy(&read[..read.len().min(200)])
                );
            }
            read.extend_from_slice(&buffer[..n]);
        }
        read.clear();
        taken.push(started.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(37)).await;
    }
    taken.sort_by(f64::total_cmp);
    report.less(server.kind, "follow: push until it is seen, median ms", taken[LINES / 2]);
    report.less(server.kind, "follow: push until it is seen, slowest of 40, ms", taken[LINES - 1]);
    Ok(())
}

async fn push(client: &Client, kind: Kind, ns: i64, mark: &str) -> Result<()> {
    let (path, body) = match kind {
        Kind::VictoriaLogs => (
            "/insert/jsonline?_stream_fields=service&_time_field=time&_msg_field=message",
            format!(r#"{{"time":"{ns}","service":"followed","message":"{mark}"}}"#),
        ),
        _ => (
            "/loki/api/v1/push",
            format!(r#"{{"streams":[{{"stream":{{"service":"followed"}},"values":[["{ns}","{mark}"]]}}]}}"#),
        ),
    };
    let (status, answer) =
        client.post(path, &[("content-type", "application/json")], Bytes::from(body)).await?;
    if status / 100 != 2 {
        bail!("a push was answered with {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
