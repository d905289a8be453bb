//! AWS Signature Version 4 for a POST of a form.
//!
//! As AWS documents it ("Create a signed AWS API request"): a canonical request is hashed, the hash is signed with a key that is
//! derived from the secret for one day, region and service.

use reba_template::Time;
use ring::{digest, hmac};

use crate::text::hex;

/// Who signs.
pub(super) struct Credentials<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    /// Of temporary credentials.
    pub token: Option<&'a str>,
}

/// What is signed: a POST of a form to the root or another path of a host.
pub(super) struct Signed<'a> {
    pub host: &'a str,
    pub path: &'a str,
    pub body: &'a str,
    pub region: &'a str,
    pub service: &'a str,
    pub content_type: &'a str,
    pub now_ms: i64,
}

/// The headers that sign a request.
pub(super) struct Headers {
    pub date: String,
    pub authorization: String,
}

pub(super) fn sign(request: &Signed<'_>, by: &Credentials<'_>) -> Headers {
    let time = Time::from_unix_ms(request.now_ms);
    let format = |layout| time.as_ref().map(|t| t.format(layout)).unwrap_or_default();
    let (date, day) = (format("20060102T150405Z"), format("20060102"));
    let mut names = "content-type;host;x-amz-date".to_owned();
    let mut headers =
        format!("content-type:{}\nhost:{}\nx-amz-date:{date}\n", request.content_type, request.host);
    if let Some(token) = by.token {
        names.push_str(";x-amz-security-token");
        headers.push_str(&format!("x-amz-security-token:{token}\n"));
    }
    let canonical = format!("POST\n{}\n\n{headers}\n{names}\n{}", request.path, sha256(request.body));
    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
    let mut key = format!("AWS4{}", by.secret_key).into_bytes();
    for part in [day.as_str(), request.region, request.service, "aws4_request"] {
        key = mac(&key, part);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        by.access_key,
        hex(&mac(&key, &to_sign))
    );
    Headers { date, authorization }
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The case `post-x-www-form-urlencoded` of AWS' own test suite.
    #[test]
    fn the_signature_is_that_of_aws() {
        let request = Signed {
            host: "example.amazonaws.com",
            path: "/",
            body: "Param1=value1",
            region: "us-east-1",
            service: "service",
            content_type: "application/x-www-form-urlencoded",
            now_ms: 1_440_938_160_000,
        };
        let by = Credentials {
            access_key: "AKIDEXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token: None,
        };
        let signed = sign(&request, &by);
        assert_eq!(signed.date, "20150830T123600Z");
        assert_eq!(
            signed.authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }
}
