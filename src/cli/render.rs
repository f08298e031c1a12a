//! `render envoy`: prints Envoy's bootstrap. (The renderer is being written; this is its door.)

use super::arguments::RenderEnvoyArguments;
use crate::edge::config_file::ConfigSource;

pub(super) fn envoy(arguments: &RenderEnvoyArguments) -> anyhow::Result<()> {
    let source = ConfigSource {
        file: Some(arguments.file.clone()),
        upstreams: Vec::new(),
    };
    let _config = source.load()?;
    anyhow::bail!("not built yet")
}
