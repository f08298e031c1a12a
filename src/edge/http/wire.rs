//! The connections to one upstream, and what every request through them carries: constant headers and the credential.

use super::connect::{Connector, Trust};
use super::{HttpError, Response, lasting};
use crate::engine::mcp::headers::ENDPOINT;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tower_service::Service;

/// Node's servers close a connection that was idle for 5 s; a request must not meet that moment.
const IDLE: Duration = Duration::from_secs(4);

/// Connections that wait to be used again, and how new ones are made.
#[derive(Clone, Debug)]
struct Pool {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
}

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
    /// The URL's.
    host: String,
    /// Dialled instead of the URL's host, where a controller knows them.
    addresses: Arc<[SocketAddr]>,
    pools: ArcSwap<Vec<(Place, Pool)>>,
}

/// Whose connections, and to which of several addresses: `None` for whichever has its turn.
type Place = (runtime::Id, Option<SocketAddr>);

impl Wire {
    pub(super) fn new(
        headers: HeaderMap,
        missing: Option<String>,
        connect: Duration,
        trust: Trust,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Self {
        Self {
            headers,
            missing,
            connect,
            trust,
            host: host.to_owned(),
            addresses: addresses.into(),
            pools: ArcSwap::default(),
        }
    }

    /// Dialled instead of the URL's host; empty where only DNS knows.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Sends one request; `headers` win over the constant ones but not over the credential. Of several addresses it goes
    /// to the one that `x-mcp-endpoint` names, which stays here. Waits `limit` for the response headers, connecting
    /// included.
    ///
    /// # Errors
    /// See [`HttpError`]. An answer of any status is no error.
    pub(super) async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        let (address, request) = self.prepare(method, uri, headers, Full::new(body))?;
        let client = self.pool(address).client;
        match tokio::time::timeout(limit, client.request(request)).await {
            Ok(Ok(response)) => Ok(Response::new(response)),
            Ok(Err(error)) => Err(HttpError::of_request(&error)),
            Err(_) => Err(HttpError::TimedOut(limit)),
        }
    }

    /// The same on a connection of its own, for an answer that says little and lasts: see `lasting`.
    ///
    /// # Errors
    /// See [`HttpError`]. An answer of any status is no error.
    pub(super) async fn hold(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        let (address, request) = self.prepare(method, uri, headers, body)?;
        let mut connector = self.pool(address).connector;
        let exchange = async {
            let connecting = async {
                poll_fn(|context| connector.poll_ready(context)).await?;
                connector.call(request.uri().clone()).await
            };
            let connected = connecting.await.map_err(|error| HttpError::of_connector(&*error))?;
            let exchange = lasting::exchange(connected, &request).await;
            exchange.map_err(|error| HttpError::of_lasting(&error))
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(Ok((status, headers, body))) => Ok(Response::lasting(status, headers, body)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(HttpError::TimedOut(limit)),
        }
    }

    /// The request with all that every request carries, and to which of several addresses it goes.
    fn prepare<B>(
        &self,
        method: Method,
        uri: Uri,
        mut headers: HeaderMap,
        body: B,
    ) -> Result<(Option<SocketAddr>, Request<B>), HttpError> {
        if let Some(place) = &self.missing {
            return Err(HttpError::SecretMissing(place.clone()));
        }
        let address = headers
            .remove(ENDPOINT)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        for (name, value) in &self.headers {
            if value.is_sensitive() || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok((address, request))
    }

    /// The pool of the calling runtime.
    fn pool(&self, address: Option<SocketAddr>) -> Pool {
        // One that is not known (any more) is not dialled: whoever asks means a session that is gone with it.
        let address = address.filter(|address| self.addresses.contains(address));
        let place = (runtime::Handle::current().id(), address);
        if let Some(pool) = find(&self.pools.load(), place) {
            return pool;
        }
        let fresh = self.fresh_pool(address);
        self.pools.rcu(|pools| {
            let mut pools = Vec::clone(pools);
            if find(&pools, place).is_none() {
                pools.push((place, fresh.clone()));
            }
            pools
        });
        find(&self.pools.load(), place).unwrap_or(fresh)
    }

    fn fresh_pool(&self, address: Option<SocketAddr>) -> Pool {
        let dial = address.map_or_else(|| Arc::clone(&self.addresses), |address| [address].into());
        let connector = Connector::new(&self.trust, self.connect, &self.host, dial);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // A request that an idle connection refused before its first byte went out is sent again.
            .retry_canceled_requests(true)
            .build(connector.clone());
        Pool { client, connector }
    }
}

fn find(pools: &[(Place, Pool)], place: Place) -> Option<Pool> {
    let found = pools.iter().find(|(of, _)| *of == place);
    found.map(|(_, pool)| pool.clone())
}
