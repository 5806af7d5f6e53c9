//! How far it is, on standard error: a bar on a terminal, lines elsewhere, or nothing.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report;
use crate::report::COLUMNS;
use crate::sim::Pulse;
use crate::soak::Summary;

/// How progress is shown on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Lines.
    Plain,
    /// Nothing.
    None,
}

/// How wide a bar is, what is about it included.
const BAR: usize = 13;
/// A line is written after this long where there is no bar, or after each of so many parts of what there is to do.
const LINE_EVERY: Duration = Duration::from_secs(30);
const LINES: u64 = 20;
/// A line of one seed is written after this long.
const LINE_OF_SEED_EVERY: Duration = Duration::from_secs(10);

/// What is shown.
#[derive(Debug)]
pub(crate) struct Display {
    kind: Kind,
    began: Instant,
    /// How many seeds had ended before.
    before: Option<u64>,
}

#[derive(Debug)]
enum Kind {
    Bar(ProgressBar),
    Lines { name: String, total: Option<u64>, next: Duration },
    None,
}

impl Display {
    /// Of seeds of what has this name: so many, or without end.
    pub(crate) fn of_seeds(progress: Progress, name: &str, total: Option<u64>) -> Self {
        let bar = || match total {
            Some(total) => bar(ProgressBar::new(total), "[{bar:10}] {wide_msg}"),
            None => bar(ProgressBar::no_length(), "{spinner} {wide_msg}"),
        };
        Self::of_many(progress, name, total, bar)
    }

    /// Of a bench of so many rows.
    pub(crate) fn of_rows(progress: Progress, total: usize) -> Self {
        let total = total as u64;
        let bar = || bar(ProgressBar::new(total), "[{bar:10}] {wide_msg}");
        Self::of_many(progress, "bench", Some(total), bar)
    }

    fn of_many(
        progress: Progress,
        name: &str,
        total: Option<u64>,
        bar: impl FnOnce() -> ProgressBar,
    ) -> Self {
        let lines = || Kind::Lines { name: name.to_owned(), total, next: Duration::ZERO };
        Self::new(match progress {
            Progress::None => Kind::None,
            Progress::Plain => lines(),
            Progress::Auto => on_terminal(bar).map_or_else(lines, Kind::Bar),
        })
    }

    /// Of one seed, of what has this name, that takes so much virtual time. Where there is no bar its story is what is shown, unless
    /// lines are asked for.
    pub(crate) fn of_seed(progress: Progress, name: &str, length: Duration) -> Self {
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let bar = || bar(ProgressBar::new(millis), "[{bar:10}] {wide_msg}");
        Self::new(match progress {
            Progress::None => Kind::None,
            Progress::Plain => {
                Kind::Lines { name: name.to_owned(), total: Some(millis), next: Duration::ZERO }
            }
            Progress::Auto => on_terminal(bar).map_or(Kind::None, Kind::Bar),
        })
    }

    fn new(kind: Kind) -> Self {
        Self { kind, began: Instant::now(), before: None }
    }

    /// Whether anything is shown, so that it has to be known how a run stands.
    pub(crate) const fn shows(&self) -> bool {
        !matches!(self.kind, Kind::None)
    }

    /// Another seed has ended.
    pub(crate) fn seeds(&mut self, summary: &Summary) {
        let (all, failed) = (summary.all(), summary.failed());
        let (done, elapsed) = (all.seeds(), self.began.elapsed());
        let before = *self.before.get_or_insert(done.saturating_sub(1));
        match &mut self.kind {
            Kind::Bar(bar) => {
                bar.set_position(done);
                let rate = (done - before) as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
                bar.set_message(of_seeds(done, bar.length(), failed, rate, all.coverage.reached()));
            }
            Kind::Lines { name, total, next } => {
                if is_due(done, *total, elapsed, next) {
                    let virtual_h = all.counts.virtual_s / 3600.0;
                    let of = of(done, *total);
                    report::note(format_args!(
                        "{name}: {of}, {failed} failed, {} cells, {virtual_h:.2} virtual h, {:.0} s",
                        all.coverage.reached(),
                        elapsed.as_secs_f64()
                    ));
                }
            }
            Kind::None => {}
        }
    }

