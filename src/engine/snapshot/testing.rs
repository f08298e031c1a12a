//! Builders for tests: listings, upstreams, whole snapshots.
