//! One question to a token endpoint (RFC 8693): what is sent, and what its answer means. Remembers nothing.
//!
//! Whose fault it is that there is no token matters: what one caller cannot have, another may; an endpoint that is down is
//! down for all of them.

use super::super::is_value;
use crate::edge::http::{HttpError, Response, Target};
use crate::engine::config::Confidential;
use crate::engine::config::delegated::Exchange;
use crate::engine::policy::delegate::Lack;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use std::time::Duration;
use url::form_urlencoded;

/// For the whole question.
pub(super) const TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MAX_BYTES: usize = 64 << 10;
/// Where the endpoint does not say how long a token is good for.
pub(super) const UNSAID: Duration = Duration::from_secs(60);
/// A call may take a while to reach whoever looks at the token.
const MARGIN: Duration = Duration::from_secs(30);
/// No token is kept longer: it may be revoked.
const LONGEST: Duration = Duration::from_secs(3600);
/// Nor shorter: what belongs to one call goes out with one token.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);

/// A token and how long it may be used.
pub(super) type Made = (Confidential, Duration);

/// Why there is no token, in words without secrets.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The endpoint has answered, and this caller gets none; another may.
    Caller(Lack, String),
    /// The endpoint is down or overloaded, or does not know the gateway: nobody gets one.
    Endpoint(String),
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Asks the endpoint.
pub(super) async fn ask(
    target: &Target,
    exchange: &Exchange,
    secret: &Confidential,
    subject: &Confidential,
) -> Result<Made, Fault> {
    let asking = async {
        let headers = headers(exchange, secret)
            .ok_or_else(|| Fault::Endpoint("clientId or clientSecret cannot be sent".to_owned()))?;
        let response = target.post(headers, form(exchange, subject), TIME).await;
        read(response.map_err(|error| Fault::Endpoint(error.to_string()))?).await
    };
    tokio::time::timeout(TIME, asking)
        .await
        .unwrap_or_else(|_| Err(Fault::Endpoint("the token endpoint did not answer in time".to_owned())))
}

async fn read(response: Response) -> Result<Made, Fault> {
    let status = response.status();
    let body = match response.collect(MAX_BYTES, TIME).await {
        Ok(body) => body,
        Err(error @ HttpError::TooLarge(_)) => return Err(Fault::Caller(Lack::Unavailable, error.to_string())),
        Err(error) => return Err(Fault::Endpoint(error.to_string())),
    };
    match status {
        200 => token(&body),
        _ => Err(refusal(status, &body)),
    }
}

fn token(body: &[u8]) -> Result<Made, Fault> {
    let of_no_use = |words: &str| Fault::Caller(Lack::Unavailable, format!("the token endpoint answered {words}"));
    // What serde says may show a piece of the token.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| of_no_use("something that is no token"))?;
    let is_bearer = answer.token_type.eq_ignore_ascii_case("bearer");
    if !is_bearer || !is_value(&answer.access_token) || answer.access_token.contains(' ') {
        return Err(of_no_use("a token that is no bearer token"));
    }
    Ok((Confidential(answer.access_token.into()), good_for(answer.expires_in)))
}

fn refusal(status: u16, body: &[u8]) -> Fault {
    let error = serde_json::from_slice::<Refusal>(body)
        .map(|refusal| refusal.error)
        .unwrap_or_default();
    let known = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let reason = format!(
        "the token endpoint answered {status} {}",
        if known { &*error } else { "" }
    );
    let reason = reason.trim_end().to_owned();
    // RFC 8693, 2.2.2; whoever is told that of the gateway's own credentials has nothing to do with the caller.
    let of_gateway = ["invalid_client", "unauthorized_client", "unsupported_grant_type"].contains(&error.as_str());
    match status {
        _ if of_gateway => Fault::Endpoint(reason),
        400 | 403 => Fault::Caller(Lack::Refused, reason),
        401 | 404 | 405 | 408 | 429 | 502..=504 => Fault::Endpoint(reason),
        // A token may be what makes a server fail.
        _ => Fault::Caller(Lack::Unavailable, reason),
    }
}

/// How long a token may be used that expires in so many seconds.
pub(super) fn good_for(seconds: Option<f64>) -> Duration {
    let Some(seconds) = seconds else { return UNSAID };
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().min(LONGEST);
    // A token for a minute is used for half of it.
    whole.saturating_sub(MARGIN.min(whole / 2)).max(SHORTEST)
}

fn headers(exchange: &Exchange, secret: &Confidential) -> Option<HeaderMap> {
    // RFC 6749, 2.3.1: both are encoded before they are joined.
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = STANDARD.encode(format!("{}:{}", encoded(&exchange.client_id), encoded(&secret.0)));
    let mut basic = HeaderValue::from_str(&format!("Basic {joined}")).ok()?;
    basic.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", basic);
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    Some(headers)
}

/// RFC 8693, 2.1
fn form(exchange: &Exchange, subject: &Confidential) -> Bytes {
    const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token", &subject.0)
        .append_pair("subject_token_type", ACCESS_TOKEN)
        .append_pair("requested_token_type", ACCESS_TOKEN);
    let more = [
        ("audience", &exchange.audience),
        ("resource", &exchange.resource),
        ("scope", &exchange.scope),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            form.append_pair(key, value);
        }
    }
    form.finish().into()
}
