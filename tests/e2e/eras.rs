//! Clients of one era and upstreams of the other: what is listed, and whose tasks they reach.

mod down;
mod lists;
mod tasks;
mod up;
