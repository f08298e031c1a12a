//! Merges the parts of all upstreams into what clients of one era see: lists in segments, and routes.
//!
//! Order is the configuration's, then each upstream's own; when which listing arrived does not matter.

use super::part::Part;
use super::{Face, Prepared, UpstreamIndex};
use crate::engine::catalog::Kind;
use crate::engine::mcp::Era;
use crate::engine::route::index::{Entries, Entry, Hidden, Index};
use crate::engine::route::template::Template;
use crate::engine::route::{Pattern, Routes};
use bytes::Bytes;
use std::sync::Arc;

/// Name and version of this gateway, as JSON.
pub(super) const SERVER_INFO: &str = concat!(
    r#"{"name":"mcp-manifold","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// One upstream as clients of one era see it.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) part: Arc<Part>,
    /// False: it keeps its names, but its items are not listed (disabled, or nothing is known of it any more).
    pub(super) shown: bool,
    /// By kind.
    pub(super) rendered: [Rendered; 4],
}

/// The bytes of one upstream's items of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered {
    /// What the bytes leave out; `None`: not rendered yet.
    pub(super) hidden: Option<Vec<u32>>,
    /// Each item behind a comma.
    pub(super) bytes: Bytes,
    /// The same without what is reserved; `None`: nothing is.
    pub(super) plain: Option<Bytes>,
}

/// The merged names of one era, kept for the next fold.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged {
    kinds: [Names; 4],
    shown_by_tools: Names,
    patterns: Arc<[Pattern]>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    index: Arc<Index>,
    /// By place of the upstream.
    hidden: Vec<Vec<Hidden>>,
}

/// How long, and by whom, a list may be cached (SEP-2549).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Freshness {
    pub(super) ttl_ms: u64,
    pub(super) public: bool,
}

impl Names {
    /// Takes the new parts; true if anything changed. `twin`: the other era, which often has the same names.
    fn merge(&mut self, parts: Vec<Entries>, twin: Option<&Self>) -> bool {
        if self.index.is_of(&parts) {
            return false;
        }
        if let Some(twin) = twin.filter(|twin| twin.index.is_of(&parts)) {
            self.clone_from(twin);
            return true;
        }
        let (index, hidden) = Index::build(parts);
        (self.index, self.hidden) = (Arc::new(index), hidden);
        true
    }

    /// Takes one caller's own parts beside everybody's; true if that changes anything. `twin`: the other era's names, before
    /// and after.
    fn join(&mut self, own: Vec<Entries>, twin: Option<(&Self, &Self)>) -> bool {
        if own.iter().all(|entries| entries.is_empty()) {
            return false;
        }
        if let Some((before, after)) = twin
            && Arc::ptr_eq(&before.index, &self.index)
            && after.index.is_of(&own)
        {
            self.clone_from(after);
            return true;
        }
        let (index, hidden) = Index::over(&self.index, &self.hidden, own);
        (self.index, self.hidden) = (Arc::new(index), hidden);
        true
    }
}

impl Merged {
    /// Takes the parts of all upstreams, by their place. `twin`: the other era, if it was merged already.
    pub(super) fn merge(&mut self, sides: &[Option<Side>], twin: Option<&Self>) {
        for kind in Kind::ALL {
            let parts = parts(sides, |part| part.entries(kind));
            let changed = self.names_mut(kind).merge(parts, twin.map(|twin| twin.names(kind)));
            if changed && kind == Kind::Templates {
                self.patterns = patterns(&self.names(kind).index, sides.len());
            }
        }
        let parts = parts(sides, |part| &part.shown_by_tools);
        self.shown_by_tools.merge(parts, twin.map(|twin| &twin.shown_by_tools));
    }

