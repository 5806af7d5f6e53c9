//! Two runs side by side, for people: lines of at most 100 columns, but for paths.

use std::collections::{BTreeMap, BTreeSet};

use super::side::{MEASURES, Side, Spread};
use super::{Cells, Comparison};

/// How many cells are named that only one of them has reached.
const NAMED: usize = 8;
/// Numbers that are within this factor of each other are told apart by nobody.
const ALIKE: f64 = 1.25;

pub(super) fn words(comparison: &Comparison) -> String {
    let [one, two] = &comparison.sides;
    let mut lines = vec![heading("A", one), heading("B", two), String::new()];
    lines.push(row("", "A", "B", "B/A"));
    for measure in &MEASURES {
        if let Some(line) = of_measure(measure.name, one, two) {
            lines.push(line);
        }
    }
    let names: BTreeSet<_> = one.errors.keys().chain(two.errors.keys()).collect();
    for name in names {
        let count = |side: &Side| side.errors.get(name).copied().unwrap_or(0).to_string();
        lines.push(row(name, &count(one), &count(two), ""));
    }
    if let Some(cells) = comparison.cells() {
        lines.extend(of_cells(&cells));
    }
    if let Some(same) = comparison.went_the_same_way() {
        let how = if same { "went the same way, event by event" } else { "went two ways" };
        lines.push(format!("\nevents    the same seed, simulated twice, {how}"));
    }
    let lies = lies(comparison);
    if !lies.is_empty() {
        lines.push("\nwhere the simulation lies".to_owned());
        lines.extend(lies.iter().map(|lie| format!("- {}", folded(lie))));
    }
    lines.join("\n")
}

fn heading(name: &str, side: &Side) -> String {
    let counts = |counts: &BTreeMap<String, usize>| {
        let of = |(what, count): (&String, &usize)| {
            if *count == side.runs { what.clone() } else { format!("{count} {what}") }
        };
        counts.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let (plans, modes, verdicts) = (counts(&side.plans), counts(&side.modes), counts(&side.verdicts));
    let runs = if side.runs == 1 { "1 run".to_owned() } else { format!("{} runs", side.runs) };
    format!("{name}  {runs}: {plans}; {modes}; {verdicts}\n   {}", side.path.display())
}

fn row(name: &str, one: &str, two: &str, ratio: &str) -> String {
    format!("{name:<20} {one:>28} {two:>28} {ratio:>8}").trim_end().to_owned()
}

/// None where neither says anything of it.
fn of_measure(name: &str, one: &Side, two: &Side) -> Option<String> {
    let spreads = [one, two].map(|side| side.spread(name));
    if spreads.iter().all(Option::is_none) {
        return None;
    }
    let ratio = ratio(spreads).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let [one, two] = spreads.map(|spread| spread.map_or_else(|| "-".to_owned(), told));
    Some(row(name, &one, &two, &ratio))
}

/// How many times as much the second is.
fn ratio([one, two]: [Option<Spread>; 2]) -> Option<f64> {
    let (one, two) = (one?.median, two?.median);
    (one > 0.0).then_some(two / one)
}

/// One number, or the one in the middle with the least and the most.
fn told(spread: Spread) -> String {
    let Spread { count, min, median, max } = spread;
    let [min, middle, max] = [min, median, max].map(number);
    if count == 1 || min == max { middle } else { format!("{middle} ({min}..{max})") }
}

fn number(number: f64) -> String {
    let text = format!("{number:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if number >= 1_000.0 => format!("{number:.0}"),
        None => text,
    }
}

fn of_cells(cells: &Cells) -> Vec<String> {
    let Cells { both, only } = cells;
    let [one, two] = only.each_ref().map(|only| (both + only.len()).to_string());
    let mut lines = vec![row("cells", &one, &two, "")];
    for (name, only) in ["A", "B"].iter().zip(only).filter(|(_, only)| !only.is_empty()) {
        lines.push(format!("\nonly {name}    {} cells of the protocol", only.len()));
        lines.extend(only.iter().take(NAMED).map(|cell| format!("          {cell}")));
        if let more @ 1.. = only.len().saturating_sub(NAMED) {
            lines.push(format!("          and {more} more, which --format json names"));
        }
    }
    lines
}

/// What it does to the numbers that one was simulated and the other real. Nothing of two of a kind.
pub(super) fn lies(comparison: &Comparison) -> Vec<String> {
    let Some((sim, real)) = comparison.simulated() else { return Vec::new() };
    let both = |name: &str| {
        let told_of = |side: &Side| side.spread(name).map_or_else(|| "none".to_owned(), told);
        format!("{} simulated, {} real", told_of(sim), told_of(real))
    };
    let is_alike = |name: &str| {
        let ratio = ratio([sim.spread(name), real.spread(name)]);
        ratio.is_some_and(|ratio| (1.0 / ALIKE..=ALIKE).contains(&ratio))
    };
    let mut lies = vec![format!(
        "Latency (p50 ms: {}; p99 ms: {}) has no processor time in it where it is simulated, and no waiting for a core: a \
         message takes what the plan says of links (sim.link), and the clock moves in steps of sim.tick. What is real takes \
         what this machine takes, and its links have no delay.",
        both("p50 ms"),
        both("p99 ms")
    )];
    lies.push(format!(
        "A sync takes a time that is drawn, half a millisecond to four, where it is simulated and no fault says otherwise; what is \
         real waits for this disk, and for whoever else writes to it (slowest ms: {}).",
        both("slowest ms")
    ));
    let keep_up = if is_alike("ok a second") { "keep up alike" } else { "do not keep up alike" };
    lies.push(format!(
        "Throughput (ok a second: {}) is what clients offer by workload.rate, as far as it is served: these two {keep_up}. It \
         is no measure of speed: that is raft-chaos bench.",
        both("ok a second")
    ));
    let both_know = |name: &str| sim.spread(name).is_some() && real.spread(name).is_some();
    let either_knows = |name: &str| sim.spread(name).is_some() || real.spread(name).is_some();
    if both_know("heals") && either_knows("heal to commit ms") {
        lies.push(format!(
            "Recovery (heal to commit ms: {}) hangs on election timeouts, which are drawn, and on back-off of connections: \
             compare many seeds. Real nodes also start processes and open RocksDB from a real disk when they come back.",
            both("heal to commit ms")
        ));
    }
    if both_know("elections") {
        lies.push(format!(
            "Elections ({}) and terms ({}) are the same each time that a simulated seed runs; a real run is one draw of many, for \
             the machine schedules it.",
            both("elections"),
            both("terms")
        ));
    }
    lies.push(format!(
        "Memory (MB: {}) is that of all nodes together where they are simulated; of real ones it is that of the tool, for \
         nodes are processes of their own.",
        both("memory MB")
    ));
    lies
}

/// Broken between words; what is broken off is indented.
fn folded(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 96 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_told_alone_and_many_with_their_ends() {
        let spread = |count, min, median, max| Spread { count, min, median, max };
        assert_eq!(told(spread(1, 7.0, 7.0, 7.0)), "7");
        assert_eq!(told(spread(3, 0.25, 7.5, 12_345.6)), "7.5 (0.2..12346)");
        assert_eq!(told(spread(3, 2.0, 2.0, 2.0)), "2");
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        let text = folded(&"word ".repeat(40));
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.len() <= 98), "{text}");
    }
}
