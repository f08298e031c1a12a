//! One upstream's items as clients of one era see them: under which names they are exposed, and their bytes in a list.
//!
//! Parts are shared between snapshots for as long as the listing and the naming stay the same.

use super::{UpstreamIndex, output};
use crate::engine::catalog::{Item, Kind, Listing};
use crate::engine::jsonrpc::Splice;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::params::ParamHeaders;
use crate::engine::mcp::{Era, names, uris};
use crate::engine::route::Target;
use crate::engine::route::index::{Entries, Entry};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// How an upstream's names are exposed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Naming {
    /// Configured name.
    pub(super) upstream: Arc<str>,
    /// May be empty.
    pub(super) prefix: Box<str>,
    /// The only upstream, without a prefix: names stay as they are, whatever they are.
    pub(super) verbatim: bool,
    /// URIs of resources and templates bear the upstream's name.
    pub(super) rewrites: bool,
}

/// One upstream's items out of one listing.
#[derive(Debug)]
pub(super) struct Part {
    /// What the upstream said.
    pub(super) said: Arc<Listing>,
    /// What of it is shown.
    pub(super) listing: Arc<Listing>,
    /// To clients of which era; `None`: to both.
    client: Option<Era>,
    naming: Naming,
    upstream: UpstreamIndex,
    /// By kind, each in the listing's order.
    entries: [Entries; 4],
    /// Resources that tools name.
    pub(super) shown_by_tools: Entries,
    /// Tools that are left out, or whose name is not simply prefix and name.
    pub(super) remarks: Arc<[String]>,
}

impl Part {
    /// The part of this listing for clients of `client` era. What is equal in `old`, or for clients of the other era (`twin`), is taken from there.
    pub(super) fn next(
        listing: &Arc<Listing>,
        client: Era,
        naming: &Naming,
        upstream: UpstreamIndex,
        old: Option<&Arc<Self>>,
        twin: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(twin) = twin.filter(|twin| twin.is_of(listing, client, naming) && twin.upstream == upstream) {
            return Arc::clone(twin);
        }
        let mut part = match old.filter(|old| old.is_of(listing, client, naming)) {
            Some(old) if old.upstream == upstream => return Arc::clone(old),
            Some(old) => old.moved(upstream),
            None => Self::new(listing, client, naming, upstream),
        };
        for known in [old, twin].into_iter().flatten() {
            part.share(known);
        }
        Arc::new(part)
    }

    fn new(said: &Arc<Listing>, client: Era, naming: &Naming, upstream: UpstreamIndex) -> Self {
        let Screened {
            listing,
            client,
            mut remarks,
        } = screen(said, client);
        remarks.extend(naming.renamed(&listing));
        let entries = |kind| {
            let items = listing.items(kind).iter();
            items.map(|item| naming.entry(kind, item, upstream)).collect()
        };
        let shown = listing.tools.iter().filter_map(|tool| tool.ui_resource.as_deref());
        Self {
            said: Arc::clone(said),
            client,
            remarks: remarks.into(),
            naming: naming.clone(),
            upstream,
            entries: Kind::ALL.map(entries),
            shown_by_tools: shown.map(|uri| naming.resource(uri, upstream)).collect(),
            listing,
        }
    }

    /// The same at another place.
    fn moved(&self, upstream: UpstreamIndex) -> Self {
        let moved = |entries: &Entries| entries.iter().map(|entry| entry.moved(upstream)).collect();
        Self {
            said: Arc::clone(&self.said),
            listing: Arc::clone(&self.listing),
            client: self.client,
            remarks: Arc::clone(&self.remarks),
            naming: self.naming.clone(),
            upstream,
            entries: self.entries.each_ref().map(moved),
            shown_by_tools: moved(&self.shown_by_tools),
        }
    }

    /// Takes equal entries from `other`, so that indexes built of them can stay.
    fn share(&mut self, other: &Self) {
        let own = self.entries.iter_mut().chain([&mut self.shown_by_tools]);
        let others = other.entries.iter().chain([&other.shown_by_tools]);
        for (own, other) in own.zip(others).filter(|(own, other)| **own == **other) {
            *own = Arc::clone(other);
        }
    }

    /// The exposed names of one kind.
    pub(super) fn entries(&self, kind: Kind) -> &Entries {
        let [tools, prompts, resources, templates] = &self.entries;
        match kind {
            Kind::Tools => tools,
            Kind::Prompts => prompts,
            Kind::Resources => resources,
            Kind::Templates => templates,
        }
    }

    /// True if its items and names are those of this listing for clients of `client` era.
    pub(super) fn is_of(&self, listing: &Arc<Listing>, client: Era, naming: &Naming) -> bool {
        let shown_so = self.client.is_none_or(|own| own == client);
        shown_so && Arc::ptr_eq(&self.said, listing) && self.naming == *naming
    }

    /// The same as [`Part::render`] without what is reserved for clients that take requests; `None`: nothing is.
    pub(super) fn render_plain(&self, kind: Kind, hidden: &[u32]) -> Option<Bytes> {
        let items = self.listing.items(kind);
        if items.iter().all(|item| !item.reserved) {
            return None;
        }
        let left_out = (0u32..)
            .zip(items)
            .filter(|(place, item)| item.reserved || hidden.binary_search(place).is_ok());
        let left_out: Vec<u32> = left_out.map(|(place, _)| place).collect();
        Some(self.render(kind, &left_out))
    }

