//! One change of the rules.

use std::collections::BTreeMap;
use std::ops::Range;

/// A change of one place in one file.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// What the environment variable names it by, from 1 on.
    pub(crate) id: u32,
    pub(crate) line: usize,
    name: String,
}

impl Mutant {
    /// Where it is and what it changes; the same as long as the function is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// How a place can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Another expression takes the place of this one.
    Expression,
    /// The statement is left out.
    Statement,
    /// The function returns before it has done anything. The range is empty, and just within the body.
    Body,
}

/// A place in a file, and what may stand there instead: a mutant each.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) range: Range<usize>,
    pub(crate) shape: Shape,
    pub(crate) instead: Vec<(u32, String)>,
}

/// What was found in one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// The place, how it is changed, the function, the line, what stands there, and what is to.
    pub(crate) changes: Vec<Change>,
    /// The word `const` before functions: the switch is no constant.
    pub(crate) consts: Vec<Range<usize>>,
}

/// A change without a number yet.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) range: Range<usize>,
    pub(crate) shape: Shape,
    pub(crate) function: String,
    pub(crate) line: usize,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Gives numbers and names to what was found in `file`: two of the same name in a function are told apart by counting.
pub(crate) fn numbered(file: &str, changes: Vec<Change>, next: &mut u32) -> (Vec<Mutant>, Vec<Site>) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut places: BTreeMap<(usize, usize, Shape), Vec<(u32, String)>> = BTreeMap::new();
    let mut mutants = Vec::new();
    for Change { range, shape, function, line, from, to } in changes {
        let alternatives = places.entry((range.start, range.end, shape)).or_default();
        if alternatives.iter().any(|(_, known)| *known == to) {
            continue;
        }
        let written = if to.is_empty() { "nothing" } else { &to };
        let plain = format!("{file} {function}: {} => {}", one_line(&from), one_line(written));
        let times = seen.entry(plain.clone()).and_modify(|times| *times += 1).or_insert(1);
        let name = if *times == 1 { plain } else { format!("{plain} ({times})") };
        alternatives.push((*next, to));
        mutants.push(Mutant { id: *next, line, name });
        *next += 1;
    }
    let site = |((start, end, shape), instead)| Site { range: start..end, shape, instead };
    (mutants, places.into_iter().map(site).collect())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
