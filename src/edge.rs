//! Waits. One foreign protocol per room; rooms do not know each other and meet only in `app`.

pub mod extproc;
