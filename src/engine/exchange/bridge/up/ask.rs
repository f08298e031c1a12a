//! What the upstream asks of the client, and the round that follows: requests on the client's stream, their responses by
//! other exchanges, then the call again.

use super::{KEEP_ALIVE, Stage, Up, out};
use crate::engine::era::bridge::up::ask::{self, Lacking, Refusal};
use crate::engine::era::modern::input::ServerMethod;
use crate::engine::era::modern::{InputRequired, Retry};
use crate::engine::exchange::reject::{Input, Reject};
use crate::engine::exchange::step::{Command, Step};
use crate::engine::exchange::{Accepts, Exchange, Phase};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::session::Timestamp;
use bytes::Bytes;
use std::time::Duration;

/// An upstream may ask so often for one call.
const ROUNDS: u8 = 8;
/// People answer.
const PATIENCE: Duration = Duration::from_secs(600);
/// Before a call is made again for which nothing was asked: its upstream sheds load.
const PACE: Duration = Duration::from_millis(250);

/// What is asked at the moment.
#[derive(Debug)]
pub(super) struct Asking {
    questions: Vec<Question>,
    state: Option<Bytes>,
    until: Timestamp,
}

#[derive(Debug)]
struct Question {
    /// Our name for it.
    name: String,
    /// The upstream's, a raw JSON string.
    key: Bytes,
    method: ServerMethod,
    told: Option<Bytes>,
}

impl Up {
    /// Requests that nobody waits for any more, as the notifications that say so.
    pub(super) fn withdrawn(&self) -> Vec<Bytes> {
        let Stage::Asking(asking) = &self.stage else {
            return Vec::new();
        };
        let open = asking.questions.iter().filter(|question| question.told.is_none());
        open.map(|question| ask::withdrawn(&question.name)).collect()
    }
}

impl Exchange {
    /// The upstream wants to know more.
    pub(super) fn up_ask(&mut self, mut up: Box<Up>, input: InputRequired, now: Timestamp) -> Step {
        up.round += 1;
        if up.round > ROUNDS {
            return self.up_reject(up, &Reject::Input(Input::Endless(ROUNDS)));
        }
        up.out.settle();
        if let Err(reject) = may_ask(&up, &input) {
            return self.up_reject(up, &reject);
        }
        let mut step = Step::default();
        let mut questions = Vec::with_capacity(input.requests.len());
        for (at, asked) in input.requests.into_iter().enumerate() {
            // Half of the entropy is enough to tell the calls of one session apart.
            let name = format!("mg:{:016x}.{}.{at}", self.entropy >> 64, up.round);
            let request = out::event(ask::request(&asked, &name));
            self.up_emit(&mut step, &up.request, &mut up.out, Some(request), false);
            step.commands
                .extend(up.request.sender.session.map(|session| Command::Expect {
                    session: session.key,
                    id: String::from_utf8_lossy(&quote(&name)).into(),
                }));
            questions.push(Question {
                name,
                key: asked.key,
                method: asked.method,
                told: None,
            });
        }
        let pause = if questions.is_empty() { PACE } else { KEEP_ALIVE };
        step.commands.push(Command::Arm(pause));
        up.stage = Stage::Asking(Asking {
            questions,
            state: input.state,
            until: now.after(PATIENCE),
        });
        self.phase = Phase::BridgingUp(up);
        step
    }

    /// The client responded to one of our requests.
    pub(super) fn up_answered(&mut self, mut up: Box<Up>, id: &str, message: &Bytes) -> Step {
        let Stage::Asking(asking) = &mut up.stage else {
            return self.stay(Phase::BridgingUp(up));
        };
        let mut questions = asking.questions.iter_mut();
        let Some(question) = questions.find(|question| quote(&question.name) == id.as_bytes()) else {
            return self.stay(Phase::BridgingUp(up));
        };
        match ask::told(message) {
            Ok(told) => question.told = Some(told),
            Err(Refusal { message }) => {
                // It need not be told that it is no longer asked.
                question.told = Some(Bytes::new());
                let declined = Input::Declined(question.method.as_str(), message.into());
                return self.up_reject(up, &Reject::Input(declined));
            }
        }
        if asking.questions.iter().any(|question| question.told.is_none()) {
            return self.stay(Phase::BridgingUp(up));
        }
        self.up_again(up)
    }

    /// The timer is up while the client is asked: a sign of life, the end of patience, or the next round.
    pub(super) fn up_patience(&mut self, up: Box<Up>, now: Timestamp) -> Step {
        let Stage::Asking(asking) = &up.stage else {
            return self.stay(Phase::BridgingUp(up));
        };
        if asking.questions.is_empty() {
            return self.up_again(up);
        }
        let open = asking.questions.iter().find(|question| question.told.is_none());
        if let Some(question) = open.filter(|_| now >= asking.until) {
            let unanswered = Input::Unanswered(question.method.as_str(), PATIENCE);
            return self.up_reject(up, &Reject::Input(unanswered));
        }
        let step = up.out.keep_alive(KEEP_ALIVE);
        self.phase = Phase::BridgingUp(up);
        step
    }

    /// Makes the call again, with what was told.
    fn up_again(&mut self, mut up: Box<Up>) -> Step {
        let Stage::Asking(asking) = std::mem::replace(&mut up.stage, Stage::AwaitHead) else {
            return self.stay(Phase::BridgingUp(up));
        };
        let told = asking.questions.iter();
        let told = told.filter_map(|question| Some((&question.key, question.told.as_ref()?)));
        let retry = Retry {
            // The two are independent requests (MRTR, 3): a name that the client's own id is not.
            id: quote(&format!("mg:{:016x}.{}", self.entropy >> 64, up.round)),
            responses: (!asking.questions.is_empty()).then(|| ask::responses(told)),
            state: asking.state,
        };
        let mut step = self.up_call(up, Some(&retry));
        step.commands.insert(0, Command::CancelCall);
        step
    }
}

/// Whether this client can be asked all of it.
fn may_ask(up: &Up, input: &InputRequired) -> Result<(), Reject> {
    for request in &input.requests {
        ask::may_be_asked(request, &up.client.capabilities)
            .map_err(|Lacking(name)| Reject::Input(Input::Lacking(name.into())))?;
    }
    if input.requests.is_empty() || up.out.may_stream() {
        return Ok(());
    }
    Err(match up.request.accepts {
        Accepts::Json if up.out.is_wired() => Reject::Input(Input::OnlyJson),
        Accepts::Json | Accepts::Both => Reject::Wiring("request_body_mode must be FULL_DUPLEX_STREAMED"),
    })
}
