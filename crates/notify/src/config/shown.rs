//! The configuration as it is shown: without secrets, and still one that can be loaded.

use reba_config::tree::{Kind, Node};
use reba_http::SECRET_TEXT;

/// Keys whose values nobody is shown, wherever they stand.
const SECRETS: [&str; 28] = [
    "smtp_auth_password",
    "smtp_auth_secret",
    "slack_api_url",
    "slack_app_token",
    "opsgenie_api_key",
    "wechat_api_secret",
    "victorops_api_key",
    "telegram_bot_token",
    "rocketchat_token",
    "rocketchat_token_id",
    "mattermost_webhook_url",
    "whatsapp_access_token",
    "auth_password",
    "auth_secret",
    "app_token",
    "api_key",
    "service_key",
    "bot_token",
    "user_key",
    "token",
    "token_id",
    "webhook_url",
    "api_secret",
    "secret_key",
    "access_token",
    "alert_source_token",
    "client_secret",
    "bearer_token",
];

/// Keys that hold secrets in these sections only.
const SECRETS_WITHIN: [(&str, &str); 7] = [
    ("slack_configs", "api_url"),
    ("pagerduty_configs", "routing_key"),
    ("basic_auth", "password"),
    ("authorization", "credentials"),
    ("http_headers", "secrets"),
    ("proxy_connect_header", ""),
    ("tls_config", "key"),
];

/// The file as YAML with `<secret>` in the place of every secret.
pub(super) fn without_secrets(root: &Node) -> String {
    let mut root = root.clone();
    hide(&mut root, &mut Vec::new());
    root.yaml_without_secrets(&|_| false)
}

/// Hides what is secret below a node; `within` are the keys above it. (Trees have a limited depth.)
fn hide(node: &mut Node, within: &mut Vec<String>) {
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::List(items) => items.iter_mut().for_each(|n| hide(n, within)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                if is_secret(key, within) {
                    replace(value, SECRET_TEXT);
                } else if key == "url" && within.last().is_some_and(|k| k == "webhook_configs") {
                    // A webhook's URL may be a secret as a whole, and older programs want a URL here.
                    replace(value, "http://<secret>");
                } else {
                    within.push(key.clone());
                    hide(value, within);
                    within.pop();
                }
            }
        }
    }
}

fn is_secret(key: &str, within: &[String]) -> bool {
    let inside = |section: &str| within.iter().rev().take(2).any(|k| k == section);
    SECRETS.contains(&key) || SECRETS_WITHIN.iter().any(|(s, k)| inside(s) && (k.is_empty() || *k == key))
}

/// Puts a text in the place of every text of a node that is not empty.
fn replace(node: &mut Node, shown: &str) {
    if node.is_null() {
        return;
    }
    match &mut node.kind {
        Kind::Scalar { text, .. } if text.is_empty() => {}
        Kind::Scalar { text, plain } => (*text, *plain) = (shown.to_owned(), false),
        Kind::List(items) => items.iter_mut().for_each(|n| replace(n, shown)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(_, n)| replace(n, shown)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use reba_config::tree;

    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret_and_can_be_read_again() {
        let text = "global: {slack_api_url: https://hook/hunter2, http_config: {basic_auth: {username: u, password: hunter2}}}\n\
             receivers:\n- name: a\n  pagerduty_configs: [{routing_key: hunter2, client_url: http://c}]\n  \
             victorops_configs: [{routing_key: team, api_key: hunter2}]\n  webhook_configs: [{url: 'http://h/hunter2'}]\n  \
             webex_configs: [{http_config: {http_headers: {X: {secrets: [hunter2], values: [v]}}, proxy_url: 'http://u:hunter2@p'}}]\n";
        let shown = without_secrets(&tree::parse(text, Path::new("f")).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["username: u", "routing_key: team", "http://c", "http://<secret>", "proxy_url", "values"]
        {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        tree::parse(&shown, Path::new("f")).unwrap();
    }
}
