//! What the gateway declares it can do, to clients of one version.
//!
//! The only upstream's own capabilities stand as it wrote them where it speaks the client's era; from the other era only
//! what both know is taken over. Tasks and extensions are of one era: they are not translated, so not declared across.
//! With several upstreams: everything that is always answered, and what at least one of them brings.

use super::{Chorus, Voice, json_string};
use crate::engine::catalog::{Listing, Members};
use crate::engine::mcp::capabilities::TASKS_EXTENSION;
use crate::engine::mcp::{Era, Version};

/// What both eras know, and with it what is declared of several upstreams: lists are empty where nobody serves them.
const COMMON: [&str; 5] = ["completions", "logging", "prompts", "resources", "tools"];

/// Extensions of which several upstreams can take part behind one endpoint.
const EXTENSIONS: [&str; 2] = [TASKS_EXTENSION, "io.modelcontextprotocol/ui"];

/// The `capabilities` object for clients of `version`.
pub(super) fn capabilities(version: Version, chorus: Chorus<'_>) -> String {
    let declared = match chorus {
        Chorus::Solo(Some(listing)) => solo(version.era(), listing).unwrap_or_else(|| several(version.era(), &[])),
        Chorus::Solo(None) => several(version.era(), &[]),
        Chorus::Many(voices) => several(version.era(), voices),
    };
    object(declared.into_iter().filter(|(word, _)| is_known_in(version, word)))
}

/// Name and raw value of one capability.
type Capability = (String, String);

/// Words that came later than the first revision.
fn is_known_in(version: Version, word: &str) -> bool {
    match word {
        "completions" => version >= Version::V2025_03_26,
        "tasks" => version == Version::V2025_11_25,
        _ => true,
    }
}

/// What the only upstream declares itself; `None`: it is unreadable.
fn solo(client: Era, listing: &Listing) -> Option<Vec<Capability>> {
    let own = Members::read(&listing.capabilities)?;
    let is_translated = listing.version.era() != client;
    let mut declared: Vec<Capability> = Vec::new();
    for (key, value) in &own.0 {
        let word = &*key.0;
        // Of what stands twice, most parsers take the last.
        declared.retain(|(other, _)| other != word);
        if COMMON.contains(&word) || !is_translated {
            declared.push((word.to_owned(), value.get().to_owned()));
        }
    }
    Some(declared)
}

/// What several upstreams can do together.
fn several(client: Era, voices: &[Voice<'_>]) -> Vec<Capability> {
    let subscribe = voices.iter().any(|(_, listing)| listing.flags.subscribe);
    let common = |word: &str| {
        let members = match word {
            // The gateway's own lists change too: with its configuration, and with what becomes of upstreams.
            "prompts" | "tools" => vec!["listChanged"],
            "resources" if subscribe => vec!["listChanged", "subscribe"],
            "resources" => vec!["listChanged"],
            _ => vec![],
        };
        (
            word.to_owned(),
            object(members.into_iter().map(|member| (member.to_owned(), "true".to_owned()))),
        )
    };
    let mut declared: Vec<Capability> = COMMON.into_iter().map(common).collect();
    let same_era = voices.iter().filter(|(_, listing)| listing.version.era() == client);
    let own: Vec<Members<'_>> = same_era
        .filter_map(|(_, listing)| Members::read(&listing.capabilities))
        .collect();
    declared.extend(match client {
        Era::Legacy => tasks(&own),
        Era::Modern => extensions(&own),
    });
    declared
}

/// The union of `tasks` (2025-11-25).
fn tasks(own: &[Members<'_>]) -> Option<Capability> {
    let declared: Vec<Members<'_>> = own.iter().filter_map(|own| Members::read(own.last("tasks")?)).collect();
    if declared.is_empty() {
        return None;
    }
    let any = |word: &str| declared.iter().any(|tasks| tasks.last(word).is_some_and(is_there));
    let calls = declared.iter().any(|tasks| {
        let requests = tasks.last("requests").and_then(Members::read);
        let tools = requests
            .as_ref()
            .and_then(|requests| requests.last("tools"))
            .and_then(Members::read);
        tools.is_some_and(|tools| tools.last("call").is_some_and(is_there))
    });
    let members = ["list", "cancel"].into_iter().filter(|word| any(word));
    let mut members: Vec<Capability> = members.map(|word| (word.to_owned(), "{}".to_owned())).collect();
    if calls {
        members.push(("requests".to_owned(), r#"{"tools":{"call":{}}}"#.to_owned()));
    }
    Some(("tasks".to_owned(), object(members)))
}

/// The union of `extensions` (modern), each as the first upstream declares it that has it.
fn extensions(own: &[Members<'_>]) -> Option<Capability> {
    let declared: Vec<Members<'_>> = own
        .iter()
        .filter_map(|own| Members::read(own.last("extensions")?))
        .collect();
    let first = |name: &str| declared.iter().find_map(|extensions| extensions.last(name));
    let members = EXTENSIONS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), first(name)?.to_owned())));
    let members: Vec<Capability> = members.collect();
    (!members.is_empty()).then(|| ("extensions".to_owned(), object(members)))
}

/// A capability is declared by being there; null is not there.
fn is_there(raw: &str) -> bool {
    raw != "null"
}

fn object(members: impl IntoIterator<Item = Capability>) -> String {
    let members = members.into_iter();
    let members: Vec<String> = members
        .map(|(key, value)| format!("{}:{value}", json_string(&key)))
        .collect();
    format!("{{{}}}", members.join(","))
}
