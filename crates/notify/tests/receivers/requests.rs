//! The exact requests, and what their answers mean.

use serde_json::{Value, json};

use crate::{
    recorder::{Recorder, Reply, Seen},
    scene::*,
};

const SUBJECT: &str = "[FIRING:2] Down (critical)";
const LINK: &str = "http://am.example.org/#/alerts?receiver=team-a";

/// Sends a notification with an integration whose settings may say `URL`; what came.
async fn sent(
    kind: &'static str,
    settings: &str,
    global: &str,
    note: &reba_alerting::Notification,
    replies: Vec<Reply>,
) -> Vec<Seen> {
    let recorder = Recorder::start(replies).await;
    let settings = settings.replace("URL", &recorder.url);
    let global = global.replace("URL", &recorder.url);
    let delivered = deliver(&one(kind, &settings, &global), kind, note).await.unwrap();
    assert!(!delivered.answer.is_empty());
    recorder.seen()
}

fn hash(note: &reba_alerting::Notification) -> String {
    let out = ring::digest::digest(&ring::digest::SHA256, note.group_key.as_bytes());
    out.as_ref().iter().fold(String::new(), |hex, b| format!("{hex}{b:02x}"))
}

#[tokio::test]
async fn a_webhook_gets_version_4() {
    let seen = sent(
        "webhook",
        "{url: 'URL/hook?x={{ .GroupLabels.alertname }}', max_alerts: 1}",
        "",
        &firing(),
        vec![],
    )
    .await;
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/hook?x=Down"));
    assert_eq!(seen[0].header("content-type"), "application/json");
    assert!(seen[0].header("user-agent").starts_with("Alertmanager/"));
    assert_eq!(
        seen[0].json(),
        json!({
            "receiver": "team-a", "status": "firing", "version": "4", "truncatedAlerts": 1,
            "groupKey": "{}:{alertname=\"Down\"}", "externalURL": "http://am.example.org",
            "groupLabels": {"alertname": "Down"},
            "commonLabels": {"alertname": "Down", "job": "api", "severity": "critical"},
            "commonAnnotations": {"summary": "api is down"},
            "alerts": [{
                "status": "firing", "fingerprint": reba_alerting::fingerprint_text(firing().alerts[0].fingerprint),
                "labels": {"alertname": "Down", "job": "api", "severity": "critical"},
                "annotations": {"summary": "api is down"},
                "startsAt": "2023-11-18T11:59:00Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus/graph?g0.expr=up&g0.tab=1",
            }],
        })
    );
    let seen = sent("webhook", "{url: URL}", "", &resolved(), vec![]).await;
    assert_eq!(seen[0].json()["alerts"][0]["endsAt"], "2023-11-18T11:59:58.5Z");
}

#[tokio::test]
async fn a_webhook_may_have_a_payload_of_its_own() {
    let settings = "{url: URL, payload: {text: '{{ .Status }}', n: '{{ len .Alerts }}', list: ['{{ .Receiver }}', 7, true]}}";
    let seen = sent("webhook", settings, "", &firing(), vec![]).await;
    assert_eq!(seen[0].json(), json!({"text": "firing", "n": 2, "list": ["team-a", 7, true]}));
    let seen = sent("incidentio", "{url: URL, alert_source_token: t0ken}", "", &firing(), vec![]).await;
    assert_eq!((seen[0].header("authorization"), &seen[0].json()["version"]), ("Bearer t0ken", &json!("1")));
}

#[tokio::test]
async fn slack_gets_one_attachment() {
    let settings = "{api_url: URL/services/T/B/X, channel: '#ops', link_names: true, short_fields: true, \
        fields: [{title: a, value: '{{ .Status }}'}, {title: b, value: c, short: false}], \
        actions: [{type: button, text: Runbook, url: 'http://r', name: x}]}";
    let seen = sent("slack", settings, "", &firing(), vec![Reply::text("", 200, "ok")]).await;
    assert_eq!(seen[0].path, "/services/T/B/X");
    assert_eq!(
        seen[0].json(),
        json!({
            "channel": "#ops", "username": "Alertmanager", "link_names": true,
            "attachments": [{
                "title": SUBJECT, "title_link": LINK, "text": "", "fallback": format!("{SUBJECT} | {LINK}"),
                "callback_id": "", "footer": "", "color": "danger", "mrkdwn_in": ["fallback", "pretext", "text"],
                "fields": [{"title": "a", "value": "firing", "short": true}, {"title": "b", "value": "c", "short": false}],
                "actions": [{"type": "button", "text": "Runbook", "url": "http://r"}],
            }],
        })
    );
}

