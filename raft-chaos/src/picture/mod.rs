//! `report.html`: a run on one page that a person reads instead of logs, and that needs nothing but a browser.
//!
//! The data's way is files, `Recording`, `Picture`, page:
//!
//! | file | is |
//! | --- | --- |
//! | `recording.rs` | what a run has left in its folder |
//! | `lane.rs` | what became of a node and of its log |
//! | `bands.rs` | faults, from when to when, and whom they met |
//! | `clients.rs` | operations, and what took effect where |
//! | `traffic.rs` | messages on their way |
//! | `trouble.rs` | what broke, in the smallest terms |
//! | `columns.rs` | how all of that is small |
//! | `drawings/`, `perfetto.rs` | parts of it as files of their own |
//! | `page.rs`, `page/` | the page: HTML made here, style and script as they are |

mod bands;
mod clients;
mod columns;
mod drawings;
mod lane;
mod page;
mod perfetto;
mod recording;
mod traffic;
mod trouble;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::record;
use bands::Band;
use clients::Clients;
use lane::Lane;
pub(crate) use page::{badge, document};
pub use perfetto::perfetto;
use recording::Recording;
use traffic::{Flight, Traffic};
pub use trouble::Trouble;

/// All that is drawn. Times are microseconds since the start of the run, indexes are the log's.
#[derive(Serialize)]
struct Picture {
    /// The end of the warm-up, from which a person counts.
    origin: u64,
    end: u64,
    /// About when messages are shown.
    #[serde(skip)]
    moment: u64,
    phases: Vec<(u64, String)>,
    lanes: Vec<Lane>,
    bands: Vec<Band>,
    clients: Clients,
    traffic: Traffic,
    recoveries: Vec<Recovered>,
    /// When what broke, and on which nodes.
    broken: Vec<(u64, Vec<u64>, String)>,
    /// The operations that do not fit, by their row.
    accused: Vec<usize>,
    /// What to look at first.
    focus: Option<(u64, u64)>,
}

/// What followed a heal, all in microseconds.
#[derive(Serialize)]
struct Recovered {
    at: u64,
    leader: Option<u64>,
    commit: Option<u64>,
}

/// A report that was written.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Where it is.
    pub path: PathBuf,
    /// What broke, if anything did.
    pub trouble: Trouble,
}

/// Writes the report of the run in `folder` into that folder, and drawings beside it. Messages are shown around `moment`, counted from the end of the warm-up,
/// where there are too many to show all of them; if it is not given, around what broke.
///
/// # Errors
///
/// The folder is not one of a recorded run, or cannot be read or written; the file is named.
pub fn draw(folder: &Path, moment: Option<f64>) -> io::Result<Drawn> {
    let recording = Recording::read(folder)?;
    let trouble = Trouble::of(&recording);
    let flights = traffic::flights(&recording);
    let picture = Picture::of(&recording, &trouble, &flights, moment);
    for (name, drawing) in drawings::drawings(&recording, &picture, &flights, picture.moment) {
        let path = folder.join(name);
        fs::write(&path, drawing).map_err(|error| record::named(&path, &error))?;
    }
    let path = folder.join("report.html");
    let page = page::page(&recording, &trouble, &picture)?;
    fs::write(&path, page).map_err(|error| record::named(&path, &error))?;
    Ok(Drawn { path, trouble })
}

impl Picture {
    fn of(recording: &Recording, trouble: &Trouble, flights: &[Flight<'_>], moment: Option<f64>) -> Self {
        let origin = micros(recording.warmup);
        let lanes = lane::lanes(recording);
        let end = recording.end();
        let asked = moment.map(|seconds| {
            let away = micros(Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX));
            if seconds < 0.0 { origin.saturating_sub(away) } else { origin.saturating_add(away).min(end) }
        });
        let around = asked.or(trouble.at).unwrap_or(end / 2);
        Self {
            origin,
            end,
            moment: around,
            phases: recording.phases(),
            bands: bands::bands(recording),
            clients: Clients::of(recording),
            traffic: Traffic::of(flights, around, end),
            recoveries: recording.recoveries(),
            broken: recording.broken(),
            accused: trouble.accused.clone(),
            focus: asked
                .map(|at| (at.saturating_sub(1_000_000), (at + 1_000_000).min(end)))
                .or(trouble.focus),
            lanes,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
