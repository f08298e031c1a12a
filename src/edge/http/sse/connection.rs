//! One connection: a task that reads the event stream and POSTs requests, and the handle to it.
//!
//! Requests are POSTed by the task rather than by who asks, because a response may come before its POST is answered, and
//! a POST that is given up half-way may cost the call. The task runs on the runtime that opened the connection and ends
//! with the stream, with the last handle, or when told so; every call in it then fails.

use super::super::wire::Wire;
use super::super::{HttpError, Response};
use super::board::{Board, Flight, Key};
use super::pipe::{Outlet, Piece, encode, pipe};
use super::stream::EventStream;
use super::{EVENT, Entry, refusal, unknown};
use crate::engine::call::{Kind, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Bytes of what is said to a POST that was taken.
const ACCEPTED: usize = 64 << 10;
/// For the answer to a ping of the upstream.
const ANSWERING: Duration = Duration::from_secs(5);

/// The handle.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    endpoint: Uri,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Ask(Question, super::pipe::Inlet),
    Listen(oneshot::Sender<Option<Outlet>>),
    End,
}

/// A request on its way to the upstream.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Until something is heard about it.
    pub(super) limit: Duration,
}

/// Starts the task of a connection.
pub(super) fn start(wire: Arc<Wire>, stream: Box<EventStream>, spoken: HeaderMap, entry: Entry) -> Connection {
    let (commands, queue) = mpsc::unbounded_channel();
    let connection = Connection {
        endpoint: stream.endpoint().clone(),
        commands,
    };
    let task = Task {
        wire,
        stream,
        spoken,
        queue,
        board: Board::new(),
        posts: FuturesUnordered::new(),
        _entry: entry,
    };
    tokio::spawn(task.run());
    connection
}

impl Connection {
    /// Where messages are POSTed.
    pub(super) const fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Asks, and waits for the first message about it.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub(super) async fn ask(&self, question: Question) -> Result<Response, HttpError> {
        let limit = question.limit;
        let mut outlet = self.begin(question);
        let first = tokio::time::timeout(limit, outlet.next()).await;
        match first.map_err(|_| HttpError::TimedOut(limit))? {
            Piece::Message(data) => Ok(Response::relayed(Some(encode(data)), outlet.holding(self.clone()))),
            Piece::Last(data) => Ok(Response::made(200, Some("application/json"), data)),
            Piece::Refused(response) => Ok(*response),
            Piece::Failed(error) => Err(error),
        }
    }

    /// Asks, and waits for the response alone.
    pub(super) async fn greet(&self, question: Question) -> Piece {
        let mut outlet = self.begin(question);
        loop {
            match outlet.next().await {
                Piece::Message(_) => {}
                last @ (Piece::Last(_) | Piece::Refused(_) | Piece::Failed(_)) => return last,
            }
        }
    }

    fn begin(&self, question: Question) -> Outlet {
        let (inlet, outlet) = pipe(EVENT);
        if let Err(mpsc::error::SendError(Command::Ask(question, inlet))) =
            self.commands.send(Command::Ask(question, inlet))
        {
            turn_away(&question, &inlet);
        }
        outlet
    }

    /// What the stream says besides calls; `Some(None)`: somebody listens already, `None`: it has ended.
    pub(super) async fn listen(&self) -> Option<Option<Outlet>> {
        let (reply, news) = oneshot::channel();
        self.commands.send(Command::Listen(reply)).ok()?;
        news.await.ok()
    }

    /// Ends it.
    pub(super) fn end(&self) {
        let _ = self.commands.send(Command::End);
    }
}

/// The connection had ended before the request went out: the session is lost, and the request can be made again.
fn turn_away(question: &Question, inlet: &super::pipe::Inlet) {
    let message = Message::read(&question.body);
    let id = message.as_ref().and_then(id).unwrap_or("null");
    let _ = inlet.push(Piece::Refused(Box::new(unknown(id))));
}

fn id<'a>(message: &Message<'a>) -> Option<&'a str> {
    match message.kind {
        Kind::Request { id, .. } => Some(id),
        Kind::Notification { .. } | Kind::Response { .. } => None,
    }
}

