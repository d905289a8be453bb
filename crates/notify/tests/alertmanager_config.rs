//! `alertmanager.yml` is read, refused and lacking as upstream does it, and better where a secret is missing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;
use reba_config::{ConfigError, Variables};
use reba_notify::config::{AlertmanagerFile, Warning, load, parse};
use reba_testkit::{Tally, conformance_dir, files_with_extension};

/// Files that upstream refuses, with what it says (in our words where ours say more).
const REFUSED: [(&str, &str); 26] = [
    (
        "conf.mattermost-both-webhook-url-and-file",
        "at most one of mattermost_webhook_url & mattermost_webhook_url_file",
    ),
    ("conf.mattermost-valid-receiver-both-webhook-url-and-file", "at most one of mattermost_webhook_url &"),
    ("conf.mattermost-no-webhook-url", "missing webhook_url or webhook_url_file on mattermost_config"),
    ("conf.nil-match_re-route", "invalid_label"),
    ("conf.nil-source_match_re-inhibition", "invalid_source_label"),
    ("conf.nil-target_match_re-inhibition", "invalid_target_label"),
    ("conf.opsgenie-both-file-and-apikey", "at most one of opsgenie_api_key & opsgenie_api_key_file"),
    ("conf.opsgenie-no-apikey", "no global OpsGenie API Key set either inline or in a file"),
    ("conf.opsgenie-default-apikey-old-team", "receivers[0].opsgenie_configs[0].teams: unknown key"),
    ("conf.rocketchat-both-token-and-tokenfile", "at most one of rocketchat_token & rocketchat_token_file"),
    (
        "conf.rocketchat-both-tokenid-and-tokenidfile",
        "at most one of rocketchat_token_id & rocketchat_token_id_file",
    ),
    ("conf.rocketchat-no-token", "no global Rocketchat Token set either inline or in a file"),
    ("conf.slack-both-file-and-token", "at most one of slack_app_token & slack_app_token_file"),
    ("conf.slack-both-file-and-url", "at most one of slack_api_url & slack_api_url_file"),
    (
        "conf.slack-both-url-and-token",
        "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file",
    ),
    ("conf.slack-no-api-url-or-token", "no Slack API URL nor App token set either inline or in a file"),
    ("conf.slack-update-message-and-webhook", "update_message can only be used with bot tokens"),
    ("conf.smtp-both-password-and-file", "at most one of smtp_auth_password & smtp_auth_password_file"),
    ("conf.sns-invalid", "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config"),
    ("conf.telegram-both-bot-token-and-file", "at most one of telegram_bot_token & telegram_bot_token_file"),
    ("conf.telegram-valid-receiver-both-bot-token-and-file", "at most one of telegram_bot_token &"),
    ("conf.telegram-no-bot-token", "missing bot_token or bot_token_file on telegram_config"),
    ("conf.victorops-both-file-and-apikey", "at most one of victorops_api_key & victorops_api_key_file"),
    ("conf.victorops-no-apikey", "no global VictorOps API Key set"),
    ("conf.wechat-both-file-and-secret", "at most one of wechat_api_secret & wechat_api_secret_file"),
    ("conf.wechat-no-api-secret", "no global Wechat Api Secret set either inline or in a file"),
];

