//! Following over WebSockets, through a real socket.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use futures::{SinkExt as _, StreamExt as _};
use reba_api::server::Listener;
use reba_ingest::loki::config::{LokiConfig, Span};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use crate::harness::{Api, NOW, SECOND, config, form};

struct Served {
    api: Api,
    address: SocketAddr,
}

impl Served {
    fn new(config: LokiConfig) -> Self {
        let api = Api::new(config);
        let listener = Listener::bind("loki", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        tokio::spawn(listener.serve(api.router.clone(), api.stop.clone()));
        Served { api, address }
    }

    async fn follow(
        &self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<WebSocketStream<TcpStream>, (u16, String)> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}?{}", self.address, form(params));
        match client_async(url.into_client_request().unwrap(), socket).await {
            Ok((stream, _)) => Ok(stream),
            Err(tungstenite::Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8(body).unwrap()))
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// The next frame of text.
async fn frame(stream: &mut WebSocketStream<TcpStream>) -> Value {
    let wait = async {
        loop {
            match stream.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap()
}

fn plain() -> LokiConfig {
    let mut config = config();
    config.limits.discover_log_levels = false;
    config
}

#[tokio::test]
async fn a_follower_gets_what_was_there_and_then_what_comes_oldest_first() {
    let served = Served::new(plain());
    served.api.push(json!({"app": "a"}), &["one", "two", "other"]).await;
    let params = [("query", r#"{app="a"} |~ "one|two|three""#), ("limit", "10")];
    let mut stream = served.follow("/loki/api/v1/tail", &params).await.unwrap();
    assert_eq!(
        frame(&mut stream).await,
        json!({"streams": [{"stream": {"app": "a"}, "values": [
            [(NOW - 3 * SECOND).to_string(), "one"], [(NOW - 2 * SECOND).to_string(), "two"],
        ]}]})
    );
    served.api.now.store(NOW + 10 * SECOND, Ordering::Relaxed);
    let entry = json!([(NOW + 5 * SECOND).to_string(), "three <script>\u{1b}[0m"]);
    served.api.push_json("", &json!({"streams": [{"stream": {"app": "a"}, "values": [entry]}]})).await;
    assert_eq!(frame(&mut stream).await["streams"][0]["values"][0], entry);
    stream.close(None).await.unwrap();

    let mut stream = served.follow("/api/prom/tail", &params).await.unwrap();
    let first = frame(&mut stream).await;
    assert_eq!(first["droppedEntries"], json!([]));
    assert_eq!(first["streams"][0]["labels"], r#"{app="a"}"#);
    assert_eq!(first["streams"][0]["entries"][0], json!({"ts": "2023-11-14T22:13:17Z", "line": "one"}));
}

#[tokio::test]
async fn who_cannot_be_served_is_told_so_before_the_connection_changes() {
    let mut config = plain();
    config.limits.max_concurrent_tail_requests = 1;
    let served = Served::new(config);
    let refused =
        async |params: &[(&str, &str)]| served.follow("/loki/api/v1/tail", params).await.err().unwrap();
    let good = ("query", r#"{app="a"}"#);
    assert_eq!(
        refused(&[good, ("delay_for", "6")]).await,
        (400, "delay_for can't be greater than 5\n".to_owned())
    );
    let (status, text) = refused(&[("query", r#"rate({app="a"}[1m])"#)]).await;
    assert!(status == 400 && text.contains("only log selector is supported"), "{text}");
    let _first = served.follow("/loki/api/v1/tail", &[good]).await.unwrap();
    assert_eq!(
        refused(&[good]).await,
        (400, "max concurrent tail requests limit exceeded, count > limit (2 > 1)\n".to_owned())
    );
    let plain = served.api.get("/loki/api/v1/tail", &[good]).await;
    assert_eq!(plain.status, 400, "{}", plain.text());
}

#[tokio::test]
async fn following_ends_with_a_reason() {
    let mut config = plain();
    config.querier.tail_max_duration = Span(Duration::from_millis(100));
    let served = Served::new(config);
    let end = async |stream: &mut WebSocketStream<TcpStream>| {
        loop {
            match stream.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (u16::from(frame.code), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let query = [("query", r#"{app="a"}"#)];
    let mut stream = served.follow("/loki/api/v1/tail", &query).await.unwrap();
    assert_eq!(end(&mut stream).await, (1011, "reached tail max duration limit".to_owned()));

    let served = Served::new(plain());
    let mut stream = served.follow("/loki/api/v1/tail", &query).await.unwrap();
    served.api.stop.cancel();
    assert_eq!(end(&mut stream).await.0, 1001);
}

#[tokio::test]
async fn lines_wait_for_those_that_are_late_and_come_in_the_order_of_time() {
    let served = Served::new(plain());
    let params = [("query", r#"{app="a"}"#), ("delay_for", "1")];
    let mut stream = served.follow("/loki/api/v1/tail", &params).await.unwrap();
    for (seconds, line) in [(2, "second"), (3, "first")] {
        let entry = json!([(NOW - seconds * SECOND).to_string(), line]);
        served.api.push_json("", &json!({"streams": [{"stream": {"app": "a"}, "values": [entry]}]})).await;
    }
    let values = frame(&mut stream).await["streams"][0]["values"].clone();
    assert_eq!((&values[0][1], &values[1][1]), (&json!("first"), &json!("second")));
    stream.send(Message::Close(None)).await.unwrap();
}
