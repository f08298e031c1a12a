//! A caller whose password is being compared: that takes a tenth of a second, elsewhere, and the body comes meanwhile.

use super::door::Verb;
use super::identify;
use super::intake::Intake;
use crate::engine::exchange::event::{Compared, Finding, RequestHead};
use crate::engine::exchange::reject::Reject;
use crate::engine::exchange::step::{Command, Question, Step};
use crate::engine::exchange::{Exchange, Phase};
use crate::engine::policy::Claimed;
use crate::engine::session::Timestamp;
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::sync::Arc;

/// A request that is not let in yet.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Doorstep {
    endpoint: Arc<Endpoint>,
    head: RequestHead,
    verb: Verb,
    name: Arc<str>,
    intake: Intake,
    /// The body is complete; true: with trailers.
    ended: Option<bool>,
}

impl Doorstep {
    /// Bytes of the request body held.
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        self.intake.len()
    }
}

impl Exchange {
    pub(super) fn knock(&mut self, endpoint: Arc<Endpoint>, head: RequestHead, verb: Verb, claimed: Claimed) -> Step {
        let receive = endpoint.limits.receive;
        self.phase = Phase::Doorstep(Box::new(Doorstep {
            endpoint,
            head,
            verb,
            name: Arc::clone(&claimed.name),
            intake: Intake::default(),
            ended: None,
        }));
        Step {
            commands: vec![Command::Arm(receive), Command::Ask(Question::Compare(claimed))],
            ..Step::default()
        }
    }

    /// A piece of the body, before it is known who sends it.
    pub(in crate::engine::exchange) fn early(&mut self, mut doorstep: Box<Doorstep>, chunk: Bytes, end: bool) -> Step {
        let limit = doorstep.endpoint.limits.body;
        if !doorstep.intake.add(chunk, limit) {
            return self.reject(&Reject::BodyTooLarge(limit), None);
        }
        if end {
            doorstep.ended = Some(false);
        }
        self.phase = Phase::Doorstep(doorstep);
        Step::default()
    }

    /// Trailers: nothing else comes.
    pub(in crate::engine::exchange) fn early_end(&mut self, mut doorstep: Box<Doorstep>) -> Step {
        doorstep.ended = Some(true);
        self.phase = Phase::Doorstep(doorstep);
        Step::default()
    }

    /// The password was compared. What came meanwhile is read as if it came now.
    pub(in crate::engine::exchange) fn compared(
        &mut self,
        doorstep: Doorstep,
        finding: &Finding,
        now: Timestamp,
    ) -> Step {
        let Doorstep {
            endpoint,
            head,
            verb,
            name,
            intake,
            ended,
        } = doorstep;
        let callers = endpoint.callers.clone();
        let identity = match outcome(finding) {
            Compared::Fits => callers.as_ref().and_then(|callers| callers.named(&name)),
            Compared::Wrong => None,
            Compared::NotNow(wait) => return self.reject(&Reject::Attempts(wait), None),
        };
        let Some(identity) = identity else {
            let challenge = callers.map(|callers| callers.challenges.invalid.clone());
            return self.reject(&identify::refused(challenge.unwrap_or_default()), None);
        };
        let mut step = self.enter(endpoint, identity, head, verb, now);
        step.commands.insert(0, Command::Disarm);
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        if let Phase::AwaitBody(mut arrival) = phase {
            arrival.intake = intake;
            match ended {
                Some(trailers) => append(&mut step, self.read(*arrival, trailers, now)),
                None => self.phase = Phase::AwaitBody(arrival),
            }
        } else {
            self.phase = phase;
        }
        step
    }
}

/// No other question was asked: another finding vouches for nobody.
const fn outcome(finding: &Finding) -> Compared {
    if let Finding::Compared(compared) = finding {
        *compared
    } else {
        Compared::Wrong
    }
}

fn append(step: &mut Step, more: Step) {
    step.replies.extend(more.replies);
    step.commands.extend(more.commands);
    step.end = more.end;
}