#[tokio::test]
async fn slack_may_refuse_with_200_and_that_is_final() {
    for (reply, want) in [
        (Reply::text("", 200, "no_text"), "received an error response from Slack: no_text"),
        (
            Reply::json("", r#"{"ok":false,"error":"invalid_auth"}"#),
            "error response from Slack: invalid_auth",
        ),
    ] {
        let recorder = Recorder::start(vec![reply]).await;
        let receivers = one("slack", &format!("{{api_url: {}}}", recorder.url), "");
        let e = deliver(&receivers, "slack", &firing()).await.unwrap_err();
        assert_eq!((e.retry, e.message.as_str()), (false, want));
    }
}

#[tokio::test]
async fn a_bot_changes_what_it_has_said() {
    let reply = Reply::json("", r#"{"ok":true,"channel":"C1","ts":"17.4"}"#);
    let recorder = Recorder::start(vec![reply]).await;
    let url = &recorder.url;
    let settings = format!(
        "{{app_token: xoxb-hunter2, app_url: '{url}/api/chat.postMessage', channel: '#ops', update_message: true}}"
    );
    let receivers = one("slack", &settings, "");
    let mut note = firing();
    note.remembered = deliver(&receivers, "slack", &note).await.unwrap().remember.unwrap();
    deliver(&receivers, "slack", &note).await.unwrap();
    let seen = recorder.seen();
    assert!(seen.iter().all(|s| s.header("authorization") == "Bearer xoxb-hunter2"));
    let said: Vec<(&str, Value, Value)> =
        seen.iter().map(|s| (s.path.as_str(), s.json()["channel"].clone(), s.json()["ts"].clone())).collect();
    assert_eq!(
        said,
        [
            ("/api/chat.postMessage", json!("#ops"), Value::Null),
            ("/api/chat.update", json!("C1"), json!("17.4")),
        ]
    );
    // Without being told to, it says everything anew.
    let plain = one("slack", &settings.replace(", update_message: true", ""), "");
    assert_eq!(deliver(&plain, "slack", &note).await.unwrap().remember, None);
    assert_eq!(recorder.seen()[2].path, "/api/chat.postMessage");
}

#[tokio::test]
async fn pagerduty_gets_events_of_version_2() {
    let settings = "{routing_key: k3y, url: URL/v2/enqueue, class: c, images: [{src: 'http://i', alt: '{{ .Status }}'}, {alt: x}], \
        links: [{href: 'http://l', text: t}], details: {team: '{{ .GroupLabels.alertname }}', firing: mine, more: {n: 1}}}";
    let seen = sent("pagerduty", settings, "", &firing(), vec![Reply::json("", "{}")]).await;
    assert_eq!(
        seen[0].json(),
        json!({
            "routing_key": "k3y", "dedup_key": hash(&firing()), "event_action": "trigger",
            "client": "Alertmanager", "client_url": LINK,
            "images": [{"src": "http://i", "alt": "firing", "href": ""}], "links": [{"href": "http://l", "text": "t"}],
            "payload": {
                "summary": SUBJECT, "source": "Alertmanager", "severity": "error", "class": "c",
                "custom_details": {"team": "Down", "firing": "mine", "more": {"n": 1}, "resolved": "", "num_firing": "2", "num_resolved": "0"},
            },
        })
    );
    let seen = sent("pagerduty", "{routing_key: k3y, url: URL}", "", &resolved(), vec![]).await;
    assert_eq!(seen[0].json()["event_action"], "resolve");
}

#[tokio::test]
async fn pagerduty_drops_details_that_are_too_long_and_explains_what_was_bad() {
    let settings =
        "{routing_key: k3y, url: URL, details: {big: '{{ range .Alerts }}{{ .Annotations.long }}{{ end }}'}}";
    let mut note = firing();
    let long = "x".repeat(600_000);
    note.alerts = vec![alert(&[("alertname", "Down")], &[("long", &long)], true)].into();
    let seen = sent("pagerduty", settings, "", &note, vec![]).await;
    assert!(seen[0].body.len() < 10_000);
    let details = &seen[0].json()["payload"]["custom_details"];
    assert!(details["error"].as_str().unwrap().contains("maximum size of 512KB"), "{details}");

    let mut bad = Reply::json(
        "",
        r#"{"status":"invalid event","message":"Event object is invalid","errors":["a","b"]}"#,
    );
    bad.status = 400;
    let recorder = Recorder::start(vec![bad]).await;
    let receivers = one("pagerduty", &format!("{{routing_key: k3y, url: '{}'}}", recorder.url), "");
    let e = deliver(&receivers, "pagerduty", &firing()).await.unwrap_err();
    assert_eq!(
        (e.retry, e.message.as_str()),
        (false, "unexpected status code 400: Event object is invalid: a,b")
    );
}

#[tokio::test]
async fn pagerduty_version_1_is_for_service_keys() {
    let receivers = one("pagerduty", "{service_key: k3y, details: {}}", "");
    let preview = receivers.preview(&key("pagerduty"), &firing()).unwrap().remove(0);
    assert_eq!(preview.to, "POST https://events.pagerduty.com/generic/2010-04-15/create_event.json");
    let body: Value = serde_json::from_str(&preview.body).unwrap();
    assert_eq!(body["service_key"], "<secret>");
    assert_eq!(body["event_type"], "trigger");
    assert_eq!(body["incident_key"], hash(&firing()));
    assert_eq!(body["details"]["num_firing"], "2");
}

#[tokio::test]
async fn opsgenie_alerts_are_created_changed_and_closed() {
    let settings = "{api_key: k3y, api_url: URL, tags: 'a,,b', priority: P1, update_alerts: true, details: {job: mine}, \
        responders: [{name: '{{ .CommonLabels.none }}', type: '{{ .CommonLabels.none }}'}, {name: 'x,y', type: teams}, {username: u, type: user}]}";
    let seen = sent("opsgenie", settings, "", &firing(), vec![]).await;
    let alias = hash(&firing());
    let paths: Vec<(String, String)> = seen.iter().map(|s| (s.method.clone(), s.path.clone())).collect();
    assert_eq!(
        paths,
        [
            ("POST".to_owned(), "/v2/alerts".to_owned()),
            ("PUT".to_owned(), format!("/v2/alerts/{alias}/message?identifierType=alias")),
            ("PUT".to_owned(), format!("/v2/alerts/{alias}/description?identifierType=alias")),
        ]
    );
    assert!(seen.iter().all(|s| s.header("authorization") == "GenieKey k3y"));
    let body = seen[0].json();
    assert_eq!(body["details"], json!({"alertname": "Down", "severity": "critical", "job": "mine"}));
    assert_eq!(
        body["responders"],
        json!([{"name": "x", "type": "team"}, {"name": "y", "type": "team"}, {"username": "u", "type": "user"}])
    );
    assert_eq!(
        (&body["alias"], &body["message"], &body["tags"], &body["priority"]),
        (&json!(alias), &json!(SUBJECT), &json!(["a", "b"]), &json!("P1"))
    );
    assert_eq!(seen[1].json(), json!({"message": SUBJECT}));
    let seen = sent("opsgenie", settings, "", &resolved(), vec![]).await;
    assert_eq!(seen[0].path, format!("/v2/alerts/{alias}/close?identifierType=alias"));
    assert_eq!(seen[0].json(), json!({"source": LINK}));
}

#[tokio::test]
async fn teams_gets_cards() {
    let seen = sent("msteams", "{webhook_url: URL/t, title: T, text: X}", "", &firing(), vec![]).await;
    assert_eq!(
        seen[0].json(),
        json!({"@context": "http://schema.org/extensions", "type": "MessageCard", "title": "T", "summary": SUBJECT, "text": "X", "themeColor": "8C1A1A"})
    );
    let seen = sent("msteamsv2", "{webhook_url: URL/t, text: X}", "", &resolved(), vec![]).await;
    let content = &seen[0].json()["attachments"][0]["content"];
    assert_eq!(
        (&content["body"][0]["text"], &content["body"][0]["color"], &content["body"][1]["text"]),
        (&json!("[RESOLVED] Down (api)"), &json!("Good"), &json!("X"))
    );
}

#[tokio::test]
async fn telegram_gets_html_and_errors_do_not_show_its_token() {
    let settings = "{api_url: URL, bot_token: t0ken, chat_id: -77, message: '<b>{{ .CommonLabels.alertname }}</b> {{ .CommonAnnotations.summary }}', message_thread_id: 5, disable_notifications: true}";
    let mut note = firing();
    note.alerts = vec![alert(&[("alertname", "Down")], &[("summary", "1 < 2")], true)].into();
    let seen =
        sent("telegram", settings, "", &note, vec![Reply::json("", r#"{"ok":true,"result":{}}"#)]).await;
    assert_eq!(seen[0].path, "/bott0ken/sendMessage");
    assert_eq!(
        seen[0].json(),
        json!({"chat_id": "-77", "text": "<b>Down</b> 1 &lt; 2", "parse_mode": "HTML", "disable_web_page_preview": "true", "disable_notification": "true", "message_thread_id": "5"})
    );
    let mut refusal = Reply::json("", r#"{"ok":false,"error_code":404,"description":"no bot t0ken"}"#);
    refusal.status = 404;
    let recorder = Recorder::start(vec![refusal]).await;
    let receivers =
        one("telegram", &format!("{{api_url: '{}', bot_token: t0ken, chat_id: 1}}", recorder.url), "");
    let e = deliver(&receivers, "telegram", &note).await.unwrap_err();
    assert_eq!((e.retry, e.message.as_str()), (true, "unexpected status code 404: no bot <secret>"));
}

#[tokio::test]
async fn discord_and_webex_get_their_texts() {
    let seen = sent(
        "discord",
        "{webhook_url: URL, message: '{{ printf \"%5000s\" \"x\" }}', username: Reba}",
        "",
        &firing(),
        vec![],
    )
    .await;
    let body = seen[0].json();
    assert_eq!(
        (&body["content"], &body["username"], &body["embeds"][0]["color"], &body["embeds"][0]["title"]),
        (&json!(""), &json!("Reba"), &json!(0x99_2D22), &json!(SUBJECT))
    );
    assert_eq!(body["embeds"][0]["description"].as_str().unwrap().chars().count(), 4096);
    let settings =
        "{api_url: URL/m, room_id: r1, message: hello, http_config: {authorization: {credentials: t0ken}}}";
    let seen = sent("webex", settings, "", &firing(), vec![]).await;
    assert_eq!(
        (seen[0].header("authorization"), seen[0].json()),
        ("Bearer t0ken", json!({"markdown": "hello", "roomId": "r1"}))
    );
}

#[tokio::test]
async fn pushover_gets_everything_in_the_query() {
    let receivers = one(
        "pushover",
        "{token: t0ken, user_key: us3r, message: '  ', url_title: 'a b', html: true, ttl: 90s}",
        "",
    );
    let preview = receivers.preview(&key("pushover"), &firing()).unwrap().remove(0);
    assert_eq!(
        preview.to,
        "POST https://api.pushover.net/1/messages.json?device=&expire=3600&html=1&message=%28no+details%29&priority=2&retry=60&sound=\
         &title=%5BFIRING%3A2%5D+Down+%28critical%29&token=%3Csecret%3E&ttl=90&url=http%3A%2F%2Fam.example.org%2F%23%2Falerts%3Freceiver%3Dteam-a\
         &url_title=a+b&user=%3Csecret%3E"
    );
}

#[tokio::test]
async fn victorops_recovers() {
    let settings = "{api_key: k3y, api_url: URL/in, routing_key: ops, message_type: bogus, custom_fields: {x: '{{ .Status }}'}}";
    let seen = sent("victorops", settings, "", &firing(), vec![]).await;
    assert_eq!(seen[0].path, "/in/k3y/ops");
    let body = seen[0].json();
    assert_eq!(
        (&body["message_type"], &body["entity_id"], &body["x"], &body["monitoring_tool"]),
        (&json!("CRITICAL"), &json!(hash(&firing())), &json!("firing"), &json!("Alertmanager"))
    );
    let seen = sent("victorops", settings, "", &resolved(), vec![]).await;
    assert_eq!(seen[0].json()["message_type"], "RECOVERY");
}

#[tokio::test]
async fn sns_is_signed() {
    let settings = "{api_url: URL, topic_arn: 'arn:aws:sns:eu-west-1:1:t.fifo', message: 'a b', subject: S, attributes: {k: '{{ .Status }}'}, \
        sigv4: {access_key: AK, secret_key: hunter2}}";
    let seen = sent("sns", settings, "", &firing(), vec![]).await;
    let hash = hash(&firing());
    assert_eq!(
        seen[0].body,
        format!(
            "Action=Publish&Version=2010-03-31&MessageDeduplicationId={hash}&MessageGroupId={hash}&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3At.fifo\
             &Subject=S&Message=a+b&MessageAttributes.entry.1.Name=k&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=firing"
        )
    );
    assert_eq!(seen[0].header("x-amz-date"), "20231118T120000Z");
    let authorization = seen[0].header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AK/20231118/eu-west-1/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature="), "{authorization}");
}

#[tokio::test]
async fn wechat_asks_for_a_token_once() {
    let replies =
        vec![Reply::json("gettoken", r#"{"access_token":"t0ken"}"#), Reply::json("send", r#"{"errcode":0}"#)];
    let recorder = Recorder::start(replies).await;
    let settings = format!(
        "{{api_url: '{}/cgi-bin/', api_secret: s3cret, corp_id: c1, to_user: u, message: hi}}",
        recorder.url
    );
    let receivers = one("wechat", &settings, "");
    for _ in 0..2 {
        deliver(&receivers, "wechat", &firing()).await.unwrap();
    }
    let seen = recorder.seen();
    let paths: Vec<&str> = seen.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/cgi-bin/gettoken?corpid=c1&corpsecret=s3cret",
            "/cgi-bin/message/send?access_token=t0ken",
            "/cgi-bin/message/send?access_token=t0ken"
        ]
    );
    assert_eq!(
        seen[1].json(),
        json!({"text": {"content": "hi"}, "markdown": {"content": ""}, "touser": "u", "safe": "0", "msgtype": "text"})
    );
    recorder.reset(vec![Reply::json("", r#"{"errcode":42001,"errmsg":"t0ken expired"}"#)]);
    let e = deliver(&receivers, "wechat", &firing()).await.unwrap_err();
    assert_eq!((e.retry, e.message.as_str()), (true, "<secret> expired"));
}

#[tokio::test]
async fn mattermost_and_rocketchat_get_attachments() {
    let settings = "{webhook_url: URL/hooks/x, channel: ops, priority: {priority: Important, requested_ack: true, persistent_notifications: true}, text: hi}";
    let seen = sent("mattermost", settings, "", &firing(), vec![]).await;
    assert_eq!(
        seen[0].json(),
        json!({
            "channel": "ops", "username": "Alertmanager", "priority": {"priority": "important", "requested_ack": true},
            "attachments": [{"text": "hi", "title": SUBJECT, "title_link": LINK, "fallback": format!("{SUBJECT} | {LINK}"), "color": "danger"}],
        })
    );
    let settings =
        "{api_url: URL, token: t0ken, token_id: me, channel: '#ops', actions: [{text: Go, url: 'http://x'}]}";
    let seen =
        sent("rocketchat", settings, "", &firing(), vec![Reply::json("", r#"{"success":true}"#)]).await;
    assert_eq!(
        (seen[0].path.as_str(), seen[0].header("x-auth-token"), seen[0].header("x-user-id")),
        ("/api/v1/chat.postMessage", "t0ken", "me")
    );
    assert_eq!(
        seen[0].json(),
        json!({
            "channel": "#ops",
            "attachments": [{"title": SUBJECT, "title_link": LINK, "color": "red",
                "actions": [{"type": "button", "text": "Go", "url": "http://x", "is_webview": false, "msg_in_chat_window": false}]}],
        })
    );
}

#[tokio::test]
async fn jira_makes_one_issue_a_group_and_moves_it() {
    let settings = "{api_url: URL/rest/api/2, project: OPS, issue_type: Bug, labels: [zz], description: D, reopen_transition: Reopen, \
        resolve_transition: Done, reopen_duration: 2h, fields: {customfield_1: {value: '{{ .Status }}'}}, summary: {template: S, enable_update: false}}";
    let none = vec![Reply::json("search", r#"{"issues":[]}"#), Reply::json("", r#"{"key":"OPS-1"}"#)];
    let seen = sent("jira", settings, "", &firing(), none).await;
    let label = format!("ALERT{{{}}}", hash(&firing()));
    assert_eq!(
        seen[0].json(),
        json!({
            "jql": format!("(resolutiondate is EMPTY OR resolutiondate >= -120m) and project=\"OPS\" and labels=\"{label}\" order by status ASC,resolutiondate DESC"),
            "maxResults": 2, "fields": ["status"],
        })
    );
    assert_eq!((seen[1].method.as_str(), seen[1].path.as_str()), ("POST", "/rest/api/2/issue"));
    assert_eq!(
        seen[1].json(),
        json!({"fields": {
            "project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "S", "description": "D", "labels": [label, "zz"],
            "priority": {"name": "High"}, "customfield_1": {"value": "firing"},
        }})
    );
    let found = vec![
        Reply::json(
            "search",
            r#"{"issues":[{"key":"OPS-1","fields":{"status":{"statusCategory":{"key":"new"}}}}]}"#,
        ),
        Reply::json("transitions", r#"{"transitions":[{"id":"31","name":"Done"}]}"#),
    ];
    let seen = sent("jira", settings, "", &resolved(), found).await;
    let paths: Vec<(&str, &str)> = seen.iter().map(|s| (s.method.as_str(), s.path.as_str())).collect();
    assert_eq!(
        paths,
        [
            ("POST", "/rest/api/2/search"),
            ("PUT", "/rest/api/2/issue/OPS-1"),
            ("GET", "/rest/api/2/issue/OPS-1/transitions"),
            ("POST", "/rest/api/2/issue/OPS-1/transitions"),
        ]
    );
    assert_eq!(seen[1].json()["fields"].get("summary"), None);
    assert_eq!(seen[3].json(), json!({"transition": {"id": "31"}}));
    let seen = sent("jira", settings, "", &resolved(), vec![Reply::json("search", "{}")]).await;
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn whatsapp_reaches_every_number_by_text_or_template() {
    let settings = "{api_url: URL/v23.0, access_token: t0ken, phone_number_id: '77', to: ['+250 1', '2,3'], message: hi}";
    let seen = sent("whatsapp", settings, "", &firing(), vec![]).await;
    assert_eq!(
        (seen.len(), seen[0].path.as_str(), seen[0].header("authorization")),
        (3, "/v23.0/77/messages", "Bearer t0ken")
    );
    assert_eq!(
        seen[2].json(),
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "3", "type": "text", "text": {"body": "hi", "preview_url": false}})
    );
    let settings = "{api_url: URL, access_token: t0ken, phone_number_id: '77', to: '1', template: {name: alert, language: fr, parameters: ['{{ .Status }}\n x']}}";
    let seen = sent("whatsapp", settings, "", &firing(), vec![]).await;
    assert_eq!(
        seen[0].json()["template"],
        json!({"name": "alert", "language": {"code": "fr"}, "components": [{"type": "body", "parameters": [{"type": "text", "text": "firing x"}]}]})
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let recorder = Recorder::start(vec![]).await;
    let url = recorder.url.clone();
    let webhook = one("webhook", &format!("{{url: '{url}/s3cret'}}"), "");
    for (status, retry) in [(500, true), (503, true), (404, false), (429, false), (302, false)] {
        recorder.reset(vec![Reply::text("", status, "s3cret\nbecause")]);
        let e = deliver(&webhook, "webhook", &firing()).await.unwrap_err();
        assert_eq!(
            (e.retry, e.message),
            (retry, format!("unexpected status code {status}: s3cret because")),
            "{status}"
        );
    }
    let mut busy = Reply::text("", 429, "busy");
    busy.headers = vec![("retry-after", "7")];
    recorder.reset(vec![busy]);
    let e = deliver(&webhook, "webhook", &firing()).await.unwrap_err();
    assert_eq!((e.retry, e.retry_after_ms), (true, Some(7000)));

    // Nobody there, and the URL is told to nobody.
    let gone = one("webhook", "{url: 'http://127.0.0.1:1/s3cret'}", "");
    let e = deliver(&gone, "webhook", &firing()).await.unwrap_err();
    assert!(e.retry && !e.message.contains("s3cret"), "{e}");
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up_and_one_that_repeats_a_password_is_not_quoted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hanging = one("webhook", &format!("{{url: '{url}', timeout: 200ms}}"), "");
    let e = deliver(&hanging, "webhook", &firing()).await.unwrap_err();
    assert_eq!((e.retry, e.message.as_str()), (true, "POST: no answer within 200ms"));

    let recorder = Recorder::start(vec![Reply::text("", 400, "bad password hunter2")]).await;
    let global = "http_config: {basic_auth: {username: u, password: hunter2}}";
    let echo = one("webhook", &format!("{{url: '{}'}}", recorder.url), global);
    let e = deliver(&echo, "webhook", &firing()).await.unwrap_err();
    assert_eq!(e.message, "unexpected status code 400: bad password <secret>");
    assert!(recorder.seen()[0].header("authorization").starts_with("Basic "));
}

#[tokio::test]
async fn a_template_that_fails_names_itself_and_is_not_tried_again() {
    let receivers = one("slack", "{api_url: 'http://127.0.0.1:1', title: 'a {{ .Nope.x }}'}", "");
    let e = deliver(&receivers, "slack", &firing()).await.unwrap_err();
    assert!(!e.retry);
    assert_eq!(
        e.message,
        "template: receivers[0].slack_configs[0].title:1:10: executing \"receivers[0].slack_configs[0].title\" at <.Nope.x>: \
         can't evaluate field Nope in type *template.Data"
    );
}

#[tokio::test]
async fn secrets_from_files_are_read_for_every_notification() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    let recorder = Recorder::start(vec![Reply::text("", 200, "ok")]).await;
    std::fs::write(&file, format!("{}/one\n", recorder.url)).unwrap();
    let receivers = one("slack", &format!("{{api_url_file: '{}'}}", file.display()), "");
    deliver(&receivers, "slack", &firing()).await.unwrap();
    std::fs::write(&file, format!(" {}/two", recorder.url)).unwrap();
    deliver(&receivers, "slack", &firing()).await.unwrap();
    let paths: Vec<String> = recorder.seen().into_iter().map(|s| s.path).collect();
    assert_eq!(paths, ["/one", "/two"]);
}

#[test]
fn lists_tell_what_is_disabled_and_the_machine_hears_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alertmanager.yml");
    let text = "route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs: [{api_url: '${X}'}]\n  webhook_configs: [{url: 'http://h', send_resolved: false}]\n- name: b\n";
    std::fs::write(&path, text).unwrap();
    let (file, _) = reba_notify::config::load(&path, &reba_config::Variables::default()).unwrap();
    let receivers = reba_notify::Receivers::new(file, reba_notify::Options::default());
    let status = receivers.status();
    assert_eq!(
        (status[0].key.to_string().as_str(), status[0].disabled.as_deref()),
        ("a/slack[0]", Some("the variable X is not set, which api_url needs"))
    );
    assert_eq!((status[1].disabled.as_deref(), status[1].send_resolved), (None, false));
    let machine = receivers.integrations();
    assert_eq!((machine["a"].len(), machine["b"].len()), (1, 0));
}

#[test]
fn ten_thousand_alerts_make_one_notification() {
    let alerts = (0..10_000).map(|i| {
        let instance = format!("host-{i}:9100");
        alert(
            &[("alertname", "Down"), ("instance", &instance), ("job", "node"), ("severity", "critical")],
            &[("summary", "down")],
            true,
        )
    });
    let note = note(alerts.collect());
    let receivers = receivers(
        "route: {receiver: team-a}\nreceivers:\n- name: team-a\n  webhook_configs: [{url: 'http://h'}]\n  discord_configs: [{webhook_url: 'http://h'}]\n  \
         email_configs: [{to: a@b, from: a@b, smarthost: 'h:25', text: '{{ template \"__text_alert_list\" .Alerts }}'}]\n",
    );
    let body = |kind| receivers.preview(&key(kind), &note).unwrap().remove(0).body;
    let webhook: Value = serde_json::from_str(&body("webhook")).unwrap();
    assert_eq!(webhook["alerts"].as_array().unwrap().len(), 10_000);
    assert!(body("discord").contains("…"));
    assert_eq!(body("email").matches("Source: ").count(), 10_000);
}

const TOKEN: &str = r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#;

/// A webhook on another host, through a proxy, with a token that has to be asked for.
fn far_away(proxy: &str, tokens: &str) -> String {
    format!(
        "{{url: 'http://elsewhere.example/hook/s3cret', http_config: {{proxy_url: '{proxy}', http_headers: {{X-Team: {{values: [a]}}}}, \
         oauth2: {{client_id: c, client_secret: hunter2, token_url: '{tokens}/token'}}}}}}"
    )
}

#[tokio::test]
async fn http_options_hold_for_receivers_tokens_proxies_and_headers() {
    let tokens = Recorder::start(vec![Reply::json("/token", TOKEN)]).await;
    let proxy = Recorder::start(vec![]).await;
    let receivers = one("webhook", &far_away(&proxy.url, &tokens.url), "");
    deliver(&receivers, "webhook", &firing()).await.unwrap();
    assert!(tokens.seen()[0].body.contains("grant_type=client_credentials"), "{:?}", tokens.seen());
    let seen = &proxy.seen()[0];
    assert_eq!(
        (seen.header("host"), seen.header("authorization"), seen.header("x-team")),
        ("elsewhere.example", "Bearer t0ken", "a")
    );
}

#[tokio::test]
async fn where_nothing_may_leave_the_house_everything_ends_in_the_inbox_without_keys() {
    let elsewhere = Recorder::start(vec![]).await;
    let inbox = Recorder::start(vec![Reply::json("elsewhere", r#"{"ok":true}"#)]).await;
    let at = inbox.url.trim_start_matches("http://").parse().unwrap();
    let options = reba_notify::Options {
        inbox: Some(reba_notify::Inbox { smtp: at, http: at }),
        ..reba_notify::Options::default()
    };
    let configuration = format!(
        "route: {{receiver: team-a}}\nreceivers:\n- name: team-a\n  webhook_configs:\n  - {}\n  telegram_configs:\n  \
         - {{bot_token: s3cret, chat_id: 1}}\n",
        far_away(&elsewhere.url, &elsewhere.url)
    );
    let receivers = receivers_with(&configuration, options);
    for kind in ["webhook", "telegram"] {
        deliver(&receivers, kind, &firing()).await.unwrap();
    }
    let seen = inbox.seen();
    let paths: Vec<&str> = seen.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["/elsewhere/webhook/elsewhere.example", "/elsewhere/telegram/api.telegram.org"]);
    assert_eq!(seen[0].json()["status"], "firing");
    assert!(seen.iter().all(|s| s.header("authorization").is_empty() && s.header("x-team").is_empty()));
    assert!(elsewhere.seen().is_empty());
}
