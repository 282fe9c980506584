//! The one integration test binary: what needs sockets, files or several processes.

mod cluster;
mod crowds;
mod disks;

mod ending;
mod eviction;
mod following;
mod fuzz;
mod harness;
mod killed;
mod layers;
/// The load driver's own tests: a bench without a harness has nowhere to run them.
#[path = "../../benches/load/tests.rs"]
mod load_driver;
mod migrate;
mod process;
mod protocol;
mod readme;
mod replicas;
mod restart;
mod scripts;
mod snapshots;
mod streams;
mod tls;
