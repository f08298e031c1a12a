//! `render envoy`: prints Envoy's bootstrap for a configuration.
//!
//! The route key in it is the one of the state folder, made there if need be, so that `serve` beside this Envoy has the
//! same.

use super::arguments::{self, RenderEnvoyArguments};
use crate::app::options::Listen;
use crate::edge::config_file::ConfigSource;
use crate::edge::envoy::{Address, BodyMode, RenderOptions, render, route_key};
use anyhow::Context;

pub(super) fn envoy(arguments: &RenderEnvoyArguments) -> anyhow::Result<()> {
    let source = ConfigSource {
        file: Some(arguments.file.clone()),
        upstreams: Vec::new(),
    };
    let config = source.load()?;
    let key = route_key(&config.state_dir).with_context(|| format!("stateDir {}", config.state_dir.display()))?;
    let mut options = RenderOptions::new(&config, key);
    options.body = match arguments.body_mode {
        arguments::BodyMode::FullDuplex => BodyMode::FullDuplex,
        arguments::BodyMode::Buffered => BodyMode::Buffered,
    };
    if let Some(listen) = &arguments.processor {
        options.processor = match listen {
            Listen::Unix(path) => Address::Socket(path.clone()),
            Listen::Tcp(address) => Address::Tcp(*address),
        };
    }
    super::print(&render(&config, &options)?)
}
