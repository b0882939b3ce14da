//! The simulated Qlik Cloud as a process of its own, so that its CPU is not counted.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tenantd::simulator::tls::{Options, Server};
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::SystemClock;

pub(crate) const SUFFIX: &str = "us.qlikcloud.com";
pub(crate) const CLIENT_ID: &str = "region-client";
pub(crate) const SECRET: &str = "region-secret";

/// `simulator CA_FILE LATENCY_MS`: prints its address, then serves until standard
/// input is closed.
pub(crate) fn main(arguments: &[String]) {
    let latency = Duration::from_millis(arguments[1].parse().expect("milliseconds"));
    let behaviour = Behaviour { any_host: true, rate_limits: None, ..Behaviour::default() };
    let world = World::new(behaviour, FaultPlan::none().with_latency(latency), 1);
    let world = world.with_region(SUFFIX, CLIENT_ID, SECRET);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = Options { suffixes: vec![SUFFIX.into()], ..Options::default() };
        let server =
            Server::start(world, Arc::new(SystemClock::start()), options).await.expect("a free port");
        std::fs::write(Path::new(&arguments[0]), server.ca_pem()).expect("the file can be written");
        println!("{}", server.addr());
        let waited = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        waited.await.expect("the reader ends").expect("standard input can be read");
        server.stop().await;
    });
}
