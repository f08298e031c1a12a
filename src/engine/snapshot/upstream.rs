//! One upstream of the snapshot out of its configuration, its credential and what it answered.

use super::fold::UpstreamInput;
use super::{Speech, Upstream};
use crate::engine::catalog::Listing;
use crate::engine::config;
use crate::engine::policy::delegate::Delegate;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// The upstream and what it was made of; while none of that changes it is shared between snapshots.
#[derive(Clone, Debug)]
pub(super) struct Made {
    config: Arc<config::Upstream>,
    credential: Option<Result<Arc<str>, ()>>,
    pub(super) upstream: Arc<Upstream>,
}

impl Made {
    /// The upstream for `input`; the old one if it is still right.
    pub(super) fn next(input: &UpstreamInput, old: Option<Self>) -> Self {
        match old {
            Some(old) if old.is_of(input) => old,
            Some(_) | None => Self {
                config: Arc::clone(&input.config),
                credential: input.credential.clone(),
                upstream: Arc::new(upstream(input)),
            },
        }
    }

    /// True if this is the same server as `input`'s, so that what is known of it still holds.
    pub(super) fn is_same_server(&self, input: &UpstreamInput) -> bool {
        self.config.url == input.config.url
    }

    fn is_of(&self, input: &UpstreamInput) -> bool {
        let config = Arc::ptr_eq(&self.config, &input.config) || self.config == input.config;
        config
            && self.credential == input.credential
            && self.upstream.legacy == speech(input.catalog.legacy.as_ref())
            && self.upstream.modern == speech(input.catalog.modern.as_ref())
    }
}

fn upstream(input: &UpstreamInput) -> Upstream {
    let config = &input.config;
    let mut headers: Vec<(Cow<'static, str>, Bytes)> = Vec::with_capacity(config.headers.len() + 1);
    let secret_header = config.credential.as_ref().map(|credential| credential.header.as_str());
    let own = config.credential.as_ref();
    // Where callers have their own, the gateway's is for what it asks itself.
    let shared = own.filter(|_| config.delegated.credential.is_none());
    let shared_header = shared.map(|credential| credential.header.as_str());
    let constants = config
        .headers
        .iter()
        .filter(|(name, _)| Some(name.as_str()) != secret_header);
    headers.extend(constants.map(|(name, value)| header(name, value)));
    let secret_missing = match (secret_header, &input.credential) {
        (Some(name), Some(Ok(value))) => {
            if shared_header.is_some() {
                headers.push(header(name, value));
            }
            false
        }
        (Some(_), Some(Err(())) | None) => true,
        (None, _) => false,
    };
    Upstream {
        name: config.name.as_str().into(),
        cluster: Bytes::copy_from_slice(config.name.as_bytes()),
        path: path_and_query(&config.url).into(),
        headers,
        delegate: Delegate::new(&config.name, &config.delegated),
        call_timeout: config.timeout.call,
        enabled: config.enabled,
        secret_missing,
        probe: config.resources_probe,
        rewrites: config.resources_rewrite,
        for_callers: config.listing == config::Listing::PerPrincipal,
        via: config.via,
        legacy: speech(input.catalog.legacy.as_ref()),
        modern: speech(input.catalog.modern.as_ref()),
    }
}

fn header(name: &str, value: &str) -> (Cow<'static, str>, Bytes) {
    (name.to_owned().into(), Bytes::copy_from_slice(value.as_bytes()))
}

fn speech(listing: Option<&Arc<Listing>>) -> Option<Speech> {
    listing.map(|listing| Speech {
        version: listing.version,
        stateful: listing.stateful,
        tasks: listing.flags.tasks,
        tasks_list: listing.flags.tasks_list,
    })
}

fn path_and_query(url: &url::Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
