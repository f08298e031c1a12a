//! A program under test: both outputs kept apart, signals by process id, its end awaited.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Runs a command until it ends or the shell's input does. A job in the background reads nothing unless told so.
const LIFELINE: &str = r#"
exec 3<&0
"$@" 3<&- & child=$!
{ cat <&3 >/dev/null 2>&1; kill -TERM $child; } >/dev/null 2>&1 &
wait $child
"#;

/// Lines of one output so far.
type Lines = Arc<Mutex<Vec<String>>>;

/// A running program, killed when dropped.
pub(crate) struct Program {
    child: Child,
    out: Lines,
    err: Lines,
    /// They end when nobody can write any more.
    readers: [JoinHandle<()>; 2],
}

impl Program {
    /// Starts `command`.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(command)
    }

    /// Starts `command` for as long as this test process lives: for what is never dropped. A shell waits for the end of
    /// its input, which comes even if this process is killed.
    pub(crate) fn lifelong(command: &Command) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", LIFELINE, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::piped());
        Self::spawn(&mut shell)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (out, err) = (Lines::default(), Lines::default());
        let readers = [
            follow(child.stdout.take().expect("piped above"), &out),
            follow(child.stderr.take().expect("piped above"), &err),
        ];
        Self {
            child,
            out,
            err,
            readers,
        }
    }

    /// Waits for a line of standard output that starts so; the rest of it. Panics if the program ends before.
    pub(crate) async fn says(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().expect("it can be asked").is_some();
            if let Some(rest) = find(&self.out, start) {
                return rest;
            }
            assert!(!ended, "ended before `{start}`:\n{}", self.output());
            assert!(Instant::now() < deadline, "no `{start}` in time:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Standard output so far.
    pub(crate) fn out(&self) -> String {
        text(&self.out)
    }

    /// Standard error so far.
    pub(crate) fn err(&self) -> String {
        text(&self.err)
    }

    /// Both, for people.
    pub(crate) fn output(&self) -> String {
        format!("--- standard output\n{}--- standard error\n{}", self.out(), self.err())
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// How it ended, its last words read; panics if it does not end.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let silent = self.readers.iter().all(JoinHandle::is_finished);
            let ended = self.child.try_wait().expect("it can be asked").filter(|_| silent);
            if let Some(status) = ended {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
        if thread::panicking() {
            eprintln!("process {}:\n{}", self.child.id(), self.output());
        }
    }
}

/// Sends a signal to a process this test started.
pub(crate) fn signal(id: u32, name: &str) {
    let _gone = Command::new("kill").args([format!("-{name}"), id.to_string()]).status();
}

/// Processes whose command line names `what`.
pub(crate) fn processes(what: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        // An empty one is that of a process that has ended.
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(what)
    })
    .collect()
}

fn follow(from: impl Read + Send + 'static, lines: &Lines) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

fn find(lines: &Lines, start: &str) -> Option<String> {
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .find_map(|line| line.strip_prefix(start).map(|rest| rest.trim().to_owned()))
}

fn text(lines: &Lines) -> String {
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().map(|line| format!("{line}\n")).collect()
}
