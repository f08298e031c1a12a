//! A file for each principal, named by the SHA-256 of the principal: no name that a caller may have leads anywhere else.
//!
//! A file is looked at anew after a second, so that a change needs no restart.

use super::{Look, MOST, Outcome, is_value};
use crate::engine::config::Confidential;
use crate::engine::config::delegated::PerPrincipal;
use crate::engine::policy::delegate::{Errand, Lack};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// A credential may be used so long after its file was read.
const FRESH: Duration = Duration::from_secs(1);
/// A longer file is no credential but a mistake.
const MAX_BYTES: u64 = 16 << 10;

/// See the module.
pub(super) struct Files {
    runtime: Handle,
    /// Held for a look-up or an insertion only.
    read: Arc<Mutex<HashMap<PathBuf, (Instant, Confidential)>>>,
}

impl Files {
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            read: Arc::default(),
        }
    }

    pub(super) fn find(&self, errand: &Errand, kept: &PerPrincipal) -> Look {
        let file = kept.dir.join(name(&errand.principal));
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, credential)) = read.get(&file)
            && since.elapsed() < FRESH
        {
            return Look::Now(Ok(credential.clone()));
        }
        drop(read);
        let (known, upstream) = (Arc::clone(&self.read), Arc::clone(&errand.upstream));
        let reading = self.runtime.spawn_blocking(move || {
            let outcome = look(&file);
            if let Err(lack) = outcome {
                let file = file.file_name().unwrap_or_default().to_string_lossy();
                tracing::debug!(%upstream, %file, ?lack, "No credential of a caller is kept.");
            }
            remember(
                &mut known.lock().unwrap_or_else(PoisonError::into_inner),
                file,
                &outcome,
            );
            outcome
        });
        Look::Later(Box::pin(async move { reading.await.unwrap_or(Err(Lack::Unreadable)) }))
    }
}

impl Files {
    /// The file is looked at anew for whoever comes next.
    pub(super) fn forget(&self, errand: &Errand, kept: &PerPrincipal, refused: impl Fn(&Confidential) -> bool) {
        let file = kept.dir.join(name(&errand.principal));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.get(&file).is_some_and(|(_, credential)| refused(credential)) {
            read.remove(&file);
        }
    }
}

fn remember(known: &mut HashMap<PathBuf, (Instant, Confidential)>, file: PathBuf, outcome: &Outcome) {
    known.remove(&file);
    let Ok(credential) = outcome else { return };
    if known.len() >= MOST {
        known.retain(|_, (since, _)| since.elapsed() < FRESH);
    }
    if known.len() < MOST {
        known.insert(file, (Instant::now(), credential.clone()));
    }
}

/// The name of a principal's file.
fn name(principal: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(principal.as_bytes()).into();
    digest.iter().fold(String::with_capacity(64), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn look(file: &Path) -> Outcome {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MAX_BYTES => return Err(Lack::Unreadable),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Lack::NotKept),
        Err(_) => return Err(Lack::Unreadable),
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if is_value(text) {
        Ok(Confidential(text.into()))
    } else {
        Err(Lack::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::delegated::{OfCaller, Source};

    fn mk_kept(dir: &std::path::Path) -> PerPrincipal {
        PerPrincipal {
            dir: dir.to_owned(),
            scheme: None,
        }
    }

    fn mk_errand(kept: &PerPrincipal, principal: &str) -> Errand {
        Errand {
            upstream: "a".into(),
            from: Arc::new(OfCaller {
                header: "authorization".to_owned(),
                source: Source::PerPrincipal(kept.clone()),
            }),
            principal: principal.into(),
            token: None,
        }
    }

    async fn find(files: &Files, kept: &PerPrincipal, principal: &str) -> Outcome {
        match files.find(&mk_errand(kept, principal), kept) {
            Look::Now(outcome) => outcome,
            Look::Later(later) => later.await,
        }
    }

    #[test]
    fn a_name_is_what_the_usual_tool_prints() {
        // printf %s 'i|alice' | sha256sum
        assert_eq!(
            name("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(name("../../etc/passwd").bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[tokio::test]
    async fn a_file_is_kept_for_one_principal_and_read_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = mk_kept(folder.path());
        let files = Files::new(Handle::current());
        let file = folder.path().join(name("alice"));
        std::fs::write(&file, "first\n").expect("written");
        assert_eq!(find(&files, &kept, "alice").await, Ok(Confidential("first".into())));
        assert_eq!(find(&files, &kept, "bob").await, Err(Lack::NotKept));
        std::fs::write(&file, "second").expect("written");
        assert_eq!(
            find(&files, &kept, "alice").await,
            Ok(Confidential("first".into())),
            "for a second"
        );
        tokio::time::pause();
        tokio::time::advance(FRESH).await;
        assert_eq!(find(&files, &kept, "alice").await, Ok(Confidential("second".into())));
        std::fs::remove_file(&file).expect("removed");
        tokio::time::advance(FRESH).await;
        assert_eq!(find(&files, &kept, "alice").await, Err(Lack::NotKept));
    }

    #[tokio::test]
    async fn a_file_whose_credential_is_refused_is_looked_at_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = mk_kept(folder.path());
        let files = Files::new(Handle::current());
        let file = folder.path().join(name("alice"));
        std::fs::write(&file, "first").expect("written");
        assert_eq!(find(&files, &kept, "alice").await, Ok(Confidential("first".into())));
        std::fs::write(&file, "second").expect("written");
        let errand = mk_errand(&kept, "alice");
        files.forget(&errand, &kept, |credential| &*credential.0 == "an older one");
        assert_eq!(find(&files, &kept, "alice").await, Ok(Confidential("first".into())));
        files.forget(&errand, &kept, |credential| &*credential.0 == "first");
        assert_eq!(find(&files, &kept, "alice").await, Ok(Confidential("second".into())));
    }

    #[tokio::test]
    async fn names_of_principals_lead_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = mk_kept(&folder.path().join("keys"));
        std::fs::create_dir(&kept.dir).expect("made");
        std::fs::write(folder.path().join("secret"), "of another").expect("written");
        let files = Files::new(Handle::current());
        let long = "x".repeat(100_000);
        for principal in [
            "../secret",
            "..",
            "/etc/hostname",
            "a/../../secret",
            "\0",
            "",
            "a\r\nb",
            &long,
        ] {
            assert_eq!(
                find(&files, &kept, principal).await,
                Err(Lack::NotKept),
                "{principal:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_no_header_may_have_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x");
        for bad in [&b"a\r\nx-admin: 1"[..], b"", b"\n", b"\xff", &[b'a'; 20_000]] {
            std::fs::write(&file, bad).expect("written");
            assert_eq!(look(&file), Err(Lack::Unreadable));
        }
    }
}
