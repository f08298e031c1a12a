//! HTTP+SSE (the transport of 2024-11-05) with the face of Streamable HTTP, so that nobody outside this folder knows.
//!
//! One connection is one upstream session: POSTing initialize opens an event stream and gives it a session id of ours,
//! random, so that after a restart it is simply unknown. POST, GET and DELETE with that id mean what they mean elsewhere:
//!
//! ```text
//! POST request       -> POSTed to the endpoint; 200 with what the stream says about it, until its response
//! POST anything else -> POSTed to the endpoint; its status
//! GET                -> 200, what the stream says besides calls
//! DELETE             -> 204, the stream is closed
//! any of them, stream gone or id unknown -> 404
//! ```

mod board;
mod connection;
mod endpoint;
mod pipe;
mod stream;

pub(super) use pipe::Outlet;

use pipe::Piece;

use super::wire::Wire;
use super::{HttpError, Response};
use crate::engine::call::{Kind, Message};
use crate::engine::mcp::headers;
use bytes::Bytes;
use connection::{Connection, Question};
use http::{HeaderMap, Method};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use url::Url;

/// Bytes of one event.
const EVENT: usize = 64 << 20;

/// The upstream sessions of one upstream. Dropped, they end, each when the last call in it has.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Of the event stream.
    url: Url,
    wire: Arc<Wire>,
    live: Arc<Table>,
}

/// Held for a look-up or a change only.
type Table = Mutex<HashMap<String, Connection>>;

impl Sessions {
    /// None yet; `url` is what GET is sent to.
    pub(super) fn new(url: Url, wire: Arc<Wire>) -> Self {
        Self {
            url,
            wire,
            live: Arc::default(),
        }
    }

    /// POSTs one message. Waits `limit` for the response headers, which a request has with the first message about it.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub(super) async fn post(
        &self,
        mut headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        let session = headers.remove(headers::SESSION_ID);
        let Some(message) = Message::read(&body) else {
            return Ok(refusal(400, "null", -32600, "not a JSON-RPC message"));
        };
        let (id, method) = match &message.kind {
            Kind::Request { id, method } => (Some(*id), &**method),
            Kind::Notification { .. } | Kind::Response { .. } => (None, ""),
        };
        let Some(session) = session else {
            if method == "initialize" {
                return self.open(headers, body, limit).await;
            }
            let words = "HTTP+SSE knows no request outside a session";
            return Ok(refusal(400, id.unwrap_or("null"), -32600, words));
        };
        let session = session.to_str().unwrap_or_default();
        let Some(connection) = self.find(session) else {
            return Ok(unknown(id.unwrap_or("null")));
        };
        if id.is_some() {
            return connection.ask(Question { headers, body, limit }).await;
        }
        let endpoint = connection.endpoint().clone();
        let response = self.wire.send(Method::POST, endpoint, headers, body, limit).await?;
        if response.status() == 404 {
            self.take(session);
        }
        Ok(response)
    }

    /// What a session says besides calls; one listener at a time.
    pub(super) async fn get(&self, headers: &HeaderMap) -> Response {
        let Some(session) = headers.get(headers::SESSION_ID) else {
            return Response::made(405, None, Bytes::new());
        };
        let Some(connection) = self.find(session.to_str().unwrap_or_default()) else {
            return unknown("null");
        };
        match connection.listen().await {
            Some(Some(news)) => Response::relayed(None, news),
            Some(None) => refusal(409, "null", -32600, "this session has a listener already"),
            None => unknown("null"),
        }
    }

    /// Ends a session, and the calls in it.
    pub(super) fn delete(&self, headers: &HeaderMap) -> Response {
        let session = headers.get(headers::SESSION_ID);
        match session.and_then(|id| self.take(id.to_str().unwrap_or_default())) {
            Some(connection) => {
                connection.end();
                Response::made(204, None, Bytes::new())
            }
            None => unknown("null"),
        }
    }

    /// Connects and says initialize. The session is kept if the upstream agrees.
    async fn open(&self, headers: HeaderMap, body: Bytes, limit: Duration) -> Result<Response, HttpError> {
        let opening = async {
            let spoken = speaking(&headers);
            let stream = match stream::open(&self.wire, &self.url, spoken.clone(), limit).await? {
                stream::Opened::Stream(stream) => stream,
                stream::Opened::Refused(response) => return Ok(*response),
            };
            let entry = Entry {
                id: format!("sse-{:032x}", rand::random::<u128>()),
                table: Arc::downgrade(&self.live),
            };
            let id = entry.id.clone();
            let connection = connection::start(Arc::clone(&self.wire), stream, spoken, entry);
            let question = Question { headers, body, limit };
            match connection.greet(question).await {
                Piece::Last(answer) => Ok(self.agreed(id, connection, answer)),
                Piece::Refused(response) => Ok(*response),
                Piece::Failed(error) => Err(error),
                Piece::Message(_) => Ok(refusal(502, "null", -32603, "no response")),
            }
        };
        tokio::time::timeout(limit, opening)
            .await
            .unwrap_or(Err(HttpError::TimedOut(limit)))
    }

    /// The response to initialize; a result makes the connection a session.
    fn agreed(&self, id: String, connection: Connection, answer: Bytes) -> Response {
        let agrees = Message::read(&answer)
            .is_some_and(|message| matches!(message.kind, Kind::Response { result: Some(_), .. }));
        let response = Response::made(200, Some("application/json"), answer);
        if !agrees {
            return response;
        }
        let response = response.with_session(&id);
        self.table().insert(id, connection);
        response
    }

    fn find(&self, session: &str) -> Option<Connection> {
        self.table().get(session).cloned().filter(Connection::is_alive)
    }

    fn take(&self, session: &str) -> Option<Connection> {
        self.table().remove(session)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        lock(&self.live)
    }
}

/// A connection's place in the table, given up when it ends.
#[derive(Debug)]
struct Entry {
    id: String,
    table: Weak<Table>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            lock(&table).remove(&self.id);
        }
    }
}

fn lock(table: &Table) -> MutexGuard<'_, HashMap<String, Connection>> {
    // Nothing panics while it is held; and if: the map is still a map.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a request speaks for its caller: a connection is of one caller, and every request of it says so.
fn speaking(headers: &HeaderMap) -> HeaderMap {
    let own = headers.iter().filter(|(_, value)| value.is_sensitive());
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a Streamable HTTP server says of a session that it does not know.
fn unknown(id: &str) -> Response {
    refusal(404, id, -32001, "the connection of this session has ended")
}

/// A JSON-RPC error; `id` is raw.
fn refusal(status: u16, id: &str, code: i32, words: &str) -> Response {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{words}"}}}}"#);
    Response::made(status, Some("application/json"), body.into())
}
