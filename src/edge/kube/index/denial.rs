//! Generated objects that the API server refuses (an admission policy, a quota, a rule that its schema does not take), and
//! what cannot be reached for that.

use super::conditions::{Truth, Verdict};
use crate::edge::kube::objects::names::{self, Purpose};
use crate::edge::kube::plan::{self, Owner, Place};
use std::sync::Arc;

/// The condition: clients can use a server's own route around the processor.
pub(crate) const DIRECT_ACCESS_OPEN: &str = "DirectAccessOpen";
/// The reason where something that is needed is refused.
const REFUSED: &str = "ObjectRefused";

/// One object that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// `HTTPRoute` and the like.
    pub kind: Arc<str>,
    /// Where it would stand.
    pub place: Place,
    /// What it is for.
    pub purpose: Purpose,
    /// What else does not stand for its lack.
    pub scope: Scope,
    /// What it is made for; none: the Gateway as a whole.
    pub owners: Vec<Owner>,
    /// In the API server's words.
    pub reason: String,
}

/// What an object's lack holds up: no route stands without what guards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every route of the Gateway.
    Gateway,
    /// Every route of its namespace.
    Namespace,
    /// Nothing but itself.
    Object,
}

impl Denial {
    /// Whether the route to this upstream is missing for it.
    fn cuts_off(&self, upstream: &plan::Upstream) -> bool {
        let route = || names::upstream_route(&upstream.namespace, &upstream.assigned.name);
        upstream.rule.is_some()
            && match self.scope {
                Scope::Gateway => true,
                Scope::Namespace => upstream.namespace == self.place.namespace,
                Scope::Object => self.purpose == Purpose::Upstream && self.place == route(),
            }
    }

    /// Whether clients cannot come in to this endpoint for it.
    fn shuts(&self, endpoint: &plan::Endpoint) -> bool {
        match self.scope {
            Scope::Gateway => true,
            Scope::Namespace => endpoint.owner.place.namespace == self.place.namespace,
            Scope::Object => {
                self.place == names::public_route(endpoint) || self.place == names::inspected_route(endpoint)
            }
        }
    }

    /// Whether it is made for this upstream, or for all in its namespace.
    fn concerns(&self, upstream: &plan::Upstream) -> bool {
        match self.scope {
            Scope::Gateway => true,
            Scope::Namespace => upstream.namespace == self.place.namespace,
            Scope::Object => self.owners.contains(&upstream.owner),
        }
    }

    fn sentence(&self) -> String {
        format!(
            "the API server refuses {} {}, which mcp-manifold generates: {}; mend what it names, it is tried again by \
             itself",
            self.kind, self.place, self.reason
        )
    }
}

/// Why a server that a processor has listed cannot be called all the same.
pub(crate) fn obstacle(denials: &[Denial], upstream: &plan::Upstream) -> Option<(&'static str, String)> {
    let mut found = denials.iter().filter(|denial| denial.cuts_off(upstream));
    found.next().map(|denial| (REFUSED, denial.sentence()))
}

/// Why an endpoint cannot be reached.
pub(crate) fn shut(denials: &[Denial], endpoint: &plan::Endpoint) -> Option<(&'static str, String)> {
    let mut found = denials.iter().filter(|denial| denial.shuts(endpoint));
    found.next().map(|denial| (REFUSED, denial.sentence()))
}

/// The warning where what would guard a server's own route is refused, or where nothing can guard it (`sentence`).
pub(crate) fn direct_access(denials: &[Denial], upstream: &plan::Upstream, sentence: Option<&str>) -> Option<Verdict> {
    let guarded = upstream.guard.is_some();
    let ours = |denial: &&Denial| denial.purpose == Purpose::Guard && denial.concerns(upstream);
    let denial = denials.iter().filter(|_| guarded).find(ours);
    let (reason, mut message) = match (denial, sentence) {
        (Some(denial), _) => (REFUSED, denial.sentence()),
        (None, Some(sentence)) => ("NoRouteWins", sentence.to_owned()),
        (None, None) => return None,
    };
    message.push_str("; or annotate the HTTPRoute mcp-manifold/direct-access: allowed, if clients may");
    Some(Verdict::new(DIRECT_ACCESS_OPEN, Truth::True, reason, message))
}
