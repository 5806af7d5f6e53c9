//! `raft-chaos coverage RUN|LEDGER...`: how much of the protocol runs have reached.

use std::path::PathBuf;

use clap::Args;

use super::{Format, USAGE};
use crate::{coverage, report};

/// The command line of `coverage`.
#[derive(Debug, Args)]
pub(super) struct CoverageArgs {
    /// Folders of runs or soaks, or a result.json, results.jsonl or ledger.jsonl of theirs.
    #[arg(required = true, value_name = "RUN|LEDGER")]
    paths: Vec<PathBuf>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Says what all of them together have reached, and what they have not.
pub(super) fn covered(args: &CoverageArgs) -> Result<u8, u8> {
    let (coverage, runs) = coverage::read(&args.paths).map_err(|error| {
        report::note(format_args!("raft-chaos: {error}"));
        USAGE
    })?;
    report::say(&match args.format {
        Format::Human => coverage::words(&coverage, runs),
        Format::Json => coverage::json(&coverage, runs).to_string(),
    });
    Ok(0)
}
