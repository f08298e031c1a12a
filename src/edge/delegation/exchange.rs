//! Token exchange (RFC 8693): the caller's token for one that is good at an upstream.
//!
//! Made once for a caller's token and upstream, whoever waits, and used again until shortly before it expires. The token
//! endpoint is the configuration's; a redirect is no answer.

use super::{Look, MOST, Outcome, Resolve, is_value};
use crate::edge::http::{Response, Target};
use crate::engine::config::delegated::{self, OfCaller, Source};
use crate::engine::config::{Confidential, Timeouts, Upstream};
use crate::engine::policy::delegate::{Errand, Lack};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use url::form_urlencoded;

/// For the whole question.
const TIME: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const MAX_BYTES: usize = 64 << 10;
/// Where the endpoint does not say how long a token is good for.
const UNSAID: Duration = Duration::from_secs(60);
/// A call may take a while to reach whoever looks at the token.
const MARGIN: Duration = Duration::from_secs(30);
/// No token is kept longer: it may be revoked.
const LONGEST: Duration = Duration::from_secs(3600);

/// Upstream, and the SHA-256 of the caller's token.
type Key = (Arc<str>, [u8; 32]);
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// See the module.
pub(super) struct Exchange {
    runtime: Handle,
    resolve: Resolve,
    table: Arc<Mutex<Table>>,
}

/// Held for look-ups and changes, never across a question.
#[derive(Default)]
struct Table {
    tokens: HashMap<Key, Made>,
    flights: HashMap<Key, (Arc<OfCaller>, Flight)>,
    endpoints: Vec<(delegated::Exchange, Arc<Target>)>,
}

/// A token, and what it was made by.
struct Made {
    by: Arc<OfCaller>,
    token: Confidential,
    until: Instant,
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

impl Exchange {
    pub(super) fn new(runtime: Handle, resolve: Resolve) -> Self {
        Self {
            runtime,
            resolve,
            table: Arc::default(),
        }
    }

    pub(super) fn find(&self, errand: Errand) -> Look {
        let Some(subject) = errand.token.clone() else {
            return Look::Now(Err(Lack::Token));
        };
        let key = (
            Arc::clone(&errand.upstream),
            Sha256::digest(subject.0.as_bytes()).into(),
        );
        let mut table = lock(&self.table);
        if let Some(made) = table.tokens.get(&key)
            && made.until > Instant::now()
            && made.by == errand.from
        {
            return Look::Now(Ok(made.token.clone()));
        }
        let flight = match table.flights.get(&key) {
            Some((by, flight)) if *by == errand.from => flight.clone(),
            Some(_) | None => {
                let flight = self.begin(&mut table, key.clone(), errand.from.clone(), subject);
                table.flights.insert(key, (errand.from, flight.clone()));
                flight
            }
        };
        Look::Later(flight.boxed())
    }

    fn begin(&self, table: &mut Table, key: Key, by: Arc<OfCaller>, subject: Confidential) -> Flight {
        let Source::Exchange(exchange) = &by.source else {
            return std::future::ready(Err(Lack::Unavailable)).boxed().shared();
        };
        let target = table.endpoint(exchange);
        let secret = (self.resolve)(&exchange.client_secret);
        let (all, upstream) = (Arc::clone(&self.table), Arc::clone(&key.0));
        let asking = self.runtime.spawn(async move {
            let landing = Landing { all, key, by };
            let Source::Exchange(exchange) = &landing.by.source else {
                return Err(Lack::Unavailable);
            };
            let asked = match target.zip(secret) {
                Some((target, secret)) => ask(&target, exchange, &secret, &subject).await,
                None => Err((Lack::Unavailable, "tokenUrl or clientSecret is of no use".to_owned())),
            };
            landing.land(&upstream, asked)
        });
        asking
            .map(|asked| asked.unwrap_or(Err(Lack::Unavailable)))
            .boxed()
            .shared()
    }
}

/// Takes a question off the list however it ends.
struct Landing {
    all: Arc<Mutex<Table>>,
    key: Key,
    by: Arc<OfCaller>,
}

impl Landing {
    fn land(&self, upstream: &str, asked: Result<(Confidential, Duration), (Lack, String)>) -> Outcome {
        match asked {
            Ok((token, time)) => {
                let until = Instant::now() + time;
                let made = Made {
                    by: Arc::clone(&self.by),
                    token: token.clone(),
                    until,
                };
                lock(&self.all).remember(self.key.clone(), made);
                Ok(token)
            }
            Err((lack @ Lack::Refused, reason)) => {
                tracing::debug!(upstream, reason, "Token of a caller was not exchanged.");
                Err(lack)
            }
            Err((lack, reason)) => {
                tracing::warn!(upstream, reason, "Tokens of callers cannot be exchanged.");
                Err(lack)
            }
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut table = lock(&self.all);
        if table.flights.get(&self.key).is_some_and(|(by, _)| *by == self.by) {
            table.flights.remove(&self.key);
        }
    }
}

impl Table {
    fn remember(&mut self, key: Key, made: Made) {
        if self.tokens.len() >= MOST {
            let now = Instant::now();
            self.tokens.retain(|_, made| made.until > now);
        }
        if self.tokens.len() >= MOST {
            let next = self.tokens.iter().min_by_key(|(_, made)| made.until);
            if let Some(next) = next.map(|(key, _)| key.clone()) {
                self.tokens.remove(&next);
            }
        }
        self.tokens.insert(key, made);
    }

