//! Token exchange (RFC 8693): the caller's token for one that is good at an upstream.
//!
//! Made once for a caller's token and upstream, whoever waits, and used again until shortly before it expires or the
//! upstream refuses it. That a caller gets none is remembered for a moment, an endpoint that is down is left alone for a
//! while. The token endpoint is the configuration's; a redirect is no answer.

mod circuit;
mod question;

use super::{Look, MOST, Outcome, Resolve};
use crate::edge::http::Target;
use crate::engine::config::Confidential;
use crate::engine::config::delegated::{OfCaller, Source};
use crate::engine::policy::delegate::{Errand, Lack};
use circuit::Endpoint;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use question::{Fault, ask};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Token endpoints that are known at once.
const ENDPOINTS: usize = 64;
/// Who was refused is not asked for again before.
const REFUSED: Duration = Duration::from_secs(5);
/// A token that was made just now is not made again because an upstream refuses it: it would refuse that one too.
const YOUNG: Duration = Duration::from_secs(5);

/// Upstream, and the SHA-256 of the caller's token.
type Key = (Arc<str>, [u8; 32]);
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// See the module.
pub(super) struct TokenExchange {
    runtime: Handle,
    resolve: Resolve,
    table: Arc<Mutex<Table>>,
}

/// Held for look-ups and changes, never across a question.
#[derive(Default)]
struct Table {
    tokens: HashMap<Key, Made>,
    refusals: HashMap<Key, Refused>,
    flights: HashMap<Key, (Arc<OfCaller>, Flight)>,
    endpoints: Vec<Endpoint>,
}

/// A token, and what it was made by.
struct Made {
    by: Arc<OfCaller>,
    token: Confidential,
    since: Instant,
    until: Instant,
}

/// What a caller was told, and of which endpoint.
struct Refused {
    by: Arc<OfCaller>,
    lack: Lack,
    until: Instant,
}

impl TokenExchange {
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
        let key = key_of(&errand.upstream, &subject);
        let now = Instant::now();
        let mut table = lock(&self.table);
        if let Some(known) = table.known(&key, &errand.from, now) {
            return Look::Now(known);
        }
        let flight = match table.flights.get(&key) {
            Some((by, flight)) if *by == errand.from => flight.clone(),
            Some(_) | None => {
                let Some(target) = table.open(&errand.from, now) else {
                    return Look::Now(Err(Lack::Unavailable));
                };
                let flight = self.begin(target, key.clone(), errand.from.clone(), subject);
                table.flights.insert(key, (errand.from, flight.clone()));
                flight
            }
        };
        Look::Later(flight.boxed())
    }

    /// The upstream has refused this token, which may have been revoked: it is made anew when it is needed next, unless it
    /// was just made. One that took its place meanwhile stays.
    pub(super) fn forget(&self, errand: &Errand, refused: impl Fn(&Confidential) -> bool) {
        let Some(subject) = &errand.token else { return };
        let key = key_of(&errand.upstream, subject);
        let mut table = lock(&self.table);
        let is_old = table
            .tokens
            .get(&key)
            .is_some_and(|made| made.by == errand.from && made.since.elapsed() >= YOUNG && refused(&made.token));
        if is_old {
            table.tokens.remove(&key);
        }
    }

    fn begin(&self, target: Arc<Target>, key: Key, by: Arc<OfCaller>, subject: Confidential) -> Flight {
        let Source::Exchange(exchange) = &by.source else {
            return std::future::ready(Err(Lack::Unavailable)).boxed().shared();
        };
        let secret = (self.resolve)(&exchange.client_secret);
        let (all, upstream) = (Arc::clone(&self.table), Arc::clone(&key.0));
        let asking = self.runtime.spawn(async move {
            let landing = Landing { all, key, by };
            let Source::Exchange(exchange) = &landing.by.source else {
                return Err(Lack::Unavailable);
            };
            let asked = match secret {
                Some(secret) => ask(&target, exchange, &secret, &subject).await,
                None => Err(Fault::Endpoint("clientSecret has no value".to_owned())),
            };
            landing.land(&upstream, asked)
        });
        asking
            .map(|asked| asked.unwrap_or(Err(Lack::Unavailable)))
            .boxed()
            .shared()
    }
}

