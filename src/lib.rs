//! tenantd

pub mod app;
pub mod cli;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod qlik;
pub mod settings;
pub mod simulator;
pub mod system;
pub mod telemetry;
pub mod vault;
