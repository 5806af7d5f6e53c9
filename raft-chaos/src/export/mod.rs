//! `raft-chaos export RUN --to FORMAT`: a run as other tools read it.
//!
//! | format | is for |
//! | --- | --- |
//! | `edn` | Jepsen and Knossos, see [`edn`] |
//! | `elle-json` (`json`) | elle-cli: transactions of lists and registers |
//! | `porcupine` | Porcupine: an operation a line, with its interval |
//! | `shiviz` | ShiViz: the events of the nodes, with vector clocks |
//! | `perfetto` | Perfetto: faults, roles, messages and operations on one time axis |

mod elle;
mod porcupine;
mod shiviz;

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::edn;
use crate::picture;
use crate::record;
use crate::recorded::Recorded;
use crate::report;

pub use elle::elle_json;
pub use porcupine::operations as porcupine_operations;
pub use shiviz::vector_clocks;

/// A wrong command line, or a run that is none.
const USAGE: u8 = 64;
/// The format cannot say what is in the run.
const UNAVAILABLE: u8 = 69;

/// The command line of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder of a recorded run; for all but shiviz and perfetto also a history by its file.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The format.
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Format,
    /// Only this key. In edn, values are then as a test of one object has them.
    #[arg(long)]
    key: Option<String>,
    /// Write to this file, not to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Jepsen's and Knossos' histories.
    Edn,
    /// elle-cli's transactions.
    #[value(alias = "json")]
    ElleJson,
    /// Porcupine's operations.
    Porcupine,
    /// ShiViz's events with vector clocks.
    Shiviz,
    /// Perfetto's trace events.
    Perfetto,
}

/// Does what the command line says; the exit code.
pub(crate) fn main(args: &ExportArgs) -> u8 {
    match export(args) {
        Ok(Ok(text)) => write(args, &text),
        Ok(Err(cannot)) => {
            report::note(format_args!("raft-chaos: {cannot}"));
            UNAVAILABLE
        }
        Err(error) => {
            report::note(format_args!("raft-chaos: {error}"));
            USAGE
        }
    }
}

/// The text, or why the format cannot say it.
fn export(args: &ExportArgs) -> io::Result<Result<String, String>> {
    let key = args.key.as_deref();
    if matches!(args.to, Format::Shiviz) {
        let path = if args.run.is_dir() { args.run.join("events.jsonl") } else { args.run.clone() };
        let events = record::text(&path)?.ok_or_else(|| record::missing(&path))?;
        return vector_clocks(&events).map(Ok).map_err(|error| record::named(&path, &error));
    }
    if matches!(args.to, Format::Perfetto) {
        return picture::perfetto(&args.run).map(Ok);
    }
    let Recorded { mut history, .. } = Recorded::read(&args.run)?;
    if let Some(key) = key {
        history.events.retain(|event| event.key == key);
        if history.events.is_empty() {
            return Err(io::Error::other(format!("--key {key}: the history has no such key")));
        }
    }
    Ok(match args.to {
        Format::Edn => Ok(edn::write(&history, key)),
        Format::ElleJson => elle_json(&history),
        Format::Porcupine | Format::Shiviz | Format::Perfetto => porcupine_operations(&history),
    })
}

fn write(args: &ExportArgs, text: &str) -> u8 {
    let Some(path) = &args.output else {
        report::say(text.trim_end());
        return 0;
    };
    match fs::write(path, text) {
        Ok(()) => 0,
        Err(error) => {
            report::note(format_args!("raft-chaos: {}: {error}", path.display()));
            UNAVAILABLE
        }
    }
}