fn key_of(upstream: &Arc<str>, subject: &Confidential) -> Key {
    (Arc::clone(upstream), Sha256::digest(subject.0.as_bytes()).into())
}

/// Takes a question off the list however it ends.
struct Landing {
    all: Arc<Mutex<Table>>,
    key: Key,
    by: Arc<OfCaller>,
}

impl Landing {
    fn land(&self, upstream: &str, asked: Result<question::Made, Fault>) -> Outcome {
        let (mut table, now) = (lock(&self.all), Instant::now());
        let by = || Arc::clone(&self.by);
        match asked {
            Ok((token, time)) => {
                table.endpoint(&self.by).map(Endpoint::answered);
                let (since, until) = (now, now + time);
                let made = Made {
                    by: by(),
                    token: token.clone(),
                    since,
                    until,
                };
                table.refusals.remove(&self.key);
                insert(&mut table.tokens, self.key.clone(), made, now);
                Ok(token)
            }
            Err(Fault::Caller(lack, reason)) => {
                table.endpoint(&self.by).map(Endpoint::answered);
                let (by, until) = (by(), now + REFUSED);
                insert(&mut table.refusals, self.key.clone(), Refused { by, lack, until }, now);
                tracing::debug!(upstream, reason, "Token of a caller was not exchanged.");
                Err(lack)
            }
            Err(Fault::Endpoint(reason)) => {
                let pause = table.endpoint(&self.by).and_then(|endpoint| endpoint.failed(now));
                let alone = pause.map(|pause| humantime::format_duration(pause).to_string());
                tracing::warn!(upstream, reason, alone, "Tokens of callers cannot be exchanged.");
                Err(Lack::Unavailable)
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
        // After `land` this says nothing new: only a question that ended half-way was under way still.
        table.endpoint(&self.by).map(Endpoint::given_up);
    }
}

impl Table {
    /// What was found out already, and still holds.
    fn known(&self, key: &Key, by: &Arc<OfCaller>, now: Instant) -> Option<Outcome> {
        let made = self.tokens.get(key).filter(|made| made.until > now && made.by == *by);
        let refused = || {
            let refused = self.refusals.get(key);
            refused.filter(|refused| refused.until > now && refused.by == *by)
        };
        match made {
            Some(made) => Some(Ok(made.token.clone())),
            None => refused().map(|refused| Err(refused.lack)),
        }
    }

    /// Where to ask; `None`: nowhere, for now.
    fn open(&mut self, by: &OfCaller, now: Instant) -> Option<Arc<Target>> {
        self.endpoint(by)?.open(now)
    }

    /// Connections to a token endpoint are kept, and how it does.
    fn endpoint(&mut self, by: &OfCaller) -> Option<&mut Endpoint> {
        let Source::Exchange(exchange) = &by.source else {
            return None;
        };
        let known = self.endpoints.iter().position(|known| known.serves(exchange));
        let at = match known {
            Some(at) => at,
            None => {
                let endpoint = Endpoint::new(exchange)?;
                // One for each that is configured; those of configurations before go now and then.
                if self.endpoints.len() >= ENDPOINTS {
                    self.endpoints.clear();
                }
                self.endpoints.push(endpoint);
                self.endpoints.len() - 1
            }
        };
        self.endpoints.get_mut(at)
    }
}

/// Something that is known for a while.
trait Timed {
    fn until(&self) -> Instant;
}

impl Timed for Made {
    fn until(&self) -> Instant {
        self.until
    }
}

impl Timed for Refused {
    fn until(&self) -> Instant {
        self.until
    }
}

/// Of too many those go that are over, else the one that is over next.
fn insert<V: Timed>(all: &mut HashMap<Key, V>, key: Key, value: V, now: Instant) {
    if all.len() >= MOST {
        all.retain(|_, value| value.until() > now);
    }
    if all.len() >= MOST {
        let next = all.iter().min_by_key(|(_, value)| value.until());
        if let Some(next) = next.map(|(key, _)| key.clone()) {
            all.remove(&next);
        }
    }
    all.insert(key, value);
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Nothing panics while it is held; and if: the maps are still maps.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