    /// The same with what the upstreams at `own` listed for one caller; nothing of theirs stands here yet. `twin`: the other
    /// era, before and after.
    pub(super) fn over(&self, sides: &[Option<Side>], own: &[UpstreamIndex], twin: Option<(&Self, &Self)>) -> Self {
        let is_own = |place: usize| own.iter().any(|index| index.0 as usize == place);
        let of_own = |entries: fn(&Part) -> &Entries| -> Vec<Entries> {
            let parts = parts(sides, entries).into_iter().enumerate();
            parts
                .map(|(place, part)| if is_own(place) { part } else { Entries::default() })
                .collect()
        };
        let mut merged = self.clone();
        let entries: [fn(&Part) -> &Entries; 4] = [
            |part| part.entries(Kind::Tools),
            |part| part.entries(Kind::Prompts),
            |part| part.entries(Kind::Resources),
            |part| part.entries(Kind::Templates),
        ];
        for (kind, entries) in Kind::ALL.into_iter().zip(entries) {
            let twin = twin.map(|(before, after)| (before.names(kind), after.names(kind)));
            let changed = merged.names_mut(kind).join(of_own(entries), twin);
            if changed && kind == Kind::Templates {
                merged.patterns = patterns(&merged.names(kind).index, sides.len());
            }
        }
        let twin = twin.map(|(before, after)| (&before.shown_by_tools, &after.shown_by_tools));
        merged.shown_by_tools.join(of_own(|part| &part.shown_by_tools), twin);
        merged
    }

    /// What earlier upstreams hide of the one at `place`.
    pub(super) fn hidden(&self, kind: Kind, place: usize) -> &[Hidden] {
        self.names(kind).hidden.get(place).map_or(&[], |hidden| hidden)
    }

    pub(super) fn routes(
        &self,
        rewriting: Vec<(Arc<str>, UpstreamIndex)>,
        ask: Vec<UpstreamIndex>,
        unlisted: Vec<(Box<str>, UpstreamIndex)>,
    ) -> Routes {
        let index = |kind| Arc::clone(&self.names(kind).index);
        Routes {
            tools: index(Kind::Tools),
            prompts: index(Kind::Prompts),
            resources: index(Kind::Resources),
            templates: index(Kind::Templates),
            patterns: Arc::clone(&self.patterns),
            shown_by_tools: Arc::clone(&self.shown_by_tools.index),
            rewriting,
            ask,
            unlisted,
        }
    }

