//! A response that is read while it comes: event by event.

use super::PATIENCE;
use super::client::Request;
use super::http;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An open response.
pub(crate) struct Stream {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    /// What came and was not taken yet.
    text: String,
    chunked: bool,
    /// How it ended; `None`: it has not.
    pub(crate) whole: Option<bool>,
}

impl Stream {
    /// Sends the request; returns when the response headers are here.
    pub(crate) async fn open(address: SocketAddr, request: &Request) -> Self {
        let opened = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&request.bytes()).await?;
            let mut reader = BufReader::new(stream);
            let (first, headers) = http::head(&mut reader).await?;
            let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
            let chunked = headers
                .iter()
                .any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
            io::Result::Ok(Self {
                status: status.unwrap_or_default(),
                headers,
                reader,
                text: String::new(),
                chunked,
                whole: None,
            })
        };
        let opened = tokio::time::timeout(PATIENCE, opened)
            .await
            .expect("a response in time");
        opened.unwrap_or_else(|error| panic!("no response ({error})"))
    }

    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The next event, comments before it included, without its blank line; `None`: the stream is over.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            let ends = ["\n\n", "\r\n\r\n"].into_iter();
            let end = ends.filter_map(|end| Some((self.text.find(end)?, end.len()))).min();
            if let Some((at, len)) = end {
                let event = self.text[..at].to_owned();
                self.text.drain(..at + len);
                return Some(event);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next message; events without data are skipped. Panics where none comes.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            let event = self.event().await.expect("the stream goes on");
            let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
            let data = data.join("\n");
            if !data.trim().is_empty() {
                return serde_json::from_str(&data).unwrap_or_else(|error| panic!("no JSON ({error}): {event}"));
            }
        }
    }

    /// All that is still to come.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        std::mem::take(&mut self.text)
    }

    /// Waits for another piece. False: the stream is over.
    async fn more(&mut self) -> bool {
        if self.whole.is_some() {
            return false;
        }
        let piece = tokio::time::timeout(PATIENCE, self.piece())
            .await
            .expect("a piece in time");
        match piece {
            Ok(piece) if !piece.is_empty() => {
                self.text.push_str(&String::from_utf8_lossy(&piece));
                true
            }
            ended => {
                self.whole = Some(ended.is_ok());
                false
            }
        }
    }

    /// Empty: the end.
    async fn piece(&mut self) -> io::Result<Vec<u8>> {
        if !self.chunked {
            let mut piece = vec![0; 64 << 10];
            let read = self.reader.read(&mut piece).await?;
            piece.truncate(read);
            return Ok(piece);
        }
        let mut line = String::new();
        if self.reader.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|error| io::Error::other(format!("{line:?}: {error}")))?;
        let mut piece = vec![0; size + 2];
        self.reader.read_exact(&mut piece).await?;
        piece.truncate(size);
        Ok(piece)
    }
}
