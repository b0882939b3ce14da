//! `tenantd` gives every Qlik Cloud tenant of an OEM its credential: a
//! machine-to-machine impersonation OAuth client whose consent is trusted, with
//! its secret sealed and proven, whatever fails on the way.
//!
//! # The way of one tenant
//!
//! An onboarding pipeline inserts a row. The row *is* the state machine: the pure
//! core decides, the engine does, Postgres remembers.
//!
//! ```text
//!             intent            create | adopt          PATCH consent         token with the new credential
//!  pending ──────────▶ creating ────────────▶ created ───────────▶ trusted ───────────▶ ready
//!                       │    ▲   (sealed secret committed here)                          │ ▲
//!                       ▼    │                                                           ▼ │
//!                    look for our mark                                recheck, audit, repair, retire
//!
//!  ready ──────────▶ rotating ─────────▶ proving ───────────────────────────▶ ready
//!         another version      mint, seal         token with the new secret; the old one is now previous
//!
//!  any phase ──────────▶ removing ──────────────────────────────────▶ removed
//!             absent, within    delete client, tokens and bot user,
//!             the budget        until a look finds nothing
//! ```
//!
//! Qlik shows a secret once, knows no idempotency key and no unique names. So an
//! unanswered create is never sent again: the row settles, then looks for a client
//! that bears its mark, and adopts it or creates.
//!
//! A ready row is due for something from time to time: its secrets, its client, its
//! owner's wishes. It is claimed like any other, and its first duty is done. What the
//! daemon starts by itself for many rows, and every removal, is let through by an hourly
//! budget before it can be claimed.
//!
//! # The map
//!
//! * [`domain`]: what to do and what to write down, for one tenant ([`domain::machine`])
//!   and for a fleet ([`domain::rollout`]). Pure: no I/O, no async, no clock, no randomness.
//! * [`ports`]: the only traits: time, chance, and Qlik Cloud.
//! * [`vault`]: seals secrets as JWE under a JWK Set keyring.
//! * [`qlik`]: Qlik Cloud over HTTPS: tokens, deadlines, pacing, and what each answer proves.
//! * [`postgres`]: the claim, the fenced commit, leases, the breaker's memory; budgets,
//!   pauses, schedules, and whether the database came out of a backup.
//! * [`engine`]: takes claimed tenants through their steps, lets budgeted changes through,
//!   and visits tenants for the commands that ask Qlik (drift, adopt, tokens, census).
//! * [`settings`]: what the operator decided, in layers, checked as a whole.
//! * [`telemetry`]: logs and metrics, every name in one list.
//! * [`system`]: the machine's clock and random numbers.
//! * [`app`]: the composition root.
//! * [`answers`]: what programs are told, in one shape on the command line and over HTTP.
//! * [`api`]: the same over HTTP.
//! * [`page`]: the same for people, as the status page.
//! * [`http`] and [`cli`]: the surfaces for probes and for people.
//! * [`simulator`]: a stateful Qlik Cloud, in memory and over TLS.
//! * [`demo`]: a private Postgres, and the guided tour.
//!
//! # The rule of directions
//!
//! `main → cli → http, app → engine → postgres, vault, ports → domain`. Adapters
//! never import each other, `domain` imports nothing of ours, `engine` never names
//! `reqwest`, `anyhow` stays in `main` and `cli`. `tests/it/layers.rs` keeps it so.

pub mod answers;
pub mod api;
pub mod app;
pub mod cli;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod http;
pub mod page;
pub mod ports;
pub mod postgres;
pub mod qlik;
pub mod settings;
pub mod simulator;
pub mod system;
pub mod telemetry;
pub mod vault;
pub mod visits;
