//! `plan lint`: whether plans could be run, with every mistake in each.

use std::path::Path;

use serde::Serialize;

use crate::plan::{Mistake, Plan};
use crate::process;

/// The exit code of a plan that is right, and that this machine cannot run.
const UNAVAILABLE: u8 = 69;

/// What is said of one plan.
#[derive(Clone, Debug, Serialize)]
pub struct Linted {
    /// The file, as it was named.
    pub plan: String,
    /// 0 if it can be run, else 64 or 69.
    pub exit_code: u8,
    /// What keeps it from being run.
    pub mistakes: Vec<Mistake>,
    /// The same for people.
    #[serde(skip)]
    pub text: String,
}

/// Reads one plan, with overrides as in `--set`.
pub fn lint(path: &Path, overrides: &[String]) -> Linted {
    let plan = path.display().to_string();
    match Plan::read(path, overrides) {
        Ok(read) => match process::missing_command(&read) {
            None => {
                let text = format!("{plan}: {} can be run", read.name);
                Linted { plan, exit_code: 0, mistakes: Vec::new(), text }
            }
            Some((key, error)) => {
                let what = error.to_string();
                let text = format!("{plan}: {key}: {what}");
                let (file, line) = (plan.clone(), String::new());
                let mistake =
                    Mistake { file, line: 1, column: 1, source_line: line, key, what, not_built: true };
                Linted { plan, exit_code: UNAVAILABLE, mistakes: vec![mistake], text }
            }
        },
        Err(errors) => {
            let (mistakes, text) = (errors.mistakes().to_vec(), errors.to_string());
            Linted { plan, exit_code: errors.exit_code(), mistakes, text }
        }
    }
}
