//! What this crate is held to, as tables: scenarios that other cores are tested with, and bugs of real systems. Each row
//! names what covers it, and that must be there.

mod bugs;
mod membership;
mod scenarios;
mod sessions;

use std::fs;
use std::path::{Path, PathBuf};

/// What covers a row.
pub(crate) enum Evidence {
    /// A file of `tests/scripts`, without its ending.
    Script(&'static str),
    /// A test of `tests/paper`: a file without its ending, and a name.
    Sentence(&'static str, &'static str),
    /// Another test: a file of the workspace, and a name.
    Test(&'static str, &'static str),
    /// A file of `raft-chaos/plans`, without its ending.
    Plan(&'static str),
}

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Whether the file has a test of this name.
fn has_test(path: &str, name: &str) -> bool {
    let text = read(path);
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let is_test = |above: &str| above.starts_with("#[test]") || above.starts_with("#[tokio::test");
    let called = format!("fn {name}(");
    let attributes = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    (0..lines.len()).any(|at| lines[at].contains(&called) && attributes(at).any(|above| is_test(above)))
}

impl Evidence {
    fn is_there(&self) -> bool {
        match self {
            Self::Script(name) => root().join(format!("raft-core/tests/scripts/{name}.txt")).is_file(),
            Self::Plan(name) => root().join(format!("raft-chaos/plans/{name}.toml")).is_file(),
            Self::Sentence(file, name) => has_test(&format!("raft-core/tests/paper/{file}.rs"), name),
            Self::Test(path, name) => has_test(path, name),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Script(name) | Self::Plan(name) | Self::Sentence(_, name) | Self::Test(_, name) => name,
        }
    }
}

#[test]
fn what_is_not_there_is_missed() {
    assert!(!Evidence::Script("no_such_script").is_there());
    assert!(!Evidence::Plan("no-such-plan").is_there());
    assert!(!Evidence::Sentence("paper", "no_such_sentence").is_there());
    assert!(!Evidence::Sentence("no_such_file", "one_vote_a_term_first_come_first_served").is_there());
    // A function that is no test.
    assert!(!Evidence::Sentence("paper", "roles").is_there());
    assert!(!Evidence::Test("raft-core/tests/seeds.rs", "run").is_there());
}
