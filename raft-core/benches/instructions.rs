//! Work of a fixed size, for a counter of instructions: `.ci/instructions` runs it under callgrind with one number of
//! rounds and with another, and takes the difference.
//!
//! The arguments are a case and how many rounds of it.

mod three;

use std::process::ExitCode;

use bytes::Bytes;
use three::{Cluster, SNAPSHOT_ENTRIES};

fn main() -> ExitCode {
    // Cargo adds its own: `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [case, rounds] = &words[..] else { return ExitCode::from(2) };
    let (Ok(batch), Ok(rounds)) = (case.parse::<usize>(), rounds.parse()) else { return ExitCode::from(2) };
    let mut cluster = Cluster::new(|_| ());
    let payload = Bytes::from(vec![7; 256]);
    // A server that has a snapshot has more to think of.
    let before = SNAPSHOT_ENTRIES / 64 + 1;
    for _ in 0..before {
        cluster.commit(&payload, 64);
    }
    let messages = cluster.messages;
    for _ in 0..rounds {
        cluster.commit(&payload, batch);
    }
    assert_eq!(cluster.messages - messages, rounds * 4, "two appends and two replies a round");
    cluster.pass_time();
    assert_eq!(
        cluster.applied_by_each(),
        [1 + before * 64 + rounds * batch as u64; 3],
        "all three have applied all"
    );
    ExitCode::SUCCESS
}
