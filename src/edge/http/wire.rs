//! The connections to one upstream, and what every request through them carries: constant headers and the credential.

use super::connect::{Connector, Trust};
use super::{HttpError, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use tokio::runtime;

/// Node's servers close a connection that was idle for 5 s; a request must not meet that moment.
const IDLE: Duration = Duration::from_secs(4);

type Pool = Client<Connector, Full<Bytes>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    /// Constant ones, and the credential marked sensitive.
    headers: HeaderMap,
    /// Where the credential's value should be and is not: nothing goes out without it.
    missing: Option<String>,
    /// For TCP and TLS.
    connect: Duration,
    trust: Trust,
    pools: ArcSwap<Vec<(runtime::Id, Pool)>>,
}

impl Wire {
    pub(super) fn new(headers: HeaderMap, missing: Option<String>, connect: Duration, trust: Trust) -> Self {
        Self {
            headers,
            missing,
            connect,
            trust,
            pools: ArcSwap::default(),
        }
    }

    /// Sends one request; `headers` win over the constant ones but not over the credential. Waits `limit` for the
    /// response headers, connecting included.
    ///
    /// # Errors
    /// See [`HttpError`]. An answer of any status is no error.
    pub(super) async fn send(
        &self,
        method: Method,
        uri: Uri,
        mut headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        if let Some(place) = &self.missing {
            return Err(HttpError::SecretMissing(place.clone()));
        }
        for (name, value) in &self.headers {
            if value.is_sensitive() || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        match tokio::time::timeout(limit, self.pool().request(request)).await {
            Ok(Ok(response)) => Ok(Response::new(response)),
            Ok(Err(error)) => Err(HttpError::of_request(&error)),
            Err(_) => Err(HttpError::TimedOut(limit)),
        }
    }

    /// The pool of the calling runtime.
    fn pool(&self) -> Pool {
        let runtime = runtime::Handle::current().id();
        if let Some(pool) = find(&self.pools.load(), runtime) {
            return pool;
        }
        let fresh = self.fresh_pool();
        self.pools.rcu(|pools| {
            let mut pools = Vec::clone(pools);
            if find(&pools, runtime).is_none() {
                pools.push((runtime, fresh.clone()));
            }
            pools
        });
        find(&self.pools.load(), runtime).unwrap_or(fresh)
    }

    fn fresh_pool(&self) -> Pool {
        Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // A request that an idle connection refused before its first byte went out is sent again.
            .retry_canceled_requests(true)
            .build(Connector::new(&self.trust, self.connect))
    }
}

fn find(pools: &[(runtime::Id, Pool)], runtime: runtime::Id) -> Option<Pool> {
    let found = pools.iter().find(|(id, _)| *id == runtime);
    found.map(|(_, pool)| pool.clone())
}
