//! One connection to the registry, the processor's side.

use super::certificate::Identity;
use super::follower::Follower;
use super::{NOT_LEADER, kept::Held, proto, report};
use crate::engine::status::UpstreamStatus;
use proto::from_processor::Message;
use proto::registry_client::RegistryClient;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Status, Streaming};

const CONNECT: Duration = Duration::from_secs(5);
/// Until the stream is accepted.
const OPEN: Duration = Duration::from_secs(10);
/// A controller that is gone without a word is noticed within both together.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pieces are cut at 512 KiB.
const LARGEST_MESSAGE: usize = 16 << 20;
/// Of one update: half a GiB.
const MOST_PIECES: usize = 1024;
/// Messages to the controller that wait for the network.
const WAITING: usize = 16;

/// Why the registry is not followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The URL is none.
    #[error("{0:?} is not the URL of a registry: write https://host:port")]
    Url(String),
    /// The certificates cannot be read.
    #[error(transparent)]
    Files(#[from] super::files::FilesError),
    /// The certificates cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Identity(String),
    /// Nobody there, or not the one we trust.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Sent away.
    #[error("{}", said(.0))]
    Refused(Box<Status>),
    /// Took too long.
    #[error("no answer")]
    Silent,
    /// The controller has ended the stream.
    #[error("the stream has ended")]
    Ended,
    /// Not what was agreed on.
    #[error("the controller sends nonsense: {0}")]
    Nonsense(&'static str),
    /// There are new certificates.
    #[error("the certificates have changed")]
    Renewed,
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl LinkError {
    /// Whether a controller that does not lead sent us away.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::Unavailable && status.message() == NOT_LEADER)
    }
}

/// An open stream.
pub(super) struct Link {
    pub(super) inbound: Streaming<proto::Update>,
    outbound: mpsc::Sender<proto::FromProcessor>,
    /// Of the update that is coming in.
    pieces: Vec<proto::Update>,
    /// What was reported last.
    reported: Option<Arc<Vec<UpstreamStatus>>>,
}

/// An update, all its pieces.
pub(super) struct Complete {
    pub(super) position: proto::Position,
    pub(super) base: u64,
    pub(super) pieces: Vec<proto::Update>,
}

/// Where and how to connect. Does not connect yet, but knows whether the certificates are of use.
pub(super) fn endpoint(url: &str, identity: &Identity) -> Result<Endpoint, LinkError> {
    let wrong = || LinkError::Url(url.to_owned());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    let secure = endpoint.uri().scheme_str() == Some("https");
    let host = endpoint.uri().host().filter(|_| secure).ok_or_else(wrong)?;
    let tls = ClientTlsConfig::new()
        .domain_name(host.trim_start_matches('[').trim_end_matches(']'))
        .ca_certificate(Certificate::from_pem(&*identity.ca))
        .identity(tonic::transport::Identity::from_pem(
            &*identity.certificate,
            &*identity.key.0,
        ));
    let endpoint = endpoint
        .tls_config(tls)
        .map_err(|error| LinkError::Identity(told(&error)))?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

impl Link {
    /// Connects and says what is held.
    pub(super) async fn open(endpoint: &Endpoint, follower: &Follower, held: Option<&Held>) -> Result<Self, LinkError> {
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| LinkError::Connect(told(&error)))?;
        let (outbound, mut waiting) = mpsc::channel(WAITING);
        let hello = Message::Hello(proto::Hello {
            gateway: follower.gateway.to_string(),
            processor: follower.processor.to_string(),
            held: held.map(|held| held.position.clone()),
        });
        // The channel has room.
        send(&outbound, hello).await?;
        let mut client = RegistryClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
        let requests = futures_util::stream::poll_fn(move |context| waiting.poll_recv(context));
        let inbound = tokio::time::timeout(OPEN, client.follow(requests))
            .await
            .map_err(|_| LinkError::Silent)??;
        Ok(Self {
            inbound: inbound.into_inner(),
            outbound,
            pieces: Vec::new(),
            reported: None,
        })
    }

    /// Takes a piece in; `Some` with the last one.
    pub(super) fn take(&mut self, piece: proto::Update) -> Result<Option<Complete>, LinkError> {
        let Some(position) = piece.position.clone() else {
            return Err(LinkError::Nonsense("an update without a position"));
        };
        let same = |first: &proto::Update| first.position == piece.position && first.base == piece.base;
        if !self.pieces.first().is_none_or(same) {
            return Err(LinkError::Nonsense("two updates at once"));
        }
        if self.pieces.len() >= MOST_PIECES {
            return Err(LinkError::Nonsense("an endless update"));
        }
        let (base, more) = (piece.base, piece.more);
        self.pieces.push(piece);
        Ok((!more).then(|| Complete {
            position,
            base,
            pieces: std::mem::take(&mut self.pieces),
        }))
    }

    /// Says what became of an update.
    pub(super) async fn judge(&self, version: u64, verdict: Result<(), String>) -> Result<(), LinkError> {
        let refusal = verdict.err();
        send(&self.outbound, Message::Verdict(proto::Verdict { version, refusal })).await
    }

    /// Reports what changed since the last time; everything, the first time.
    pub(super) async fn report(&mut self, news: Arc<Vec<UpstreamStatus>>) -> Result<(), LinkError> {
        for piece in report::pieces(self.reported.as_deref().map(Vec::as_slice), &news) {
            send(&self.outbound, Message::Report(piece)).await?;
        }
        self.reported = Some(news);
        Ok(())
    }
}

async fn send(outbound: &mpsc::Sender<proto::FromProcessor>, message: Message) -> Result<(), LinkError> {
    let message = proto::FromProcessor { message: Some(message) };
    outbound.send(message).await.map_err(|_| LinkError::Ended)
}

fn said(status: &Status) -> String {
    let code = status.code();
    // Their texts are whole sentences of ours.
    if [Code::Unavailable, Code::PermissionDenied, Code::Unauthenticated].contains(&code) {
        return status.message().to_owned();
    }
    format!("{code}: {}", status.message())
}

/// An error with its causes: those of the transport say nothing alone.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
