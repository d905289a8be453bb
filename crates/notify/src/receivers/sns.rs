//! Amazon SNS: topics, phones and platform endpoints.

use reba_alerting::DeliverError;
use reba_config::tree::Fault;
use reba_http::Secret;
use reba_template::escape;

use super::{Common, Http, Message, sigv4};
use crate::{
    config::{SecretSource, Settings, Tpl, Url},
    send::{Answer, Outgoing, Rule},
    text::excerpt,
};

/// Bytes of a message.
const MAX_MESSAGE: usize = 256 << 10;

/// Bytes of a message to a phone.
const MAX_SMS: usize = 1600;

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Debug)]
pub(super) struct Sns {
    common: Common,
    api_url: Tpl,
    region: String,
    access_key: String,
    topic_arn: Tpl,
    phone_number: Tpl,
    target_arn: Tpl,
    subject: Tpl,
    message: Tpl,
    attributes: Vec<(String, Tpl)>,
}

impl Sns {
    pub fn read(s: &Settings<'_>) -> Result<Self, Fault> {
        let [topic_arn, phone_number, target_arn] =
            [s.template("topic_arn", "")?, s.template("phone_number", "")?, s.template("target_arn", "")?];
        let given = [&topic_arn, &phone_number, &target_arn].iter().filter(|t| !t.is_empty()).count();
        if given != 1 {
            return s.refuse("must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
        }
        let api_url = s.template("api_url", "")?;
        // Upstream's switch for a client of the AWS library.
        s.flag("use_aws_http_client")?;
        let (region, access_key, secret_key) = sigv4_settings(s)?;
        let region = region.or_else(|| region_of(&[&topic_arn.text, &target_arn.text, &api_url.text]));
        if region.is_none() {
            s.miss("sigv4.region is not set, and Reba does not look for credentials elsewhere".to_owned());
        }
        Ok(Sns {
            common: Common { http: s.http()?, timeout: None, secrets: secret_key.into_iter().collect() },
            api_url,
            region: region.unwrap_or_default(),
            access_key,
            topic_arn,
            phone_number,
            target_arn,
            subject: s.template("subject", r#"{{ template "sns.default.subject" . }}"#)?,
            message: s.template("message", r#"{{ template "sns.default.message" . }}"#)?,
            attributes: s.templates("attributes")?,
        })
    }

    /// The parameters of `Publish`, in no order that matters.
    fn form(&self, m: &Message<'_>) -> Result<Vec<(String, String)>, DeliverError> {
        let mut form = vec![pair("Action", "Publish"), pair("Version", "2010-03-31")];
        let topic = m.text(&self.topic_arn)?;
        if topic.strip_suffix(".fifo").is_some() {
            form.push(pair("MessageDeduplicationId", &m.key_hash()));
            form.push(pair("MessageGroupId", &m.key_hash()));
        }
        let subject = m.text(&self.subject)?;
        let to = [
            ("TopicArn", topic),
            ("PhoneNumber", m.text(&self.phone_number)?),
            ("TargetArn", m.text(&self.target_arn)?),
            ("Subject", subject),
        ];
        form.extend(to.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| pair(n, v)));
        let limit = if self.phone_number.is_empty() { MAX_MESSAGE } else { MAX_SMS };
        let message = m.text(&self.message)?;
        let end = (0..=limit.min(message.len())).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
        form.push(pair("Message", &message[..end]));
        let mut attributes = Vec::new();
        for (name, tpl) in &self.attributes {
            let name = m.text(&Tpl::new(tpl.name.clone(), name.clone()))?;
            attributes.push((name, m.text(tpl)?));
        }
        if end < message.len() {
            attributes.push(("truncated".to_owned(), "true".to_owned()));
        }
        for (i, (name, value)) in attributes.iter().enumerate() {
            let entry = |key: &str| format!("MessageAttributes.entry.{}.{key}", i + 1);
            form.push((entry("Name"), name.clone()));
            form.push((entry("Value.DataType"), "String".to_owned()));
            form.push((entry("Value.StringValue"), value.clone()));
        }
        Ok(form)
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Region, access key and secret key. Profiles and roles are not supported: they disable the integration.
fn sigv4_settings(s: &Settings<'_>) -> Result<(Option<String>, String, Option<SecretSource>), Fault> {
    let Some(v4) = s.section("sigv4")? else {
        s.miss("sigv4.access_key and sigv4.secret_key are not set, and Reba does not look for credentials elsewhere".to_owned());
        return Ok((None, String::new(), None));
    };
    let (region, access) = (v4.text("region")?, v4.text("access_key")?);
    let secret = v4.text("secret_key")?.map(|t| SecretSource::Given(Secret::new(t)));
    for key in ["profile", "role_arn", "external_id"] {
        if v4.text(key)?.is_some() {
            s.miss(format!("sigv4.{key} is not supported: set access_key and secret_key"));
        }
    }
    v4.flag("use_fips_sts_endpoint")?;
    v4.finish()?;
    if access.is_some() != secret.is_some() && s.missing().is_none() {
        return v4.refuse("must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config");
    }
    if access.is_none() {
        s.miss("sigv4.access_key and sigv4.secret_key are not set, and Reba does not look for credentials elsewhere".to_owned());
    }
    Ok((region, access.unwrap_or_default(), secret))
}

/// The region that an ARN or an address names.
fn region_of(texts: &[&str]) -> Option<String> {
    texts.iter().find_map(|t| {
        let arn = t.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let host = || t.split_once("://sns.").and_then(|(_, rest)| rest.split('.').next());
        arn.or_else(host).filter(|r| !r.is_empty()).map(str::to_owned)
    })
}

impl Http for Sns {
    fn common(&self) -> &Common {
        &self.common
    }

    fn templates(&self) -> Vec<&Tpl> {
        let mut all = vec![
            &self.api_url,
            &self.topic_arn,
            &self.phone_number,
            &self.target_arn,
            &self.subject,
            &self.message,
        ];
        all.extend(self.attributes.iter().map(|(_, t)| t));
        all
    }

    fn requests(&self, m: &Message<'_>, secrets: &[Secret]) -> Result<Vec<Outgoing>, DeliverError> {
        let given = m.text(&self.api_url)?;
        // Requests go to the root of what is given, as in AWS' libraries.
        let url = match given.trim_end_matches('/') {
            "" => format!("https://sns.{}.amazonaws.com/", self.region),
            given => format!("{given}/"),
        };
        let uri: http::Uri = Url::new(&url)
            .and_then(|u| u.as_str().parse().map_err(|_| "not a URL".to_owned()))
            .map_err(|e| DeliverError::permanent(format!("api_url: {e}")))?;
        let form = self.form(m)?;
        let body: Vec<String> =
            form.iter().map(|(n, v)| format!("{}={}", escape::query(n), escape::query(v))).collect();
        let body = body.join("&");
        let signed = sigv4::sign(
            &sigv4::Signed {
                host: uri.authority().map_or("", |a| a.as_str()),
                path: uri.path(),
                body: &body,
                region: &self.region,
                service: "sns",
                content_type: FORM,
                now_ms: m.note.now_ms,
            },
            &sigv4::Credentials {
                access_key: &self.access_key,
                secret_key: super::first(secrets),
                token: None,
            },
        );
        let mut out = Outgoing::json(url, &())?;
        (out.body, out.content_type) = (body, FORM);
        Ok(vec![
            out.with_header("x-amz-date", signed.date).with_header("authorization", signed.authorization),
        ])
    }

    fn rule(&self) -> Rule {
        Rule { retry: &[], details: Some(explain) }
    }
}

/// The message of an error in XML.
fn explain(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let inside = body.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    excerpt(inside.map_or(body.as_ref(), |(message, _)| message).as_bytes())
}
