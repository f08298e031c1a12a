use super::*;
use crate::edge::store::MemoryStore;
use crate::engine::mcp::Version;
use crate::engine::session::store::Ended;
use crate::engine::session::{Binding, Client, Level, Lookup, Recall, SessionKey, SessionStore, Timestamp};
use std::path::Path;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1_000_000);
const EXPIRES: Timestamp = Timestamp(9_000_000);
const ONE: SessionKey = SessionKey((1 << 64) | 1);
const TWO: SessionKey = SessionKey((2 << 64) | 2);

fn mk_store(dir: &Path) -> MemoryStore {
    MemoryStore::open(dir.to_owned(), 1_000, NOW).unwrap()
}

fn mk_binding(id: &str) -> Binding {
    Binding {
        id: Some(id.into()),
        ..Binding::stateless(Version::V2025_06_18)
    }
}

fn mk_client() -> Client {
    Client {
        capabilities: r#"{"sampling":{}}"#.into(),
        info: r#"{"name":"test"}"#.into(),
    }
}

fn mk_used(store: &MemoryStore) {
    store.start(ONE, EXPIRES, mk_client()).unwrap();
    store.bind(ONE, EXPIRES, "a", mk_binding("one"), NOW);
    store.set_level(ONE, EXPIRES, Level::Alert);
    store.start(TWO, EXPIRES, mk_client()).unwrap();
}

/// Ends a session nobody has, so that all that came before is on disk.
async fn flush(store: &MemoryStore) {
    assert!(store.end(SessionKey(99), EXPIRES).written.await);
}

/// What a hard kill at this moment would leave.
fn copy_of(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    std::fs::copy(dir.path().join("sessions.redb"), copy.path().join("sessions.redb")).unwrap();
    copy
}

#[tokio::test]
async fn a_restart_keeps_ties_levels_clients_and_ends() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    mk_used(&store);
    let _ = store.end(TWO, EXPIRES);
    drop(store);

    let store = mk_store(dir.path());

    assert_eq!(store.lookup(ONE, "a", NOW), Lookup::Bound(mk_binding("one")));
    let (client, level) = store.client(ONE);
    assert_eq!((&*client, level), (&mk_client(), Some(Level::Alert)));
    assert_eq!(store.recall(TWO, NOW), Recall::Ended);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn a_hard_kill_never_undoes_an_end_that_was_confirmed() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    mk_used(&store);
    assert!(store.end(TWO, EXPIRES).written.await);

    let copy = copy_of(&dir);

    let store = mk_store(copy.path());
    assert_eq!(store.recall(TWO, NOW), Recall::Ended);
    assert_eq!(store.lookup(ONE, "a", NOW), Lookup::Bound(mk_binding("one")));
}

#[tokio::test]
async fn ending_again_waits_for_the_disk_too() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    let first = store.end(ONE, EXPIRES);
    let Ended {
        first: false, written, ..
    } = store.end(ONE, EXPIRES)
    else {
        panic!("it was ended before")
    };
    assert!(written.await);
    drop(first);
    let copy = mk_store(copy_of(&dir).path());
    assert_eq!(copy.recall(ONE, NOW), Recall::Ended);
}

#[tokio::test]
async fn ties_that_were_removed_do_not_come_back() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    mk_used(&store);
    flush(&store).await;
    store.bind(ONE, EXPIRES, "b", mk_binding("two"), Timestamp(NOW.0 + 9));
    store.unbind(ONE, "a", Some("one"));
    drop(store);

    let store = mk_store(dir.path());
    assert_eq!(store.lookup(ONE, "a", NOW), Lookup::Unbound);
    assert_eq!(store.lookup(ONE, "b", NOW), Lookup::Bound(mk_binding("two")));

    store.take_idle(Timestamp(NOW.0 + 1));
    drop(store);
    let store = mk_store(dir.path());
    assert_eq!(store.lookup(ONE, "b", NOW), Lookup::Unbound);
}

