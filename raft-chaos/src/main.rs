//! `raft-chaos run plan.toml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_chaos::cli::main()
}
