//! The commands of the README about plans, as a reader types them, one after the other: each of them does what it is for.

use std::fs;
use std::os::unix::fs::symlink;

use crate::tool::Tool;
use crate::typed::{About, commands, shell};

/// The runs that the text names, in the order in which they are made.
const RUNS: [&str; 2] = ["1795560401", "1795560403"];
/// Each row: how a command begins that would go on for long, and what it is told besides.
const LIMITS: [(&str, &str); 2] =
    [("raft-chaos soak ", " --seeds 2"), ("raft-chaos selftest ", " --mutants ack-before-sync")];

/// What is run for a command; nothing for those that the build and a browser are asked.
fn meant(line: &str, tool: &Tool) -> Option<String> {
    let built = [
        ".ci/setup cargo run --profile ci -p raft-chaos -- ",
        ".ci/setup cargo run --profile ci -p raft-chaos --features planted-bugs -- ",
    ];
    let built = built.iter().find_map(|built| line.strip_prefix(built));
    let line = built.map_or_else(|| line.to_owned(), |words| format!("raft-chaos {words}"));
    if !line.starts_with("raft-chaos ") {
        let is_elsewhere = line.starts_with(".ci/setup cargo test ") || line.starts_with("chromium ");
        assert!(is_elsewhere, "{line}: who runs that?");
        return None;
    }
    let made = fs::read_dir(tool.path("raft-chaos-out/quickstart")).into_iter().flatten();
    let mut made: Vec<_> = made.map(|run| run.unwrap().file_name().into_string().unwrap()).collect();
    made.sort();
    let line = RUNS.iter().zip(&made).fold(line, |line, (run, made)| line.replace(run, made));
    let limit = LIMITS.iter().find(|(begin, _)| line.starts_with(begin));
    Some(line.clone() + limit.map_or("", |(_, limit)| *limit))
}

#[test]
fn every_command_about_plans_does_what_it_is_for() {
    let tool = Tool::new();
    symlink(env!("CARGO_MANIFEST_DIR"), tool.path("raft-chaos")).unwrap();
    let commands = commands(About::Plans);
    for what in ["run", "plan new", "plan lint", "check", "verify", "export", "compare", "soak"] {
        assert!(commands.iter().any(|command| command.starts_with(&format!("raft-chaos {what} "))), "{what}");
    }
    for line in commands.iter().filter_map(|line| meant(line, &tool)) {
        let said = shell(&tool.path("."), &line).output().unwrap();
        let [out, err] = [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(said.status.success(), "{line}: {}\n{out}{err}", said.status);
    }
    for file in ["my-plan.toml", "raft-chaos-plan.schema.json", "history.edn", "night/summary.md"] {
        assert!(tool.path(file).exists(), "{file}");
    }
}
