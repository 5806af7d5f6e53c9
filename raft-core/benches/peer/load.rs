//! How much of the machine others had meanwhile (Linux; elsewhere nobody knows, and it says so).

use std::fs;
use std::time::Instant;

/// A tick of the kernel's accounts, in seconds.
const TICK: f64 = 0.01;

pub struct Load {
    began: Instant,
    all: Option<f64>,
    own: Option<f64>,
}

impl Load {
    pub fn now() -> Self {
        Self { began: Instant::now(), all: all(), own: own() }
    }

    /// Processors that other processes had since, on average.
    pub fn foreign(&self) -> f64 {
        let since = |now: Option<f64>, then: Option<f64>| Some((now? - then?) * TICK);
        let foreign = || Some(since(all(), self.all)? - since(own(), self.own)?);
        foreign().unwrap_or(f64::NAN) / self.began.elapsed().as_secs_f64()
    }
}

/// What all processors were busy: all but idle and waiting for a disk.
fn all() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    Some(ticks.iter().take(8).sum::<f64>() - ticks.get(3)? - ticks.get(4)?)
}

fn own() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let words: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?)
}
