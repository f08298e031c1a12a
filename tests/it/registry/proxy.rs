//! Connections between a processor and its controller: counted, cut, led elsewhere.

use super::room::within;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy on a port of its own.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: watch::Sender<SocketAddr>,
    /// Connections end when it changes.
    cut: watch::Sender<u64>,
    connections: watch::Sender<u64>,
    /// Towards the processor.
    bytes: AtomicU64,
}

impl Proxy {
    pub(super) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            target: watch::Sender::new(target),
            cut: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            bytes: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Waits until so many connections were made.
    pub(super) async fn seen(&self, connections: u64) {
        let mut count = self.shared.connections.subscribe();
        let seen = count.wait_for(|count| *count >= connections);
        within("a connection", seen).await.expect("the proxy runs");
    }

    pub(super) fn connections(&self) -> u64 {
        *self.shared.connections.borrow()
    }

    /// Bytes sent to the processor so far.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.shared.cut.send_modify(|times| *times += 1);
    }

    /// Leads new connections elsewhere.
    pub(super) fn turn(&self, target: SocketAddr) {
        self.shared.target.send_replace(target);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((downstream, _)) = listener.accept().await {
        let mut cut = shared.cut.subscribe();
        let target = *shared.target.borrow();
        shared.connections.send_modify(|count| *count += 1);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                _ = cut.changed() => {}
                () = carry(downstream, target, &shared.bytes) => {}
            }
        });
    }
}

async fn carry(downstream: TcpStream, target: SocketAddr, bytes: &AtomicU64) {
    let Ok(upstream) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_processor, mut to_processor) = downstream.into_split();
    let (mut from_controller, mut to_controller) = upstream.into_split();
    let up = tokio::io::copy(&mut from_processor, &mut to_controller);
    let down = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_controller.read(&mut buffer).await {
            bytes.fetch_add(count as u64, Ordering::Relaxed);
            if to_processor.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}

/// Somebody who answers everybody with nonsense.
pub(super) async fn babbler() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(&[0x16, 0x03, 0x03, 0xff, 0xff, 0x42, 0, 1, 2, 3])
                .await;
        }
    });
    address
}
