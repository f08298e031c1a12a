//! One token endpoint: the connections to it, and whether it is to be asked now.
//!
//! An endpoint that fails several times in a row is left alone for a while that doubles; after it one question decides.
//! Meanwhile everybody hears at once that it does not answer, instead of waiting for it.

use super::question::TIME;
use crate::edge::backoff::{Backoff, Bounds};
use crate::edge::http::Target;
use crate::engine::config::delegated::Exchange;
use crate::engine::config::{Authority, Timeouts, Upstream};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

const CONNECT: Duration = Duration::from_secs(5);
/// Failures in a row before it is left alone.
const PATIENCE: u32 = 3;
/// How long it is left alone.
const PAUSES: Bounds = Bounds {
    shortest: Duration::from_millis(500),
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// See the module.
pub(super) struct Endpoint {
    url: Url,
    ca: Option<Authority>,
    /// As whom the gateway asks: one that is not known there says nothing of another.
    client: String,
    target: Arc<Target>,
    failures: u32,
    backoff: Backoff,
    /// It is not asked before.
    until: Option<Instant>,
    /// The question that decides is under way.
    probing: bool,
}

impl Endpoint {
    /// Nothing was asked yet. `None`: it cannot be called.
    pub(super) fn new(by: &Exchange) -> Option<Self> {
        let timeout = Timeouts {
            connect: CONNECT,
            call: TIME,
            list: TIME,
        };
        let place = Upstream::elsewhere("token endpoint", by.token_url.clone(), by.ca.clone(), timeout);
        Some(Self {
            url: by.token_url.clone(),
            ca: by.ca.clone(),
            client: by.client_id.clone(),
            target: Arc::new(Target::new(&place, None).ok()?),
            failures: 0,
            backoff: Backoff::new(PAUSES),
            until: None,
            probing: false,
        })
    }

    /// It is the one that is meant. Upstreams share it, whatever they want tokens for.
    pub(super) fn serves(&self, exchange: &Exchange) -> bool {
        (&self.url, &self.client, &self.ca) == (&exchange.token_url, &exchange.client_id, &exchange.ca)
    }

    /// Where to ask now; `None`: it is left alone. Who gets it says what came of it: [`Endpoint::answered`],
    /// [`Endpoint::failed`], [`Endpoint::given_up`].
    pub(super) fn open(&mut self, now: Instant) -> Option<Arc<Target>> {
        if let Some(until) = self.until {
            if self.probing || now < until {
                return None;
            }
            self.probing = true;
        }
        Some(Arc::clone(&self.target))
    }

    /// It has answered, whatever it said.
    pub(super) fn answered(&mut self) {
        (self.failures, self.until, self.probing) = (0, None, false);
        self.backoff.reset();
    }

    /// It has not. How long it is left alone, if that begins now.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        self.probing = false;
        // Those who asked before it was left alone count for one.
        if self.failures < PATIENCE || self.until.is_some_and(|until| now < until) {
            return None;
        }
        let pause = self.backoff.next_wait();
        self.until = Some(now + pause);
        Some(pause)
    }

    /// Nobody knows what came of it.
    pub(super) const fn given_up(&mut self) {
        self.probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::delegated::Source;
    use std::path::Path;

    fn mk_endpoint() -> Endpoint {
        let keys = "tokenUrl: 'http://127.0.0.1:1/', clientId: g, clientSecret: {env: X}";
        let text = format!(
            "authentication: {{jwt: [{{issuer: i, audiences: [a], jwks: {{file: k}}}}]}}\n\
             upstreams: [{{name: a, url: 'http://a/', credential: {{exchange: {{{keys}}}}}}}]"
        );
        let config = crate::engine::config::file::parse(&text, Path::new("/"), Path::new("/")).expect("valid");
        let credential = config.upstreams[0].delegated.credential.clone().expect("given");
        let Source::Exchange(exchange) = &credential.source else {
            panic!("an exchange")
        };
        Endpoint::new(exchange).expect("it can be called")
    }

    #[tokio::test]
    async fn one_that_fails_in_a_row_is_left_alone_until_one_question_decides() {
        let (mut endpoint, now) = (mk_endpoint(), Instant::now());
        for _ in 1..PATIENCE {
            assert!(endpoint.open(now).is_some());
            assert_eq!(endpoint.failed(now), None);
        }
        let pause = endpoint.failed(now).expect("enough");
        assert!(endpoint.open(now).is_none(), "nobody asks");
        let later = now + pause;
        assert!(endpoint.open(later).is_some());
        assert!(endpoint.open(later).is_none(), "one decides");
        assert!(endpoint.failed(later).is_some(), "it goes on");
        assert!(endpoint.open(later).is_none());
        let much_later = later + PAUSES.longest;
        assert!(endpoint.open(much_later).is_some());
        endpoint.answered();
        assert!(endpoint.open(much_later).is_some() && endpoint.open(much_later).is_some());
        assert_eq!(endpoint.failed(much_later), None, "from the beginning");
    }

    #[tokio::test]
    async fn many_that_fail_at_once_do_not_lengthen_the_pause() {
        let (mut endpoint, now) = (mk_endpoint(), Instant::now());
        let pauses: Vec<_> = (0..50).filter_map(|_| endpoint.failed(now)).collect();
        assert_eq!(pauses.len(), 1);
    }

    #[tokio::test]
    async fn a_question_that_is_given_up_leaves_the_next_one_to_decide() {
        let (mut endpoint, now) = (mk_endpoint(), Instant::now());
        let pause = (0..PATIENCE).find_map(|_| endpoint.failed(now)).expect("enough");
        let later = now + pause;
        assert!(endpoint.open(later).is_some());
        endpoint.given_up();
        assert!(endpoint.open(later).is_some());
    }
}