    /// So many rows have been measured, and this is what is done now.
    pub(crate) fn rows(&mut self, done: usize, now: &str) {
        let (done, elapsed) = (done as u64, self.began.elapsed());
        match &mut self.kind {
            Kind::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(cut(&format!("{} rows; {now}", out_of(done, bar.length()))));
            }
            Kind::Lines { name, total, next } => {
                if is_due(done, *total, elapsed, next) {
                    report::note(format_args!(
                        "{name}: {} rows, {now}, {:.0} s",
                        out_of(done, *total),
                        elapsed.as_secs_f64()
                    ));
                }
            }
            Kind::None => {}
        }
    }

    /// A seed has got so far.
    pub(crate) fn pulse(&mut self, pulse: &Pulse) {
        let elapsed = self.began.elapsed();
        let text = |millis: Option<u64>| {
            let length = Duration::from_millis(millis.unwrap_or(0));
            of_pulse(pulse, length.as_secs_f64(), elapsed.as_secs_f64())
        };
        match &mut self.kind {
            Kind::Bar(bar) => {
                let reached = Duration::try_from_secs_f64(pulse.virtual_s).unwrap_or_default();
                bar.set_position(u64::try_from(reached.as_millis()).unwrap_or(u64::MAX));
                bar.set_message(text(bar.length()));
            }
            Kind::Lines { name, total, next } => {
                if elapsed >= *next {
                    *next = elapsed + LINE_OF_SEED_EVERY;
                    report::note(format_args!("{name}: {}", text(*total)));
                }
            }
            Kind::None => {}
        }
    }

    /// Does what prints, with the bar out of its way.
    pub(crate) fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.kind {
            Kind::Bar(bar) => bar.suspend(print),
            Kind::Lines { .. } | Kind::None => print(),
        }
    }
}

/// Nothing of a bar is left when it is over.
impl Drop for Display {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

/// A bar, where somebody would see it.
fn on_terminal(bar: impl FnOnce() -> ProgressBar) -> Option<ProgressBar> {
    let bar = stderr().is_terminal().then(bar)?;
    (!bar.is_hidden()).then_some(bar)
}

fn bar(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Whether it is time for another line.
fn is_due(done: u64, total: Option<u64>, elapsed: Duration, next: &mut Duration) -> bool {
    let step = total.map(|total| (total / LINES).max(1));
    let is_due =
        elapsed >= *next || step.is_some_and(|step| done.is_multiple_of(step)) || total == Some(done);
    if is_due {
        *next = elapsed + LINE_EVERY;
    }
    is_due
}

fn out_of(done: u64, total: Option<u64>) -> String {
    total.map_or_else(|| done.to_string(), |total| format!("{done} of {total}"))
}

fn of(done: u64, total: Option<u64>) -> String {
    format!("{} seeds", out_of(done, total))
}

/// What stands behind a bar of many seeds.
fn of_seeds(done: u64, total: Option<u64>, failed: u64, rate: f64, cells: usize) -> String {
    cut(&format!("{}, {rate:.1} a second, {failed} failed, {cells} cells", of(done, total)))
}

/// What stands behind a bar of one seed.
fn of_pulse(pulse: &Pulse, length_s: f64, wall_s: f64) -> String {
    let Pulse { virtual_s, ok, elections, faults } = pulse;
    let digits = usize::from(length_s < 100.0);
    let speed = virtual_s / wall_s.max(f64::MIN_POSITIVE);
    let faults = if faults.is_empty() { "no fault".to_owned() } else { faults.join(", ") };
    let elections = elections.map_or_else(String::new, |elections| format!(", {elections} elections"));
    cut(&format!(
        "{virtual_s:.digits$}/{length_s:.digits$} virtual s, {speed:.0} a second, {ok} ok{elections}; {faults}"
    ))
}

/// As much as there is room for beside a bar.
fn cut(text: &str) -> String {
    let room = COLUMNS - BAR;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    format!("{}...", text.chars().take(room - 3).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: the faults in force, how long the run is, and what is shown when a tenth of it is over.
    #[test]
    fn a_seed_is_told_in_a_line_that_fits() {
        let many = ["membership", "clocks-of-all", "flicker"].map(str::to_owned);
        for (faults, length_s, elections, shown) in [
            (&[][..], 20.0, None, "2.0/20.0 virtual s, 4 a second, 1784 ok; no fault"),
            (&[], 20.0, Some(1), "2.0/20.0 virtual s, 4 a second, 1784 ok, 1 elections; no fault"),
            (&many[..1], 600.0, Some(1), "60/600 virtual s, 120 a second, 1784 ok, 1 elections; membership"),
            (&many, 600.0, Some(1), "60/600 virtual s, 120 a second, 1784 ok, 1 elections; membershi..."),
        ] {
            let pulse = Pulse { virtual_s: length_s / 10.0, ok: 1784, elections, faults: faults.to_vec() };
            let said = of_pulse(&pulse, length_s, 0.5);
            assert_eq!(said, shown);
            assert!(BAR + said.chars().count() <= COLUMNS, "{said}");
        }
    }

    #[test]
    fn seeds_are_counted_with_their_rate() {
        assert_eq!(
            of_seeds(37, Some(100), 2, 1.94, 612),
            "37 of 100 seeds, 1.9 a second, 2 failed, 612 cells"
        );
        assert_eq!(of_seeds(37, None, 0, 12.0, 0), "37 seeds, 12.0 a second, 0 failed, 0 cells");
    }
}
