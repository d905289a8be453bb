//! Targets that mean harm: each fails by the name of the limit that it met, and the good one beside them notices nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use reba_http::ProxyEnv;
use reba_ingest::{
    config::Config,
    scrape::{Health, ScrapeManager, ScrapeOptions, TargetStatus},
};
use reba_testkit::MemStore;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![b'\n'; 16 << 20]));

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

fn head(more: &str) -> Vec<u8> {
    [OK, more.as_bytes(), b"\r\n"].concat()
}

fn closed_page(body: &[u8]) -> Vec<u8> {
    [head(&format!("Content-Length: {}\r\nConnection: close\r\n", body.len())), body.to_vec()].concat()
}

fn joined(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap()
}

fn encoded(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let more = format!("Content-Encoding: gzip\r\nContent-Length: {length}\r\nConnection: close\r\n");
    [head(&more), body.to_vec()].concat()
}

/// What the target of this name does to whoever asks it.
async fn answer(name: &str, s: &mut TcpStream) -> std::io::Result<()> {
    match name {
        "good" => s.write_all(&closed_page(b"good 1\n")).await,
        "one_zero" => s.write_all(b"HTTP/1.0 200 OK\r\n\r\nancient 1\n").await,
        "endless" => {
            s.write_all(&head("")).await?;
            loop {
                s.write_all(&vec![b'#'; 1 << 16]).await?;
            }
        }
        "lines" => {
            s.write_all(&head("")).await?;
            loop {
                s.write_all(&vec![b'\n'; 1 << 16]).await?;
            }
        }
        "drip" | "slow_head" => {
            s.write_all(if name == "drip" { OK } else { b"HTTP/1.1 200" }).await?;
            if name == "drip" {
                s.write_all(b"\r\n").await?;
            }
            loop {
                s.write_all(b" ").await?;
                s.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        "silent" => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
        "series" => {
            let page = joined(50_000, |i| format!("m{{i=\"{i}\"}} 1\n"));
            s.write_all(&closed_page(page.as_bytes())).await
        }
        "value" | "huge_value" => {
            let bytes = if name == "value" { 10_000 } else { 10 << 20 };
            s.write_all(&closed_page(format!("m{{a=\"{}\"}} 1\n", "x".repeat(bytes)).as_bytes())).await
        }
        "labels" => {
            let labels = joined(20_000, |i| format!("l{i}=\"x\","));
            s.write_all(&closed_page(format!("m{{{labels}}} 1\n").as_bytes())).await
        }
        "redirects" => {
            let to = b"HTTP/1.1 302 Found\r\nLocation: /redirects\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            s.write_all(to).await
        }
        "bad_gzip" => s.write_all(&encoded(b"this is no gzip")).await,
        "cut_gzip" => s.write_all(&encoded(&gzip(&[b'\n'; 9999])[..20])).await,
        "bomb" => s.write_all(&encoded(&BOMB)).await,
        "headers" => {
            s.write_all(OK).await?;
            for i in 0..100_000 {
                s.write_all(format!("X-{i}: {}\r\n", "y".repeat(100)).as_bytes()).await?;
            }
            Ok(())
        }
        "many_headers" => {
            let many = joined(150, |i| format!("X-{i}: y\r\n"));
            s.write_all(&head(&many)).await
        }
        "reset" => {
            s.write_all(&head("Content-Length: 1000\r\n")).await?;
            s.write_all(b"a 1\n").await?;
            s.flush().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            s.set_zero_linger()
        }
        "short" => s.write_all(&[&head("Content-Length: 1000\r\n")[..], b"a 1\n"].concat()).await,
        "chunks" => {
            s.write_all(&[&head("Transfer-Encoding: chunked\r\n")[..], b"4\r\na 1\n\r\nzz\r\nb 1\n"].concat())
                .await
        }
        "no_http" => s.write_all(b"220 ready when you are\r\n").await,
        "two_lengths" => s.write_all(&head("Content-Length: 4\r\nContent-Length: 5\r\n")).await,
        other => panic!("no target {other}"),
    }
}

async fn serve() -> String {
    assert!(BOMB.len() < 1 << 20);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut s, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match s.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => return,
                    }
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap();
                let _ = answer(path.trim_start_matches('/'), &mut s).await;
            });
        }
    });
    address
}

fn options(max_page_bytes: u64, clock_offset: Arc<AtomicI64>) -> ScrapeOptions {
    ScrapeOptions {
        seed: 1,
        user_agent: "Prometheus/2.48.0".to_owned(),
        proxies: ProxyEnv::default(),
        default_port: true,
        cpus: 2,
        max_page_bytes,
        clock: Arc::new(move || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            now.as_nanos() as i64 + clock_offset.load(Ordering::SeqCst)
        }),
    }
}

fn job(name: &str, address: &str, more: &str) -> String {
    let path = name.split('-').next().unwrap();
    format!(
        "- job_name: {name}\n  metrics_path: /{path}\n  scrape_interval: 1s\n  scrape_timeout: 900ms\n  \
         static_configs: [{{targets: ['{address}']}}]\n{more}"
    )
}

