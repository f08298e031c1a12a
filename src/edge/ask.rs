//! The client of a gateway's admin port: one GET, one answer, for `status` and `tools`.
//!
//! Plain HTTP/1.1, a connection per question, nothing kept. An error says which address was asked and what to do.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// For the whole question; the admin port answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than 100,000 tools need.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Asks one admin port.
#[derive(Clone)]
pub struct AdminClient {
    authority: String,
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there, or the name is unknown.
    #[error(
        "no gateway answers at {address} ({cause}): is it running? \
         Another address is given by --admin ADDR, $MCP_MANIFOLD_ADMIN or -f FILE"
    )]
    Unreachable {
        /// host:port
        address: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Not within 10 s.
    #[error("{0} did not answer within 10 s")]
    Timeout(String),
    /// 401.
    #[error("{0} wants a token: give -f FILE with its adminToken, or set MCP_MANIFOLD_ADMIN_TOKEN")]
    Unauthorized(String),
    /// 400: it does not know what the question is about.
    #[error("{address} cannot say: {message}")]
    Unanswerable {
        /// host:port
        address: String,
        /// Why, in its words.
        message: String,
    },
    /// Any other status but 200.
    #[error("{address} answered {status} to {path} ({message}): is it the admin port of a gateway?")]
    Status {
        /// host:port
        address: String,
        /// What was asked.
        path: String,
        /// HTTP status.
        status: u16,
        /// What it said of the reason.
        message: String,
    },
    /// Broke off, or did not speak HTTP.
    #[error("{address} did not answer in HTTP ({message}): is it the admin port of a gateway?")]
    Broken {
        /// host:port
        address: String,
        /// What happened.
        message: String,
    },
}

impl AdminClient {
    /// `address` is `host:port`, with or without `http://` in front and `/` behind.
    #[must_use]
    pub fn new(address: &str, token: Option<String>) -> Self {
        let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        Self {
            authority: authority.to_owned(),
            token,
        }
    }

    /// The body of `GET path`.
    ///
    /// # Errors
    /// Anything but a 200 with a text in time.
    pub async fn get(&self, path: &str) -> Result<String, AskError> {
        match tokio::time::timeout(TIMEOUT, self.exchange(path)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(AskError::Timeout(self.authority.clone())),
        }
    }

    async fn exchange(&self, path: &str) -> Result<String, AskError> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|cause| AskError::Unreachable {
                address: self.authority.clone(),
                cause,
            })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        let question = async {
            let response = sender
                .send_request(self.request(path)?)
                .await
                .map_err(|error| self.broken(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            let bytes = body.map_err(|error| self.broken(&error))?.to_bytes();
            self.accept(path, status, bytes.into())
        };
        // The connection is driven here, so that nothing outlives the question.
        tokio::pin!(question);
        tokio::select! {
            outcome = &mut question => outcome,
            _ = connection => question.await,
        }
    }

    fn request(&self, path: &str) -> Result<hyper::Request<Empty<Bytes>>, AskError> {
        let mut request = hyper::Request::get(path).header(http::header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Empty::new()).map_err(|error| self.broken(&error))
    }

    fn accept(&self, path: &str, status: StatusCode, body: Vec<u8>) -> Result<String, AskError> {
        let address = self.authority.clone();
        match status {
            StatusCode::OK => String::from_utf8(body).map_err(|error| self.broken(&error)),
            StatusCode::UNAUTHORIZED => Err(AskError::Unauthorized(address)),
            StatusCode::BAD_REQUEST => Err(AskError::Unanswerable {
                address,
                message: reason(status, &body),
            }),
            status => Err(AskError::Status {
                address,
                path: path.to_owned(),
                status: status.as_u16(),
                message: reason(status, &body),
            }),
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> AskError {
        AskError::Broken {
            address: self.authority.clone(),
            message: error.to_string(),
        }
    }
}

/// The first line of a short text, else the usual words for the status.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    let good = !line.is_empty() && line.len() <= 200 && !line.contains(char::is_control) && !line.starts_with('<');
    if good {
        line
    } else {
        status.canonical_reason().unwrap_or("no reason given")
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one connection with `reply` and returns what was asked.
    async fn answer_once(listener: TcpListener, reply: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.expect("a request head");
            asked.push(byte);
        }
        stream.write_all(reply.as_bytes()).await.expect("written");
        String::from_utf8(asked).expect("text")
    }

    async fn ask(reply: &'static str) -> (Result<String, AskError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let client = AdminClient::new(&format!("http://{address}/"), Some("t0ken".to_owned()));
        tokio::join!(client.get("/status"), answer_once(listener, reply))
    }

    #[tokio::test]
    async fn the_body_of_a_200_is_the_answer() {
        let (outcome, asked) = ask("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(outcome.expect("answered"), "{}");
        assert!(asked.starts_with("GET /status HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer t0ken\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_says_how_to_give_a_token() {
        let (outcome, _) = ask("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
        let error = outcome.expect_err("refused").to_string();
        assert!(error.contains("MCP_MANIFOLD_ADMIN_TOKEN"), "{error}");
    }

    #[tokio::test]
    async fn a_question_about_nothing_known_is_answered_in_the_gateways_words() {
        let (outcome, _) = ask("HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\nno tool is x").await;
        let error = outcome.expect_err("400").to_string();
        assert!(error.ends_with("cannot say: no tool is x"), "{error}");
    }

    #[tokio::test]
    async fn something_else_on_that_port_is_told_apart() {
        let (outcome, _) = ask("220 mail ready\r\n").await;
        assert!(matches!(outcome, Err(AskError::Broken { .. })), "{outcome:?}");
        let (outcome, _) = ask("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        let error = outcome.expect_err("404").to_string();
        assert!(error.contains("answered 404 to /status (Not Found)"), "{error}");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_address_and_the_way_out_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let error = AdminClient::new(&address, None)
            .get("/status")
            .await
            .expect_err("closed")
            .to_string();
        assert!(error.contains(&address) && error.contains("--admin ADDR"), "{error}");
    }
}
