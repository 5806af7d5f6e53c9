//! `raft-chaos doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{Format, UNAVAILABLE, runner};
use crate::doctor;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Where results and nodes' directories are to go.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Looks at this machine, and says what was found.
pub(super) fn doctor(args: &DoctorArgs) -> Result<u8, u8> {
    let runner = runner(
        &args.out,
        None,
        #[cfg(feature = "planted-bugs")]
        None,
    )?;
    let findings = doctor::examine(&runner, &args.out);
    let is_bad = findings.iter().any(|finding| finding.health == doctor::Health::Bad);
    let code = if is_bad { UNAVAILABLE } else { 0 };
    report::say(&match args.format {
        Format::Human => doctor::words(&findings),
        Format::Json => {
            serde_json::json!({ "schema": 1, "exit_code": code, "findings": findings }).to_string()
        }
    });
    Ok(code)
}
