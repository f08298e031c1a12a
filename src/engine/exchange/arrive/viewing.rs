//! Which endpoint a caller sees: where upstreams are listed with the credentials of their callers, one of the caller's own.
//!
//! Found once the message is here and before anything in it is looked at: lists, names and rules are then looked up as
//! anywhere else. Elsewhere, and for the anonymous, who see nothing of such upstreams, nothing is done here.

use crate::engine::config::Confidential;
use crate::engine::exchange::event::Finding;
use crate::engine::exchange::outgoing::delegate::{self, Voice};
use crate::engine::exchange::step::{Command, Question, Step, Viewer};
use crate::engine::exchange::{Arrival, Exchange, Phase};
use crate::engine::policy::delegate::Lack;
use crate::engine::session::{Delegation, Timestamp};
use crate::engine::snapshot::UpstreamIndex;

/// A message that is here, whose sender's endpoint is not known yet.
#[derive(Debug)]
pub(in crate::engine::exchange) struct Viewing {
    arrival: Arrival,
    trailers: bool,
    /// What speaks for the sender at the upstreams concerned, in their order, as far as it is known.
    voices: Vec<(UpstreamIndex, Result<Delegation, Lack>)>,
}

impl Viewing {
    /// Bytes of the request body held.
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        self.arrival.intake.len()
    }
}

/// True: what this caller sees is still to be found.
pub(super) fn is_wanted(arrival: &Arrival) -> bool {
    let endpoint = &arrival.endpoint;
    // On a transparent path only rules look at what is listed.
    let looks = endpoint.transparent.is_none() || endpoint.guarded.is_some();
    !endpoint.listed_for_callers().is_empty() && arrival.identity.principal.is_some() && looks
}

impl Exchange {
    pub(in crate::engine::exchange) fn view(&mut self, arrival: Arrival, trailers: bool) -> Step {
        let mut step = self.look(Box::new(Viewing {
            arrival,
            trailers,
            voices: Vec::new(),
        }));
        step.commands.insert(0, Command::Disarm);
        step
    }

    /// Finds what speaks for the caller, one upstream after the other; then what they list for the caller.
    fn look(&mut self, mut viewing: Box<Viewing>) -> Step {
        let question = loop {
            let Arrival {
                endpoint,
                identity,
                headers,
                ..
            } = &viewing.arrival;
            let index = endpoint.listed_for_callers().get(viewing.voices.len());
            let Some((index, upstream)) = index.and_then(|index| Some((*index, endpoint.upstream(*index)?))) else {
                break Question::View(Viewer {
                    endpoint: endpoint.clone(),
                    principal: identity.principal.clone().unwrap_or_default(),
                    voices: std::mem::take(&mut viewing.voices),
                });
            };
            let voice = match &upstream.delegate {
                Some(delegate) => delegate::voice_of(delegate, identity, headers),
                None => Voice::None(Lack::Unavailable),
            };
            match voice {
                Voice::Known(delegation) => viewing.voices.push((index, Ok(delegation))),
                Voice::None(lack) => viewing.voices.push((index, Err(lack))),
                Voice::Wanted(errand) => break Question::Delegate(errand),
            }
        };
        self.phase = Phase::Viewing(viewing);
        Step {
            commands: vec![Command::Ask(question)],
            ..Step::default()
        }
    }

    /// An open question about the caller's endpoint is answered.
    pub(in crate::engine::exchange) fn viewed(
        &mut self,
        mut viewing: Box<Viewing>,
        finding: Finding,
        now: Timestamp,
    ) -> Step {
        let Finding::Viewed(endpoint) = finding else {
            viewing.hear(delegate::found(finding));
            return self.look(viewing);
        };
        let Viewing {
            mut arrival, trailers, ..
        } = *viewing;
        arrival.endpoint = endpoint;
        self.decide(arrival, trailers, now)
    }
}

impl Viewing {
    /// The credential for the first upstream of which nothing was known.
    fn hear(&mut self, found: Result<Confidential, Lack>) {
        let Arrival { endpoint, identity, .. } = &self.arrival;
        let Some(index) = endpoint.listed_for_callers().get(self.voices.len()).copied() else {
            return;
        };
        let upstream = endpoint.upstream(index);
        let delegate = upstream.and_then(|upstream| upstream.delegate.as_ref());
        let voice = delegate.map_or(Err(Lack::Unavailable), |delegate| {
            delegate::completed(delegate, identity, found)
        });
        self.voices.push((index, voice));
    }
}
