//! `http_config` and `tls_config`.

use std::path::Path;

use reba_config::tree::{Fault, Kind, Node};
use reba_http::{HttpClientConfig, TlsConfig};

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
    let text = e.to_string();
    let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if text.starts_with("unknown field") {
        return Fault::new(node.at, key, "unknown key");
    }
    Fault::new(node.at, key, text)
}
