//! How a run is done.

use std::io::Write;
use std::path::PathBuf;

use super::planted::Planted;
use super::pulse::Watcher;
use super::script::Fired;
use super::trace::{Listener, Telling};

/// How a run is done.
#[derive(Default)]
pub struct Options {
    /// Where RocksDB keeps its files, a folder for each id; emptied by nobody but its owner.
    pub scratch: PathBuf,
    /// Where `events.jsonl` goes.
    pub events: Option<Box<dyn Write + Send>>,
    /// Where `messages.jsonl` goes.
    pub messages: Option<Box<dyn Write + Send>>,
    /// Where `history.jsonl` goes.
    pub history: Option<Box<dyn Write + Send>>,
    /// Where `schedule.jsonl` goes.
    pub schedule: Option<Box<dyn Write + Send>>,
    /// What has fired in another run of the plan, and fires instead of its events and chaos.
    pub script: Option<Vec<Fired>>,
    /// Who hears the story as it unfolds.
    pub listener: Option<Listener>,
    /// Who hears from time to time how it stands.
    pub watcher: Option<Watcher>,
    /// What is told, and how long the run goes.
    pub telling: Telling,
    /// The bug that every server has on purpose.
    pub planted: Option<Planted>,
}
