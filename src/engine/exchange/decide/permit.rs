//! May the caller do this? Asked once the plan is known, before anything is asked of anybody or sent.
//!
//! What a caller does not see is answered as if it were not there, whatever else is wrong with it: a name that is hidden and
//! one whose upstream is down must not be told apart.

use super::admit::Intent;
use super::petition::{About, Petition};
use super::plan::Plan;
use super::task;
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::reject::{Reject, echo};
use crate::engine::exchange::step::{Question, Step};
use crate::engine::exchange::{Exchange, Request, Then};
use crate::engine::expression::TreeError;
use crate::engine::jsonrpc::EnvelopeError;
use crate::engine::mcp::{Era, Method};
use crate::engine::policy::{Asked, Caller, Challenge, Item, Lookup, Policy, Tool, Verdict};
use crate::engine::session::Timestamp;
use crate::engine::snapshot::Endpoint;
use crate::engine::stream::Filter;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Exchange {
    /// Goes on with a plan, or with what is wrong with it, if the caller may.
    pub(in crate::engine::exchange) fn permit(
        &mut self,
        mut request: Box<Request>,
        plan: Result<Plan, Reject>,
        now: Timestamp,
    ) -> Step {
        let endpoint = Arc::clone(&request.endpoint);
        let Some(guarded) = &endpoint.guarded else {
            return self.set_out(request, plan, now);
        };
        if let (Some(session), None, true) = (
            request.sender.session,
            &request.sender.client,
            guarded.policy.reads_client(),
        ) {
            return self.ask(request, Question::Introduce(session), Then::Permit(plan));
        }
        let petition = std::mem::take(&mut request.sender.petition);
        let plan = self.judged(&guarded.policy, &request, &petition, plan);
        self.set_out(request, plan, now)
    }

    fn set_out(&mut self, request: Box<Request>, plan: Result<Plan, Reject>, now: Timestamp) -> Step {
        let intent = match plan {
            Ok(plan) => Intent::Begin(plan),
            Err(reject) => Intent::Refuse(reject),
        };
        self.admit(request, intent, now)
    }

    /// The caller, as rules and lists see them.
    pub(in crate::engine::exchange) fn caller<'a>(&'a self, request: &'a Request) -> Caller<'a> {
        let client = request.sender.client.as_ref();
        Caller {
            identity: &request.identity,
            client_name: client.map_or("", |client| &client.name),
            client_version: client.map_or("", |client| &client.version),
            ip: self.record.client.as_deref().unwrap_or_default(),
        }
    }

    fn judged(
        &mut self,
        policy: &Policy,
        request: &Request,
        petition: &Petition,
        plan: Result<Plan, Reject>,
    ) -> Result<Plan, Reject> {
        let Some(method) = request.sender.method.as_deref() else {
            // A response of the client: whoever asked for it was allowed to be called.
            return plan;
        };
        if let (Err(reject), About::Nothing) = (&plan, &petition.about) {
            return Err(reject.clone());
        }
        let bench = Bench {
            policy,
            endpoint: &request.endpoint,
            era: request.era(),
            method,
            caller: self.caller(request),
            headers: &request.headers,
        };
        let ruling = bench.rule(petition, plan.as_ref().ok());
        self.record.rule = ruling.rule;
        match (ruling.refused, plan) {
            // Nobody waits for an answer.
            (Some(_), _) if request.sender.id.is_none() => Ok(Plan::Absorb),
            (Some(reject), _) => Err(reject),
            (None, Ok(Plan::Listen(filter))) => Ok(Plan::Listen(bench_of(policy, request, self).heard(filter))),
            (None, Ok(Plan::Call(mut routed))) if routed.gather => {
                let bench = bench_of(policy, request, self);
                routed.calls.retain(|call| bench.may_ask(&call.upstream.name));
                Ok(Plan::Call(routed))
            }
            (None, plan) => plan,
        }
    }
}

