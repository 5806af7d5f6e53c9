//! `node`: one real node.

use std::panic;
use std::path::PathBuf;
use std::process::exit;

use clap::Args;

use super::cannot;
use crate::node::{self, ForTests, Settings};
use crate::process;
use crate::report;

#[derive(Debug, Args)]
#[command(after_help = node::EXIT_CODES)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    settings: Settings,
    /// Take what no flag and no variable says from this TOML file: its keys are the names of the flags, as in id = 1.
    #[arg(long, env = "RAFT_NODE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    for_tests: ForTests,
    /// End with this process, which has started it.
    #[arg(long, value_name = "PID", hide = true)]
    end_with: Option<u32>,
}

/// Runs the node to its end, and returns the exit code.
pub(super) fn node(args: NodeArgs) -> u8 {
    if let Some(Err(error)) = args.end_with.map(process::end_with) {
        return cannot(&error);
    }
    // A node of which a part is missing is none.
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        exit(node::BUG.into());
    }));
    let file = args.config.as_deref().map_or_else(|| Ok(Settings::default()), Settings::read);
    match file.and_then(|file| node::run(args.settings.or(file), &args.for_tests)) {
        Ok(()) => 0,
        Err(ended) => {
            report::note(format_args!("raft-chaos: {ended}"));
            ended.status
        }
    }
}