    /// Connections to a token endpoint are kept. `None`: it cannot be called.
    fn endpoint(&mut self, exchange: &delegated::Exchange) -> Option<Arc<Target>> {
        if let Some((_, target)) = self.endpoints.iter().find(|(known, _)| known == exchange) {
            return Some(Arc::clone(target));
        }
        let timeout = Timeouts {
            connect: CONNECT,
            call: TIME,
            list: TIME,
        };
        let place = Upstream::elsewhere(
            "token endpoint",
            exchange.token_url.clone(),
            exchange.ca.clone(),
            timeout,
        );
        let target = Arc::new(Target::new(&place, None).ok()?);
        // One for each that is configured; those of configurations before go now and then.
        if self.endpoints.len() >= 64 {
            self.endpoints.clear();
        }
        self.endpoints.push((exchange.clone(), Arc::clone(&target)));
        Some(target)
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Nothing panics while it is held; and if: the maps are still maps.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the endpoint: the token and how long it may be used, or why there is none, in words without secrets.
async fn ask(
    target: &Target,
    exchange: &delegated::Exchange,
    secret: &Confidential,
    subject: &Confidential,
) -> Result<(Confidential, Duration), (Lack, String)> {
    let unavailable = |reason: String| (Lack::Unavailable, reason);
    let asking = async {
        let headers = headers(exchange, secret)
            .ok_or_else(|| unavailable("clientId or clientSecret cannot be sent".to_owned()))?;
        let response = target.post(headers, form(exchange, subject), TIME).await;
        read(response.map_err(|error| unavailable(error.to_string()))?).await
    };
    tokio::time::timeout(TIME, asking)
        .await
        .unwrap_or_else(|_| Err(unavailable("the token endpoint did not answer in time".to_owned())))
}

async fn read(response: Response) -> Result<(Confidential, Duration), (Lack, String)> {
    let status = response.status();
    let body = response.collect(MAX_BYTES, TIME).await;
    let body = body.map_err(|error| (Lack::Unavailable, error.to_string()))?;
    if status == 200 {
        let answer: Answer = serde_json::from_slice(&body)
            // What serde says may show a piece of the token.
            .map_err(|_| {
                (
                    Lack::Unavailable,
                    "the token endpoint answered something that is no token".to_owned(),
                )
            })?;
        let of_use = answer.token_type.eq_ignore_ascii_case("bearer") && is_value(&answer.access_token);
        if !of_use || answer.access_token.contains(' ') {
            return Err((
                Lack::Unavailable,
                "the token endpoint answered a token that is no bearer token".to_owned(),
            ));
        }
        return Ok((Confidential(answer.access_token.into()), good_for(answer.expires_in)));
    }
    let error = serde_json::from_slice::<Refusal>(&body)
        .map(|refusal| refusal.error)
        .unwrap_or_default();
    let known = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let reason = format!(
        "the token endpoint answered {status} {}",
        if known { &*error } else { "" }
    );
    // RFC 8693, 2.2.2; whoever is told that of the gateway's own credentials has nothing to do with the caller.
    let of_gateway = ["invalid_client", "unauthorized_client", "unsupported_grant_type"].contains(&error.as_str());
    let lack = match status {
        400 | 403 if !of_gateway => Lack::Refused,
        _ => Lack::Unavailable,
    };
    Err((lack, reason.trim_end().to_owned()))
}

/// How long a token may be used that expires in so many seconds.
fn good_for(seconds: Option<f64>) -> Duration {
    let Some(seconds) = seconds else { return UNSAID };
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().min(LONGEST);
    // A token for a minute is used for half of it.
    whole.saturating_sub(MARGIN.min(whole / 2))
}

fn headers(exchange: &delegated::Exchange, secret: &Confidential) -> Option<HeaderMap> {
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
fn form(exchange: &delegated::Exchange, subject: &Confidential) -> Bytes {
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

#[cfg(test)]
mod tests;
