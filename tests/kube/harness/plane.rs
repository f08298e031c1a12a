//! The control plane's programs, which a test can take away for a while. Such a test stands in `kube::alone`.

use super::folder;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

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
