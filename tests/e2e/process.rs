//! Child processes of tests: started, awaited by a line of their output, ended with the test.

#![allow(dead_code, reason = "each test takes what it needs")]

use super::tools;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Cold Python and Node on two busy cores take their time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that has said it is ready. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// What followed the awaited words on their line.
    pub(crate) said: String,
    output: Arc<Mutex<String>>,
}

impl Running {
    /// Starts `command` and waits until a line of either output starts with `awaited`.
    pub(crate) fn start(command: &mut Command, awaited: &str) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        follow(child.stdout.take().expect("piped above"), &output, sender.clone());
        follow(child.stderr.take().expect("piped above"), &output, sender);
        let mut running = Self {
            child,
            said: String::new(),
            output,
        };
        running.said = running.wait_for(&lines, awaited);
        running
    }

    fn wait_for(&mut self, lines: &Receiver<String>, awaited: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(said) = line.strip_prefix(awaited) {
                        return said.trim().to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line `{awaited}` in time; so far:\n{}", self.output()),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before `{awaited}`:\n{}", self.output()),
            }
        }
    }

    /// Everything it wrote so far, both outputs mixed.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to end (TERM) and waits; the status, or `None` if it did not end in time.
    pub(crate) fn end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let _already_gone = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        let deadline = Instant::now() + patience;
        loop {
            let status = self.child.try_wait().expect("our own child can be waited for");
            if status.is_some() || Instant::now() > deadline {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
        if thread::panicking() {
            eprintln!("--- output of process {}:\n{}", self.child.id(), self.output());
        }
    }
}

fn follow(from: impl Read + Send + 'static, output: &Arc<Mutex<String>>, lines: Sender<String>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
            // Nobody listens once the awaited line has come.
            let _nobody = lines.send(line);
        }
    });
}

/// Our own upstream with these arguments; `said` is its URL.
pub(crate) fn upstream(arguments: &[&str]) -> Running {
    Running::start(Command::new(tools::example("upstream")).args(arguments), "listening ")
}

/// The Python SDK's server (`count_words`, `reverse`, `add`); `said` is its URL.
pub(crate) fn python_server() -> Running {
    Running::start(
        Command::new(tools::python()).arg(tools::source("tests/upstreams/python_server.py")),
        "listening ",
    )
}

/// The TypeScript reference server (legacy, sessions) and its URL.
pub(crate) fn everything() -> (Running, String) {
    let port = free_port();
    let script = tools::npm("@modelcontextprotocol/server-everything/dist/index.js");
    let mut command = Command::new(tools::node());
    command.arg(script).arg("streamableHttp").env("PORT", port.to_string());
    let running = Running::start(&mut command, "MCP Streamable HTTP Server listening");
    (running, format!("http://127.0.0.1:{port}/mcp"))
}

/// The Python SDK's server as it was in 2024, HTTP+SSE; `said` is its URL.
pub(crate) fn python_sse_server() -> Running {
    let script = tools::source("tests/upstreams/python_server.py");
    Running::start(
        Command::new(tools::python()).arg(script).args(["0", "sse"]),
        "listening ",
    )
}

/// The TypeScript reference server as HTTP+SSE (2024-11-05), at `/sse` of this port.
pub(crate) fn everything_sse() -> (Running, u16) {
    let port = free_port();
    (everything_sse_at(port), port)
}

/// The same on a port of one's choice.
pub(crate) fn everything_sse_at(port: u16) -> Running {
    let script = tools::npm("@modelcontextprotocol/server-everything/dist/index.js");
    let mut command = Command::new(tools::node());
    command.arg(script).arg("sse").env("PORT", port.to_string());
    Running::start(&mut command, "Server is running on port")
}

/// A port that was free a moment ago, for programs that cannot choose one themselves; below those that the kernel hands
/// to connections, or another test's would take it meanwhile.
pub(crate) fn free_port() -> u16 {
    let start = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .subsec_nanos();
    let ports = (start..).map(|number| 10_000 + u16::try_from(number % 10_000).expect("below 10,000"));
    ports
        .take(10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("loopback has a free port")
}
