//! `raft-chaos seed`, which nobody types: one seed in this process.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "planted-bugs")]
use super::bugs::planted;
use super::cannot;
use crate::seed::Seed;
use crate::sim::Telling;

#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    #[arg(long)]
    lock: PathBuf,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    record: bool,
    #[arg(long)]
    story: bool,
    #[arg(long)]
    pulse: bool,
    #[arg(long)]
    trace: bool,
    #[arg(long)]
    until: Option<u64>,
    #[arg(long)]
    schedule: Option<PathBuf>,
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    plant: Option<String>,
}

/// Runs it; the exit code is that of its verdict.
pub(super) fn seed(args: SeedArgs) -> u8 {
    #[cfg(feature = "planted-bugs")]
    let planted = args.plant.as_deref().and_then(planted);
    #[cfg(not(feature = "planted-bugs"))]
    let planted = None;
    let SeedArgs { lock, seed, folder, record, story, pulse, trace, until, schedule, .. } = args;
    let telling = Telling { everything: trace, until };
    match (Seed { lock, seed, folder, record, schedule, story, pulse, telling, planted }).run() {
        Ok(verdict) => verdict.exit_code(),
        Err(error) => cannot(&error),
    }
}
