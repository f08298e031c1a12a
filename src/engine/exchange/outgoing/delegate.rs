//! A call speaks for its caller: what that takes is worked out, or asked for, before anything goes to the upstream.
//!
//! Most upstreams hear nothing of their callers; for them nothing is done here.

use super::calls::Calls;
use crate::engine::config::Confidential;
use crate::engine::exchange::event::{Finding, Headers};
use crate::engine::exchange::reject::Trouble;
use crate::engine::exchange::step::{Command, Notice, Question, Step};
use crate::engine::exchange::{Exchange, Request, Then};
use crate::engine::policy::Identity;
use crate::engine::policy::delegate::{Delegate, Errand, Lack, Said};
use crate::engine::session::Delegation;
use crate::engine::snapshot::Upstream;
use std::sync::Arc;

/// What is known of one upstream.
pub(in crate::engine::exchange) enum Voice {
    /// This speaks for the caller.
    Known(Delegation),
    /// Somebody else has it.
    Wanted(Errand),
    /// Nothing does.
    None(Lack),
}

impl Request {
    pub(in crate::engine::exchange) fn voice(&self, delegate: &Delegate) -> Voice {
        voice_of(delegate, &self.identity, &self.headers)
    }

    /// What is to be completed by a credential that was asked for, or will be.
    pub(in crate::engine::exchange) fn half_voice(&self, delegate: &Delegate, errand: Errand) -> Delegation {
        Delegation::had_by(delegate.beside(&self.identity), errand)
    }

    /// With the credential that was asked for.
    pub(in crate::engine::exchange) fn found_voice(
        &self,
        delegate: &Delegate,
        found: Result<Confidential, Lack>,
    ) -> Result<Delegation, Lack> {
        let Voice::Wanted(errand) = self.voice(delegate) else {
            return Err(Lack::Unavailable);
        };
        let whole = self.half_voice(delegate, errand).renewed(&found?);
        whole.ok_or(Lack::Unreadable)
    }
}

/// What speaks at an upstream for whoever has sent these headers.
pub(in crate::engine::exchange) fn voice_of(delegate: &Delegate, identity: &Identity, headers: &Headers) -> Voice {
    voice(delegate.say(identity, authorization(headers)))
}

/// The same with the credential that was asked for.
pub(in crate::engine::exchange) fn completed(
    delegate: &Delegate,
    identity: &Identity,
    found: Result<Confidential, Lack>,
) -> Result<Delegation, Lack> {
    match found.map(|credential| voice(delegate.complete(identity, &credential))) {
        Ok(Voice::Known(delegation)) => Ok(delegation),
        Ok(Voice::Wanted(_)) => Err(Lack::Unavailable),
        Ok(Voice::None(lack)) | Err(lack) => Err(lack),
    }
}

fn voice(said: Said) -> Voice {
    match said {
        Said::Whole(headers) => Voice::Known(Delegation::new(headers)),
        Said::Wanted(errand) => Voice::Wanted(errand),
        Said::Lacking(lack) => Voice::None(lack),
    }
}

/// The only one; of several nobody knows which was verified.
fn authorization(headers: &Headers) -> Option<&[u8]> {
    let mut all = headers.all("authorization");
    all.next().filter(|_| all.next().is_none())
}

/// Whether anything may be said to the upstream of this name for its caller: not where that needs a credential, and there
/// is none.
pub(in crate::engine::exchange) fn may_speak_to(request: &Request, upstream: &str) -> bool {
    let mut upstreams = request.endpoint.upstreams.iter();
    let delegate = upstreams.find(|one| *one.name == *upstream);
    let delegate = delegate.and_then(|upstream| upstream.delegate.as_deref());
    delegate.is_none_or(|delegate| !matches!(request.voice(delegate), Voice::None(_)))
}

impl Exchange {
    /// Goes on with the call in turn once it is known what speaks for its caller.
    pub(in crate::engine::exchange) fn speak(&mut self, request: Box<Request>, calls: Calls) -> Step {
        let delegate = calls.current().and_then(|call| call.upstream.delegate.clone());
        let Some(delegate) = delegate else {
            return self.tie_spoken(request, calls);
        };
        match request.voice(&delegate) {
            Voice::Known(delegation) => self.spoken(request, calls, delegation),
            Voice::Wanted(errand) => self.ask(request, Question::Delegate(errand), Then::Speak(calls)),
            Voice::None(lack) => self.try_next(request, calls, Trouble::Caller(lack)),
        }
    }