fn bench_of<'a>(policy: &'a Policy, request: &'a Request, exchange: &'a Exchange) -> Bench<'a> {
    Bench {
        policy,
        endpoint: &request.endpoint,
        era: request.era(),
        method: request.sender.method.as_deref().unwrap_or_default(),
        caller: exchange.caller(request),
        headers: &request.headers,
    }
}

/// Everything that rules may look at but what the request is about.
struct Bench<'a> {
    policy: &'a Policy,
    endpoint: &'a Endpoint,
    era: Era,
    method: &'a str,
    caller: Caller<'a>,
    headers: &'a Headers,
}

/// What the rules say.
struct Ruling {
    /// The rule that decides.
    rule: Option<Arc<str>>,
    /// `None`: nothing is against it.
    refused: Option<Reject>,
}

impl Bench<'_> {
    fn rule(&self, petition: &Petition, plan: Option<&Plan>) -> Ruling {
        let judge = |raw: Option<&Bytes>| {
            let arguments = raw.and_then(|raw| std::str::from_utf8(raw).ok());
            let judge = |item| self.policy.judge(&self.asked(item, arguments));
            match &petition.about {
                About::Nothing => judge(task_of(plan).map_or(Item::Nothing, Item::TaskOf)),
                About::Tool(name) => judge(Item::Tool(self.tool(name))),
                About::Prompt(name) => judge(Item::Prompt(name)),
                About::Resource(uri) => self.resource(self.method, uri, arguments),
            }
        };
        let settled = petition.settled.as_ref().map(|raw| judge(Some(raw)));
        let refused = settled.filter(|verdict| !matches!(verdict, Verdict::Allowed { .. }));
        let verdict = refused.unwrap_or_else(|| judge(petition.arguments.as_ref()));
        self.settle(verdict, &petition.about)
    }

    /// What leads to a resource by several names is allowed under all of them.
    fn resource(&self, method: &str, uri: &str, arguments: Option<&str>) -> Verdict {
        let judge = |uri: &str| match self.unseen_origin(uri) {
            Some(rule) => Verdict::Hidden { rule },
            None => self.policy.judge(&Asked {
                method,
                ..self.asked(Item::Resource(uri), arguments)
            }),
        };
        let aliases = self.endpoint.aliases(self.era, uri);
        let verdicts = aliases.iter().map(|alias| judge(alias));
        let mut refused = verdicts.filter(|verdict| !matches!(verdict, Verdict::Allowed { .. }));
        refused.next().unwrap_or_else(|| judge(uri))
    }

    fn asked<'b>(&'b self, item: Item<'b>, arguments: Option<&'b str>) -> Asked<'b> {
        Asked {
            method: self.method,
            item,
            arguments,
            caller: self.caller,
            headers: self.headers,
        }
    }

    /// A tool that nobody lists may be one of an upstream that is still to be listed.
    fn tool<'b>(&'b self, name: &'b str) -> Tool<'b> {
        self.endpoint.tool_facts(self.era, name).unwrap_or_else(|| {
            let unlisted = self.endpoint.face(self.era).routes.unlisted(name);
            let upstream = unlisted.and_then(|index| self.endpoint.upstream(index));
            Tool {
                name,
                upstream: upstream.map_or("", |upstream| &upstream.name),
                upstream_name: "",
                raw: None,
            }
        })
    }

    /// The rule that hides the template, or the tools, by which alone this resource is known.
    fn unseen_origin(&self, uri: &str) -> Option<Arc<str>> {
        let hidden = |item| self.policy.hidden_by(&self.asked(item, None));
        if let Some(template) = self.endpoint.template_of(self.era, uri) {
            return hidden(Item::Resource(template));
        }
        let mut rule = None;
        for name in self.endpoint.shown_by(self.era, uri) {
            rule = Some(hidden(Item::Tool(self.tool(name)))?);
        }
        rule
    }

    fn settle(&self, verdict: Verdict, about: &About) -> Ruling {
        let refused = |rule, reject| Ruling {
            rule: Some(rule),
            refused: Some(reject),
        };
        match verdict {
            Verdict::Allowed { rule } => Ruling { rule, refused: None },
            Verdict::Hidden { rule } => refused(rule, self.unknown(about)),
            Verdict::Denied { rule, message } => {
                let text = message.unwrap_or_else(|| self.denial(about, &rule));
                refused(rule, Reject::Denied(text, about.name().map(Arc::clone)))
            }
            Verdict::Scopes { rule, needed } => refused(rule, insufficient_scope(self.endpoint, &needed)),
            Verdict::Unreadable(error) => Ruling {
                rule: None,
                refused: Some(Reject::Envelope(match error {
                    TreeError::DuplicateKey(key) => EnvelopeError::DuplicateKey(key),
                    TreeError::Unreadable => {
                        EnvelopeError::WrongType("arguments hold a text or a number that cannot be read")
                    }
                })),
            },
        }
    }

    fn unknown(&self, about: &About) -> Reject {
        match about {
            About::Nothing => Reject::UnknownMethod(self.era),
            About::Tool(name) => Reject::UnknownTool((&**name).into()),
            About::Prompt(name) => Reject::UnknownPrompt((&**name).into()),
            About::Resource(uri) => Reject::UnknownResource(self.era, (&**uri).into()),
        }
    }

    fn denial(&self, about: &About, rule: &str) -> Arc<str> {
        let what = match about {
            About::Nothing => echo(self.method).into_owned(),
            About::Tool(name) => format!("tool {:?}", echo(name)),
            About::Prompt(name) => format!("prompt {:?}", echo(name)),
            About::Resource(uri) => format!("resource {:?}", echo(uri)),
        };
        format!("{what} is denied by policy: rule {rule:?}").into()
    }

    /// A listen hears nothing of resources and tasks that the caller may not use.
    fn heard(&self, mut filter: Filter) -> Filter {
        let read = Method::ResourcesRead.as_str();
        filter
            .uris
            .retain(|uri| matches!(self.resource(read, uri, None), Verdict::Allowed { .. }));
        filter.tasks.retain(|id| {
            let owned = task::owned(self.endpoint, self.era, id);
            owned.is_none_or(|(upstream, _)| self.may_ask(&upstream.name))
        });
        filter
    }

    fn may_ask(&self, upstream: &str) -> bool {
        let verdict = self.policy.judge(&self.asked(Item::TaskOf(upstream), None));
        matches!(verdict, Verdict::Allowed { .. })
    }
}

