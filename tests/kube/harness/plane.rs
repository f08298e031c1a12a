//! The control plane's programs, which a test can take away for a while. Such a test runs alone (see `exclusive`).

use super::folder;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::const_new(());

/// For a test that needs the control plane as it is.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// For a test that disturbs it: no other test holds a turn meanwhile.
pub(crate) async fn exclusive() -> RwLockWriteGuard<'static, ()> {
    TURN.write().await
}

/// Kills `etcd`, `kube-apiserver` or `kube-controller-manager`.
pub(crate) async fn stop(program: &str) {
    tell(&format!("stop {program}")).await;
}

/// Starts it again.
pub(crate) async fn start(program: &str) {
    tell(&format!("start {program}")).await;
}

async fn tell(line: &str) {
    let stream = UnixStream::connect(folder().join("control")).await;
    let mut stream = BufReader::new(stream.expect("the cluster listens"));
    stream
        .write_all(format!("{line}\n").as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream.read_line(&mut answer).await.expect("it answers");
    assert_eq!(answer.trim(), "done", "{line}");
}
