//! The command line as people and scripts meet it: the real program, its output
//! and its exit codes.

mod api;
mod bundle;
mod daemon;
mod doctor;
mod explaining;
mod extremes;
mod faults;
mod filters;
mod fleet;
mod hostile;
mod import;
mod keys;
mod leaks;
mod pausing;
mod rejoin;
mod rekey;
mod requests;
mod secret;
mod shell;
mod support;
mod tenants;
mod visits;
mod waiting;
