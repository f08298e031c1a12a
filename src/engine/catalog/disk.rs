//! A catalog as bytes and back, for the last good catalogs on disk.
//!
//! JSON whose items are the upstream's own objects. They are read again as if an upstream had sent them, so a damaged
//! file can cost items but never yields a span that does not fit.

use super::{Catalog, Item, Kind, Listing};
use crate::engine::mcp::Version;
use crate::engine::mcp::capabilities::ServerFlags;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Grows when a file of an older build can no longer be understood.
const FORMAT: u32 = 1;

/// Bytes that are no catalog of this format.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not the expected JSON.
    #[error("catalog is unreadable")]
    Unreadable(#[from] serde_json::Error),
    /// Written by another build.
    #[error("catalog has format {0}")]
    Format(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CatalogFile<'a> {
    format: u32,
    #[serde(borrow)]
    legacy: Option<ListingFile<'a>>,
    #[serde(borrow)]
    modern: Option<ListingFile<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListingFile<'a> {
    version: Version,
    stateful: bool,
    capabilities: Box<str>,
    flags: ServerFlags,
    instructions: Option<Box<str>>,
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    prompts: Vec<&'a RawValue>,
    #[serde(borrow)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow)]
    templates: Vec<&'a RawValue>,
    ttl_ms: u64,
    public: bool,
    /// Names of tools that only some clients see. Absent in files of older builds.
    #[serde(default)]
    reserved: Vec<Box<str>>,
}

impl Catalog {
    /// As it is kept on disk.
    ///
    /// # Errors
    /// An item that is not JSON: it did not come from [`Item::read`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, CatalogError> {
        let file = CatalogFile {
            format: FORMAT,
            legacy: self.legacy.as_deref().map(ListingFile::of).transpose()?,
            modern: self.modern.as_deref().map(ListingFile::of).transpose()?,
        };
        Ok(serde_json::to_vec(&file)?)
    }

    /// Reads what [`Catalog::to_bytes`] wrote.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CatalogError> {
        let file: CatalogFile<'_> = serde_json::from_slice(bytes)?;
        if file.format != FORMAT {
            return Err(CatalogError::Format(file.format));
        }
        Ok(Self {
            legacy: file.legacy.map(|listing| Arc::new(listing.read())),
            modern: file.modern.map(|listing| Arc::new(listing.read())),
        })
    }
}

impl<'a> ListingFile<'a> {
    fn of(listing: &'a Listing) -> Result<Self, serde_json::Error> {
        Ok(Self {
            version: listing.version,
            stateful: listing.stateful,
            capabilities: listing.capabilities.clone(),
            flags: listing.flags,
            instructions: listing.instructions.clone(),
            tools: raws(&listing.tools)?,
            prompts: raws(&listing.prompts)?,
            resources: raws(&listing.resources)?,
            templates: raws(&listing.templates)?,
            ttl_ms: listing.ttl_ms,
            public: listing.public,
            reserved: reserved(&listing.tools),
        })
    }

    fn read(self) -> Listing {
        let mut tools = items(Kind::Tools, &self.tools);
        for tool in &mut tools {
            tool.reserved = self.reserved.contains(&tool.key);
        }
        Listing {
            version: self.version,
            stateful: self.stateful,
            capabilities: self.capabilities,
            flags: self.flags,
            instructions: self.instructions,
            tools,
            prompts: items(Kind::Prompts, &self.prompts),
            resources: items(Kind::Resources, &self.resources),
            templates: items(Kind::Templates, &self.templates),
            ttl_ms: self.ttl_ms,
            public: self.public,
        }
    }
}

fn reserved(tools: &[Item]) -> Vec<Box<str>> {
    let reserved = tools.iter().filter(|tool| tool.reserved);
    reserved.map(|tool| tool.key.clone()).collect()
}

fn raws(items: &[Item]) -> Result<Vec<&RawValue>, serde_json::Error> {
    items.iter().map(|item| serde_json::from_str(&item.raw)).collect()
}

fn items(kind: Kind, raws: &[&RawValue]) -> Vec<Item> {
    raws.iter().filter_map(|raw| Item::read(kind, raw.get()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_survives_the_disk_byte_by_byte() {
        let raw = r#"{"name":"a","n":123456789012345678901234567890,  "t":"ä\u00e4","_meta":{"ui":{"resourceUri":"ui://x"}}}"#;
        let listing = Listing {
            version: Version::V2025_11_25,
            stateful: true,
            capabilities: r#"{ "tools":{"listChanged":true} }"#.into(),
            flags: ServerFlags {
                tools: true,
                ..ServerFlags::default()
            },
            instructions: Some("Say \"please\".".into()),
            tools: vec![Item {
                reserved: true,
                ..Item::read(Kind::Tools, raw).unwrap()
            }],
            prompts: vec![],
            resources: vec![Item::read(Kind::Resources, r#"{"uri":"file:///a"}"#).unwrap()],
            templates: vec![],
            ttl_ms: 7,
            public: true,
        };
        let catalog = Catalog {
            legacy: Some(Arc::new(listing)),
            modern: None,
        };
        let bytes = catalog.to_bytes().unwrap();
        assert_eq!(Catalog::from_bytes(&bytes).unwrap(), catalog);
    }

    #[test]
    fn other_bytes_are_an_error() {
        assert!(matches!(Catalog::from_bytes(b"{"), Err(CatalogError::Unreadable(_))));
        assert!(matches!(
            Catalog::from_bytes(br#"{"format":9}"#),
            Err(CatalogError::Format(9))
        ));
    }
}
