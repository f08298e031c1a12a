//! `up`, `serve` and the other commands as people use them: reload, drain, crashes, taken ports, what they print.

mod commands;
mod crash;
mod drain;
mod reference;
mod reload;
mod start;
