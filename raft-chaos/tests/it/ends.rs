//! How the processes of seeds end, and what they leave.

use std::fs;

use crate::tool::{SHORT, Tool};

/// A day of simulated time: it has no end of its own while a test goes on.
const DAY: &str = "run.duration=24h";

/// Whether it passes or is killed because it runs for too long.
#[test]
fn a_seed_leaves_nothing_in_the_folder_for_what_is_temporary() {
    let tool = Tool::new();
    let temporary = tool.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let plan = tool.plan(SHORT);
    for (more, code) in [(&[][..], 0), (&["--set", DAY, "--set", "run.max_wall=500ms"], 2)] {
        let arguments = [&["run", &plan, "--seeds", "0..2"], more].concat();
        let said = tool.call_with(&arguments, &[("TMPDIR", temporary.to_str().unwrap())]);
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
