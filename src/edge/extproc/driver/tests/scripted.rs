//! The backroom, played by the test.

use crate::edge::extproc::backroom::{Asked, Backroom, CallStream, HubStream, Mail};
use crate::edge::extproc::budget::Budget;
use crate::edge::extproc::gate::{Admission, Gate};
use crate::engine::exchange::event::Refusal;
use crate::engine::exchange::record::Way;
use crate::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use crate::engine::exchange::{CallEvent, Finding, Parked, Record};
use crate::engine::mcp::trace::Ratio;
use crate::engine::session::{SessionKey, Subscription, Timestamp, Wanted};
use crate::engine::snapshot::Snapshot;
use bytes::Bytes;
use futures_util::stream::poll_fn;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Plays the rest of the program.
pub(super) struct Scripted {
    snapshot: Arc<Snapshot>,
    pub(super) gate: Arc<Gate>,
    pub(super) bodies: Budget,
    pub(super) replay: Budget,
    script: Mutex<Script>,
}

/// What was said, and what is to be said.
#[derive(Default)]
struct Script {
    at_once: VecDeque<Finding>,
    open: Option<oneshot::Sender<Finding>>,
    question: Option<&'static str>,
    call: Option<mpsc::UnboundedSender<CallEvent>>,
    mail: Vec<(String, oneshot::Sender<Bytes>)>,
    outlived: Option<CallStream>,
    taken: Arc<AtomicUsize>,
    parked: HashMap<ParkKey, (Box<Parked>, Option<CallStream>)>,
    called: Vec<String>,
    notices: usize,
    records: Vec<Record>,
}

impl Scripted {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            gate: Arc::new(Gate::new(10)),
            bodies: Budget::new(1 << 20),
            replay: Budget::new(1 << 20),
            script: Mutex::default(),
        }
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no test panics while holding it")
    }

    /// The next question is answered at once with this.
    pub(super) fn will_find(&self, finding: Finding) {
        self.script().at_once.push_back(finding);
    }

    /// Answers the open question; without one, nothing.
    pub(super) fn find(&self, finding: Finding) {
        if let Some(open) = self.script().open.take() {
            let _ = open.send(finding);
        }
    }

    /// The open question, if there is one.
    pub(super) fn question(&self) -> Option<&'static str> {
        let script = self.script();
        script.question.filter(|_| script.open.is_some())
    }

    /// The open call makes progress; without one, nothing.
    pub(super) fn call_event(&self, event: CallEvent) {
        if let Some(call) = &self.script().call {
            let _ = call.send(event);
        }
    }

    /// The client says something in another exchange: `answer <id>` or `cancel <id>`. False: nobody waits for it.
    pub(super) fn post(&self, what: &str, message: &'static str) -> bool {
        let mut script = self.script();
        let at = script.mail.iter().position(|(waits_for, _)| waits_for == what);
        at.is_some_and(|at| script.mail.swap_remove(at).1.send(message.into()).is_ok())
    }

    fn mail(&self, what: String) -> Mail {
        let (sender, receiver) = oneshot::channel();
        self.script().mail.push((what, sender));
        Box::pin(async move {
            match receiver.await {
                Ok(message) => message,
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// The call that went on without its exchange.
    pub(super) fn outlived(&self) -> bool {
        self.script().outlived.is_some()
    }

    /// How many of the call's events the driver has taken.
    pub(super) fn taken(&self) -> usize {
        self.script().taken.load(Ordering::Relaxed)
    }

    /// Whom, and in which session.
    pub(super) fn called(&self) -> Vec<String> {
        self.script().called.clone()
    }

    pub(super) fn notices(&self) -> usize {
        self.script().notices
    }

    pub(super) fn ways(&self) -> Vec<Way> {
        self.script().records.iter().map(|record| record.way).collect()
    }
}

impl Backroom for Scripted {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn admit(&self) -> Result<Admission, Refusal> {
        self.gate.admit()
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn entropy(&self) -> u128 {
        42
    }

    fn traces(&self) -> Option<Ratio> {
        None
    }

    fn ask(&self, question: Question) -> Asked {
        let mut script = self.script();
        script.question = Some(match question {
            Question::Compare(_) => "compare",
            Question::Delegate(_) => "delegate",
            Question::View(_) => "view",
            Question::Admit(_) => "admit",
            Question::Hold(_) => "hold",
            Question::Recall(_) => "recall",
            Question::Introduce(_) => "introduce",
            Question::Start { .. } => "start",
            Question::SetLevel { .. } => "level",
            Question::Bind { .. } | Question::OneShot { .. } => "bind",
            Question::Borrow { .. } => "borrow",
            Question::Recover { .. } | Question::Renew { .. } => "recover",
            Question::End(_) => "end",
            Question::Tell { .. } => "tell",
        });
        if let Some(finding) = script.at_once.pop_front() {
            return Asked::Now(finding);
        }
        let (sender, receiver) = oneshot::channel();
        script.open = Some(sender);
        Asked::Later(Box::pin(async move {
            match receiver.await {
                Ok(finding) => finding,
                Err(_) => std::future::pending().await,
            }
        }))
    }

    fn call(&self, call: Call) -> CallStream {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut script = self.script();
        script.call = Some(sender);
        let session = call.headers.iter().find(|(name, _)| name == "mcp-session-id");
        let session = session.map_or("-".into(), |(_, id)| String::from_utf8_lossy(id));
        script.called.push(format!("{} {session}", call.upstream));
        let taken = Arc::clone(&script.taken);
        Box::pin(poll_fn(move |context| {
            let event = receiver.poll_recv(context);
            taken.fetch_add(usize::from(matches!(event, Poll::Ready(Some(_)))), Ordering::Relaxed);
            event
        }))
    }

    fn outlive(&self, call: CallStream, cancelled: Option<Mail>) {
        drop(cancelled);
        self.script().outlived = Some(call);
    }

    fn expect(&self, _session: SessionKey, id: &str) -> Mail {
        self.mail(format!("answer {id}"))
    }

    fn watch(&self, _session: SessionKey, id: &str) -> Mail {
        self.mail(format!("cancel {id}"))
    }

    fn attend(&self, attended: Attended) -> CallStream {
        self.call(attended.call)
    }

    fn park(&self, key: ParkKey, parked: Box<Parked>, call: Option<CallStream>) {
        self.script().parked.insert(key, (parked, call));
    }

    fn resume(&self, key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)> {
        self.script().parked.remove(&key)
    }

    fn listen(&self, _subscription: Listen) -> HubStream {
        Box::pin(futures_util::stream::pending())
    }

    fn notify(&self, _notice: Notice) {
        self.script().notices += 1;
    }

    fn subscribe(&self, _session: SessionRef, _subscription: Subscription, _wanted: Wanted) {}

    fn record(&self, record: &Record, _elapsed: Duration) {
        self.script().records.push(record.clone());
    }

    fn bodies(&self) -> &Budget {
        &self.bodies
    }

    fn replay(&self) -> &Budget {
        &self.replay
    }
}
