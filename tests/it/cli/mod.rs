//! The command line as people and scripts meet it: the real program, its output
//! and its exit codes.

mod daemon;
mod doctor;
mod faults;
mod keys;
mod secret;
mod shell;
mod support;
mod tenants;
mod visits;
mod waiting;