struct Task {
    wire: Arc<Wire>,
    stream: Box<EventStream>,
    /// What speaks for the caller, as it was shown last.
    spoken: HeaderMap,
    queue: mpsc::UnboundedReceiver<Command>,
    board: Board,
    posts: FuturesUnordered<BoxFuture<'static, Posted>>,
    _entry: Entry,
}

/// How a POST was answered.
struct Posted {
    /// Of the request; `None`: nobody waits.
    call: Option<Key>,
    is_ping: bool,
    /// `Ok(None)`: it was taken.
    outcome: Result<Option<Response>, HttpError>,
}

impl Task {
    async fn run(mut self) {
        let why = self.work().await;
        tracing::debug!(error = %why, "HTTP+SSE session ended.");
        self.queue.close();
        while let Ok(command) = self.queue.try_recv() {
            if let Command::Ask(question, inlet) = command {
                turn_away(&question, &inlet);
            }
        }
        self.board.fail(&why);
    }

    /// Until it ends; why it did.
    async fn work(&mut self) -> HttpError {
        loop {
            tokio::select! {
                command = self.queue.recv() => match command {
                    Some(Command::Ask(question, inlet)) => self.begin(question, inlet),
                    // Whoever asked may have left.
                    Some(Command::Listen(reply)) => drop(reply.send(self.board.listen())),
                    Some(Command::End) | None => return HttpError::BrokenOff("its session was ended".to_owned()),
                },
                event = self.stream.next() => match event {
                    // Other types are for readers of their own.
                    Ok(event) if event.event.is_empty() || event.event == "message" => self.hear(&event.data),
                    Ok(_) => {}
                    Err(error) => return error,
                },
                Some(posted) = self.posts.next() => {
                    if let Some(error) = self.posted(posted) {
                        return error;
                    }
                }
            }
        }
    }

    fn begin(&mut self, question: Question, inlet: super::pipe::Inlet) {
        let Question { headers, body, limit } = question;
        let Some(message) = Message::read(&body) else { return };
        let Some(flight) = Flight::of(&message, inlet) else {
            return;
        };
        let call = flight.id.clone();
        let is_ping = matches!(&message.kind, Kind::Request { method, .. } if method == "ping");
        if let Err(second) = self.board.begin(flight) {
            let id = id(&message).unwrap_or("null");
            let words = "a request with this id is in flight";
            let _ = second
                .inlet
                .push(Piece::Refused(Box::new(refusal(400, id, -32600, words))));
            return;
        }
        for (name, value) in &mut self.spoken {
            if let Some(newer) = headers.get(name) {
                value.clone_from(newer);
            }
        }
        let post = post(Arc::clone(&self.wire), self.endpoint(), headers, body.clone(), limit);
        self.posts.push(Box::pin(async move {
            Posted {
                call: Some(call),
                is_ping,
                outcome: post.await,
            }
        }));
    }

    fn hear(&mut self, data: &Bytes) {
        let Some(answer) = self.board.hear(data) else { return };
        let mut headers = self.spoken.clone();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let post = post(Arc::clone(&self.wire), self.endpoint(), headers, answer, ANSWERING);
        self.posts.push(Box::pin(async move {
            Posted {
                call: None,
                is_ping: false,
                outcome: post.await,
            }
        }));
    }

    /// Takes note of a POST that was answered; why the session is lost, if that says so.
    fn posted(&mut self, posted: Posted) -> Option<HttpError> {
        match posted.outcome {
            Ok(None) => None,
            Ok(Some(response)) => {
                let status = response.status();
                let lost = status == 404 || (status == 400 && posted.is_ping);
                if let Some(call) = posted.call {
                    self.board.cut(&call, Piece::Refused(Box::new(response)));
                }
                lost.then(|| HttpError::BrokenOff(format!("answered {status}: its session is gone")))
            }
            Err(error) => {
                if let Some(call) = posted.call {
                    self.board.cut(&call, Piece::Failed(error));
                }
                None
            }
        }
    }

    fn endpoint(&self) -> Uri {
        self.stream.endpoint().clone()
    }
}

async fn post(
    wire: Arc<Wire>,
    endpoint: Uri,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
) -> Result<Option<Response>, HttpError> {
    let response = wire.send(Method::POST, endpoint, headers, body, limit).await?;
    if !response.is_success() {
        return Ok(Some(response));
    }
    // Read to its end, so that the connection can be used again.
    let _ = response.collect(ACCEPTED, limit).await;
    Ok(None)
}
