use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, atomic::Ordering},
};

use reba_ingest::discovery::DiscoveryOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::{Running, addresses, eventually, load};

#[derive(Clone)]
enum Says {
    Records(Vec<Vec<u8>>),
    /// By UDP only that there is more, by TCP the records.
    OnlyByTcp(Vec<Vec<u8>>),
    Code(u8),
}

/// What is said about each name; others do not exist.
type Zone = Arc<Mutex<BTreeMap<&'static str, Says>>>;

/// The labels of a name on the wire.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|l| !l.is_empty());
    let mut out: Vec<u8> = labels.flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    out.push(0);
    out
}

fn asked_name(query: &[u8]) -> (String, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let n = usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..=at + n]).unwrap());
        name.push('.');
        at += n + 1;
    }
    (name, at + 5)
}

fn answer(zone: &Zone, query: &[u8], tcp: bool) -> Vec<u8> {
    let (name, end) = asked_name(query);
    let says = zone.lock().unwrap().get(name.as_str()).cloned().unwrap_or(Says::Code(3));
    let (code, truncated, records) = match says {
        Says::Records(r) => (0, false, r),
        Says::OnlyByTcp(r) if tcp => (0, false, r),
        Says::OnlyByTcp(_) => (0, true, Vec::new()),
        Says::Code(c) => (c, false, Vec::new()),
    };
    let mut out = query[..end].to_vec();
    out[2] = 0x81 | (u8::from(truncated) << 1);
    out[3] = 0x80 | code;
    out[7] = records.len() as u8;
    out[10..12].fill(0);
    for data in records {
        out.extend([0xc0, 12]);
        out.extend(&query[end - 4..end]);
        out.extend([0, 0, 0, 5]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    out
}

/// A DNS server by UDP and TCP on one port, and the options that lead to it.
async fn start(zone: &Zone, more: &str) -> (DiscoveryOptions, tempfile::NamedTempFile) {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let port = udp.local_addr().unwrap().port();
    let shared = Arc::clone(zone);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (n, from) = udp.recv_from(&mut buffer).await.unwrap();
            // Noise before the answer must not be taken for it.
            udp.send_to(b"nonsense", from).await.unwrap();
            udp.send_to(&answer(&shared, &buffer[..n], false), from).await.unwrap();
        }
    });
    let shared = Arc::clone(zone);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let n = stream.read_u16().await.unwrap();
            let mut query = vec![0; usize::from(n)];
            stream.read_exact(&mut query).await.unwrap();
            let answer = answer(&shared, &query, true);
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "nameserver 127.0.0.1:{port}\n{more}").unwrap();
    let options = DiscoveryOptions { resolv_conf: Some(file.path().to_owned()), ..Default::default() };
    (options, file)
}

fn zone(names: impl IntoIterator<Item = (&'static str, Says)>) -> Zone {
    Arc::new(Mutex::new(names.into_iter().collect()))
}

#[tokio::test]
async fn services_have_the_port_of_their_record_and_names_without_their_last_dot() {
    let srv = |port: u8, host: &str| [vec![0, 1, 0, 1, 0, port], wire(host)].concat();
    let records = vec![srv(90, "b.x"), srv(80, "a.x")];
    let zone = zone([("_m._tcp.x.", Says::OnlyByTcp(records))]);
    let (options, _file) = start(&zone, "search x\n").await;
    let mut running = Running::start_with("dns_sd_configs:\n- names: [_m._tcp]", options);
    let targets = running.until(|t| !t.is_empty()).await;
    assert_eq!(addresses(&targets), ["a.x:80", "b.x:90"], "sorted, through the search domain, by TCP");
    for (name, value) in [
        ("__meta_dns_name", "_m._tcp"),
        ("__meta_dns_srv_record_target", "a.x."),
        ("__meta_dns_srv_record_port", "80"),
    ] {
        assert_eq!(targets[0].value(name), value);
    }
    assert_eq!(targets[0].len(), 4);
}

#[tokio::test]
async fn addresses_and_servers_get_the_port_of_the_section() {
    let mx = [vec![0, 10], wire("mail.x")].concat();
    for (kind, data, address, label) in [
        ("A", vec![10, 0, 0, 1], "10.0.0.1:9100", None),
        ("AAAA", vec![0; 16], "[::]:9100", None),
        ("mx", mx, "mail.x:9100", Some(("__meta_dns_mx_record_target", "mail.x."))),
        ("NS", wire("ns.x"), "ns.x:9100", Some(("__meta_dns_ns_record_target", "ns.x."))),
    ] {
        let zone = zone([("n.x.", Says::Records(vec![data]))]);
        let (options, _file) = start(&zone, "").await;
        let section = format!("dns_sd_configs:\n- {{names: [n.x], type: {kind}, port: 9100}}");
        let mut running = Running::start_with(&section, options);
        let targets = running.until(|t| !t.is_empty()).await;
        assert_eq!(addresses(&targets), [address]);
        if let Some((name, value)) = label {
            assert_eq!(targets[0].value(name), value);
        }
    }
}

#[tokio::test]
async fn a_name_keeps_its_targets_while_servers_fail_and_loses_them_when_it_does_not_exist() {
    let zone = zone([
        ("n.x.", Says::Records(vec![vec![10, 0, 0, 1]])),
        ("m.x.", Says::Records(vec![vec![10, 0, 0, 2]])),
    ]);
    let (options, _file) = start(&zone, "").await;
    let mut running = Running::start_with(
        "dns_sd_configs:\n- {names: [n.x, m.x], type: A, port: 1, refresh_interval: 20ms}",
        options,
    );
    running.until(|t| t.len() == 2).await;
    zone.lock().unwrap().insert("n.x.", Says::Code(2));
    zone.lock().unwrap().insert("m.x.", Says::Records(vec![vec![10, 0, 0, 3]]));
    let targets = running.until(|t| addresses(t).contains(&"10.0.0.3:1")).await;
    assert_eq!(addresses(&targets), ["10.0.0.1:1", "10.0.0.3:1"]);
    let failures = || running.metrics.dns_lookup_failures.load(Ordering::Relaxed);
    eventually(|| failures() > 1).await;
    assert_eq!(running.now().len(), 2);
    zone.lock().unwrap().remove("n.x.");
    let targets = running.until(|t| t.len() == 1).await;
    assert_eq!(addresses(&targets), ["10.0.0.3:1"]);
}

#[test]
fn sections_that_make_no_sense_are_refused_in_upstreams_words() {
    for (section, text) in [
        (
            "{type: A}",
            "p.yml:4:5: key scrape_configs[0].dns_sd_configs[0].names: DNS-SD config must contain at least one SRV record name",
        ),
        ("{names: [a], type: A}", "a port is required in DNS-SD configs for all record types except SRV"),
        ("{names: [a], type: TXT}", "invalid DNS-SD records type TXT"),
        ("{names: [a], kind: A}", "key scrape_configs[0].dns_sd_configs[0].kind: unknown key"),
    ] {
        let e = load(&format!("dns_sd_configs:\n- {section}")).unwrap_err();
        assert!(e.contains(text), "{section}: {e}");
    }
    let text = load("dns_sd_configs:\n- names: [a]").unwrap().to_yaml();
    assert!(text.contains("type: SRV") && text.contains("refresh_interval: 30s"), "{text}");
}
