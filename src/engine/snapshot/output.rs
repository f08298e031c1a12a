//! What legacy clients see of a modern tool's `outputSchema`: only one that describes an object.
//!
//! Up to 2025-11-25 nothing else was allowed, and clients give up on a whole list with one. Without it they do not expect
//! the structured content that the era bridge tells them as text.

use crate::engine::catalog::{Item, Kind, Listing};
use crate::engine::jsonrpc::members::Members;
use crate::engine::jsonrpc::{Object, Splice};
use bytes::Bytes;

const KEY: &str = "outputSchema";

/// The listing of a modern upstream for legacy clients; `None`: nothing in it has to change.
pub(super) fn for_legacy(said: &Listing) -> Option<Listing> {
    let mut changed: Option<Listing> = None;
    for (place, tool) in said.tools.iter().enumerate() {
        let Some(plain) = without(tool) else { continue };
        let listing = changed.get_or_insert_with(|| said.clone());
        if let Some(slot) = listing.tools.get_mut(place) {
            *slot = plain;
        }
    }
    changed
}

/// The tool without a schema that describes no object; `None`: it has none.
fn without(tool: &Item) -> Option<Item> {
    // The key can be spelled in another way only with escapes.
    if !tool.raw.contains(KEY) && !tool.raw.contains("\\u") {
        return None;
    }
    let object = &Object::read(&tool.raw).ok()?;
    object.raw(KEY)?;
    let schema = object.object(KEY).ok().flatten();
    if schema.and_then(|schema| schema.string("type")).as_deref() == Some("object") {
        return None;
    }
    let whole = &*tool.raw;
    let edits = Members {
        whole,
        raw: whole,
        object,
    }
    .edits(&[], &[KEY]);
    let plain = Splice { edits }.apply(&Bytes::copy_from_slice(whole.as_bytes()));
    Item::read(Kind::Tools, std::str::from_utf8(&plain).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::testing::mk_modern;
    use std::sync::Arc;

    fn shown(raws: &[&str]) -> Option<Vec<Box<str>>> {
        let tools = raws.iter().map(|raw| Item::read(Kind::Tools, raw).expect("a tool"));
        let listing: Arc<Listing> = mk_modern(&[]).with(|listing| listing.tools = tools.collect()).into();
        let shown = for_legacy(&listing)?;
        Some(shown.tools.into_iter().map(|tool| tool.raw).collect())
    }

    #[test]
    fn a_schema_of_no_object_is_gone_and_nothing_else() {
        let array = r#"{ "name":"a", "outputSchema":{"type":"array"}, "x":1.0 }"#;
        let open = r#"{"output\u0053chema":{"anyOf":[]},"name":"b"}"#;
        let object = r#"{"name":"c","outputSchema":{"type":"object"}}"#;
        let expected = [r#"{ "name":"a", "x":1.0 }"#, r#"{"name":"b"}"#, object];
        assert_eq!(shown(&[array, open, object]), Some(expected.map(Into::into).to_vec()));
        assert_eq!(shown(&[object, r#"{"name":"d"}"#]), None);
    }
}
