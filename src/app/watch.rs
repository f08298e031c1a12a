//! Notices that files have changed: the configuration, and the secrets it names.
//!
//! Looks twice a second at what `stat` says instead of asking the kernel for events: mounted Secrets are replaced by
//! renaming folders above them, editors replace files, and a look costs microseconds.

use crate::edge::secrets::{self, Fingerprint};
use crate::engine::config::{Config, Secret};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The configuration file.
    File,
    /// A secret that the configuration names.
    Secret,
}

/// The files watched and how they looked last.
#[derive(Debug)]
pub(super) struct Watch {
    file: Option<(PathBuf, Fingerprint)>,
    secrets: Vec<(Secret, Fingerprint)>,
}

impl Watch {
    /// Watches from now on.
    pub(super) fn new(file: Option<&Path>, config: &Config) -> Self {
        let file = file.map(|file| (file.to_owned(), look(file)));
        let mut watch = Self {
            file,
            secrets: Vec::new(),
        };
        watch.follow(config);
        watch
    }

    /// Watches the secrets of this configuration instead of the last one's.
    pub(super) fn follow(&mut self, config: &Config) {
        let of_upstreams = config
            .upstreams
            .iter()
            .filter_map(|upstream| upstream.credential.as_ref());
        let named = of_upstreams
            .map(|credential| &credential.value)
            .chain(&config.session.keys);
        self.secrets = named
            .map(|secret| (secret.clone(), secrets::fingerprint(secret)))
            .collect();
    }

    /// Waits until something has changed.
    pub(super) async fn changed(&mut self) -> Changed {
        let mut pause = tokio::time::interval(PAUSE);
        pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pause.tick().await;
            if let Some(changed) = self.look() {
                return changed;
            }
        }
    }

    fn look(&mut self) -> Option<Changed> {
        if let Some((file, seen)) = &mut self.file {
            let now = look(file);
            if now != *seen {
                *seen = now;
                return Some(Changed::File);
            }
        }
        let mut changed = None;
        for (secret, seen) in &mut self.secrets {
            let now = secrets::fingerprint(secret);
            if now != *seen {
                *seen = now;
                changed = Some(Changed::Secret);
            }
        }
        changed
    }
}

fn look(file: &Path) -> Fingerprint {
    secrets::fingerprint(&Secret::File(file.to_owned()))
}
