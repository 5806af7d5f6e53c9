//! Judges that others have written, and that share no code with ours: asked where there are any, and never believed before they have told
//! known good histories from known bad ones.
//!
//! | name | is |
//! | --- | --- |
//! | `porcupine` | the crate porcupine-rs (feature `outside-judges`): a search for an order, with models of its own |
//! | `elle` | elle-cli where it is installed, else the crate adya (the same feature): anomalies of lists |
//! | `knossos` | elle-cli, which has Knossos in it: a search for an order of a register |
//!
//! elle-cli is a command of that name, or a jar that `ELLE_CLI` names.

#[cfg(feature = "outside-judges")]
mod adya;
mod elle_cli;
#[cfg(feature = "outside-judges")]
mod porcupine;
#[cfg(test)]
mod tests;
mod trials;

use std::time::Duration;

use crate::history::History;
use crate::plan::Kind;

pub use trials::{Trial, trials};

/// What a judge from outside says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Nothing is wrong with it.
    Good,
    /// Something is.
    Bad {
        /// What, as the judge says it.
        why: String,
    },
    /// It does not know.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A judge from outside.
pub trait Outsider {
    /// Who it is, with its version where that is known.
    fn name(&self) -> String;

    /// Whether it can judge histories of this kind.
    fn knows(&self, kind: Kind, history: &History) -> bool;

    /// What it says, within the time, about.
    fn judge(&self, kind: Kind, history: &History, limit: Duration) -> Opinion;
}

/// All names that [`find`] knows.
pub const NAMES: [&str; 3] = ["porcupine", "elle", "knossos"];

/// The judge of this name, if it is here.
///
/// # Errors
///
/// A sentence that says what to do, where it is not.
pub fn find(name: &str) -> Result<Box<dyn Outsider>, String> {
    let found = match name {
        #[cfg(feature = "outside-judges")]
        "porcupine" => Some(Box::new(porcupine::Porcupine) as Box<dyn Outsider>),
        "elle" => elle_cli::find(elle_cli::Judge::Elle).or_else(built_in_elle),
        "knossos" => elle_cli::find(elle_cli::Judge::Knossos),
        _ => None,
    };
    let cure = match name {
        "porcupine" => "build with --features outside-judges",
        "elle" => "install elle-cli, or build with --features outside-judges",
        "knossos" => "install elle-cli as a command, or name its jar in ELLE_CLI",
        _ => return Err(format!("{name:?} is unknown; write some of {}", NAMES.join(","))),
    };
    found.ok_or_else(|| format!("{name} is not here; {cure}"))
}

#[cfg(feature = "outside-judges")]
fn built_in_elle() -> Option<Box<dyn Outsider>> {
    Some(Box::new(adya::Adya))
}

#[cfg(not(feature = "outside-judges"))]
fn built_in_elle() -> Option<Box<dyn Outsider>> {
    None
}

/// Has a judge tell known good histories from known bad ones. How many it was asked about.
///
/// # Errors
///
/// A sentence that names the first about which it is wrong, or of which it does not know.
pub fn tried(judge: &dyn Outsider, kind: Kind, limit: Duration) -> Result<usize, String> {
    // A register is a key-value store of which less is asked.
    let of = if kind == Kind::Kv { Kind::Register } else { kind };
    let mut asked = 0;
    for Trial { about, history, good, .. } in trials().iter().filter(|trial| trial.kind == of) {
        if !judge.knows(kind, history) {
            continue;
        }
        asked += 1;
        let right = match judge.judge(kind, history, limit) {
            Opinion::Good => *good,
            Opinion::Bad { .. } => !good,
            Opinion::Unknown { why } => return Err(format!("{} does not know {about}: {why}", judge.name())),
        };
        if !right {
            let is = if *good { "good" } else { "bad" };
            return Err(format!("{} is wrong about {about}, which is {is}", judge.name()));
        }
    }
    if asked == 0 { Err(format!("there is no known history for {}", judge.name())) } else { Ok(asked) }
}
