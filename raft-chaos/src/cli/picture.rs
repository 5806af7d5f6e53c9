//! `raft-chaos report RUN`: a recorded run as a page.

use std::path::PathBuf;

use clap::Args;

use super::USAGE;
use crate::{picture, report};

/// The command line of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The folder of a recorded run; the report is written into it.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Look at this moment first, in seconds as the story counts, and show the messages about it where there are too
    /// many for a page.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: Option<f64>,
}

/// Draws it, and says where it is.
pub(super) fn drawn(args: &ReportArgs) -> Result<u8, u8> {
    if args.at.is_some_and(|at| !at.is_finite()) {
        report::note("--at: not a number of seconds");
        return Err(USAGE);
    }
    match picture::draw(&args.run, args.at) {
        Ok(drawn) => {
            report::drawn(&drawn);
            Ok(0)
        }
        Err(error) => {
            report::note(format_args!("raft-chaos: {error}"));
            Err(USAGE)
        }
    }
}
