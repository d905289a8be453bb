//! `http_config` and `tls_config`.

use std::path::Path;

use reba_config::tree::{Fault, Kind, Node};
use reba_http::{HttpClientConfig, Secret, TlsConfig};

/// Reads an `http_config`; each key by itself first, so that an error names it.
pub(crate) fn http_config(node: &Node, path: &str, folder: &Path) -> Result<HttpClientConfig, Fault> {
    let Kind::Map(entries) = &node.kind else {
        return if node.is_null() {
            Ok(HttpClientConfig::default())
        } else {
            Err(Fault::new(node.at, path, "expected a map"))
        };
    };
    let mut keys = serde_json::Map::new();
    for (key, value) in entries.iter().filter(|(_, v)| !v.is_null()) {
        let mut one = serde_json::Map::new();
        one.insert(key.clone(), value.json());
        serde_json::from_value::<HttpClientConfig>(one.clone().into())
            .map_err(|e| fault(value, path, key, &e))?;
        keys.extend(one);
    }
    let mut http: HttpClientConfig =
        serde_json::from_value(keys.into()).map_err(|e| Fault::new(node.at, path, e))?;
    http.validate().map_err(|e| Fault::new(node.at, path, e))?;
    http.set_directory(folder);
    Ok(http)
}

/// Reads a `tls_config`.
pub(crate) fn tls_config(node: &Node, path: &str, folder: &Path) -> Result<TlsConfig, Fault> {
    // The client's configuration knows how to read and check it, and which of its files are relative.
    let whole = Node { at: node.at, kind: Kind::Map(vec![("tls_config".to_owned(), node.clone())]) };
    let path = path.trim_end_matches("tls_config").trim_end_matches('.');
    Ok(http_config(&whole, path, folder)?.tls_config.unwrap_or_default())
}

fn fault(node: &Node, path: &str, key: &str, e: &serde_json::Error) -> Fault {
    let text = without_values(&e.to_string());
    let unknown = text.starts_with(&format!("unknown field `{key}`"));
    let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if unknown { Fault::unknown_key(node.at, key) } else { Fault::new(node.at, key, text) }
}

/// The library's text without the value that it complains of, which may be a secret in the wrong place.
fn without_values(text: &str) -> String {
    let kinds = ["invalid type: string ", "invalid value: string "];
    let begins = kinds.iter().find_map(|k| text.find(k).map(|at| at + k.len()));
    match (begins, text.rfind(", expected ")) {
        (Some(begin), Some(end)) if begin < end => format!("{}{}", text[..begin].trim_end(), &text[end..]),
        _ => text.to_owned(),
    }
}

/// The secrets that stand in an `http_config`, so that nothing shows them.
pub(crate) fn secrets(http: &HttpClientConfig) -> Vec<Secret> {
    let mut out: Vec<Option<&Secret>> = vec![
        http.basic_auth.as_ref().and_then(|b| b.password.as_ref()),
        http.authorization.as_ref().and_then(|a| a.credentials.as_ref()),
        http.oauth2.as_ref().and_then(|o| o.client_secret.as_ref()),
        http.proxy_url.as_ref().and_then(|u| u.user()).and_then(|(_, password)| password),
    ];
    out.extend(http.http_headers.values().flat_map(|h| &h.secrets).map(Some));
    out.extend(http.proxy_connect_header.values().flatten().map(Some));
    out.into_iter().flatten().cloned().collect()
}
