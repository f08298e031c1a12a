//! The file of the journal: two tables in redb. The only place that knows redb.

use super::JournalError;
use crate::edge::store::entry::{Entry, MapKey, Sessions};
use crate::edge::store::intern::ClientHash;
use crate::edge::store::record;
use crate::engine::session::{Client, SessionKey};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SESSIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("sessions");
const CLIENTS: TableDefinition<'_, u128, (&str, &str)> = TableDefinition::new("clients");

/// Pages held in memory. Sessions are written rarely and read only at start.
const CACHE_BYTES: usize = 4 << 20;
/// A file smaller than this is not worth compacting.
const SMALL_FILE: u64 = 16 << 20;

/// Receives what the journal holds, at start.
pub(in crate::edge::store) trait Loaded {
    /// A client; all of them come before the sessions.
    fn client(&mut self, hash: ClientHash, client: Client);
    /// A session. False: it is over, or no record; it is removed.
    fn session(&mut self, key: SessionKey, record: &[u8]) -> bool;
    /// The file turned out to be broken: all that came before is void.
    fn void(&mut self);
}

/// The open file.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    /// `None` after a failed write: redb wants to be opened anew then.
    database: Option<Database>,
    /// Clients that are in the file.
    clients: HashSet<ClientHash>,
}

// === impl JournalFile ===

impl JournalFile {
    /// Opens or creates the file and reads it. A broken one is moved aside.
    pub(super) fn open(path: &Path, loaded: &mut dyn Loaded) -> Result<Self, JournalError> {
        let broken = match try_open(path, loaded) {
            Ok(file) => return Ok(file),
            Err(Trouble::Error(error)) => return Err(error),
            Err(Trouble::Broken(reason)) => reason,
        };
        loaded.void();
        let aside = path.with_extension("redb.broken");
        std::fs::rename(path, &aside).map_err(|error| unusable(path, error))?;
        tracing::warn!(path = %path.display(), moved_to = %aside.display(), reason = broken,
            "Session journal was broken; began a new one. Upstream sessions will be opened anew.");
        try_open(path, loaded).map_err(|trouble| match trouble {
            Trouble::Error(error) => error,
            Trouble::Broken(reason) => unusable(path, reason),
        })
    }

    /// Brings the file up to what `sessions` holds now.
    pub(super) fn write<'a>(
        &mut self,
        changed: impl IntoIterator<Item = &'a MapKey>,
        gone: impl IntoIterator<Item = &'a ClientHash>,
        sessions: &Sessions,
    ) -> Result<(), redb::Error> {
        let outcome = self.try_write(changed, gone, sessions);
        if outcome.is_err() {
            self.database = None;
        }
        outcome
    }

    fn try_write<'a>(
        &mut self,
        changed: impl IntoIterator<Item = &'a MapKey>,
        gone: impl IntoIterator<Item = &'a ClientHash>,
        sessions: &Sessions,
    ) -> Result<(), redb::Error> {
        let database = match &mut self.database {
            Some(database) => database,
            slot @ None => {
                let database = open_database(&self.path)?;
                self.clients = client_hashes(&database)?;
                slot.insert(database)
            }
        };
        let transaction = database.begin_write()?;
        {
            let mut clients = transaction.open_table(CLIENTS)?;
            let mut table = transaction.open_table(SESSIONS)?;
            for hash in gone {
                self.clients.remove(hash);
                clients.remove(hash.0)?;
            }
            for key in changed {
                let Some(Described { record, client }) = Described::of(sessions, *key) else {
                    table.remove(u128::from(*key))?;
                    continue;
                };
                table.insert(u128::from(*key), record.as_slice())?;
                if let Some((hash, client)) = client
                    && self.clients.insert(hash)
                {
                    clients.insert(hash.0, (&*client.capabilities, &*client.info))?;
                }
            }
        }
        Ok(transaction.commit()?)
    }
}

