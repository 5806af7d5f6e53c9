//! `raft-chaos inspect`, `recover`, `backup` and `restore`: what is done with a node's data directory while no node
//! needs it.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;
use raft_core::{ClusterId, GroupId, NodeId};
use serde::Serialize;

use super::{Format, quoted};
use crate::backup::{self, Restore};
use crate::inspect;
use crate::node::Ended;
use crate::recover;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Check every record.
    #[arg(long)]
    verify: bool,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    /// The directory of the surviving node, which must be stopped.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The node whose directory it is. It alone votes at first; others join it from empty directories.
    #[arg(long, value_name = "N")]
    id: u64,
    /// A group that has lost its majority; once for each. None need be named where the directory has only one.
    #[arg(long = "group", value_name = "G")]
    groups: Vec<u64>,
    /// The id of the cluster that it becomes: one that was never used [default: drawn at random].
    #[arg(long, value_name = "C")]
    cluster: Option<u64>,
    /// Carry it out.
    #[arg(long)]
    yes: bool,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The directory of the node, which must be stopped.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The file that is to be the backup. There is nothing yet.
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The directory that is to be made. There is nothing yet, or it is empty.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The node that is to have it. It alone votes at first; others join it from empty directories.
    #[arg(long, value_name = "N")]
    id: u64,
    /// The id of the cluster that it begins: one that was never used [default: drawn at random].
    #[arg(long, value_name = "C")]
    cluster: Option<u64>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Says what is in a directory.
pub(super) fn inspect(args: &InspectArgs) -> u8 {
    let (said, code) = inspect::inspect(&args.directory, args.verify, matches!(args.format, Format::Json));
    match said {
        Ok(said) => report::say(&said),
        Err(error) => report::note(format_args!("raft-chaos: {error}")),
    }
    code
}

/// Makes a cluster of one node, or says what that would be.
pub(super) fn recover(args: &RecoverArgs) -> u8 {
    let RecoverArgs { directory, id, groups, cluster, yes, format } = args;
    let mut command = format!("raft-chaos recover {} --id {id}", quoted(&directory.display().to_string()));
    groups.iter().for_each(|group| command.push_str(&format!(" --group {group}")));
    let (said, code) = recover::recover(&recover::Request {
        directory,
        id: NodeId::new(*id),
        groups: groups.iter().copied().map(GroupId).collect(),
        cluster: cluster.map(ClusterId),
        yes: *yes,
        json: matches!(format, Format::Json),
        command,
    });
    match said {
        Ok(said) => report::say(&said),
        Err(error) => report::note(format_args!("raft-chaos: {error}")),
    }
    code
}

/// Puts a directory into a file.
pub(super) fn backup(args: &BackupArgs) -> u8 {
    told(backup::back_up(&args.directory, &args.to), args.format)
}

/// Makes a directory of that.
pub(super) fn restore(args: &RestoreArgs) -> u8 {
    let RestoreArgs { from, directory, id, cluster, format } = args;
    let cluster = cluster.map(ClusterId);
    told(Restore { from, directory, id: NodeId::new(*id), cluster }.carry_out(), *format)
}

/// Says what was done, or why it was not, and returns the exit code.
fn told(done: Result<impl Display + Serialize, Ended>, format: Format) -> u8 {
    let said = done.and_then(|done| match format {
        Format::Human => Ok(done.to_string()),
        Format::Json => backup::json(&done),
    });
    match said {
        Ok(said) => {
            report::say(&said);
            0
        }
        Err(ended) => {
            report::note(format_args!("raft-chaos: {ended}"));
            ended.status
        }
    }
}
