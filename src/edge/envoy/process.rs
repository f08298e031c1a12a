//! One run of Envoy: its command line, its log, how it comes up and how it ends.

use super::Address;
use super::admin::{Admin, Stat};
use super::log::{FORMAT, Log};
use super::spawn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{self, Instant};

/// Until a started Envoy must be LIVE.
const START: Duration = Duration::from_secs(30);
/// From quitquitquit to SIGKILL.
const QUIT: Duration = Duration::from_secs(2);

/// How Envoy is run.
#[derive(Clone, Debug)]
pub struct ChildOptions {
    /// See [`super::find`].
    pub binary: PathBuf,
    /// The rendered bootstrap.
    pub bootstrap: PathBuf,
    /// As rendered; for error messages.
    pub listen: SocketAddr,
    /// As rendered.
    pub admin: Admin,
    /// Worker threads.
    pub concurrency: u32,
    /// While draining, new connections are served this long.
    pub drain: Duration,
    /// While draining, requests under way may take this long.
    pub grace: Duration,
}

/// Why Envoy did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The binary cannot be executed.
    #[error("cannot start Envoy: {0}")]
    Spawn(#[source] io::Error),
    /// A listener's address cannot be had.
    #[error("{key}: cannot listen on {address}: {reason}; choose another address or stop who has it")]
    Bind {
        /// As Envoy says it.
        address: String,
        /// The configuration key.
        key: &'static str,
        /// As the kernel says it.
        reason: String,
    },
    /// It ended before it was LIVE.
    #[error("Envoy ended while starting ({status}): {said}")]
    Ended {
        /// Exit code or signal.
        status: ExitStatus,
        /// Its last words.
        said: String,
    },
    /// Neither LIVE nor dead.
    #[error("Envoy is not ready after {} s: {said}", START.as_secs())]
    Late {
        /// Its last words.
        said: String,
    },
}

/// A running Envoy. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: Log,
}

impl Process {
    /// Process id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Starts Envoy and waits until it is LIVE.
    pub(super) async fn start(options: &ChildOptions) -> Result<Self, StartError> {
        // Envoy would take over the socket of another one, and that one would say that it is LIVE.
        if options.admin.ready().await.is_ok() {
            return Err(StartError::Bind {
                address: options.admin.address().to_string(),
                key: "envoy.admin",
                reason: "another Envoy answers there".to_owned(),
            });
        }
        let mut process = Self::spawn(options).await.map_err(StartError::Spawn)?;
        tokio::select! {
            biased;
            status = process.ended() => return Err(process.explain(status, options)),
            () = live(&options.admin) => return Ok(process),
            () = time::sleep(START) => {}
        }
        let said = process.last_words();
        Err(StartError::Late { said })
    }

    async fn spawn(options: &ChildOptions) -> io::Result<Self> {
        let mut command = Command::new(&options.binary);
        command
            .arg("--config-path")
            .arg(&options.bootstrap)
            .args(["--concurrency", &options.concurrency.to_string()])
            .args(["--drain-time-s", &options.drain.as_secs().to_string()])
            .args(["--drain-strategy", "immediate"])
            .args(["--log-level", "warning", "--log-format-escaped", "--log-format", FORMAT])
            .arg("--disable-hot-restart")
            .stdin(Stdio::null())
            // Our standard output is for the ready line; an access log to /dev/stdout goes where our logs go.
            .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
            .stderr(Stdio::piped());
        let mut child = spawn::spawn(command).await?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("no pipe to Envoy's standard error"))?;
        Ok(Self {
            child,
            lines: BufReader::new(stderr).lines(),
            log: Log::default(),
        })
    }

    /// Forwards log lines until the process has ended. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        while let Ok(Some(line)) = self.lines.next_line().await {
            self.log.take(&line);
        }
        match self.child.wait().await {
            Ok(status) => status,
            Err(error) => {
                tracing::error!(%error, "The end of Envoy cannot be seen.");
                ExitStatus::default()
            }
        }
    }

    /// Lets requests under way finish, then ends it.
    pub(super) async fn drain(&mut self, options: &ChildOptions) {
        tokio::select! {
            status = self.ended() => {
                tracing::warn!(%status, "Envoy ended while draining.");
                return;
            }
            () = quiet(options) => {}
        }
        if let Err(error) = options.admin.quit().await {
            tracing::warn!(%error, "Envoy could not be asked to quit.");
        }
        if time::timeout(QUIT, self.ended()).await.is_ok() {
            return;
        }
        tracing::warn!("Envoy does not quit, it is killed.");
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "Envoy cannot be killed.");
        }
    }

    fn explain(&self, status: ExitStatus, options: &ChildOptions) -> StartError {
        let taken = self.log.last().find_map(cannot_bind);
        match taken {
            Some((address, reason)) => StartError::Bind {
                key: key_of(address, options),
                address: address.to_owned(),
                reason: reason.to_owned(),
            },
            None => StartError::Ended {
                status,
                said: self.last_words(),
            },
        }
    }

    fn last_words(&self) -> String {
        let said: Vec<&str> = self.log.last().collect();
        if said.is_empty() {
            return "it said nothing".to_owned();
        }
        said.join(" / ")
    }
}

async fn live(admin: &Admin) {
    let mut pause = Duration::from_millis(5);
    while !matches!(admin.ready().await, Ok(true)) {
        time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Asks Envoy to drain and waits until nobody would notice its end, but no longer than the grace.
async fn quiet(options: &ChildOptions) {
    if let Err(error) = options.admin.drain().await {
        tracing::warn!(%error, "Envoy could not be asked to drain.");
        return;
    }
    let began = Instant::now();
    while began.elapsed() < options.grace {
        let Ok(stats) = options.admin.stats(Stat::Gauge, "http.mcp.downstream_").await else {
            return;
        };
        let none = |name| stats.number(name) == Some(0);
        // An idle connection may bring another request, until it has been told to close.
        let served = began.elapsed() >= options.drain && none("http.mcp.downstream_rq_active");
        if served || none("http.mcp.downstream_cx_active") {
            return;
        }
        time::sleep(Duration::from_millis(20)).await;
    }
    tracing::warn!("Requests were still under way at the end of the grace.");
}

/// Address and reason in `cannot bind '127.0.0.1:8001': Address already in use`.
fn cannot_bind(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("cannot bind '")?;
    let (address, reason) = rest.split_once("': ")?;
    Some((address, reason))
}

fn key_of(address: &str, options: &ChildOptions) -> &'static str {
    let is_admin = match options.admin.address() {
        Address::Socket(path) => path.to_string_lossy() == address,
        Address::Tcp(admin) => *admin != options.listen && admin.to_string() == address,
    };
    if is_admin { "envoy.admin" } else { "listen" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_found_in_what_envoy_says() {
        let line = "error initializing config '  /x.yaml': cannot bind '127.0.0.1:8001': Address already in use";
        assert_eq!(cannot_bind(line), Some(("127.0.0.1:8001", "Address already in use")));
        assert_eq!(cannot_bind("unable to read file"), None);
    }
}
