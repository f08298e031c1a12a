//! The key of the routes to upstreams: a random text that only the processor and Envoy's configuration know.
//!
//! Kept as `<stateDir>/route-key`, made once: a restarted processor goes on with a running Envoy, and `serve` beside
//! an Envoy of your own needs no option for it. Change it by writing another key into the file.

use super::private;
use std::fmt::Write;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Fewer characters could be guessed.
const SHORTEST: usize = 16;

/// Where the key is kept.
#[must_use]
pub fn route_key_file(state_dir: &Path) -> PathBuf {
    state_dir.join("route-key")
}

/// The key in the state folder, generated (mode 0600) when there is none; the folder too.
///
/// # Errors
/// Of the file system; `InvalidData` for a key that is short or cannot stand in a header.
pub fn route_key(state_dir: &Path) -> io::Result<String> {
    let file = route_key_file(state_dir);
    match fs::read_to_string(&file) {
        Ok(text) => checked(&file, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => generated(state_dir, &file),
        Err(error) => Err(error),
    }
}

fn generated(state_dir: &Path, file: &Path) -> io::Result<String> {
    private::create_folder(state_dir)?;
    let key = random();
    match private::write_new(file, &format!("{key}\n")) {
        Ok(()) => Ok(key),
        // Another process was faster: its key is the one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => checked(file, &fs::read_to_string(file)?),
        Err(error) => Err(error),
    }
}

fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}

fn checked(file: &Path, text: &str) -> io::Result<String> {
    let key = text.trim_end();
    if key.len() >= SHORTEST && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    let problem = format!(
        "{}: expected at least {SHORTEST} visible ASCII characters; remove the file to have a key generated",
        file.display()
    );
    Err(io::Error::new(ErrorKind::InvalidData, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let first = route_key(&state).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(route_key(&state).unwrap(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&route_key_file(&state))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn processes_that_start_at_once_agree_on_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<String> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| route_key(folder.path()).unwrap()))
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key == &keys[0]), "{keys:?}");
    }

    #[test]
    fn a_key_that_could_be_guessed_or_break_a_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["", "short", "0123456789 abcdef", "0123456789\tabcdef\n"] {
            fs::write(route_key_file(folder.path()), bad).unwrap();
            let error = route_key(folder.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{bad:?}");
        }
        fs::write(route_key_file(folder.path()), "chosen-by-the-operator\n").unwrap();
        assert_eq!(route_key(folder.path()).unwrap(), "chosen-by-the-operator");
    }
}
