//! What the gateway says of itself: the results of initialize and `server/discover`.

mod capabilities;

use super::face::{Freshness, SERVER_INFO, modern_members};
use crate::engine::catalog::Listing;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::Version;
use bytes::Bytes;
use capabilities::capabilities;
use std::borrow::Cow;

/// The longest merged `instructions`, in bytes; clients cut what is longer.
const MAX_INSTRUCTIONS: usize = 2048;

/// An enabled upstream and what it said of itself: in the era of the client if it speaks that, else in the other one.
pub(super) type Voice<'a> = (&'a str, &'a Listing);

/// Who speaks through the gateway.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chorus<'a> {
    /// The only configured upstream, once it is known.
    Solo(Option<&'a Listing>),
    /// One of several, in configuration order.
    Many(&'a [Voice<'a>]),
}

/// `result` of initialize in `version`.
pub(super) fn initialize(version: Version, chorus: Chorus<'_>) -> Bytes {
    let version_text = version.as_str();
    let capabilities = capabilities(version, chorus);
    let head = format!(r#""protocolVersion":"{version_text}","capabilities":{capabilities}"#);
    format!(
        r#"{{{head},"serverInfo":{SERVER_INFO}{}}}"#,
        instructions_member(chorus)
    )
    .into()
}

/// `result` of `server/discover`.
pub(super) fn discover(chorus: Chorus<'_>, freshness: Freshness) -> Bytes {
    let versions: Vec<String> = Version::ALL
        .iter()
        .rev()
        .map(|version| format!("{:?}", version.as_str()))
        .collect();
    let capabilities = capabilities(Version::NEWEST, chorus);
    let head = format!(
        r#""supportedVersions":[{}],"capabilities":{capabilities}"#,
        versions.join(",")
    );
    let (instructions, tail) = (instructions_member(chorus), modern_members(freshness));
    format!(r#"{{"resultType":"complete",{head}{instructions},{tail}}}"#).into()
}

/// `,"instructions":"..."`, or nothing.
fn instructions_member(chorus: Chorus<'_>) -> String {
    let text = match chorus {
        Chorus::Solo(listing) => listing
            .and_then(|listing| listing.instructions.as_deref())
            .map(Cow::Borrowed),
        Chorus::Many(voices) => merged_instructions(voices).map(Cow::Owned),
    };
    text.map_or_else(String::new, |text| format!(r#","instructions":{}"#, json_string(&text)))
}

/// Each upstream's text under its name, cut where clients would cut.
fn merged_instructions(voices: &[Voice<'_>]) -> Option<String> {
    let mut text = String::new();
    for (name, listing) in voices {
        let Some(own) = listing
            .instructions
            .as_deref()
            .map(str::trim)
            .filter(|own| !own.is_empty())
        else {
            continue;
        };
        let gap = if text.is_empty() { "" } else { "\n\n" };
        text.push_str(&format!("{gap}{name}:\n{own}"));
        if text.len() >= MAX_INSTRUCTIONS {
            break;
        }
    }
    text.truncate(text.floor_char_boundary(MAX_INSTRUCTIONS));
    (!text.is_empty()).then_some(text)
}

fn json_string(text: &str) -> String {
    String::from_utf8_lossy(&quote(text)).into_owned()
}
