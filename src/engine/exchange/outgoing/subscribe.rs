//! `resources/subscribe` of legacy clients: what is remembered of it beside the call to the owner.
//!
//! A legacy upstream is called, in the client's own session there, and hears of it again whenever that session is opened
//! anew, if it agreed: so the processor makes that call itself, and reads the answer. What is updated before the answer is
//! here is new to a client that reads after it has subscribed. A modern upstream has no such call: the subscription
//! becomes part of what the gateway listens to for this session, so the answer is ours.

use super::Outgoing;
use super::calls::Calls;
use crate::engine::call::{Kind, Message};
use crate::engine::exchange::decide::plan::Plan;
use crate::engine::exchange::step::{Command, Question, Step};
use crate::engine::exchange::{Exchange, Request, Then};
use crate::engine::session::Subscription;
use std::sync::Arc;

/// The command that remembers `call`, if that is a subscription of a session and this message says that the upstream agrees.
pub(in crate::engine::exchange) fn agreed(request: &Request, call: &Outgoing, message: &[u8]) -> Option<Command> {
    let command = remember(request, call)?;
    let message = Message::read(message)?;
    matches!(message.kind, Kind::Response { result: Some(_), .. }).then_some(command)
}

/// The command that remembers `call`, if that is a subscription of a session.
fn remember(request: &Request, call: &Outgoing) -> Option<Command> {
    let (uri, wanted) = call.subscription.as_ref()?;
    Some(Command::Subscribe {
        session: request.sender.session?,
        subscription: Subscription {
            upstream: Arc::clone(&call.upstream.name),
            uri: Arc::clone(uri),
        },
        wanted: *wanted,
    })
}

impl Exchange {
    /// The owner is modern: remembers what `calls` stands at, and says so.
    pub(in crate::engine::exchange) fn subscribed_here(&mut self, request: Box<Request>, calls: &Calls) -> Step {
        let remember = calls.current().and_then(|call| remember(&request, call));
        let Some(session) = request.sender.session else {
            // Without a session there is no stream on which anything could be heard.
            return self.say(&request, &Plan::Empty);
        };
        let mut step = self.ask(request, Question::Recall(session), Then::Do(Plan::Empty));
        step.commands.extend(remember);
        step
    }
}
