//! The integration tests: one binary, so that one server serves them all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]

mod api;
mod book;
mod cli;
mod contract;
mod crash_points;
mod demo;
mod deploy;
mod doors;
mod engine;
mod failover;
mod faults;
mod glossary;

mod layers;
mod lifetimes;
mod monitoring;
mod no_plaintext;
mod odd_databases;
mod open_transaction;
mod outages;
mod page;
mod pgbouncer;
mod processes;
mod rekey;
mod reload;
mod restore;
mod schedules;
mod schema;
mod support;
mod traces;
mod tried;
mod upgrade;
