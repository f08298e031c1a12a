//! Folds configuration, resolved secrets and catalogs into a snapshot, incrementally per upstream. (Interface first; body to come.)

use super::Snapshot;
use crate::engine::catalog::Catalog;
use crate::engine::config;
use crate::engine::session::Keys;
use std::sync::Arc;

/// The settings of one endpoint besides its upstreams.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// The endpoint's id (`default` for the configuration file's).
    pub id: Arc<str>,
    /// Session signing keys.
    pub keys: Keys,
    /// See [`super::Endpoint::route_key`].
    pub route_key: Arc<str>,
    /// Everything else.
    pub config: Arc<config::Config>,
}

/// One upstream, as the writer knows it.
#[derive(Clone, Debug)]
pub struct UpstreamInput {
    /// Its configuration.
    pub config: Arc<config::Upstream>,
    /// The credential, resolved; `Err(())`: it is missing.
    pub credential: Option<Result<Arc<str>, ()>>,
    /// The items to show; empty once `lists.keepLastGood` has passed.
    pub catalog: Catalog,
}

/// The one writer's working memory: what did not change is taken from the last snapshot.
#[derive(Debug, Default)]
pub struct Folder {}

impl Folder {
    /// The next snapshot. Items hidden by collisions and the like come back as warnings: (upstream name, text).
    pub fn fold(
        &mut self,
        _settings: &EndpointSettings,
        _upstreams: &[UpstreamInput],
    ) -> (Arc<Snapshot>, Vec<(String, String)>) {
        unimplemented!()
    }
}
