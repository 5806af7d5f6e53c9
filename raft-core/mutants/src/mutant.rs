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

/// Gives numbers and names to what was found in `file`: those of one place follow one another, as the question there is
/// for all from the first to the last. Two of the same name in a function are told apart by counting.
pub(crate) fn numbered(file: &str, changes: Vec<Change>, next: &mut u32) -> (Vec<Mutant>, Vec<Site>) {
    let mut places: BTreeMap<(usize, usize, Shape), Vec<Change>> = BTreeMap::new();
    for change in changes {
        let Change { range, shape, .. } = &change;
        let place = places.entry((range.start, range.end, *shape)).or_default();
        if place.iter().all(|known| known.to != change.to) {
            place.push(change);
        }
    }
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let (mut mutants, mut sites) = (Vec::new(), Vec::new());
    for ((start, end, shape), changes) in places {
        let mut instead = Vec::new();
        for Change { function, line, from, to, .. } in changes {
            let written = if to.is_empty() { "nothing" } else { &to };
            let plain = format!("{file} {function}: {} => {}", one_line(&from), one_line(written));
            let times = seen.entry(plain.clone()).and_modify(|times| *times += 1).or_insert(1);
            let name = if *times == 1 { plain } else { format!("{plain} ({times})") };
            mutants.push(Mutant { id: *next, line, name });
            instead.push((*next, to));
            *next += 1;
        }
        sites.push(Site { range: start..end, shape, instead });
    }
    (mutants, sites)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operand of `&&` that is a comparison is found twice: as an operand, and as a comparison.
    #[test]
    fn the_mutants_of_a_place_are_numbered_one_after_the_other() {
        let change = |range, to: &str| Change {
            range,
            shape: Shape::Expression,
            function: "f".into(),
            line: 1,
            from: "a".into(),
            to: to.into(),
        };
        let found =
            vec![change(0..5, "true"), change(9..14, "true"), change(0..5, "a == b"), change(0..5, "true")];
        let (mutants, sites) = numbered("x.rs", found, &mut 7);
        let ids: Vec<Vec<u32>> =
            sites.iter().map(|site| site.instead.iter().map(|(id, _)| *id).collect()).collect();
        assert_eq!(ids, [vec![7, 8], vec![9]]);
        let names: Vec<_> = mutants.iter().map(Mutant::name).collect();
        assert_eq!(names, ["x.rs f: a => true", "x.rs f: a => a == b", "x.rs f: a => true (2)"]);
    }
}
