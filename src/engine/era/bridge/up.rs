//! A legacy client and a modern upstream: what the upstream answers, and what it asks by its answer.
//!
//! What changes on the way to the client, and nothing else:
//!
//! - the id is the client's, whichever round the answer belongs to;
//! - of a result `resultType`, `_meta` serverInfo and, where the method has them, `ttlMs` and `cacheScope` are gone;
//! - structured content that is no object is told as text (2025-06-18 and 2025-11-25 demand an object; earlier revisions
//!   have none);
//! - errors: -32602 for a resource becomes -32002; -32020 and -32022 are between gateway and upstream, -32021 becomes
//!   words: legacy revisions have no such codes;
//! - `input_required` becomes requests of a server, and their responses the next round's `inputResponses`;
//! - an elicitation by URL gets the `elicitationId` that 2025-11-25 demands.
//!
//! Left alone: content types and members that an old revision does not know (audio, resource links, icons, titles):
//! clients are to pass over them, and nothing says what they would be instead.

pub mod answer;
pub mod ask;

pub use answer::{Answer, Asked, read};
pub use ask::{Lacking, Refusal};