    /// The question about the call in turn is answered.
    pub(in crate::engine::exchange) fn delegated(
        &mut self,
        request: Box<Request>,
        calls: Calls,
        found: Result<Confidential, Lack>,
    ) -> Step {
        let delegate = calls.current().and_then(|call| call.upstream.delegate.clone());
        let Some(delegate) = delegate else {
            return self.reject_missing(&request);
        };
        let refused = calls.current().filter(|_| calls.renewed);
        let refused = refused.map(|call| call.delegation.clone());
        match request.found_voice(&delegate, found) {
            // Nobody has anything else than what was refused.
            Ok(delegation) if refused.as_ref() == Some(&delegation) => {
                self.try_next(request, calls, Trouble::CallerRefused)
            }
            Ok(delegation) => self.spoken(request, calls, delegation),
            Err(lack) => self.try_next(request, calls, Trouble::Caller(lack)),
        }
    }

    /// The upstream has refused what spoke for the caller of the call in turn, and did nothing else: the call is made once
    /// more with what its caller has now, if that is something else. Where nobody makes it anew, this is the trouble.
    pub(in crate::engine::exchange) fn speak_anew(
        &mut self,
        request: Box<Request>,
        mut calls: Calls,
        trouble: Trouble,
    ) -> Step {
        let call = calls.current().filter(|_| !calls.renewed);
        let Some(errand) = call.and_then(|call| call.delegation.errand().cloned()) else {
            return self.try_next(request, calls, trouble);
        };
        calls.renewed = true;
        let mut step = self.ask(request, Question::Delegate(errand), Then::Speak(calls));
        step.commands.insert(0, Command::Disarm);
        step
    }

    fn spoken(&mut self, request: Box<Request>, mut calls: Calls, delegation: Delegation) -> Step {
        let Some(call) = calls.current_mut() else {
            return self.reject_missing(&request);
        };
        call.delegation = delegation.clone();
        let remembered = remember(&request, &call.upstream, delegation);
        let mut step = self.tie_spoken(request, calls);
        // Before what is asked next: a session that is opened is opened with it.
        step.commands.splice(0..0, remembered);
        step
    }

    /// What speaks for the session's caller is remembered anew, for what goes to its upstreams besides calls: tokens that
    /// were remembered grow old. `addressed` hears something of it now, whatever the session had to do with it before.
    pub(in crate::engine::exchange) fn refreshed(request: &Request, addressed: Option<&Arc<str>>) -> Vec<Command> {
        let Some(session) = request.sender.session else {
            return Vec::new();
        };
        let upstreams = request.endpoint.upstreams.iter();
        let refreshed = upstreams.filter_map(|upstream| {
            let delegate = upstream.delegate.as_ref()?;
            let delegation = match request.voice(delegate) {
                Voice::Known(delegation) => delegation,
                // Asked for once something is sent.
                Voice::Wanted(errand) => request.half_voice(delegate, errand),
                Voice::None(_) => return None,
            };
            if addressed == Some(&upstream.name) {
                return remember(request, upstream, delegation);
            }
            let upstream = Arc::clone(&upstream.name);
            Some(Command::Notify(Notice::Refreshed {
                session,
                upstream,
                delegation,
            }))
        });
        refreshed.collect()
    }
}

/// An upstream has answered so to what spoke for a caller: what is not to be used again, if anybody keeps it.
pub(in crate::engine::exchange) fn spent(delegation: &Delegation, status: u16) -> Option<Command> {
    // 403: the credential is good, for something else.
    let refused = status == 401 && delegation.errand().is_some();
    refused.then(|| Command::Notify(Notice::Spent(delegation.clone())))
}

/// What speaks for a caller instead of what was refused.
pub(in crate::engine::exchange) fn instead(
    refused: &Delegation,
    found: Result<Confidential, Lack>,
) -> Result<Delegation, Trouble> {
    let found = found.and_then(|credential| refused.renewed(&credential).ok_or(Lack::Unreadable));
    match found {
        Ok(delegation) if delegation == *refused => Err(Trouble::CallerRefused),
        Ok(delegation) => Ok(delegation),
        Err(lack) => Err(Trouble::Caller(lack)),
    }
}

pub(in crate::engine::exchange) fn remember(
    request: &Request,
    upstream: &Upstream,
    delegation: Delegation,
) -> Option<Command> {
    let session = request.sender.session?;
    Some(Command::Notify(Notice::Delegated {
        session,
        upstream: Arc::clone(&upstream.name),
        delegation,
    }))
}

/// What was found by a question of this file.
pub(in crate::engine::exchange) fn found(finding: Finding) -> Result<Confidential, Lack> {
    let Finding::Delegated(found) = finding else {
        debug_assert!(false, "finding {finding:?} is no credential");
        return Err(Lack::Unavailable);
    };
    found
}
