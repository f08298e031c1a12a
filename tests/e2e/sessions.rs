//! Gateway sessions and the upstream sessions behind them: opened late, once, ended with them, recovered unseen.

mod endings;
mod opening;
mod recovery;
mod restart;
mod unwritten;
