//! The commands of the README about nodes, as a reader types them, one after the other: each of them does what it is for.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::nodes::{ELECTION, host, until};
use crate::tool::Tool;
use crate::typed::{About, commands, shell};

/// Each row: a command that goes on for minutes, and what it is told besides.
const LIMITS: [(&str, &str); 2] = [
    ("raft-chaos bench", " --clients 1,16 --time 100ms --warmup 20ms"),
    (
        "raft-chaos bench --servers $RAFT_CLIENT_SERVERS --format json",
        " --clients 1,16 --time 100ms --warmup 20ms",
    ),
];

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
            // Has a test of its own.
            ["raft-chaos", "run", ..] => {}
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
            ["raft-chaos", ..] => {
                let limit =
                    LIMITS.iter().find(|(command, _)| *command == line).map_or("", |(_, limit)| *limit);
                self.does(&format!("{line}{limit}"));
            }
            [..] => self.variables.push(line.to_owned()),
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = shell(&self.tool.path("."), &format!("{}\n{line}", self.variables.join("\n")));
        shell.env("RAFT_NODE_ELECTION_TIMEOUT", ELECTION);
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
    // Addresses are those of this process alone.
    let own = |command: String| command.replace("127.0.0.1:", &format!("{}:", host()));
    let commands: Vec<_> = commands(About::Nodes).into_iter().map(own).collect();
    for what in
        ["node --id 4", "client put", "client members", "bench", "inspect", "backup", "restore", "recover"]
    {
        assert!(commands.iter().any(|command| command.starts_with(&format!("raft-chaos {what}"))), "{what}");
    }
    for (command, _) in LIMITS {
        assert!(commands.iter().any(|typed| typed == command), "{command}");
    }
    let mut reader = Reader { tool: Tool::new(), variables: Vec::new(), nodes: BTreeMap::new() };
    commands.iter().for_each(|command| reader.types(command));
}

/// The plan that ships for it, as the README has it: each node runs another build in the end, one of them has been taken back
/// meanwhile, and nothing is lost.
#[test]
fn nodes_are_upgraded_to_the_build_that_is_named() {
    let tool = Tool::new();
    symlink(env!("CARGO_MANIFEST_DIR"), tool.path("raft-chaos")).unwrap();
    fs::create_dir(tool.path("next")).unwrap();
    let (next, started) = (tool.path("next/raft-chaos"), tool.path("started"));
    let script = format!(
        "#!/bin/sh\necho \"$3\" >> {}\nexec {} \"$@\"\n",
        started.display(),
        env!("CARGO_BIN_EXE_raft-chaos")
    );
    fs::write(&next, script).unwrap();
    fs::set_permissions(&next, Permissions::from_mode(0o755)).unwrap();
    let is_it = |line: &String| line.contains("rolling-upgrade.toml");
    let line = commands(About::Nodes).into_iter().find(is_it).unwrap();
    let said = shell(&tool.path("."), &format!("{line} --format json")).output().unwrap();
    let [out, err] = [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(said.status.success(), "{line}: {}\n{out}{err}", said.status);
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&result["verdict"], &result["restarts"]), (&"pass".into(), &5.into()), "{result}");
    assert_eq!(result["checker"]["verdict"], "linearizable", "{result}");
    let fired: Vec<_> = result["faults"].as_array().unwrap().iter().map(|fault| &fault["event"]).collect();
    assert_eq!(fired, ["try", "take-back", "upgrade-1", "upgrade-2", "upgrade-3"]);
    assert_eq!(fs::read_to_string(started).unwrap(), "1\n1\n2\n3\n");
}