#[test]
fn files_of_upstream_are_taken_and_refused_as_there() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "alertmanager-config")
    else {
        println!("\nalertmanager-config receivers passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    let (mut taken, mut refused, mut strangers, mut wrong) = (0, 0, 0, Vec::new());
    for (name, _) in files_with_extension(&dir, "yml").unwrap() {
        let result = load(&dir.join(format!("{name}.yml")), &Variables::default());
        let expected = REFUSED.iter().find(|(n, _)| *n == name).map(|(_, text)| *text);
        match (result, expected) {
            (Ok(_), None) if name.starts_with("conf.") => taken += 1,
            (Err(e), Some(text)) if e.to_string().contains(text) => refused += 1,
            // Files of Prometheus lie in the same folder: none of them is Alertmanager's, and none counts.
            (Err(_), None) if !name.starts_with("conf.") => strangers += 1,
            (result, _) => wrong.push(format!("{name}: {:?}", result.err().map(|e| e.to_string()))),
        }
    }
    let tally = Tally { passed: taken + refused, failed: wrong.len(), skipped: 0 };
    println!("\nalertmanager-config receivers {tally}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(taken >= 20 && refused == REFUSED.len() && strangers > 100, "{taken} {refused} {strangers}");
}

/// Loads a text as `alertmanager.yml`, in a folder with further files.
fn read(
    text: &str,
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> Result<(AlertmanagerFile, Vec<Warning>), ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let path = dir.path().join("alertmanager.yml");
    fs::write(&path, text).unwrap();
    let all: BTreeMap<String, String> = variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    load(&path, &Variables::new(all))
}

fn refusal(text: &str) -> String {
    let e = read(text, &[], &[]).unwrap_err();
    let file = e.file.file_name().unwrap().to_string_lossy().into_owned();
    ConfigError { file: Path::new(&file).to_owned(), ..e }.to_string()
}

/// Which integrations are disabled, and why.
fn disabled(file: &AlertmanagerFile) -> Vec<(String, String)> {
    let all = file.receivers.iter().flat_map(|r| r.integrations.iter().map(move |i| (r, i)));
    all.filter_map(|(r, i)| Some((format!("{}/{}[{}]", r.name, i.kind, i.index), i.disabled()?.to_owned())))
        .collect()
}

const ROUTE: &str = "route: {receiver: a}\n";

#[test]
fn an_error_names_file_line_and_key() {
    for (text, want) in [
        (
            "receivers:\n- name: a\n  slak_configs: []\n",
            "alertmanager.yml:4:3: key receivers[0].slak_configs: unknown key",
        ),
        (
            "receivers:\n- name: a\n  slack_configs:\n  - api_url: http://h\n    titel: x\n",
            "alertmanager.yml:6:5: key receivers[0].slack_configs[0].titel: unknown key",
        ),
        ("receivers: [{name: a}]\nglobl: {}\n", "alertmanager.yml:3:1: key globl: unknown key"),
        (
            "receivers: [{name: a}]\nglobal:\n  smtp_fro: x\n",
            "alertmanager.yml:4:3: key global.smtp_fro: unknown key",
        ),
        ("receivers: [{name: a}, {name: a}]\n", "notification config name \"a\" is not unique"),
        ("receivers: [{}]\n", "missing name in receiver"),
        ("receivers: [{name: b}]\n", "undefined receiver \"a\" used in route"),
        (
            "receivers:\n- name: a\n  webhook_configs: [{url: 'ftp://h'}]\n",
            "unsupported scheme \"ftp\" for URL",
        ),
        (
            "receivers:\n- name: a\n  webhook_configs: [{url: 'http://h', http_config: {basic_auth: {usr: x}}}]\n",
            "http_config.basic_auth",
        ),
        ("receivers:\n- name: a\n  email_configs: [{to: x@y}]\n", "no global SMTP smarthost set"),
        (
            "receivers:\n- name: a\n  email_configs: [{to: x@y, from: a@b, smarthost: h}]\n",
            "missing port in address",
        ),
        (
            "receivers:\n- name: a\n  email_configs: [{to: x@y, from: a@b, smarthost: 'h:25', headers: {subject: a, Subject: b}}]\n",
            "duplicate header \"Subject\" in email config",
        ),
        (
            "receivers:\n- name: a\n  webex_configs: [{room_id: r}]\n",
            "missing webex_configs.http_config.authorization",
        ),
        (
            "receivers:\n- name: a\n  slack_configs: [{api_url: 'http://h', fields: [{title: x}]}]\n",
            "missing value in Slack field configuration",
        ),
        (
            "receivers:\n- name: a\n  opsgenie_configs: [{api_key: k, responders: [{name: x, type: dog}]}]\n",
            "responder type does not match valid options",
        ),
        (
            "receivers:\n- name: a\n  telegram_configs: [{bot_token: t, chat_id: 1, parse_mode: X}]\n",
            "unknown parse_mode",
        ),
        (
            "receivers:\n- name: a\n  victorops_configs: [{api_key: k, routing_key: r, custom_fields: {entity_id: x}}]\n",
            "custom field entity_id",
        ),
        ("receivers: [{name: a}]\ntemplates: ['bad.tmpl']\n", ""),
    ] {
        let text = format!("{ROUTE}{text}");
        if want.is_empty() {
            read(&text, &[], &[]).unwrap();
            let e =
                read(&text, &[("bad.tmpl", "{{ define \"x\" }}\n{{ nonsense }}{{ end }}")], &[]).unwrap_err();
            assert!(e.to_string().ends_with("bad.tmpl:2:1: function \"nonsense\" not defined"), "{e}");
            continue;
        }
        assert!(refusal(&text).contains(want), "{text}: {}", refusal(&text));
    }
}

const OWNERS: &str = "\
global: {smtp_smarthost: 'h:587', smtp_from: '${FROM}', smtp_auth_username: apikey, smtp_auth_password: '${SENDGRID}'}
route: {receiver: mail}
receivers:
- name: mail
  email_configs:
  - &mail {to: '${TO}'}
- name: mail-and-slack
  email_configs: [*mail]
  slack_configs: [{api_url: '${SLACK}', channel: '#x'}]
  pagerduty_configs: [{routing_key: '${PAGERDUTY}'}, {routing_key_file: key}]
  webhook_configs: [{url: 'http://h/${file:token}'}, {url: 'http://h'}]
";

#[test]
fn an_integration_without_its_secret_is_disabled_and_the_others_run() {
    let variables = [("FROM", "a@b"), ("TO", "c@d"), ("SENDGRID", "hunter2"), ("PAGERDUTY", "")];
    let (file, warnings) = read(OWNERS, &[], &variables).unwrap();
    let found = disabled(&file);
    let names: Vec<&str> = found.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(
        names,
        [
            "mail-and-slack/pagerduty[0]",
            "mail-and-slack/pagerduty[1]",
            "mail-and-slack/slack[0]",
            "mail-and-slack/webhook[0]"
        ]
    );
    assert_eq!(found[0].1, "the variable PAGERDUTY is not set, which routing_key needs");
    assert!(found[1].1.contains("key, which routing_key needs, cannot be read"), "{found:?}");
    assert_eq!(found[2].1, "the variable SLACK is not set, which api_url needs");
    assert!(
        found[3].1.starts_with("the file token cannot be read and so is not set, which url needs"),
        "{found:?}"
    );
    assert_eq!(warnings.len(), 4);
    let text = warnings[2].to_string();
    assert!(
        text.contains("alertmanager.yml:9:") && text.contains("disabled: the variable SLACK is not set"),
        "{text}"
    );

    // What all integrations inherit disables all that need it, aliases included.
    let (file, _) = read(
        OWNERS,
        &[("token", "t"), ("key", "k")],
        &[("TO", "c@d"), ("SLACK", "http://s"), ("PAGERDUTY", "p"), ("SENDGRID", "")],
    )
    .unwrap();
    let names: Vec<String> = disabled(&file).into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["mail/email[0]", "mail-and-slack/email[0]"]);
}

/// What each kind needs, the first of it from a variable that is not set.
const LACKING: [(&str, &str); 19] = [
    ("discord", "webhook_url: '${X}'"),
    ("email", "to: '${X}', smarthost: 'h:25', from: a@b"),
    ("incidentio", "alert_source_token: '${X}', url: 'http://h'"),
    ("jira", "api_url: '${X}', project: p, issue_type: t"),
    ("mattermost", "webhook_url: '${X}'"),
    ("msteams", "webhook_url: '${X}'"),
    ("msteamsv2", "webhook_url: '${X}'"),
    ("opsgenie", "api_key: '${X}'"),
    ("pagerduty", "routing_key: '${X}'"),
    ("pushover", "token: '${X}', user_key: u"),
    ("rocketchat", "token: '${X}', token_id: t"),
    ("slack", "api_url: '${X}', update_message: true"),
    ("sns", "sigv4: {region: r, access_key: '${X}', secret_key: s}, topic_arn: a"),
    ("telegram", "bot_token: '${X}', chat_id: 1"),
    ("victorops", "api_key: '${X}', routing_key: r"),
    ("webex", "http_config: {authorization: {credentials: '${X}'}}, room_id: r"),
    ("webhook", "url: '${X}'"),
    ("wechat", "api_secret: '${X}', corp_id: c"),
    ("whatsapp", "access_token: '${X}', phone_number_id: '1', to: ['1']"),
];

#[test]
fn a_key_that_nobody_knows_is_refused_whether_or_not_something_else_is_missing() {
    for (kind, settings) in LACKING {
        let with = |more: &str| {
            let text = format!("receivers:\n- name: a\n  {kind}_configs: [{{{settings}{more}}}]\n{ROUTE}");
            read(&text, &[], &[])
        };
        let (file, _) = with("").unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(disabled(&file)[0].1.contains("the variable X is not set"), "{kind}");
        for more in
            ["mispelt: 1", "http_config: {mispelt: 1}", "http_config: {proxy_url: '${X}'}, mispelt: 1"]
        {
            if settings.contains("http_config") && more.contains("http_config") {
                continue;
            }
            let error = with(&format!(", {more}")).err().map(|e| e.to_string()).unwrap_or_default();
            let want =
                if kind == "email" && more.contains("http_config") { "http_config" } else { "mispelt" };
            assert!(error.contains("unknown key") && error.contains(want), "{kind} {more}: {error:?}");
        }
    }
}

#[test]
fn what_tells_nobody_where_to_write_must_have_its_variables() {
    let e = read("route: {receiver: '${R}'}\nreceivers: [{name: a}]\n", &[], &[]).unwrap_err();
    assert!(
        e.to_string().ends_with("alertmanager.yml:1:20: key route.receiver: the variable R is not set"),
        "{e}"
    );
}

#[test]
fn the_file_is_shown_without_secrets_and_can_be_loaded_again() {
    let variables = [
        ("FROM", "a@b"),
        ("TO", "c@d"),
        ("SENDGRID", "hunter2"),
        ("SLACK", "http://s/hunter2"),
        ("PAGERDUTY", "hunter2"),
    ];
    let files = [("token", "hunter2"), ("key", "hunter2")];
    let (file, _) = read(OWNERS, &files, &variables).unwrap();
    assert!(!file.original.contains("hunter2"), "{}", file.original);
    assert!(!format!("{file:?}").contains("hunter2"));
    let (again, _) = read(&file.original, &files, &[]).unwrap();
    assert_eq!(again.receivers.len(), 2);
}

#[test]
fn a_template_that_does_not_parse_is_told_of_and_stops_nothing() {
    let text = format!(
        "{ROUTE}receivers:\n- name: a\n  slack_configs: [{{api_url: 'http://h', title: '{{{{ .X'}}]\n"
    );
    let (_, warnings) = read(&text, &[], &[]).unwrap();
    let text = warnings[0].to_string();
    assert!(
        text.contains(
            "its notifications will fail: template: receivers[0].slack_configs[0].title:1: unclosed action"
        ),
        "{text}"
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for settings in [
        "basic_auth: hunter2",
        "authorization: hunter2",
        "follow_redirects: hunter2",
        "oauth2: {scopes: hunter2}",
    ] {
        let text = format!(
            "{ROUTE}receivers:\n- name: a\n  webhook_configs: [{{url: 'http://h', http_config: {{{settings}}}}}]\n"
        );
        let e = refusal(&text);
        assert!(!e.contains("hunter2") && e.contains("http_config"), "{e}");
    }
    let e = refusal(&format!("{ROUTE}receivers:\n- name: a\n  slack_configs: [{{api_url: 'hunter2'}}]\n"));
    assert!(!e.contains("hunter2"), "{e}");
}

#[test]
fn cram_md5_is_refused_by_name() {
    let text = format!(
        "{ROUTE}receivers:\n- name: a\n  email_configs: [{{to: x@y, from: a@b, smarthost: 'h:25', auth_username: u, auth_secret: s}}]\n"
    );
    let (file, _) = read(&text, &[], &[]).unwrap();
    assert_eq!(
        disabled(&file)[0].1,
        "auth_secret is for CRAM-MD5, which is not supported: set auth_password"
    );
}

/// Words of which files are made.
const WORDS: &str = "(global|receivers|route|templates|name|slack_configs|email_configs|jira_configs|sns_configs|webhook_configs|\
    api_url|url|to|fields|title|payload|http_config|tls_config|sigv4|receiver|a|http://h|\\$\\{X\\}|\\{\\{|\\}\\}|-|:|\n|\n  |\n- | |\\[|\\]|\\{|\\}|'|\\*a|&a|<<|1|true|~)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_the_reader_panic(words in proptest::collection::vec(WORDS, 0..40)) {
        let _ = parse(&words.concat(), Path::new("/nowhere/alertmanager.yml"), &Variables::default());
    }

    #[test]
    fn no_value_of_any_key_makes_the_reader_panic(
        kind in "(slack|email|pagerduty|opsgenie|jira|sns|telegram|wechat|webhook|whatsapp|mattermost|rocketchat|pushover)",
        key in "(api_url|url|to|fields|actions|responders|details|sigv4|threading|headers|payload|priority|template|chat_id|http_config|tls_config|timeout|summary)",
        value in "(\\[\\]|\\{\\}|x|1|\\[x\\]|\\[\\{\\}\\]|\\{a: b\\}|\\{a: \\[\\{\\}\\]\\}|-5|~|'')",
    ) {
        let text = format!("route: {{receiver: a}}\nreceivers:\n- name: a\n  {kind}_configs: [{{{key}: {value}}}]\n");
        let _ = parse(&text, Path::new("/nowhere/alertmanager.yml"), &Variables::default());
    }
}
