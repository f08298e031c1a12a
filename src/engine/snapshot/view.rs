//! What one audience sees of a list: the segments of the whole list, those of upstreams that hide something rendered anew.
//!
//! Views are made on demand and kept by [`Views`], which belong to one state of an endpoint: a new state begins with none.
//! Where no rule can leave anything out, the whole list is the view.

use super::face::{Rendered, Side};
use super::{Endpoint, Face, Prepared};
use crate::engine::catalog::{Item, Kind};
use crate::engine::mcp::{Era, uris};
use crate::engine::policy::subject::user_of;
use crate::engine::policy::{self, Asked, Audience, Caller, NoHeaders, Policy, Tool};
use crate::engine::route::index::Entry;
use crate::engine::route::{Owner, UpstreamIndex};
use bytes::Bytes;
use std::ops::Deref;
use std::sync::Arc;

/// Which view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// Of the clients.
    pub era: Era,
    /// Which list.
    pub kind: Kind,
    /// With what is reserved for clients that upstreams may send requests.
    pub takes_requests: bool,
    /// Who sees it.
    pub audience: Audience,
    /// Of the one caller whose endpoint it is.
    pub caller: Option<u64>,
}

/// Where views are kept; bounded. Whoever keeps them may forget any of them at any time.
pub trait Views: std::fmt::Debug + Send + Sync {
    /// The view that was kept last under this key.
    fn get(&self, key: &ViewKey) -> Option<Arc<Prepared>>;

    /// Keeps a view; `own` are the bytes of it that are not the whole list's.
    fn keep(&self, key: ViewKey, view: &Arc<Prepared>, own: usize);
}

/// Nothing is kept.
#[derive(Debug)]
pub struct NoViews;

impl Views for NoViews {
    fn get(&self, _key: &ViewKey) -> Option<Arc<Prepared>> {
        None
    }

    fn keep(&self, _key: ViewKey, _view: &Arc<Prepared>, _own: usize) {}
}

/// Makes a new place for views.
pub type NewViews = fn() -> Arc<dyn Views>;

/// A list for one caller.
#[derive(Debug)]
pub enum View<'a> {
    /// All of it.
    Whole(&'a Prepared),
    /// What its audience sees.
    Part(Arc<Prepared>),
}

impl Deref for View<'_> {
    type Target = Prepared;

    fn deref(&self) -> &Prepared {
        match self {
            Self::Whole(list) => list,
            Self::Part(list) => list,
        }
    }
}

/// The rules of an endpoint, and what was made by them.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// The rules.
    pub policy: Arc<Policy>,
    /// Of the endpoint as it is.
    pub(super) views: Arc<dyn Views>,
}