fn manager(jobs: &str, max_page_bytes: u64) -> (ScrapeManager, Arc<MemStore>, Arc<AtomicI64>) {
    let (store, clock) = (Arc::new(MemStore::default()), Arc::new(AtomicI64::new(0)));
    let manager = ScrapeManager::new(store.clone(), options(max_page_bytes, clock.clone()));
    let yaml = format!("scrape_configs:\n{jobs}");
    manager.apply_config(&Config::parse(&yaml, Path::new("prometheus.yml")).unwrap()).unwrap();
    (manager, store, clock)
}

fn targets(manager: &ScrapeManager) -> BTreeMap<String, TargetStatus> {
    manager.targets().into_iter().flat_map(|p| p.active).map(|t| (t.pool.clone(), t)).collect()
}

/// Waits until every target has been scraped, at most twenty seconds.
async fn all_scraped(manager: &ScrapeManager, count: usize) -> BTreeMap<String, TargetStatus> {
    for _ in 0..2000 {
        let found = targets(manager);
        if found.len() == count && found.values().all(|t| t.last.at.is_some()) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all were scraped: {:?}", targets(manager));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_target_fails_by_name_and_the_good_one_does_not_notice() {
    let deadline = "context deadline exceeded";
    let cases = [
        ("good", "", ""),
        ("one_zero", "", ""),
        ("endless", "  body_size_limit: 3MB\n", "body size limit exceeded"),
        ("lines", "  body_size_limit: 3MB\n", "body size limit exceeded"),
        ("drip", "", deadline),
        ("slow_head", "", deadline),
        ("silent", "", deadline),
        ("series", "  sample_limit: 100\n", "sample limit exceeded"),
        ("value", "  label_value_length_limit: 1000\n", "label_value_length_limit exceeded"),
        ("huge_value", "", "the labels of a series may take 1048576 bytes"),
        ("labels", "", "more than 1024 labels"),
        ("redirects", "", "stopped after 10 redirects"),
        ("bad_gzip", "", "gzip: invalid gzip header"),
        ("cut_gzip", "", "gzip: "),
        ("bomb", "  body_size_limit: 3MB\n", "body size limit exceeded"),
        ("headers", "", "message head is too large"),
        ("many_headers", "", "message head is too large"),
        ("reset", "", "unexpected EOF"),
        ("short", "", "unexpected EOF"),
        ("chunks", "", "unexpected EOF: Invalid chunk size"),
        ("no_http", "", "invalid HTTP version"),
        ("two_lengths", "", "invalid content-length"),
    ];
    let address = serve().await;
    let jobs: String = cases.iter().map(|(name, more, _)| job(name, &address, more)).collect();
    let (manager, store, _) = manager(&jobs, 64 << 20);
    let found = all_scraped(&manager, cases.len()).await;
    for (name, _, error) in cases {
        let last = &found[name].last;
        assert_eq!(last.health, if error.is_empty() { Health::Up } else { Health::Down }, "{name}: {last:?}");
        assert!(last.error.contains(error) && last.error.is_empty() == error.is_empty(), "{name}: {last:?}");
        assert!(last.duration < Duration::from_secs(3), "{name}: {last:?}");
    }
    let first = found["good"].last.at.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let good = &targets(&manager)["good"].last;
    assert!(good.health == Health::Up && good.at.unwrap() > first, "{good:?}");
    manager.shutdown().await;
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_all_targets_share_a_memory_and_small_ones_are_never_refused() {
    let address = serve().await;
    let mut jobs = job("good", &address, "");
    for i in 0..10 {
        jobs += &job(&format!("endless-{i}"), &address, "");
        jobs += &job(&format!("lines-{i}"), &address, "");
        jobs += &job(&format!("bomb-{i}"), &address, "");
    }
    let (manager, _, _) = manager(&jobs.replace("1s", "4s").replace("900ms", "4s"), 4 << 20);
    let found = all_scraped(&manager, 31).await;
    let limit = "limit `scrape.max_page_bytes` of 4194304 for the pages of all targets together reached";
    for (name, target) in &found {
        let expected = if name == "good" { "" } else { limit };
        assert_eq!(target.last.error, expected, "{name}");
    }
    manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_neither_stops_scraping_nor_brings_a_burst() {
    let address = serve().await;
    let jobs = job("good", &address, "").replace("1s", "100ms").replace("900ms", "90ms");
    let (manager, _, clock) = manager(&jobs, 4 << 20);
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let (scrapes, late) = (&manager.metrics().scrapes, &manager.metrics().out_of_order);
    all_scraped(&manager, 1).await;
    for hours in [-1, 1, 3, -2] {
        clock.store(hours * 3_600_000_000_000, Ordering::SeqCst);
        // The scrape that was under way is done then.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let before = (count(scrapes), count(late));
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let done = count(scrapes) - before.0;
        assert!((4..=12).contains(&done), "{done} scrapes in a second after a jump to {hours} h");
        assert_eq!(count(late) > before.1, hours < 0, "{hours}");
        assert_eq!(targets(&manager)["good"].last.health, Health::Up);
    }
    manager.shutdown().await;
}
