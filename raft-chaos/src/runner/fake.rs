//! A tool for tests whose seeds come to what a test says.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Runner, Voice};
use crate::progress::Progress;

/// Of every seed safety is broken, but of seed 1 this machine cannot do what it needs.
const SEED: &str = r#"
[ "$seed" = 1 ] && exit 69
echo '{"verdict":"safety","reasons":["it is broken"],"event_hash":"00000000000000aa"}' > "$folder/result.json"
exit 1
"#;

/// What a tool does first that is asked for a seed.
const ASKED: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        --seed) seed=$2 ;;
        --folder) folder=$2 ;;
    esac
    shift
done
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
        memory_max_mb: None,
        planted: None,
    }
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