impl Endpoint {
    /// A list as this caller sees it.
    #[must_use]
    pub fn view(&self, era: Era, kind: Kind, takes_requests: bool, caller: &Caller<'_>) -> View<'_> {
        let face = self.face(era);
        let whole = face.list_for(takes_requests, kind);
        let Some(guarded) = self.guarded.as_ref().filter(|guarded| guarded.policy.hides(kind)) else {
            return View::Whole(whole);
        };
        let key = ViewKey {
            era,
            kind,
            takes_requests,
            audience: guarded.policy.audience(caller),
            caller: self.caller,
        };
        if let Some(view) = guarded.views.get(&key) {
            return View::Part(view);
        }
        let (view, own) = self.filtered(face, whole, &key, &guarded.policy, caller);
        let view = Arc::new(view);
        guarded.views.keep(key, &view, own);
        View::Part(view)
    }

    /// The tool of this exposed name, as rules see it; `None`: nobody owns the name.
    #[must_use]
    pub fn tool_facts<'a>(&'a self, era: Era, exposed: &'a str) -> Option<Tool<'a>> {
        let face = self.face(era);
        let (target, place, item) = face.routes.tools.locate(exposed)?;
        let listing = face.listings.get(place)?.as_ref();
        Some(Tool {
            name: exposed,
            upstream: &self.upstream(target.upstream)?.name,
            upstream_name: &target.name,
            raw: listing
                .and_then(|listing| listing.tools.get(item))
                .map(|item| &*item.raw),
        })
    }

    /// Other names under which clients see what this URI leads to: where URIs are rewritten, the upstream's own may lead
    /// there too.
    #[must_use]
    pub fn aliases(&self, era: Era, uri: &str) -> Vec<String> {
        let routes = &self.face(era).routes;
        let exposed = |owner| match owner {
            Owner::One(target) => {
                let upstream = self.upstream(target.upstream).filter(|upstream| upstream.rewrites)?;
                Some(uris::expose(&upstream.name, &target.name))
            }
            Owner::Ask(_) | Owner::None => None,
        };
        let owners = [routes.resource(uri), routes.template(uri)];
        let mut aliases: Vec<String> = owners.into_iter().filter_map(exposed).collect();
        aliases.retain(|alias| alias != uri);
        aliases.dedup();
        aliases
    }

    /// The template by which alone a URI is known here, as it is listed.
    #[must_use]
    pub fn template_of(&self, era: Era, uri: &str) -> Option<&str> {
        let routes = &self.face(era).routes;
        if routes.resources.get(uri).is_some() {
            return None;
        }
        let pattern = routes.patterns.iter().find(|pattern| pattern.exposed.matches(uri))?;
        let mut owned = routes.templates.owned(pattern.target.upstream.0 as usize);
        let (_, entry) = owned.find(|(_, entry)| entry.target == pattern.target)?;
        Some(&entry.exposed)
    }

    /// The exposed names of the tools by which alone a URI is known here.
    pub fn shown_by<'a>(&'a self, era: Era, uri: &'a str) -> impl Iterator<Item = &'a str> {
        let face = self.face(era);
        let known = face.routes.resources.get(uri).is_some() || self.template_of(era, uri).is_some();
        let target = face.routes.shown_by_tools.get(uri).filter(|_| !known);
        let place = target.map(|target| target.upstream.0 as usize);
        let listing = place
            .and_then(|place| face.listings.get(place))
            .and_then(Option::as_ref);
        let owned = place.into_iter().flat_map(|place| face.routes.tools.owned(place));
        owned.filter_map(move |(item, entry)| {
            let tool = listing?.tools.get(item)?;
            (tool.ui_resource.as_deref() == target.map(|target| &*target.name)).then_some(&*entry.exposed)
        })
    }

    /// The whole list without what this caller does not see, and how many bytes of it are its own.
    fn filtered(
        &self,
        face: &Face,
        whole: &Prepared,
        key: &ViewKey,
        policy: &Policy,
        caller: &Caller<'_>,
    ) -> (Prepared, usize) {
        let (Some(head), Some(tail)) = (whole.segments.first(), whole.segments.last()) else {
            return (Prepared::default(), 0);
        };
        let mut own = 0;
        let sides = face.sides.iter().enumerate();
        let shown = sides.filter_map(|(place, side)| Some((place, side.as_ref().filter(|side| side.shown)?)));
        let segments = shown.filter_map(|(place, side)| {
            let rendered = side.rendered(key.kind)?;
            let hidden = self.hidden(place, side, key.kind, policy, caller);
            if hidden.is_empty() {
                return Some(rendered.bytes_for(key.takes_requests).clone());
            }
            let bytes = side.without(rendered, key.kind, hidden, key.takes_requests);
            own += bytes.len();
            Some(bytes)
        });
        let segments: Vec<Bytes> = segments.collect();
        (Prepared::of(head.clone(), segments.iter(), tail.clone()), own)
    }

    /// The places of what a caller does not see of one upstream.
    fn hidden(&self, place: usize, side: &Side, kind: Kind, policy: &Policy, caller: &Caller<'_>) -> Vec<u32> {
        let Some(upstream) = u32::try_from(place)
            .ok()
            .and_then(|at| self.upstream(UpstreamIndex(at)))
        else {
            return Vec::new();
        };
        let items = side.part.listing.items(kind).iter().zip(side.part.entries(kind).iter());
        let is_hidden = |(_, (item, entry)): &(u32, (&Item, &Entry))| {
            let about = match kind {
                Kind::Tools => policy::Item::Tool(Tool {
                    name: &entry.exposed,
                    upstream: &upstream.name,
                    upstream_name: &entry.target.name,
                    raw: Some(&item.raw),
                }),
                Kind::Prompts => policy::Item::Prompt(&entry.exposed),
                Kind::Resources | Kind::Templates => policy::Item::Resource(&entry.exposed),
            };
            let asked = Asked {
                method: user_of(kind).as_str(),
                item: about,
                arguments: None,
                caller: *caller,
                headers: &NoHeaders,
            };
            policy.hidden_by(&asked).is_some()
        };
        (0u32..).zip(items).filter(is_hidden).map(|(place, _)| place).collect()
    }
}

impl Rendered {
    const fn bytes_for(&self, takes_requests: bool) -> &Bytes {
        match (&self.plain, takes_requests) {
            (Some(plain), false) => plain,
            (Some(_) | None, _) => &self.bytes,
        }
    }
}

impl Side {
    fn rendered(&self, kind: Kind) -> Option<&Rendered> {
        let at = Kind::ALL.iter().position(|other| *other == kind)?;
        self.rendered.get(at)
    }

    /// The items but those that others hide, and these.
    fn without(&self, rendered: &Rendered, kind: Kind, mut hidden: Vec<u32>, takes_requests: bool) -> Bytes {
        hidden.extend(rendered.hidden.iter().flatten());
        if !takes_requests {
            let items = (0u32..).zip(self.part.listing.items(kind));
            hidden.extend(items.filter(|(_, item)| item.reserved).map(|(place, _)| place));
        }
        hidden.sort_unstable();
        hidden.dedup();
        self.part.render(kind, &hidden)
    }
}

#[cfg(test)]
mod tests;
