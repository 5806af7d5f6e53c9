//! What cargo and the compiler say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Mistake;
use crate::sources::Sources;

/// So many rounds, and there is something that leaving out mutants does not mend.
const ROUNDS_MAX: usize = 30;

/// Finds the mutants that do not compile, and leaves them out. For the same rules they are known from the last time, so
/// that nothing is compiled again.
pub(crate) fn leave_out(sources: &mut Sources, target: &Path) -> Result<BTreeSet<u32>, Mistake> {
    let known = target.join("mutants").join(format!("unbuildable-{:016x}", sources.fingerprint()));
    let numbers = fs::read_to_string(&known).unwrap_or_default();
    let mut without = numbers.lines().map(str::parse).collect::<Result<BTreeSet<u32>, _>>()?;
    for _ in 0..ROUNDS_MAX {
        sources.weave(&without)?;
        let said = cargo(sources.tree(), target, &["check", "--lib"])?;
        let errors: Vec<&Value> = said.iter().filter_map(error).collect();
        if errors.is_empty() {
            let lines: String = without.iter().map(|id| format!("{id}\n")).collect();
            fs::write(&known, lines)?;
            return Ok(without);
        }
        let mut blamed = BTreeSet::new();
        for error in &errors {
            blamed.extend(to_blame(sources, error));
        }
        if blamed.is_empty() {
            return Err(format!("the compiler refuses more than mutants: {}", rendered(errors[0])).into());
        }
        without.extend(blamed);
    }
    Err(format!("after {ROUNDS_MAX} rounds there are still mutants that do not compile").into())
}

/// Runs cargo on the copy of raft-core; what it says, a value a line.
pub(crate) fn cargo(tree: &Path, target: &Path, words: &[&str]) -> Result<Vec<Value>, Mistake> {
    let output = Command::new("cargo")
        .args(words)
        .args(["--locked", "--profile", "ci", "-p", "raft-core", "--features", "prometheus"])
        .arg("--message-format=json")
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
        .stderr(Stdio::inherit())
        .output()?;
    let mut said = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| line.starts_with('{')) {
        said.push(serde_json::from_str(line)?);
    }
    if output.status.success() || said.iter().any(|message| error(message).is_some()) {
        Ok(said)
    } else {
        Err(format!("cargo {} failed", words.join(" ")).into())
    }
}

/// The error in a message of cargo's; one with a place in it.
pub(crate) fn error(message: &Value) -> Option<&Value> {
    let said = &message["message"];
    let has_place = said["spans"].as_array().is_some_and(|spans| !spans.is_empty());
    (message["reason"] == "compiler-message" && said["level"] == "error" && has_place).then_some(said)
}

pub(crate) fn rendered(error: &Value) -> &str {
    error["rendered"].as_str().unwrap_or_default()
}

/// Of the places that an error names, the first with a mutant is to blame; the main one comes first.
fn to_blame(sources: &Sources, error: &Value) -> Vec<u32> {
    let spans = error["spans"].as_array().map_or(&[][..], Vec::as_slice);
    let (main, others): (Vec<&Value>, Vec<&Value>) =
        spans.iter().partition(|span| span["is_primary"] == true);
    let blamed = main.into_iter().chain(others).find_map(|span| {
        let number = |key: &str| span[key].as_u64().and_then(|at| usize::try_from(at).ok());
        sources.to_blame(span["file_name"].as_str()?, &(number("byte_start")?..number("byte_end")?))
    });
    blamed.unwrap_or_default()
}
