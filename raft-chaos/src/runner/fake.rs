//! A tool for tests whose seeds come to what a test says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Runner, Voice};
use crate::progress::Progress;

/// Of every seed safety is broken, but of seed 1 this machine cannot do what it needs, seed 2 has no end, and seed 3 is
/// interrupted.
const SEED: &str = r#"
[ "$seed" = 1 ] && exit 69
[ "$seed" = 2 ] && exec sleep 60
[ "$seed" = 3 ] && kill -TERM $$
echo '{"verdict":"safety","reasons":["it is broken"],"event_hash":"00000000000000aa"}' > "$folder/result.json"
exit 1
"#;

/// What a tool does first that is asked for a seed: each that begins is written down.
const ASKED: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        --seed) seed=$2 ;;
        --folder) folder=$2 ;;
    esac
    shift
done
echo "$seed" >> "$0.begun"
"#;

/// One seed at a time, with results under `out` in this folder.
pub(crate) fn runner(folder: &Path) -> Runner {
    runner_of(folder, SEED)
}

/// The same, whose tool does this for a `$seed`, with what it leaves in a `$folder`.
pub(crate) fn runner_of(folder: &Path, script: &str) -> Runner {
    Runner {
        program: program(folder, script),
        out: folder.join("out"),
        jobs: 1,
        voice: Voice::Quiet,
        progress: Progress::None,
        report: false,
        keep_all: false,
        memory_max_mb: None,
        planted: None,
    }
}

/// The seeds that have begun, each as often as it has.
pub(crate) fn begun(runner: &Runner) -> Vec<u64> {
    let begun = fs::read_to_string(runner.program.with_extension("begun")).unwrap();
    begun.lines().map(|seed| seed.parse().unwrap()).collect()
}

/// Written by a process of its own: what this one has open for writing, a process that another test starts meanwhile has open,
/// too, and then it cannot be run.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("tool");
    let write = r#"printf '%s' "$1" > "$2" && chmod +x "$2""#;
    let written = Command::new("sh")
        .args(["-c", write, "sh", &format!("{ASKED}{script}")])
        .arg(&path)
        .status()
        .unwrap();
    assert!(written.success());
    path
}
