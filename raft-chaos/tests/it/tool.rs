//! The tool as a person calls it: a command line in, an exit code, text and files out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A folder for one test, with the tool in it.
pub(crate) struct Tool {
    folder: tempfile::TempDir,
}

/// What a call gave.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tool {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A plan in a file of its own.
    pub(crate) fn plan(&self, text: &str) -> String {
        let path = self.path("plan.toml");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Said {
        self.call_with(arguments, &[])
    }

    /// With variables of the environment.
    pub(crate) fn call_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_raft-chaos"))
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a plan, one result object a seed.
    pub(crate) fn run(&self, plan: &str, more: &[&str]) -> (i32, Vec<Value>) {
        let mut arguments = vec!["run", plan, "--format", "json"];
        arguments.extend(more);
        let said = self.call(&arguments);
        let results = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (said.code, results)
    }
}

/// A plan of which everything is short, for tests of one thing.
pub(crate) const SHORT: &str = r#"
schema = 1
name = "short"
[run]
seeds = 3
warmup = "1s"
duration = "3s"
settle = "4s"
[cluster]
storage = "memory"
[workload]
op_timeout = "300ms"
[check.liveness]
commit_within = "2s"
"#;

pub(crate) fn short(more: &str) -> String {
    format!("{SHORT}{more}")
}
