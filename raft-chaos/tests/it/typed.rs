//! What a reader of the README types.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the commands below a heading are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Plans and what they leave.
    Plans,
    /// Nodes, and their directories.
    Nodes,
    /// An example of raft-net, which a test of raft-net runs.
    Example,
}

fn about(heading: &str) -> About {
    match heading {
        "Raft that proves itself" | "What you see" | "A plan" | "Nights" => About::Plans,
        "Judging a history again" | "Two runs side by side" => About::Plans,
        "A cluster of one's own" | "How fast it is" | "A node's directory" => About::Nodes,
        "A backup, and a new cluster of it" | "When the majority is lost for good" => About::Nodes,
        "A replicated store of your own" => About::Example,
        other => panic!("{other:?} has commands in the README: say here who types them"),
    }
}

/// What is to be typed about this, in order.
pub(crate) fn commands(wanted: About) -> Vec<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (mut heading, mut block, mut commands) = ("", None, Vec::new());
    let mut begun = String::new();
    for line in readme.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches('#').trim(),
            (Some("sh"), None) if about(heading) == wanted => {
                // What stands behind a command is for people.
                let typed = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap().trim() };
                begun.push_str(typed.trim_end_matches('\\'));
                if !typed.ends_with('\\') && !begun.is_empty() {
                    commands.push(std::mem::take(&mut begun));
                }
            }
            (_, None) => {}
        }
    }
    commands
}

/// A shell in this folder, in which `raft-chaos` is the tool, and which is about to run this.
pub(crate) fn shell(folder: &Path, text: &str) -> Command {
    let tool = Path::new(env!("CARGO_BIN_EXE_raft-chaos")).parent().unwrap();
    let path = env::var_os("PATH").unwrap();
    let path = env::join_paths([tool.to_owned()].into_iter().chain(env::split_paths(&path)));
    let mut shell = Command::new("sh");
    shell.args(["-c", text]).current_dir(folder).env("PATH", path.unwrap()).stdin(Stdio::null());
    shell
}
