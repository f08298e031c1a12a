//! The session map: in memory, written down in the state folder.
//!
//! ```text
//! call path --> memory (DashMap) --> names of changed sessions --> journal thread --> redb file
//! ```
//!
//! The call path touches memory only. The journal learns which sessions changed, reads what they are by then and
//! writes that in batches; it never holds a queue of changes, so a slow disk costs no memory.

mod calls;
mod entry;
mod intern;
mod journal;
mod memory;
mod principals;
mod record;
mod views;

pub use journal::JournalError;
pub use memory::MemoryStore;
pub use principals::Principals;
pub use views::MemoryViews;
