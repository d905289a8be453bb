//! The same alerts, once through Debian's Alertmanager and once through ours: the same requests.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use reba_alerting::{Deliver as _, Notification, NotifiedAlert, Reason, fingerprint};
use reba_model::Labels;
use reba_template::{Time, TimeFields};
use serde_json::{Value, json};

use crate::{
    recorder::{Recorder, Reply, Seen},
    scene::receivers_at,
};

/// The program, unless it was not fetched.
fn alertmanager() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus-alertmanager");
    path.is_file().then_some(path)
}

pub struct Peer {
    child: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    pub fn start(configuration: &str) -> Option<Self> {
        let program = alertmanager()?;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alertmanager.yml");
        std::fs::write(&file, configuration).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--web.external-url={EXTERNAL}"))
            .arg("--web.route-prefix=/")
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Peer { child, url: format!("http://127.0.0.1:{port}"), _dir: dir })
    }

    /// Posts alerts as soon as it listens.
    pub async fn post(&self, alerts: &Value) {
        let config = reba_http::HttpClientConfig::default();
        let client = reba_http::Client::new(&config, "test", &reba_http::ProxyEnv::default()).unwrap();
        for _ in 0..200 {
            let mut request = reba_http::Request::get(
                format!("{}/api/v2/alerts", self.url).parse().unwrap(),
                std::time::Duration::from_secs(5),
                1 << 20,
            );
            request.method = http::Method::POST;
            request.headers.insert("content-type", "application/json".parse().unwrap());
            request.body = alerts.to_string().into();
            match client.send(request, &mut reba_http::BodyBuffer::default()).await {
                Ok(r) if r.status.is_success() => return,
                Ok(r) => panic!("{}", r.status),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
        panic!("the alertmanager does not listen");
    }
}

pub const EXTERNAL: &str = "http://am.example.org/alerts";

/// Every kind that Debian's version has and that can be pointed elsewhere, with defaults; then a few with settings of their own.
fn configuration(url: &str) -> String {
    r#"
global: {resolve_timeout: 1h}
route: {receiver: 'team (a)', group_by: [alertname, cluster], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: 'team (a)'
  webhook_configs: [{url: URL/webhook}]
  slack_configs:
  - {api_url: URL/slack, send_resolved: true}
  - api_url: URL/owner
    channel: '#observability'
    send_resolved: true
    color: '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'
    title: '[{{ .Status | toUpper }}] {{ .GroupLabels.alertname }} {{ .GroupLabels.cluster }}'
    title_link: '{{ .ExternalURL }}'
    text: |-
      {{ range .Alerts }}{{ .Annotations.summary }}
      {{ .Annotations.description }}
      Runbook: {{ .Annotations.runbook_url }}
      {{ end }}
    fields: [{title: '{{ .CommonLabels.SortedPairs.Names | join "," }}', value: '{{ .CommonAnnotations }}'}]
  - api_url: URL/functions
    send_resolved: true
    title: '{{ (index .Alerts 0).StartsAt.UTC.Format "2006-01-02 15:04:05 Mon Jan" }} {{ (index .Alerts 0).EndsAt.IsZero }} {{ (index .Alerts 0).StartsAt.Unix }}'
    text: '{{ range .Alerts }}{{ .Labels.instance | reReplaceAll "(.*):(\\d+)" "$2/$1" | title }} {{ match "^a" .Labels.instance }} {{ .Fingerprint }};{{ end }}'
    pretext: '{{ with .CommonLabels.Remove (stringSlice "alertname" "job") }}{{ . }} {{ len . }}{{ end }} {{ .Alerts | len }} {{ .CommonLabels.missing }}|{{ .CommonLabels.Names }}|{{ .GroupLabels.Values }}'
    footer: '{{ range $i, $p := .GroupLabels.SortedPairs }}{{ $i }}{{ $p.Name }}={{ $p.Value | printf "%q" }} {{ end }}{{ "<b>" | safeHtml }} {{ .Receiver }} {{ toLower "ÀB" }} {{ title "foo BAR bär" }}'
    fallback: '{{ printf "%v %d %s" .GroupLabels (len .Alerts.Resolved) .Status }} {{ html "<a+b>" }} {{ urlquery "a b/ü" }} {{ .Alerts.Firing | len | eq 2 }}'
  pagerduty_configs: [{routing_key: k3y, url: URL/pagerduty, severity: '{{ .CommonLabels.severity }}', details: {extra: '{{ .CommonAnnotations.SortedPairs.Values | join " / " }}'}}]
  opsgenie_configs: [{api_key: k3y, api_url: URL/opsgenie/, tags: '{{ .CommonLabels.severity }},x', responders: [{name: ops, type: team}]}]
  victorops_configs: [{api_key: k3y, api_url: URL/victorops/, routing_key: ops, custom_fields: {a: '{{ .Status }}'}}]
  telegram_configs: [{api_url: URL/telegram, bot_token: '1:t0ken', chat_id: -5}, {api_url: URL/plaintelegram, bot_token: '1:t0ken', chat_id: 5, parse_mode: '', disable_notifications: true, message: '{{ .CommonAnnotations.summary }}'}]
  discord_configs: [{webhook_url: URL/discord}]
  webex_configs: [{api_url: URL/webex, room_id: r1, http_config: {authorization: {credentials: t0ken}}}]
  wechat_configs: [{api_url: URL/wechat/, api_secret: s3cret, corp_id: c1, to_user: u1, send_resolved: true}]
  sns_configs: [{api_url: URL/sns, topic_arn: 'arn:aws:sns:eu-west-1:1:t', sigv4: {region: eu-west-1, access_key: AK, secret_key: SK}, attributes: {k: '{{ .Status }}'}}]
"#
    .replace("URL/", &format!("{url}/"))
}

/// How many requests one notification of everything is, WeChat's question for a token aside.
const REQUESTS: usize = 13;

fn replies() -> Vec<Reply> {
    vec![
        Reply::text("/slack", 200, "ok"),
        Reply::text("/owner", 200, "ok"),
        Reply::text("/functions", 200, "ok"),
        Reply::json("gettoken", r#"{"access_token":"t0ken"}"#),
        Reply::json("message/send", r#"{"errcode":0,"errmsg":"ok"}"#),
        Reply::json(
            "telegram",
            r#"{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":5,"type":"private"}}}"#,
        ),
        Reply {
            on: "/sns",
            status: 200,
            content_type: "text/xml",
            headers: Vec::new(),
            body:
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
                    .to_owned(),
        },
        Reply::json("", "{}"),
    ]
}

/// What is compared of a request: bodies as what they mean, without what is signed or dated.
fn essence(seen: &[Seen]) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for s in seen.iter().filter(|s| !s.path.contains("gettoken")) {
        let body = match s.header("content-type") {
            kind if kind.contains("form") => {
                let mut pairs: Vec<&str> = s.body.split('&').collect();
                pairs.sort_unstable();
                json!(pairs)
            }
            _ => s.json(),
        };
        let content_type = s.header("content-type").split(';').next().unwrap_or_default().to_owned();
        let authorization = s.header("authorization").split(" Credential").next().unwrap_or_default();
        // Telegram and SNS are libraries' business upstream, which name themselves.
        let library = s.path.contains("telegram") || s.path.contains("/sns");
        let agent = s.header("user-agent").split('/').next().filter(|_| !library);
        let what = json!({
            "method": s.method, "content_type": content_type, "authorization": authorization, "body": body,
            "user_agent": agent,
        });
        assert!(out.insert(s.path.clone(), what).is_none(), "{} twice", s.path);
    }
    out
}

/// The notification of which a webhook's body tells.
pub fn notification_of(body: &Value, receiver: &str) -> Notification {
    let labels = |v: &Value| {
        Labels::from_pairs(
            v.as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())),
        )
    };
    let ms = |v: &Value| {
        let fields = TimeFields::parse("2006-01-02T15:04:05Z07:00", v.as_str().unwrap()).unwrap();
        let time: Time = fields.moment(&jiff::tz::TimeZone::UTC).unwrap();
        i64::try_from(time.unix_nanos() / 1_000_000).unwrap()
    };
    let alert = |a: &Value| {
        let of = labels(&a["labels"]);
        let firing = a["status"] == "firing";
        NotifiedAlert {
            fingerprint: fingerprint(&of),
            labels: of,
            annotations: labels(&a["annotations"]),
            starts_at_ms: ms(&a["startsAt"]),
            ends_at_ms: (!firing).then(|| ms(&a["endsAt"])),
            generator_url: Arc::from(a["generatorURL"].as_str().unwrap()),
            firing,
        }
    };
    Notification {
        receiver: receiver.to_owned(),
        group_key: Arc::from(body["groupKey"].as_str().unwrap()),
        group_labels: labels(&body["groupLabels"]),
        alerts: body["alerts"].as_array().unwrap().iter().map(alert).collect(),
        route_id: Arc::from("{}"),
        reason: Reason::First,
        remembered: BTreeMap::new(),
        now_ms: 1_700_000_000_000,
        deadline_ms: 1_700_000_060_000,
    }
}

/// Alerts with all that wants escaping somewhere.
pub fn alerts(second_ends: Option<&str>) -> Value {
    let mut second = json!({
        "labels": {"alertname": "Down", "cluster": "kigali \"1\" <a&b>", "instance": "b:9100", "job": "api", "severity": "critical", "x_more": "é+ü%"},
        "annotations": {"summary": "Über <b>bold</b> & \"quoted\" + 'single'", "runbook_url": "https://r/x?a=b&c=d#e"},
        "startsAt": "2023-11-18T12:00:00.25Z", "generatorURL": "http://p/graph?g0.expr=up%3D%3D0&g0.tab=1",
    });
    if let Some(end) = second_ends {
        second["endsAt"] = end.into();
    }
    json!([
        {
            "labels": {"alertname": "Down", "cluster": "kigali \"1\" <a&b>", "instance": "a:9100", "job": "api", "severity": "critical"},
            "annotations": {"summary": "Über <b>bold</b> & \"quoted\" + 'single'", "description": "line 1\nline 2\ttab"},
            "startsAt": "2023-11-18T12:00:00Z", "generatorURL": "http://p/graph?g0.expr=up%3D%3D0&g0.tab=1",
        },
        second,
    ])
}

/// Waits for a notification of everything whose webhook tells of so many resolved alerts.
async fn everything(recorder: &Recorder, resolved: usize) -> Vec<Seen> {
    let tells = |s: &Seen| {
        s.path == "/webhook"
            && s.json()["alerts"].as_array().unwrap().iter().filter(|a| a["status"] == "resolved").count()
                == resolved
    };
    recorder.wait_for("all requests", |seen| seen.iter().any(tells) && essence_count(seen) >= REQUESTS).await
}

fn essence_count(seen: &[Seen]) -> usize {
    seen.iter().filter(|s| !s.path.contains("gettoken")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_those_of_the_real_alertmanager() {
    let recorder = Recorder::start(replies()).await;
    let configuration = configuration(&recorder.url);
    let Some(peer) = Peer::start(&configuration) else {
        eprintln!("skipped: no prometheus-alertmanager under target/peers");
        return;
    };
    let ours = receivers_at(&configuration, EXTERNAL);
    for (resolved, ends) in [(0, None), (1, Some("2023-11-18T12:30:00.5Z"))] {
        recorder.reset(replies());
        peer.post(&alerts(ends)).await;
        let seen = everything(&recorder, resolved).await;
        let theirs = essence(&seen);
        let webhook = seen.iter().find(|s| s.path == "/webhook").unwrap();
        let note = notification_of(&webhook.json(), "team (a)");
        recorder.reset(replies());
        for status in ours.status() {
            assert_eq!(status.disabled, None);
            ours.deliver(&status.key, &note).await.unwrap_or_else(|e| panic!("{}: {e}", status.key));
        }
        let same = essence(&recorder.seen());
        assert_eq!(theirs.keys().collect::<Vec<_>>(), same.keys().collect::<Vec<_>>());
        for (path, theirs) in &theirs {
            let ours = &same[path];
            assert_eq!(
                serde_json::to_string_pretty(ours).unwrap(),
                serde_json::to_string_pretty(theirs).unwrap(),
                "{path}"
            );
        }
    }
}