/// What a session is by now. A copy, so that no lock is held while writing.
struct Described {
    record: Vec<u8>,
    /// Of a live one.
    client: Option<(ClientHash, Arc<Client>)>,
}

impl Described {
    /// `None` if nothing is remembered of it any more.
    fn of(sessions: &Sessions, key: MapKey) -> Option<Self> {
        let entry = sessions.get(&key)?;
        let client = match &*entry {
            Entry::Live(live) => Some((ClientHash::of(&live.client), Arc::clone(&live.client))),
            Entry::Ended(_) => None,
        };
        let hash = client.as_ref().map_or(ClientHash(0), |(hash, _)| *hash);
        let record = record::encode(&entry, hash);
        Some(Self { record, client })
    }
}

// === opening ===

enum Trouble {
    Error(JournalError),
    Broken(String),
}

fn try_open(path: &Path, loaded: &mut dyn Loaded) -> Result<JournalFile, Trouble> {
    // redb checks what it reads, but says of some broken files so by a panic.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut database = open_database(path)?;
        let over = load(&database, loaded)?;
        tidy(&mut database, path, &over)?;
        let clients = client_hashes(&database)?;
        Ok::<_, redb::Error>((database, clients))
    }));
    match outcome {
        Ok(Ok((database, clients))) => Ok(JournalFile {
            path: path.to_owned(),
            database: Some(database),
            clients,
        }),
        Ok(Err(error)) => Err(classify(path, &error)),
        Err(_) => Err(Trouble::Broken("unreadable structure".into())),
    }
}

fn classify(path: &Path, error: &redb::Error) -> Trouble {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    if let redb::Error::DatabaseAlreadyOpen = error {
        return Trouble::Error(JournalError::Locked(path.to_owned()));
    }
    if let redb::Error::Io(error) = error
        && !matches!(error.kind(), InvalidData | UnexpectedEof)
    {
        return Trouble::Error(unusable(path, error.to_string()));
    }
    Trouble::Broken(error.to_string())
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> JournalError {
    JournalError::Unusable(path.to_owned(), error.into())
}

fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        // Upstream session ids are bearer secrets.
        .mode(0o600)
        .open(path)
        .map_err(|error| DatabaseError::Storage(StorageError::Io(error)))?;
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_file(file)?;
    let transaction = database.begin_write()?;
    transaction.open_table(SESSIONS)?;
    transaction.open_table(CLIENTS)?;
    transaction.commit()?;
    Ok(database)
}

/// Hands everything to `loaded`; the keys of sessions that are over.
fn load(database: &Database, loaded: &mut dyn Loaded) -> Result<Vec<u128>, redb::Error> {
    let transaction = database.begin_read()?;
    for row in transaction.open_table(CLIENTS)?.iter()? {
        let (hash, client) = row?;
        let (capabilities, info) = client.value();
        let client = Client {
            capabilities: capabilities.into(),
            info: info.into(),
        };
        loaded.client(ClientHash(hash.value()), client);
    }
    let mut over = Vec::new();
    for row in transaction.open_table(SESSIONS)?.iter()? {
        let (key, record) = row?;
        if !loaded.session(SessionKey(key.value()), record.value()) {
            over.push(key.value());
        }
    }
    Ok(over)
}

/// Removes what is over, and gives space back where most of the file is unused.
fn tidy(database: &mut Database, path: &Path, over: &[u128]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(SESSIONS)?;
        for key in over {
            table.remove(key)?;
        }
    }
    let used = transaction.stats()?;
    transaction.commit()?;
    let len = std::fs::metadata(path)?.len();
    if len > SMALL_FILE && len > 4 * (used.stored_bytes() + used.metadata_bytes()) {
        database.compact()?;
    }
    Ok(())
}

fn client_hashes(database: &Database) -> Result<HashSet<ClientHash>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(CLIENTS)?;
    let hashes = table.iter()?.map(|row| Ok(ClientHash(row?.0.value())));
    hashes.collect()
}
