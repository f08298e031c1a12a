//! The registry's gRPC service on its port.

use super::certificate::{Identity, Peer};
use super::ledger::Registry;
use super::listen::Door;
use super::session::Session;
use super::{NOT_LEADER, proto};
use futures_util::Stream;
use proto::from_processor::Message;
use proto::registry_server::RegistryServer;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// A peer that is gone without a word is noticed within both together.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the first message of a stream.
const HELLO: Duration = Duration::from_secs(5);
/// Of a piece of a report; pieces are cut at 512 KiB.
const LARGEST_MESSAGE: usize = 4 << 20;
/// A Kubernetes name has 253 characters at most.
const LONGEST_NAME: usize = 253;
/// For streams to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why serving ended before it should.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Of the transport.
    #[error("the registry cannot serve")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves the registry until `stop`; then processors are sent away, to another controller. Needs a runtime.
///
/// A new identity is used for the next connection; streams of processors that it does not trust end.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    identity: watch::Receiver<Identity>,
    registry: Registry,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let service = Service {
        registry: registry.clone(),
        identity: identity.clone(),
    };
    let connections = Door::new(listener, identity).into_stream();
    let going = stop.clone();
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .serve_with_incoming_shutdown(
            RegistryServer::new(service).max_decoding_message_size(LARGEST_MESSAGE),
            connections,
            going.cancelled_owned(),
        );
    let ending = async {
        stop.cancelled().await;
        registry.rest();
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = registry.bury() => Ok(()),
        () = ending => Ok(()),
    }
}

struct Service {
    registry: Registry,
    identity: watch::Receiver<Identity>,
}

#[tonic::async_trait]
impl proto::registry_server::Registry for Service {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<proto::Update, Status>> + Send>>;

    async fn follow(
        &self,
        request: Request<Streaming<proto::FromProcessor>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("no certificate was shown"))?;
        if !peer.is_trusted(&self.identity.borrow()) {
            return Err(Status::unauthenticated(
                "the certificate of this connection is not trusted any more",
            ));
        }
        let Some(gateway) = peer.gateway() else {
            return Err(Status::permission_denied("the client certificate names no gateway"));
        };
        let mut inbound = request.into_inner();
        let hello = hello(&mut inbound).await?;
        if *hello.gateway != *gateway {
            return Err(Status::permission_denied(format!(
                "the client certificate is for gateway {gateway}, not for {:?}",
                hello.gateway
            )));
        }
        if hello.processor.is_empty() || hello.processor.len() > LONGEST_NAME {
            return Err(Status::invalid_argument("the processor's name is empty or too long"));
        }
        let processor: Arc<str> = hello.processor.into();
        let Some(place) = self.registry.enter(&gateway, &processor) else {
            return Err(Status::unavailable(NOT_LEADER));
        };
        let session = Session::new(place, peer, self.identity.clone(), inbound, hello.held.as_ref());
        Ok(Response::new(Box::pin(session.into_stream())))
    }
}

async fn hello(inbound: &mut Streaming<proto::FromProcessor>) -> Result<proto::Hello, Status> {
    let first = tokio::time::timeout(HELLO, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello"))??;
    match first.and_then(|first| first.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        Some(Message::Verdict(_) | Message::Report(_)) | None => Err(Status::invalid_argument("hello comes first")),
    }
}