impl About {
    const fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Nothing => None,
            Self::Tool(name) | Self::Prompt(name) | Self::Resource(name) => Some(name),
        }
    }
}

/// The upstream whose task a request is about: nothing else of what rules know goes to one upstream only.
fn task_of(plan: Option<&Plan>) -> Option<&str> {
    match plan? {
        Plan::Call(routed) if !routed.gather => Some(&routed.calls.first()?.upstream.name),
        Plan::Call(_)
        | Plan::Absorb
        | Plan::Empty
        | Plan::List(..)
        | Plan::Discover
        | Plan::Initialize { .. }
        | Plan::SetLevel(_)
        | Plan::Listen(_)
        | Plan::Tell(_) => None,
    }
}

impl Lookup for Headers {
    fn value(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.all(name).map(String::from_utf8_lossy).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn all(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.iter() {
            let text = String::from_utf8_lossy(&value);
            all.entry(String::from_utf8_lossy(name).into_owned())
                .and_modify(|values| values.extend([", ", &text]))
                .or_insert_with(|| text.clone().into_owned());
        }
        all
    }
}

/// What a caller is told who lacks scopes; all that are needed are named at once.
fn insufficient_scope(endpoint: &Endpoint, needed: &[Arc<str>]) -> Reject {
    let callers = endpoint.callers.as_ref();
    Reject::Scopes(callers.map_or_else(|| Challenge::lacking(needed), |callers| callers.insufficient(needed)))
}
