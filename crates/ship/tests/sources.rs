//! Sources that are no files, played by this test: a Docker daemon, syslog, GELF, standard input.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixListener,
    path::Path,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reba_config::Variables;
use reba_ship::{Inspector, ShipConfig, Shipper, printer};
use support::{Store, around, until};

fn parse(dir: &Path, job: &str) -> ShipConfig {
    let dir = dir.display();
    let text = format!(
        "positions: {{filename: {dir}/p.yaml, sync_period: 100ms}}\nscrape_configs:\n- job_name: j\n{job}"
    );
    ShipConfig::parse(&text.replace("DIR", &dir.to_string()), Path::new("p.yml"), &Variables::default())
        .unwrap()
}

fn frame(stream: u8, text: &str) -> Vec<u8> {
    [&[stream, 0, 0, 0][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

/// Answers as Docker's API does of one container that writes three lines, one of them long and in pieces.
fn docker(listener: UnixListener, asked: Arc<Mutex<Vec<String>>>) {
    for stream in listener.incoming().flatten() {
        let asked = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            asked.lock().push(path.clone());
            let mut out = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
            if path.starts_with("/containers/json") {
                out.extend(
                    br#"[{"Id":"abc","Names":["/web"],"State":"running","Labels":{"com.x.service":"api"}}]"#,
                );
            } else if path.ends_with("/json") {
                out.extend(br#"{"Config":{"Tty":false}}"#);
            } else if path.starts_with("/events") {
                let _ = (&stream).write_all(&std::mem::take(&mut out));
                std::thread::sleep(Duration::from_secs(20));
            } else if path.contains("since=0.") {
                let t = |n: u8| format!("2026-01-02T03:04:0{n}.000000001Z");
                for piece in ["{\"a\":\"", &"x".repeat(16 << 10), &"y".repeat(16 << 10), "\"}\n"] {
                    out.extend(frame(1, &format!("{} {piece}", t(1))));
                }
                out.extend(frame(2, &format!("{} trouble\n", t(2))));
                out.extend(frame(1, &format!("{} end\n", t(3))));
            }
            let _ = (&stream).write_all(&out);
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_followed_and_long_lines_put_together_and_a_restart_repeats_at_most_the_last_moment() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("d.sock");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (listener, paths) = (UnixListener::bind(&socket).unwrap(), Arc::clone(&asked));
    std::thread::spawn(move || docker(listener, paths));
    let job = "  docker_sd_configs: [{host: 'unix://DIR/d.sock', filters: [{name: label, values: [com.x.service]}]}]\n  relabel_configs:\n  - {source_labels: [__meta_docker_container_label_com_x_service], target_label: service}\n  - {source_labels: [__meta_docker_container_log_stream], target_label: stream}\n";
    let store = Arc::new(Store::default());
    let shipper = Shipper::start(parse(dir.path(), job), &around(Some(Arc::clone(&store)))).unwrap();
    until("all lines arrive", || store.lines.lock().len() >= 3).await;
    shipper.stop().await;
    let lines = store.lines.lock().clone();
    assert_eq!(lines.len(), 3);
    let long = lines.iter().find(|(_, l)| l.starts_with("{\"a\"")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&long.1).is_ok() && long.1.len() > 32 << 10);
    assert!(lines.iter().any(|(labels, l)| labels.contains("stream=\"stderr\"") && l == "trouble"));
    assert!(lines.iter().all(|(labels, _)| labels.contains("service=\"api\"") && !labels.contains("__")));
    // Seconds for Promtail, the exact moment for us.
    let positions = fs::read_to_string(dir.path().join("p.yaml")).unwrap();
    assert!(positions.contains("\"cursor-abc\": \"1767323043\""), "{positions}");
    let shipper = Shipper::start(parse(dir.path(), job), &around(Some(Arc::clone(&store)))).unwrap();
    until("the log is asked for", || asked.lock().iter().any(|p| p.contains("since=1767323043.000000001")))
        .await;
    shipper.stop().await;
    assert_eq!(store.lines.lock().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_not_there_is_no_reason_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let job = "  docker_sd_configs: [{host: 'unix://DIR/none.sock', refresh_interval: 50ms}]\n";
    let shipper = Shipper::start(parse(dir.path(), job), &around(Some(Arc::default()))).unwrap();
    let failed = || shipper.counters().get("promtail_targets_failed_total", &[("reason", "docker")]);
    until("it is tried again", || failed() >= 2).await;
    shipper.stop().await;
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_is_taken_over_tcp_in_both_forms_with_its_labels_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let (port, store) = (free_port(), Arc::new(Store::default()));
    let job = format!(
        "  syslog: {{listen_address: '127.0.0.1:{port}', labels: {{job: syslog}}, label_structured_data: true}}\n  relabel_configs:\n  - {{source_labels: [__syslog_message_severity], target_label: level}}\n  - {{source_labels: [__syslog_message_app_name], target_label: app}}\n  - {{source_labels: [__syslog_message_sd_x_32473_k], target_label: k}}\n"
    );
    let shipper = Shipper::start(parse(dir.path(), &job), &around(Some(Arc::clone(&store)))).unwrap();
    let address = format!("127.0.0.1:{port}");
    until("it listens", || TcpStream::connect(&address).is_ok()).await;
    let mut stream = TcpStream::connect(&address).unwrap();
    let new = "<11>1 2026-01-02T03:04:05Z h app 1 - [x@32473 k=\"v\"] counted";
    writeln!(stream, "{} {new}<14>Jan  2 03:04:05 h old[3]: by line", new.len()).unwrap();
    until("both arrive", || store.lines.lock().len() >= 2).await;
    shipper.stop().await;
    let lines = store.lines.lock().clone();
    assert_eq!(
        lines[0],
        ("{app=\"app\", job=\"syslog\", k=\"v\", level=\"error\"}".to_owned(), "counted".to_owned())
    );
    assert_eq!(lines[1].1, "by line");
    assert!(
        lines[1].0.contains("app=\"old\"") && lines[1].0.contains("level=\"informational\""),
        "{}",
        lines[1].0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gelf_is_taken_and_while_the_store_is_full_packets_are_lost_and_counted_not_kept_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::default());
    store.refusals.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    let port = free_port();
    let job = format!(
        "  gelf: {{listen_address: '127.0.0.1:{port}'}}\n  relabel_configs: [{{source_labels: [__gelf_message_level], target_label: level}}]\n"
    );
    let shipper = Shipper::start(parse(dir.path(), &job), &around(Some(Arc::clone(&store)))).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lost = || shipper.counters().get("reba_ship_lost_packets_total", &[("source", "gelf")]);
    until("packets are lost", || {
        for n in 0..500 {
            let message =
                format!("{{\"version\":\"1.1\",\"host\":\"h\",\"level\":3,\"short_message\":\"{n}\"}}");
            let _ = sender.send_to(message.as_bytes(), ("127.0.0.1", port));
        }
        lost() > 0
    })
    .await;
    store.refusals.store(0, std::sync::atomic::Ordering::SeqCst);
    until("what waited arrives", || store.lines.lock().len() >= 1000).await;
    let _ = sender.send_to(b"nonsense", ("127.0.0.1", port));
    until("nonsense is counted", || {
        shipper.counters().get("promtail_gelf_target_parsing_errors_total", &[]) == 1
    })
    .await;
    shipper.stop().await;
    let lines = store.lines.lock().clone();
    assert!(lines[0].0.contains("level=\"error\"") && lines[0].1.contains("short_message"), "{:?}", lines[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_standard_input_are_printed_with_what_each_stage_did_and_nothing_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let job = "  static_configs: [{labels: {app: x, __path__: /nowhere}}]\n  pipeline_stages:\n  - json: {expressions: {level: }}\n  - labels: {level: }\n  - regex: {expression: '(?P<never>zzz)'}\n  - match: {selector: '{level=\"debug\"}', action: drop}\n";
    let mut config = parse(dir.path(), job);
    let shown: Arc<Mutex<String>> = Arc::default();
    let into = Arc::clone(&shown);
    let print: reba_ship::Print = Arc::new(move |text| into.lock().push_str(text));
    config.dry();
    config.inspect(&Inspector(Arc::clone(&print)));
    let mut around = around(None);
    around.store = Some(printer(print));
    let input = "{\"level\":\"info\"}\r\n{\"level\":\"debug\"}\nno end";
    let shipper = Shipper::ship_lines(config, &around, Box::new(input.as_bytes())).await.unwrap();
    let reports = shipper.reports();
    shipper.stop().await;
    let shown = shown.lock().clone();
    for expected in [
        "+ extracted level: \"info\"",
        "+ label level: \"info\"",
        "dropped: match_stage",
        "{app=\"x\", level=\"info\"}\t{\"level\":\"info\"}\n",
        "{app=\"x\"}\tno end\n",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let regex = reports[0].1.iter().find(|r| r.path.contains("regex")).unwrap();
    assert_eq!((regex.seen, regex.missed), (3, 3));
    assert!(!dir.path().join("p.yaml").exists());
}
