//! `drain`: tells a processor beforehand that it, or the Envoy beside it, is about to end, as a preStop hook does in a pod.
//!
//! An Envoy that ends waits for what is open, and cuts it in the end. So the streams that clients hold open end at its
//! beginning, in good order, and clients come back where Envoy stays; calls are served on until Envoy is gone. It is said
//! over a socket in the state folder, which opens to the processor's own user only.
//!
//! A processor in a pod of its own is asked by Envoys that hear of its end a moment after it was decided. Whoever ends it
//! waits for that moment, and it serves meanwhile.

use super::options::DrainOptions;
use crate::edge::extproc::{Listen, Listener};
use crate::edge::upstream::Hub;
use anyhow::Context;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tracing::{info, warn};

const DONE: &str = "done\n";
/// The processor has nothing to wait for before it answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failed accept (no file descriptors left).
const PAUSE: Duration = Duration::from_secs(1);

/// Ends the streams of clients whenever somebody asks for that. Waits for ever.
pub(super) async fn heed(state_dir: &Path, hub: &Hub) {
    let path = socket(state_dir);
    let bound = Listen::Unix { path, mode: 0o600 }.bind().await;
    // The file goes with the listener.
    let (listener, _file) = match bound {
        Ok(Listener::Unix(listener, file)) => (listener, file),
        Ok(Listener::Tcp(_)) => return std::future::pending().await,
        Err(error) => {
            warn!(%error, "Nobody can announce the end.");
            return std::future::pending().await;
        }
    };
    loop {
        match listener.accept().await {
            Ok((mut asking, _)) => {
                info!(streams = hub.len(), "The end was announced: streams of clients end.");
                hub.drain();
                // Whoever has gone meanwhile does not want to know.
                let _ = asking.write_all(DONE.as_bytes()).await;
            }
            Err(error) => {
                warn!(%error, "Cannot hear whether the end is announced.");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Says it to the processor with this state folder; returns once it has heard, and after the wait that was asked for.
pub(super) fn say(options: DrainOptions) -> anyhow::Result<()> {
    let state_dir = match options.state_dir {
        Some(folder) => folder,
        None => options.source.load()?.state_dir,
    };
    let path = socket(&state_dir);
    let missing = || {
        format!(
            "no processor listens at {}: is it `serve` that runs, with this state folder?",
            path.display()
        )
    };
    let mut processor = UnixStream::connect(&path).with_context(missing)?;
    processor.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    processor
        .read_to_string(&mut answer)
        .context("the processor does not answer")?;
    anyhow::ensure!(answer == DONE, "the processor has ended meanwhile");
    std::thread::sleep(options.wait);
    Ok(())
}

fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("drain.sock")
}
