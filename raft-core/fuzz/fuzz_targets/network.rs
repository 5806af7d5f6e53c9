//! The schedules of `tests/fuzz/network.rs`, from a fuzzer that sees what they reach.

#![no_main]

#[path = "../../tests/world/judges.rs"]
mod judges;
#[path = "../../tests/world/machine.rs"]
mod machine;
#[path = "../../tests/fuzz/network.rs"]
mod network;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| network::run(bytes, &mut network::Sights::default()));
