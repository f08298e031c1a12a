//! One acceptor, several single-threaded runtimes.
//!
//! Envoy opens one connection per worker. Separate accept loops on one socket often give all of them to one thread, so
//! one acceptor hands them out in turn. Each runtime is a thread of its own and shares nothing with the others but
//! what the processor shares.
//!
//! Ending: no more connections, NOT_SERVING, GOAWAY; running exchanges get the grace; what is left is cut by closing
//! its connection, which Envoy takes for an error.

use super::health::Health;
use super::listen::Listener;
use super::socket::{Accepted, Socket};
use futures_util::stream::poll_fn as stream_of;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service;

/// Of one exchange; a body of this size comes without waiting for us.
const STREAM_WINDOW: u32 = 1 << 20;
/// Of all exchanges of one Envoy worker.
const CONNECTION_WINDOW: u32 = 32 << 20;
const LARGEST_FRAME: u32 = 256 << 10;
/// Envoy is the only peer: clients that leave in masses must not cost it the connection.
const PENDING_RESETS: usize = 100_000;
const KEEPALIVE: Duration = Duration::from_secs(30);
/// After a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What to serve on, and how.
#[derive(Debug)]
pub struct Server {
    /// Bound addresses; closed when the drain begins.
    pub listeners: Vec<Listener>,
    /// Threads, each with a runtime of its own.
    pub runtimes: NonZeroUsize,
    /// What running exchanges get after the drain began.
    pub grace: Duration,
    /// What the health service says.
    pub health: Health,
}

/// Why serving ended before it should.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No thread or no runtime to be had.
    #[error("cannot start an ext_proc runtime")]
    Start(#[source] io::Error),
    /// A runtime ended by itself.
    #[error("an ext_proc runtime ended unexpectedly")]
    Lost,
}

/// A gRPC service as tonic makes them. Implemented by all that fit.
pub trait Method:
    Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future = Answering>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Method for S where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future = Answering>
        + Clone
        + Send
        + Sync
        + 'static
{
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl Server {
    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn run<P: Method>(self, processor: P, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let service = Methods {
            processor,
            health: HealthServer::new(self.health.clone()),
        };
        let drain = CancellationToken::new();
        let cut = CancellationToken::new();
        let _cut_if_dropped = cut.clone().drop_guard();
        // Nothing is sent through it: it is closed when the last worker has ended.
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let mut workers = Vec::with_capacity(self.runtimes.get());
        for index in 0..self.runtimes.get() {
            let (connections, incoming) = mpsc::unbounded_channel();
            let worker = Worker {
                incoming,
                drain: drain.clone(),
                cut: cut.clone(),
                _alive: alive.clone(),
            };
            worker.start(index, service.clone()).map_err(ServerError::Start)?;
            workers.push(connections);
        }
        drop(alive);

        tokio::select! {
            lost = accept(&self.listeners, &workers) => return Err(lost),
            () = shutdown => {}
        }
        drop(self.listeners);
        self.health.leave();
        drain.cancel();
        if tokio::time::timeout(self.grace, ended.recv()).await.is_err() {
            tracing::warn!(grace = ?self.grace, "Exchanges still running after the grace are cut.");
            cut.cancel();
            ended.recv().await;
        }
        Ok(())
    }
}

/// Hands connections to the workers in turn. Returns only if a worker is gone.
async fn accept(listeners: &[Listener], workers: &[mpsc::UnboundedSender<Accepted>]) -> ServerError {
    let mut turn = workers.iter().cycle();
    loop {
        let accepted = poll_fn(|context| {
            let ready = listeners
                .iter()
                .find_map(|listener| match listener.poll_accept(context) {
                    Poll::Ready(accepted) => Some(accepted),
                    Poll::Pending => None,
                });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        match accepted.await {
            Ok(connection) => {
                if turn.next().is_none_or(|worker| worker.send(connection).is_err()) {
                    return ServerError::Lost;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "Cannot accept a connection from Envoy.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One thread with one runtime.
struct Worker {
    incoming: mpsc::UnboundedReceiver<Accepted>,
    drain: CancellationToken,
    cut: CancellationToken,
    _alive: mpsc::Sender<()>,
}

impl Worker {
    fn start<P: Method>(self, index: usize, service: Methods<P>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name(format!("ext_proc-{index}"))
            .spawn(move || runtime.block_on(self.serve(service)))
            .map(drop)
    }

    /// Until drained or cut. The runtime is dropped afterwards, with all connections that are left.
    async fn serve<P: Method>(mut self, service: Methods<P>) {
        let incoming =
            stream_of(move |context| self.incoming.poll_recv(context).map(|next| next.map(Accepted::arrive)));
        let serving = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(LARGEST_FRAME)
            .max_concurrent_streams(None)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
            .http2_max_local_error_reset_streams(None)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .serve_with_incoming_shutdown::<_, _, _, Socket, _, _>(service, incoming, self.drain.cancelled_owned());
        tokio::select! {
            served = serving => {
                if let Err(error) = served {
                    tracing::error!(%error, "An ext_proc runtime failed.");
                }
            }
            () = self.cut.cancelled() => {}
        }
    }
}

/// The two gRPC services, told apart by path.
#[derive(Clone)]
struct Methods<P> {
    processor: P,
    health: HealthServer<Health>,
}

impl<P: Method> Service<http::Request<Body>> for Methods<P> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().starts_with("/grpc.health.v1.") {
            self.health.call(request)
        } else {
            self.processor.call(request)
        }
    }
}
