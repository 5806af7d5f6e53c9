//! What `run` and `soak` have in common: which part of the seeds runs, for how long, and how that is shown.

use std::time::{Duration, Instant};

use clap::Args;

use crate::plan;
use crate::progress::Progress;
use crate::runner::Ends;
use crate::soak::Shard;

/// Of the command lines of both.
#[derive(Debug, Args)]
pub(super) struct Bounds {
    /// Begin no seed after this long, as in 8h or 45m.
    #[arg(long, value_name = "DURATION", value_parser = plan::duration)]
    max_time: Option<Duration>,
    /// Run only the I-th of every N seeds; 1/N to N/N together run all of them.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "1/1")]
    pub(super) shard: Shard,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: Progress,
}

impl Bounds {
    /// When no seed begins any more, counted from now.
    pub(super) fn ends(&self, at_failure: bool) -> Ends {
        let at = self.max_time.and_then(|time| Instant::now().checked_add(time));
        Ends { at, at_failure }
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
    match parsed {
        Some((nth, of)) if 1 <= nth && nth <= of => Ok(Shard { nth, of }),
        _ => Err("write two whole numbers, as in 2/4 for the second of four".to_owned()),
    }
}