    /// The items but the hidden ones (places, ascending), each behind a comma.
    pub(super) fn render(&self, kind: Kind, hidden: &[u32]) -> Bytes {
        let items = self.listing.items(kind);
        let entries = self.entries(kind);
        let spliced = self.naming.prefix.len() + 16;
        let mut bytes = Vec::with_capacity(items.iter().map(|item| item.raw.len() + spliced).sum());
        let mut hidden = hidden.iter().map(|item| *item as usize).peekable();
        for (place, (item, entry)) in items.iter().zip(entries.iter()).enumerate() {
            if hidden.next_if_eq(&place).is_some() {
                continue;
            }
            bytes.push(b',');
            if self.naming.rewrites && item.ui_resource.is_some() {
                bytes.extend_from_slice(&self.naming.tool_with_resource(item, entry));
                continue;
            }
            if entry.target.token.is_none() {
                bytes.extend_from_slice(item.raw.as_bytes());
                continue;
            }
            let (head, tail) = item.around_key();
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&quote(&entry.exposed));
            bytes.extend_from_slice(tail.as_bytes());
        }
        bytes.shrink_to_fit();
        bytes.into()
    }
}

impl Naming {
    fn exposed<'a>(&self, kind: Kind, key: &'a str) -> Cow<'a, str> {
        match kind {
            Kind::Tools | Kind::Prompts if self.verbatim => Cow::Borrowed(key),
            Kind::Tools => Cow::Owned(names::join_tool(&self.prefix, &self.upstream, key)),
            Kind::Prompts => names::join_prompt(&self.prefix, key),
            Kind::Resources | Kind::Templates if self.rewrites => Cow::Owned(uris::expose(&self.upstream, key)),
            Kind::Resources | Kind::Templates => Cow::Borrowed(key),
        }
    }

    fn entry(&self, kind: Kind, item: &Item, upstream: UpstreamIndex) -> Entry {
        let params = item.params.clone().unwrap_or_default();
        entry(self.exposed(kind, &item.key), &item.key, upstream, params)
    }

    /// A resource that a tool names.
    fn resource(&self, uri: &str, upstream: UpstreamIndex) -> Entry {
        entry(self.exposed(Kind::Resources, uri), uri, upstream, None)
    }

    /// A tool that names a resource: both as clients know them.
    fn tool_with_resource(&self, item: &Item, tool: &Entry) -> Bytes {
        let mut edits: Vec<_> = item
            .ui_resource_spans()
            .into_iter()
            .map(|(span, uri)| (span, quote(&self.exposed(Kind::Resources, &uri))))
            .collect();
        if tool.target.token.is_some() {
            let key = &item.key_span;
            edits.push((key.start as usize..key.end as usize, quote(&tool.exposed)));
        }
        Splice { edits }.copied(item.raw.as_bytes())
    }

    /// Tools whose exposed name clients would not guess.
    fn renamed(&self, listing: &Listing) -> Vec<String> {
        let text = |item: &Item| {
            let exposed = self.exposed(Kind::Tools, &item.key);
            let guess = [&*self.prefix, &*item.key].concat();
            (*exposed != *guess).then(|| {
                format!(
                    "tool {:?} is exposed as {exposed:?}: clients accept no other name",
                    item.key
                )
            })
        };
        listing
            .tools
            .iter()
            .filter(|_| !self.verbatim)
            .filter_map(text)
            .collect()
    }
}

/// What of a listing is shown.
struct Screened {
    listing: Arc<Listing>,
    /// To clients of which era; `None`: to both.
    client: Option<Era>,
    /// What is not, and why.
    remarks: Vec<String>,
}

/// What clients of `client` era see of a listing.
fn screen(said: &Arc<Listing>, client: Era) -> Screened {
    let mut screened = screen_params(said, client);
    if said.version.era() == Era::Modern
        && let Some(plain) = output::for_legacy(&screened.listing)
    {
        screened.client = Some(client);
        if client == Era::Legacy {
            screened.listing = Arc::new(plain);
        }
    }
    screened
}

/// Leaves out tools whose `x-mcp-header` annotations break a rule: nobody could call them at a modern upstream, and modern
/// clients must not see them (SEP-2243). Of a legacy upstream the annotation means nothing to legacy clients.
fn screen_params(said: &Arc<Listing>, client: Era) -> Screened {
    let mut screened = Screened {
        listing: Arc::clone(said),
        client: None,
        remarks: Vec::new(),
    };
    if said.tools.iter().all(|tool| tool.params.is_ok()) {
        return screened;
    }
    let from = said.version.era();
    if from == Era::Legacy {
        screened.client = Some(client);
    }
    if from == Era::Legacy && client == Era::Legacy {
        return screened;
    }
    let audience = match from {
        Era::Legacy => " for modern clients",
        Era::Modern => "",
    };
    let mut listing = Listing::clone(said);
    listing.tools.retain(|tool| match &tool.params {
        Ok(_) => true,
        Err(error) => {
            let text = format!("tool {:?} is left out{audience}: {error}", tool.key);
            screened.remarks.push(text);
            false
        }
    });
    screened.listing = Arc::new(listing);
    screened
}

fn entry(exposed: Cow<'_, str>, key: &str, upstream: UpstreamIndex, params: ParamHeaders) -> Entry {
    let name: Arc<str> = key.into();
    let (exposed, token) = if *exposed == *key {
        (Arc::clone(&name), None)
    } else {
        (exposed.into(), Some(quote(key)))
    };
    let target = Target {
        upstream,
        name,
        token,
        params,
    };
    Entry::new(exposed, target)
}
