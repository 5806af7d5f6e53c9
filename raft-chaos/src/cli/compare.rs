//! `compare`: two runs side by side.

use std::path::PathBuf;

use clap::Args;

use super::{Format, USAGE};
use crate::compare::Comparison;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The folder of a run, or its result.json; or of many seeds, or their results.jsonl. A plan with mode = "both" leaves
    /// one of each.
    #[arg(value_name = "A")]
    one: PathBuf,
    /// The same of the other.
    #[arg(value_name = "B")]
    two: PathBuf,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Says how they differ.
pub(super) fn compared(args: &CompareArgs) -> Result<u8, u8> {
    let comparison = Comparison::read(&args.one, &args.two).map_err(|error| {
        report::note(format_args!("raft-chaos: {error}"));
        USAGE
    })?;
    report::say(&match args.format {
        Format::Human => comparison.words(),
        Format::Json => comparison.json().to_string(),
    });
    Ok(0)
}
