//! In which world servers live.

use super::walk::Item;
use super::{Plan, Run};

/// Where servers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In simulated hosts, in virtual time.
    Sim,
    /// In processes of this machine, in real time.
    Process,
    /// In simulated hosts with all seeds, and then in processes with the first.
    Both,
}

impl Mode {
    /// Its word in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Process => "process",
            Self::Both => "both",
        }
    }
}

/// The real world (`[process]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The command that starts a server, and its words; none for this tool's own `node`.
    pub node: Option<Vec<String>>,
    /// The program that `{next}` stands for: the build to upgrade to; none for this tool.
    pub next: Option<String>,
    /// Whether the directories of the servers of a run stay that does not pass.
    pub keep_data_on_failure: bool,
}

/// What words of a command stand for: each server's own, and programs.
pub(super) const PLACEHOLDERS: [&str; 7] = ["id", "addr", "peers", "data_dir", "events", "tool", "next"];

/// The command that starts a server.
pub(super) fn command(item: &Item<'_>) -> Option<Vec<String>> {
    let words = item.list_of(|word| known_only(word, word.text()?))?;
    if words.first().is_none_or(String::is_empty) {
        return item
            .expected("a command and its words, as in [\"raft-chaos\", \"node\", \"--id\", \"{id}\"]");
    }
    Some(words)
}

/// A program.
pub(super) fn program(item: &Item<'_>) -> Option<String> {
    match item.text()? {
        "" => item.expected("a program, as in \"./next/raft-chaos\""),
        program => Some(program.to_owned()),
    }
}

/// The word, in which nothing stands for what there is not.
fn known_only(item: &Item<'_>, word: &str) -> Option<String> {
    for (at, _) in word.match_indices('{') {
        let Some((name, _)) = word[at + 1..].split_once('}') else { break };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_name && !PLACEHOLDERS.contains(&name) {
            item.word_in(name, &PLACEHOLDERS.map(|known| (known, ())));
            return None;
        }
    }
    Some(word.to_owned())
}

/// The word for the file in which a server tells what happens in it.
pub(super) const EVENTS: &str = "{events}";
/// The word for the program to upgrade to.
pub(super) const NEXT: &str = "{next}";

impl Process {
    /// Whether servers tell what happens in them.
    pub(super) fn tells(&self) -> bool {
        self.node.as_ref().is_none_or(|words| words.iter().any(|word| word.contains(EVENTS)))
    }
}

impl Plan {
    /// Whether it is heard of what happens in servers.
    pub fn is_heard(&self) -> bool {
        self.run.mode == Mode::Sim || self.process.tells()
    }

    /// The same in another world.
    #[must_use]
    pub fn in_mode(&self, mode: Mode) -> Self {
        Self { run: Run { mode, ..self.run.clone() }, ..self.clone() }
    }
}
