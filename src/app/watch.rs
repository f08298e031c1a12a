//! Notices that files have changed: the configuration, and the secrets it names.
//!
//! Looks twice a second at what `stat` says instead of asking the kernel for events: mounted Secrets are replaced by
//! renaming folders above them, editors replace files, and a look costs microseconds.

use crate::edge::secrets::{self, Fingerprint};
use crate::engine::config::{Config, Secret};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// A file that looks the same after this long is not being written.
const SETTLED: Duration = Duration::from_millis(50);

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
    /// Outlives a wait that is given up: news of upstreams must not make us look more often.
    pause: Interval,
}

impl Watch {
    /// Watches from now on. Needs a runtime.
    pub(super) fn new(file: Option<&Path>, config: &Config) -> Self {
        let file = file.map(|file| (file.to_owned(), look(file)));
        let mut pause = tokio::time::interval(PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Self {
            file,
            secrets: Vec::new(),
            pause,
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
        let files = authentication_files(config).map(Secret::File);
        self.secrets = named
            .cloned()
            .chain(files)
            .map(|secret| {
                let seen = secrets::fingerprint(&secret);
                (secret, seen)
            })
            .collect();
    }

    /// Waits until something has changed. May be given up and called again.
    pub(super) async fn changed(&mut self) -> Changed {
        loop {
            self.pause.tick().await;
            if self.file_changed().await {
                return Changed::File;
            }
            if self.secret_changed() {
                return Changed::Secret;
            }
        }
    }

    /// Half a file may be a valid configuration: waits until nobody writes any more.
    async fn file_changed(&mut self) -> bool {
        let Some((file, seen)) = &mut self.file else {
            return false;
        };
        let mut now = look(file);
        if now == *seen {
            return false;
        }
        loop {
            tokio::time::sleep(SETTLED).await;
            let then = std::mem::replace(&mut now, look(file));
            if then == now {
                *seen = now;
                return true;
            }
        }
    }

    fn secret_changed(&mut self) -> bool {
        let mut changed = false;
        for (secret, seen) in &mut self.secrets {
            let now = secrets::fingerprint(secret);
            if now != *seen {
                *seen = now;
                changed = true;
            }
        }
        changed
    }
}

/// Who may call stands in files of its own.
fn authentication_files(config: &Config) -> impl Iterator<Item = PathBuf> {
    let authentication = config.authentication.as_ref();
    let keys = authentication.and_then(|authentication| Some(authentication.api_keys.as_ref()?.file.clone()));
    let passwords = authentication.and_then(|authentication| authentication.basic.clone());
    keys.into_iter().chain(passwords)
}

fn look(file: &Path) -> Fingerprint {
    secrets::fingerprint(&Secret::File(file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::file::parse;
    use std::fs;

    const FILE: &str = "upstreams: [{name: a, url: 'http://a/', credential: {header: x-key, value: {file: key}}}]";

    fn mk_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("gateway.yaml"), FILE).expect("written");
        fs::write(folder.path().join("key"), "one").expect("written");
        folder
    }

    fn mk_watch(folder: &Path) -> Watch {
        let config = parse(FILE, folder, folder).expect("valid");
        Watch::new(Some(&folder.join("gateway.yaml")), &config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_told_once() {
        let folder = mk_folder();
        let mut watch = mk_watch(folder.path());
        fs::write(folder.path().join("gateway.yaml"), format!("{FILE}\n")).expect("written");
        assert_eq!(watch.changed().await, Changed::File);
        let again = tokio::time::timeout(PAUSE * 5, watch.changed()).await;
        assert!(again.is_err(), "nothing has changed since");
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_file_is_a_change_and_so_is_its_return() {
        let folder = mk_folder();
        let mut watch = mk_watch(folder.path());
        fs::remove_file(folder.path().join("gateway.yaml")).expect("removed");
        assert_eq!(watch.changed().await, Changed::File);
        fs::write(folder.path().join("gateway.yaml"), FILE).expect("written");
        assert_eq!(watch.changed().await, Changed::File);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_secret_is_told() {
        let folder = mk_folder();
        let mut watch = mk_watch(folder.path());
        fs::write(folder.path().join("key"), "another").expect("written");
        assert_eq!(watch.changed().await, Changed::Secret);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_does_not_make_the_next_look_earlier() {
        let folder = mk_folder();
        let mut watch = mk_watch(folder.path());
        let _ = tokio::time::timeout(PAUSE / 10, watch.changed()).await;
        let before = tokio::time::Instant::now();
        fs::write(folder.path().join("key"), "another").expect("written");
        assert_eq!(watch.changed().await, Changed::Secret);
        assert!(before.elapsed() > PAUSE / 2, "{:?}", before.elapsed());
    }
}