#[tokio::test]
async fn what_expired_while_we_were_away_is_not_loaded() {
    let dir = TempDir::new().unwrap();
    mk_used(&mk_store(dir.path()));
    let store = MemoryStore::open(dir.path().to_owned(), 1_000, EXPIRES).unwrap();
    assert_eq!(store.len(), 0);
    drop(store);
    let mut nothing = Counted::default();
    drop(JournalFile::open(&dir.path().join("sessions.redb"), &mut nothing).unwrap());
    assert_eq!(
        nothing,
        Counted::default(),
        "and is removed from the file, with its client"
    );
}

#[tokio::test]
async fn what_expires_leaves_the_file() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    mk_used(&store);
    flush(&store).await;
    store.expire(EXPIRES);
    drop(store);
    let mut nothing = Counted::default();
    drop(JournalFile::open(&dir.path().join("sessions.redb"), &mut nothing).unwrap());
    assert_eq!(nothing, Counted::default());
}

#[derive(Debug, Default, PartialEq)]
struct Counted {
    clients: usize,
    sessions: usize,
}

impl Loaded for Counted {
    fn client(&mut self, _: ClientHash, _: Client) {
        self.clients += 1;
    }

    fn session(&mut self, _: SessionKey, _: &[u8]) -> bool {
        self.sessions += 1;
        true
    }

    fn void(&mut self) {
        panic!("the file is sound")
    }
}

#[tokio::test]
async fn a_broken_file_is_moved_aside_and_a_new_one_begun() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sessions.redb");
    for broken in [&b"not a journal"[..], &[0; 8192], &[0xff; 100_000]] {
        std::fs::write(&path, broken).unwrap();
        let store = mk_store(dir.path());
        mk_used(&store);
        flush(&store).await;
        assert_eq!(std::fs::read(dir.path().join("sessions.redb.broken")).unwrap(), broken);
        drop(store);
        assert_eq!(mk_store(dir.path()).len(), 2);
    }
}

#[tokio::test]
async fn a_file_broken_anywhere_is_no_failure_to_start() {
    let dir = TempDir::new().unwrap();
    let store = mk_store(dir.path());
    for number in 0..500 {
        store
            .start(SessionKey((number << 64) | number), EXPIRES, mk_client())
            .unwrap();
    }
    drop(store);
    let sound = std::fs::read(dir.path().join("sessions.redb")).unwrap();
    for part in 0..24 {
        let copy = TempDir::new().unwrap();
        let mut broken = sound.clone();
        let at = part * broken.len() / 24;
        broken[at..].iter_mut().take(300).for_each(|byte| *byte ^= 0x55);
        std::fs::write(copy.path().join("sessions.redb"), broken).unwrap();
        assert!(mk_store(copy.path()).len() <= 500, "part {part}");
    }
    for part in 0..8 {
        let copy = TempDir::new().unwrap();
        std::fs::write(copy.path().join("sessions.redb"), &sound[..part * sound.len() / 8]).unwrap();
        assert!(mk_store(copy.path()).len() <= 500, "cut after {part}/8");
    }
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_which_key() {
    let dir = TempDir::new().unwrap();
    let _first = mk_store(dir.path());
    let error = MemoryStore::open(dir.path().to_owned(), 1_000, NOW).unwrap_err();
    assert!(matches!(error, JournalError::Locked(_)));
    assert!(error.to_string().starts_with("stateDir: "), "{error}");
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_the_key() {
    let dir = TempDir::new().unwrap();
    let error = MemoryStore::open(dir.path().join("none"), 1_000, NOW).unwrap_err();
    assert!(error.to_string().starts_with("stateDir: cannot open"), "{error}");
}

#[tokio::test]
async fn others_on_the_machine_cannot_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let _store = mk_store(dir.path());
    let mode = std::fs::metadata(dir.path().join("sessions.redb"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
