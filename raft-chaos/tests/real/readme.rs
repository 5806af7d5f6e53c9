//! The commands of the README about nodes, as a reader types them, one after the other: each of them does what it is for.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::nodes::{ELECTION, host, until};
use crate::tool::Tool;

/// Those in which every command is run. How fast nodes are is measured by a test of its own.
const SECTIONS: [&str; 4] = [
    "A cluster of one's own",
    "A node's directory",
    "A backup, and a new cluster of it",
    "When the majority is lost for good",
];

/// What is to be typed, in these sections. Addresses are those of this process alone.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (mut section, mut is_shell, mut commands) = ("", false, Vec::new());
    for line in readme.lines() {
        section = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")).unwrap_or(section);
        is_shell = if line.starts_with("```") { line == "```sh" } else { is_shell };
        let command = line.split('#').next().unwrap_or_default().trim();
        if is_shell && SECTIONS.contains(&section) && !command.is_empty() && !line.starts_with("```") {
            commands.push(command.replace("127.0.0.1:", &format!("{}:", host())));
        }
    }
    commands
}

/// Whoever types them, and what runs meanwhile.
struct Reader {
    tool: Tool,
    /// The variables that were set, as they were.
    variables: Vec<String>,
    /// By directory: the command, and the process.
    nodes: BTreeMap<String, (String, Child)>,
}

impl Reader {
    fn types(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["raft-chaos", "node", ..] => {
                self.start(line, words[words.iter().position(|word| *word == "--data").unwrap() + 1])
            }
            // The text says that the node is to be stopped first.
            ["raft-chaos", "backup", directory, _] => {
                let stopped = self.stop(directory).unwrap();
                self.does(line);
                self.start(&stopped, directory);
            }
            ["raft-chaos", "recover", directory, ..] => {
                self.stop(directory);
                self.does(line);
            }
            ["raft-chaos", ..] => self.does(line),
            [..] => self.variables.push(line.to_owned()),
        }
    }

    fn shell(&self, line: &str) -> Command {
        let tool = Path::new(env!("CARGO_BIN_EXE_raft-chaos")).parent().unwrap();
        let path = env::join_paths(
            [tool.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{}\n{line}", self.variables.join("\n"))]);
        shell
            .current_dir(self.tool.path("."))
            .env("PATH", path.unwrap())
            .env("RAFT_NODE_ELECTION_TIMEOUT", ELECTION)
            .stdin(Stdio::null());
        shell
    }

    fn does(&self, line: &str) {
        let Output { status, stdout, stderr } = self.shell(line).output().unwrap();
        let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(status.success(), "{line}: {status}\n{out}{err}");
    }

    /// Starts a node, and waits until it listens.
    fn start(&mut self, line: &str, directory: &str) {
        let log = File::create(self.tool.path("nodes.log")).unwrap();
        let node = self.shell(&format!("exec {line}")).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.nodes.insert(directory.to_owned(), (line.to_owned(), node));
        let told = self.shell(&format!("echo {line}")).output().unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        let after = |flag: &str| {
            told.split_once(&format!("{flag} ")).and_then(|(_, rest)| rest.split_whitespace().next())
        };
        let own = format!("{}=", after("--id").unwrap());
        let peer = || after("--peers")?.split(',').find_map(|peer| peer.strip_prefix(&own));
        let address = after("--listen").or_else(peer).unwrap();
        until(line, || TcpStream::connect(address).map(drop).map_err(|error| error.to_string()));
    }

    /// Has the node on a directory end in order. The command that it was started by, if it ran.
    fn stop(&mut self, directory: &str) -> Option<String> {
        let (line, mut node) = self.nodes.remove(directory)?;
        kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
        let status = until(&line, || node.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()));
        assert_eq!(status.code(), Some(0), "{line}");
        Some(line)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for (_, node) in self.nodes.values_mut() {
            // It may have ended by itself, which is what the test is about to tell.
            drop(node.kill());
            drop(node.wait());
        }
    }
}

#[test]
fn every_command_about_nodes_does_what_it_is_for() {
    let commands = commands();
    for what in ["node --id 4", "client put", "client members", "inspect", "backup", "restore", "recover"] {
        assert!(commands.iter().any(|command| command.starts_with(&format!("raft-chaos {what}"))), "{what}");
    }
    let mut reader = Reader { tool: Tool::new(), variables: Vec::new(), nodes: BTreeMap::new() };
    commands.iter().for_each(|command| reader.types(command));
}
