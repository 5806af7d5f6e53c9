//! What is simulated goes the same way each time.

use std::path::Path;

use serde_json::Value;

use crate::tool::Tool;

impl Tool {
    /// Runs a plan of one seed on a store, twice: each time it goes the same way.
    pub(crate) fn run_on(&self, storage: &str, text: &str) -> (i32, Value) {
        let set = format!("cluster.storage={storage}");
        let (code, mut results) = self.run(&self.plan(text), &["--set", &set, "--set", "sim.recheck=1.0"]);
        (code, results.remove(0))
    }
}

/// A plan that ships.
pub(crate) fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name).display().to_string()
}
