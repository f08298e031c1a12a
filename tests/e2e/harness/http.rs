//! A plain HTTP/1.1 client over TCP: one connection per request, the bytes as the test wrote them.

use super::PATIENCE;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A response as it came.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Without chunk lines.
    pub(crate) body: Vec<u8>,
    /// False: the connection broke before the announced end.
    pub(crate) whole: bool,
}

impl Response {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON-RPC message: the body itself, or the last event's data.
    pub(crate) fn message(&self) -> Value {
        let text = self.text();
        let json = if self.media() == "text/event-stream" {
            let mut data = text
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .filter(|data| !data.trim().is_empty());
            data.next_back().unwrap_or_default().to_owned()
        } else {
            text
        };
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The media type without parameters.
    pub(crate) fn media(&self) -> &str {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }
}

/// Sends `request`, byte for byte, and reads one response.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Response> {
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        // A server may answer, and close, before it has read everything (413): that is no failure of the exchange.
        let send = async {
            let _refused = writer.write_all(request).await;
            std::future::pending::<()>().await
        };
        tokio::select! {
            response = receive(&mut reader) => response,
            () = send => unreachable!("it stays pending"),
        }
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no response in time")))
}

/// Reads one response.
pub(crate) async fn receive(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Response> {
    let (first, headers) = head(reader).await?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {first:?}")))?;
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
        whole: true,
    };
    let body = body(reader, &response.headers, Closing::IsTheEnd, &mut response.body).await;
    response.whole = body.is_ok();
    Ok(response)
}

/// First line and headers.
pub(crate) async fn head(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<(String, Vec<(String, String)>)> {
    let mut line = String::new();
    let mut first = None;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end_matches(['\r', '\n']);
        match (&first, text.split_once(':')) {
            (Some(_), _) if text.is_empty() => break,
            (Some(_), Some((name, value))) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            (Some(_), None) => return Err(io::Error::other(format!("not a header: {text:?}"))),
            (None, _) => first = Some(text.to_owned()),
        }
    }
    Ok((first.unwrap_or_default(), headers))
}

/// What a message without a length means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// A response: it ends with the connection.
    IsTheEnd,
    /// A request: it has no body.
    IsNotAwaited,
}

/// The body that these headers announce.
pub(crate) async fn body(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    headers: &[(String, String)],
    closing: Closing,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return chunks(reader, into).await;
    }
    match header("content-length").and_then(|value| value.parse::<u64>().ok()) {
        Some(length) => {
            let read = reader.take(length).read_to_end(into).await?;
            if read as u64 == length {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        None if closing == Closing::IsTheEnd => reader.read_to_end(into).await.map(drop),
        None => Ok(()),
    }
}

async fn chunks(reader: &mut (impl AsyncBufReadExt + Unpin), into: &mut Vec<u8>) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|error| io::Error::other(format!("{line:?}: {error}")))?;
        if reader.take(size).read_to_end(into).await? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.clear();
        reader.read_line(&mut line).await?;
        if size == 0 {
            return Ok(());
        }
    }
}
