//! The command that starts a node.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use raft_core::NodeId;

use crate::plan::{Kind, Process};

/// The command that starts a node: a program and its words, in which some stand for what each node has of its own.
#[derive(Clone, Debug)]
pub(super) struct NodeCommand {
    program: PathBuf,
    words: Vec<String>,
    is_usual: bool,
}

/// The programs that words of a command stand for.
#[derive(Clone, Debug)]
pub(super) struct Builds {
    tool: PathBuf,
    next: PathBuf,
}

/// What a node has of its own.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) id: NodeId,
    /// Where it listens.
    pub(super) address: String,
    /// Where it finds the others.
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) data: PathBuf,
    /// Where it writes what happens in it.
    pub(super) events: PathBuf,
    /// What this tool's own node is told besides.
    pub(super) tested: PathBuf,
}

impl NodeCommand {
    /// This tool's own node, which ends with this process.
    pub(super) fn usual(program: PathBuf, kind: Kind) -> Self {
        let parent = std::process::id().to_string();
        let words = [
            ["node", "--id", "{id}", "--listen", "{addr}", "--peers", "{peers}", "--data", "{data_dir}"]
                .as_slice(),
            &["--events", "{events}", "--tested", "{tested}", "--kind", kind.name(), "--log", "warn"],
            &["--end-with", &parent],
        ];
        Self { program, words: words.concat().into_iter().map(str::to_owned).collect(), is_usual: true }
    }

    /// A command of the plan's.
    pub(super) fn of_words(words: &[String], builds: &Builds) -> Self {
        let mut words = words.iter().map(|word| builds.in_place(word));
        let program = words.next().unwrap_or_default().into();
        Self { program, words: words.collect(), is_usual: false }
    }

    /// Whether it is this tool's own node.
    pub(super) const fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// # Errors
    ///
    /// There is no such command.
    pub(super) fn find(&self) -> io::Result<()> {
        let is_here = |path: &Path| {
            path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        let path = env::var_os("PATH").unwrap_or_default();
        let is_found = if self.program.components().count() > 1 {
            is_here(&self.program)
        } else {
            env::split_paths(&path).any(|folder| is_here(&folder.join(&self.program)))
        };
        if is_found {
            return Ok(());
        }
        let why = format!(
            "{}: there is no such command, and the plan starts nodes by it; correct the path, or build it",
            self.program.display()
        );
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    /// The command for this node.
    pub(super) fn of(&self, own: &Own) -> Command {
        let mut command = Command::new(&self.program);
        forget_settings(&mut command);
        command.args(self.words.iter().map(|word| own.in_place(word)));
        command
    }
}

impl Builds {
    /// This tool, and the one that the plan names.
    ///
    /// # Errors
    ///
    /// The system does not say which program this is.
    pub(super) fn of(process: &Process) -> io::Result<Self> {
        let tool = env::current_exe()?;
        let next = process.next.as_ref().map_or_else(|| tool.clone(), PathBuf::from);
        Ok(Self { tool, next })
    }

    /// This tool.
    pub(super) fn tool(&self) -> PathBuf {
        self.tool.clone()
    }

    /// The word with the programs that it stands for.
    fn in_place(&self, word: &str) -> String {
        put(word, &[("{tool}", path(&self.tool)), ("{next}", path(&self.next))])
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// The word with these in the place of their names.
fn put(word: &str, stands_for: &[(&str, String)]) -> String {
    stands_for.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value))
}

impl Own {
    /// The word with what it stands for.
    fn in_place(&self, word: &str) -> String {
        let peer = |(id, address): (&NodeId, &String)| format!("{}={address}", id.get());
        let all = self.peers.iter().chain([(&self.id, &self.address)]);
        let mut peers: Vec<_> = all.collect();
        peers.sort();
        let stands_for = [
            ("{id}", self.id.get().to_string()),
            ("{addr}", self.address.clone()),
            ("{peers}", peers.into_iter().map(peer).collect::<Vec<_>>().join(",")),
            ("{data_dir}", path(&self.data)),
            ("{events}", path(&self.events)),
            ("{tested}", path(&self.tested)),
        ];
        put(word, &stands_for)
    }
}

/// What is said by the environment to nodes of one's own is not for one that this tool starts.
pub(crate) fn forget_settings(command: &mut Command) {
    let said = env::vars_os().map(|(name, _)| name);
    for name in said.filter(|name| name.to_string_lossy().starts_with("RAFT_NODE_")) {
        command.env_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: a word of the command, and what the second of three nodes has there.
    #[test]
    fn words_stand_for_what_a_node_has_of_its_own() {
        let n = NodeId::new;
        let own = Own {
            id: n(2),
            address: "h:2".to_owned(),
            peers: BTreeMap::from([(n(1), "p:1".to_owned()), (n(3), "p:3".to_owned())]),
            data: "nodes/2/data".into(),
            events: "nodes/2/events.jsonl".into(),
            tested: "nodes/2/tested.json".into(),
        };
        for (word, is) in [
            ("node", "node"),
            ("{id}", "2"),
            ("--listen={addr}", "--listen=h:2"),
            ("{peers}", "1=p:1,2=h:2,3=p:3"),
            ("{data_dir}/log", "nodes/2/data/log"),
            ("{events}", "nodes/2/events.jsonl"),
            ("{other}", "{other}"),
        ] {
            assert_eq!(own.in_place(word), is);
        }
    }

    /// Each row: the build that a plan names, and the programs of two commands.
    #[test]
    fn words_stand_for_builds() {
        let tool = env::current_exe().unwrap();
        for (next, program) in [(None, &*tool), (Some("./next/node"), Path::new("./next/node"))] {
            let process = Process { node: None, next: next.map(str::to_owned), keep_data_on_failure: true };
            let builds = Builds::of(&process).unwrap();
            let command =
                |first: &str| NodeCommand::of_words(&[first.to_owned(), "{id}".to_owned()], &builds);
            assert_eq!((&*command("{next}").program, &*command("{tool}").program), (program, &*tool));
            assert_eq!(command("{next}").words, ["{id}"]);
        }
    }
}