    fn names(&self, kind: Kind) -> &Names {
        let [tools, prompts, resources, templates] = &self.kinds;
        match kind {
            Kind::Tools => tools,
            Kind::Prompts => prompts,
            Kind::Resources => resources,
            Kind::Templates => templates,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut Names {
        let [tools, prompts, resources, templates] = &mut self.kinds;
        match kind {
            Kind::Tools => tools,
            Kind::Prompts => prompts,
            Kind::Resources => resources,
            Kind::Templates => templates,
        }
    }
}

impl Side {
    /// Renders what changed. `twin`: the same upstream for clients of the other era; equal bytes are kept once.
    pub(super) fn render(&mut self, merged: &Merged, place: usize, twin: Option<&Self>) {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let hidden = merged.hidden(kind, place).iter().map(|hidden| hidden.item);
            let Some(rendered) = self.rendered.get_mut(at) else {
                continue;
            };
            if rendered
                .hidden
                .as_ref()
                .is_some_and(|old| old.iter().copied().eq(hidden.clone()))
            {
                continue;
            }
            let hidden: Vec<u32> = hidden.collect();
            let same_part = twin.is_some_and(|twin| Arc::ptr_eq(&twin.part, &self.part));
            let twin = twin.and_then(|twin| twin.rendered.get(at));
            if let Some(twin) = twin.filter(|twin| same_part && twin.hidden.as_ref() == Some(&hidden)) {
                rendered.clone_from(twin);
                continue;
            }
            let bytes = self.part.render(kind, &hidden);
            *rendered = Rendered {
                plain: self.part.render_plain(kind, &hidden),
                hidden: Some(hidden),
                bytes: twin
                    .filter(|twin| twin.bytes == bytes)
                    .map_or(bytes, |twin| twin.bytes.clone()),
            };
        }
    }
}

/// The face of `era`.
pub(super) fn face(era: Era, sides: &[Option<Side>], freshness: Freshness, routes: Routes) -> Face {
    let shown = |at: usize| {
        let shown = sides.iter().flatten().filter(|side| side.shown);
        shown.filter_map(move |side| side.rendered.get(at))
    };
    let list = |at: usize, kind: Kind| {
        let (head, tail) = frame(era, kind, freshness);
        prepared(head, shown(at).map(|rendered| &rendered.bytes), tail)
    };
    let plain_tools = shown(0).any(|rendered| rendered.plain.is_some()).then(|| {
        let (head, tail) = frame(era, Kind::Tools, freshness);
        let bytes = shown(0).map(|rendered| rendered.plain.as_ref().unwrap_or(&rendered.bytes));
        prepared(head, bytes, tail)
    });
    let listing = |side: &Option<Side>| Some(Arc::clone(&side.as_ref().filter(|side| side.shown)?.part.listing));
    Face {
        tools: list(0, Kind::Tools),
        plain_tools,
        prompts: list(1, Kind::Prompts),
        resources: list(2, Kind::Resources),
        templates: list(3, Kind::Templates),
        routes,
        listings: sides.iter().map(listing).collect(),
        sides: Vec::new(),
    }
}

/// What stands around the items.
fn frame(era: Era, kind: Kind, freshness: Freshness) -> (String, String) {
    let member = kind.member();
    match era {
        Era::Legacy => (format!(r#"{{"{member}":["#), "]}".to_owned()),
        Era::Modern => (
            format!(r#"{{"resultType":"complete","{member}":["#),
            format!("],{}}}", modern_members(freshness)),
        ),
    }
}

/// `ttlMs`, `cacheScope` and `_meta` of a modern result.
pub(super) fn modern_members(freshness: Freshness) -> String {
    let Freshness { ttl_ms, public } = freshness;
    let scope = if public { "public" } else { "private" };
    let info = format!(r#""io.modelcontextprotocol/serverInfo":{SERVER_INFO}"#);
    format!(r#""ttlMs":{ttl_ms},"cacheScope":"{scope}","_meta":{{{info}}}"#)
}

fn prepared<'a>(head: String, segments: impl Iterator<Item = &'a Bytes>, tail: String) -> Prepared {
    Prepared::of(head.into(), segments, tail.into())
}

impl Prepared {
    /// `segments`: items, each behind a comma.
    pub(super) fn of<'a>(head: Bytes, segments: impl Iterator<Item = &'a Bytes>, tail: Bytes) -> Self {
        let mut all = vec![head];
        all.extend(segments.filter(|segment| !segment.is_empty()).cloned());
        // The first item has no comma before it.
        if let Some(first) = all.get_mut(1) {
            *first = first.slice(1..);
        }
        all.push(tail);
        Self {
            len: all.iter().map(Bytes::len).sum(),
            segments: all,
        }
    }
}

/// The templates that own themselves, in configuration order.
fn patterns(templates: &Index, upstreams: usize) -> Arc<[Pattern]> {
    let owned = (0..upstreams).flat_map(|place| templates.owned(place));
    let pattern = |(_, entry): (usize, &Entry)| {
        let target = entry.target.clone();
        let own = target.token.is_some().then(|| Template::parse(&target.name)).flatten();
        Some(Pattern {
            exposed: Template::parse(&entry.exposed)?,
            own,
            target,
        })
    };
    owned.filter_map(pattern).collect()
}

fn parts(sides: &[Option<Side>], entries: impl Fn(&Part) -> &Entries) -> Vec<Entries> {
    let none = Entries::default();
    let entries = |side: &Option<Side>| {
        side.as_ref()
            .map_or_else(|| none.clone(), |side| entries(&side.part).clone())
    };
    sides.iter().map(entries).collect()
}
