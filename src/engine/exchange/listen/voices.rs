//! What speaks for the client of a listen at each upstream that is told of its callers: found before the stream is opened.

use super::concerned;
use crate::engine::config::Confidential;
use crate::engine::exchange::outgoing::delegate::Voice;
use crate::engine::exchange::step::{Question, Step};
use crate::engine::exchange::{Exchange, Request, Then};
use crate::engine::policy::delegate::{Delegate, Lack};
use crate::engine::session::Delegation;
use crate::engine::stream::Filter;
use std::sync::Arc;

/// What speaks for the caller of a request at each upstream of a listen; `None`: nothing does, it is not asked.
pub(in crate::engine::exchange) type Voices = Vec<(Arc<str>, Option<Delegation>)>;

impl Exchange {
    /// Finds what speaks for the client of a listen, one upstream after the other.
    pub(in crate::engine::exchange) fn speak_listen(
        &mut self,
        request: Box<Request>,
        filter: Filter,
        mut voices: Voices,
    ) -> Step {
        while let Some((upstream, delegate)) = next_unheard(&request, &filter, &voices) {
            match request.voice(&delegate) {
                Voice::Known(delegation) => voices.push((upstream, Some(delegation))),
                Voice::Wanted(errand) => {
                    return self.ask(request, Question::Delegate(errand), Then::Listen(filter, voices));
                }
                Voice::None(_) => voices.push((upstream, None)),
            }
        }
        self.listen_modern(&request, filter, &voices)
    }

    /// The question about one of them is answered: the first of which nothing is known.
    pub(in crate::engine::exchange) fn delegated_listen(
        &mut self,
        request: Box<Request>,
        filter: Filter,
        mut voices: Voices,
        found: Result<Confidential, Lack>,
    ) -> Step {
        if let Some((upstream, delegate)) = next_unheard(&request, &filter, &voices) {
            voices.push((upstream, request.found_voice(&delegate, found).ok()));
        }
        self.speak_listen(request, filter, voices)
    }
}

/// The first upstream of the listen that is told of its callers, and of which it is not known what.
fn next_unheard(request: &Request, filter: &Filter, voices: &Voices) -> Option<(Arc<str>, Arc<Delegate>)> {
    let endpoint = &request.endpoint;
    let mut unheard = endpoint
        .upstreams
        .iter()
        .filter(|upstream| upstream.delegate.is_some() && voices.iter().all(|(name, _)| *name != upstream.name));
    let first = unheard.next()?;
    let concerned = concerned(endpoint, filter);
    let mut unheard = [first].into_iter().chain(unheard);
    let next = unheard.find(|upstream| concerned.contains(&upstream.name))?;
    Some((Arc::clone(&next.name), Arc::clone(next.delegate.as_ref()?)))
}
