//! A violation in the smallest terms: the few operations that no order explains, and what should have been answered.
//!
//! First the history is cut after the first answer that no order explains (what is linearizable stays so when its end is cut off).
//! Then operations are left out as long as no order explains the rest, and only those that the rest cannot be explained by: reads, and
//! what leaves only values that nothing else has to do with, see [`Traces`]. All of it within the limits of the search; where they are
//! met, the explanation is larger than it could be and as true.

use std::collections::{BTreeMap, BTreeSet};

use super::CounterExample;
use super::model::Model;
use super::operation::Operation;
use super::spec::{Spec, Traces};
use super::wgl::{Interval, Limits, Outcome, wgl};
use crate::history::Value;
use crate::inspect::plural;

/// The most steps of one search among those that make an explanation smaller.
const STEPS: u64 = 100_000;
/// How many answers that would have been right are told at most.
const ANSWERS: usize = 4;

type Intervals<S> = Vec<Interval<<S as Model>::Input, <S as Model>::Output>>;

/// Without the reads that nobody saw, which say nothing.
pub(super) fn said<S: Spec>(spec: &S, intervals: &[Interval<S::Input, S::Output>]) -> Intervals<S>
where
    S::Input: Clone,
    S::Output: Clone,
{
    let says = |interval: &&Interval<_, _>| interval.end.is_some() || !spec.is_read(&interval.input);
    intervals.iter().filter(says).cloned().collect()
}

/// Explains why no order explains `operations`, of which `intervals` are what the model needs.
pub(super) fn explain<S: Spec>(
    spec: &S,
    key: String,
    operations: &[Operation],
    intervals: &[Interval<S::Input, S::Output>],
    limits: &mut Limits<'_>,
) -> CounterExample
where
    S::Input: Clone,
    S::Output: Clone,
{
    let mut case = Case { spec, intervals, limits };
    let (culprit, end) = case.first_inexplicable();
    let left = case.smallest(culprit, end);
    let answers = case.right_answers(&left, culprit, end);
    let asked = &operations[culprit];
    let instead = match answers.as_slice() {
        [] => String::new(),
        [one] => format!(" and had to be {one}"),
        [more @ .., last] if answers.len() < ANSWERS => {
            format!(" and had to be {} or {last}", more.join(", "))
        }
        some => format!(" and had to be {}, or another", some.join(", ")),
    };
    let others = left.iter().filter(|position| **position != culprit);
    let involved: Vec<_> = [&culprit].into_iter().chain(others).map(|p| cut(&operations[*p], end)).collect();
    let explanation = format!(
        "no order explains {}: the answer to process {}'s {} is {}{instead}",
        plural(involved.len() as u64, "operation", "operations"),
        asked.process,
        asked.f,
        shown(asked),
    );
    CounterExample { key, operations: involved, explanation }
}

/// What was answered, for people.
fn shown(operation: &Operation) -> String {
    match operation.reply.as_ref().map(|reply| (&reply.value, reply.swapped)) {
        Some((_, Some(true))) => "done".to_owned(),
        Some((_, Some(false))) => "not done".to_owned(),
        Some((value, None)) => value.to_string(),
        None => "unknown".to_owned(),
    }
}

/// An operation as far as it had come at `end`.
fn cut(operation: &Operation, end: u64) -> Operation {
    let mut operation = operation.clone();
    if operation.ended.is_some_and(|ended| ended > end) {
        (operation.ended, operation.reply) = (None, None);
    }
    operation
}

struct Case<'a, 'l, S: Spec> {
    spec: &'a S,
    intervals: &'a [Interval<S::Input, S::Output>],
    limits: &'a mut Limits<'l>,
}

impl<S: Spec> Case<'_, '_, S>
where
    S::Input: Clone,
    S::Output: Clone,
{
    /// Whether it is certain that no order explains these operations up to `end`.
    fn is_stuck(&mut self, positions: &[usize], end: u64, steps: u64) -> bool {
        let intervals: Vec<_> = positions.iter().filter_map(|position| self.before(*position, end)).collect();
        let intervals = said(self.spec, &intervals);
        let mut limits = Limits { steps, cache_bytes: self.limits.cache_bytes, expired: self.limits.expired };
        matches!(wgl(self.spec, &intervals, &mut limits), Outcome::Stuck { .. })
    }

    /// An operation as far as it had come at `end`; none if it had not begun.
    fn before(&self, position: usize, end: u64) -> Option<Interval<S::Input, S::Output>> {
        let mut interval = self.intervals[position].clone();
        if interval.end.is_some_and(|ended| ended > end) {
            (interval.end, interval.output) = (None, None);
        }
        (interval.start < end).then_some(interval)
    }

    /// The first operation at whose end no order explains all that was there.
    fn first_inexplicable(&mut self) -> (usize, u64) {
        let all: Vec<_> = (0..self.intervals.len()).collect();
        let ends = self.intervals.iter().enumerate();
        let mut ends: Vec<(u64, usize)> =
            ends.filter_map(|(position, interval)| interval.end.map(|end| (end, position))).collect();
        ends.sort_unstable();
        let steps = self.limits.steps;
        // Up to the last end there is no order.
        let (mut low, mut high) = (0, ends.len().saturating_sub(1));
        while low < high {
            let middle = low.midpoint(high);
            if self.is_stuck(&all, ends[middle].0, steps) { high = middle } else { low = middle + 1 }
        }
        ends.get(high).map_or((0, u64::MAX), |&(end, position)| (position, end))
    }

    /// The few that are left of the operations up to `end`, in the order in which they began.
    fn smallest(&mut self, culprit: usize, end: u64) -> Vec<usize> {
        let mut left: Vec<usize> =
            (0..self.intervals.len()).filter(|position| self.intervals[*position].start < end).collect();
        // All that have to do with one value go together, before any goes alone.
        let mut groups: BTreeMap<Value, Vec<usize>> = BTreeMap::new();
        for &position in left.iter().filter(|position| **position != culprit) {
            let Traces { leaves, sees } = self.traces(position, end);
            if let Some(value) = leaves.into_iter().flatten().chain(sees.into_iter().flatten()).next() {
                groups.entry(value).or_default().push(position);
            }
        }
        self.without(&mut left, &groups.into_values().collect::<Vec<_>>(), end);
        let singles: Vec<_> =
            left.iter().filter(|position| **position != culprit).map(|position| vec![*position]).collect();
        // What saw something first: nothing that it saw can go before it.
        let (reads, others): (Vec<_>, Vec<_>) =
            singles.into_iter().partition(|single| self.traces(single[0], end).is_read());
        self.without(&mut left, &reads, end);
        self.without(&mut left, &others, end);
        left
    }

    /// Leaves out as many of the groups as can be: all, or each half by itself.
    fn without(&mut self, left: &mut Vec<usize>, groups: &[Vec<usize>], end: u64) {
        if groups.is_empty() || (self.limits.expired)() {
            return;
        }
        let gone: Vec<usize> = groups.iter().flatten().copied().collect();
        let rest: Vec<usize> = left.iter().filter(|position| !gone.contains(position)).copied().collect();
        if self.have_nothing_to_do_with(&gone, &rest, end) && self.is_stuck(&rest, end, STEPS) {
            *left = rest;
        } else if groups.len() > 1 {
            let (first, second) = groups.split_at(groups.len() / 2);
            self.without(left, second, end);
            self.without(left, first, end);
        }
    }

    /// Whether any order of all is one of the rest when those that are `gone` are left out.
    fn have_nothing_to_do_with(&self, gone: &[usize], rest: &[usize], end: u64) -> bool {
        let leaves: Option<Vec<_>> = gone.iter().map(|position| self.traces(*position, end).leaves).collect();
        let Some(leaves) = leaves.map(|leaves| leaves.into_iter().flatten().collect::<BTreeSet<_>>()) else {
            return false;
        };
        leaves.is_empty()
            || rest.iter().all(|position| {
                let sees = self.traces(*position, end).sees;
                sees.is_some_and(|sees| sees.iter().all(|value| !leaves.contains(value)))
            })
    }

    fn traces(&self, position: usize, end: u64) -> Traces {
        let interval = self.before(position, end);
        interval.map_or_else(Traces::default, |interval| {
            self.spec.traces(&interval.input, interval.output.as_ref())
        })
    }

    /// What the culprit could have answered, given all others that are `left`.
    fn right_answers(&mut self, left: &[usize], culprit: usize, end: u64) -> Vec<String> {
        let mut others: Vec<usize> = left.to_vec();
        others.retain(|position| *position != culprit);
        let mut answers = Vec::new();
        while answers.len() < ANSWERS {
            let model = Otherwise { spec: self.spec, answers: &answers };
            let intervals = others.iter().filter_map(|position| self.before(*position, end));
            let mut intervals: Vec<_> = said(self.spec, &intervals.collect::<Vec<_>>())
                .into_iter()
                .map(|Interval { input, output, start, end }| Interval {
                    input: (input, false),
                    output,
                    start,
                    end,
                })
                .collect();
            let asked = &self.intervals[culprit];
            let input = (asked.input.clone(), true);
            intervals.push(Interval { input, output: None, start: asked.start, end: asked.end });
            let mut limits =
                Limits { steps: STEPS, cache_bytes: self.limits.cache_bytes, expired: self.limits.expired };
            let Outcome::Linearizable { order } = wgl(&model, &intervals, &mut limits) else { break };
            let mut state = self.spec.init();
            for position in order {
                let Interval { input: (input, is_culprit), output, .. } = &intervals[position];
                if *is_culprit {
                    answers.push(self.spec.answer(&state, input));
                    break;
                }
                let Some(next) = self.spec.step(&state, input, output.as_ref()) else { break };
                state = next;
            }
        }
        answers.sort_unstable();
        answers
    }
}

/// The same model, where the operation that does not fit (it has a `true` beside it) answers something that is not among these.
struct Otherwise<'a, S> {
    spec: &'a S,
    answers: &'a [String],
}

impl<S: Spec> Model for Otherwise<'_, S> {
    type State = S::State;
    type Input = (S::Input, bool);
    type Output = S::Output;

    fn init(&self) -> Self::State {
        self.spec.init()
    }

    fn step(
        &self,
        state: &Self::State,
        (input, is_culprit): &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State> {
        if *is_culprit && self.answers.contains(&self.spec.answer(state, input)) {
            return None;
        }
        self.spec.step(state, input, output)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        self.spec.bytes(state)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::tests::{history, searched};

    /// Each row: what clients saw, and how it is explained: without all that has nothing to do with it.
    #[test]
    fn a_violation_is_told_in_the_smallest_terms() {
        for (script, expected) in [
            (
                "0 write 1, 0 ok, 3 write 2, 3 ok, 1 read, 1 ok 1",
                "key x: no order explains 3 operations: the answer to process 1's read is 1 and had to be 2\n    \
                 process 1 read 1, events 4 to 5: ok\n    \
                 process 0 write 1, events 0 to 1: ok\n    \
                 process 3 write 2, events 2 to 3: ok",
            ),
            // What came before and after, and what only others saw.
            (
                "5 write 7, 5 ok, 5 read, 5 ok 7, 0 write 1, 0 ok, 3 write 8, 2 read, 2 ok 1, 3 ok, 3 write 2, 3 ok, 1 read, \
                 6 cas 9 3, 1 ok 1, 6 ok false, 5 write 4, 5 ok, 5 read, 5 ok 2",
                "key x: no order explains 3 operations: the answer to process 1's read is 1 and had to be 2\n    \
                 process 1 read 1, events 12 to 14: ok\n    \
                 process 0 write 1, events 4 to 5: ok\n    \
                 process 3 write 2, events 10 to 11: ok",
            ),
            // An operation that nobody saw end may have been done, or not.
            (
                "0 write 1, 0 ok, 3 write 2, 3 info, 1 read, 1 ok null",
                "key x: no order explains 2 operations: the answer to process 1's read is null and had to be 1\n    \
                 process 1 read null, events 4 to 5: ok\n    \
                 process 0 write 1, events 0 to 1: ok",
            ),
            (
                "0 read, 0 ok 5",
                "key x: no order explains 1 operation: the answer to process 0's read is 5 and had to be null\n    \
                 process 0 read 5, events 0 to 1: ok",
            ),
            (
                "0 write 1, 0 ok, 0 cas 1 2, 1 cas 1 3, 0 ok true, 1 ok true",
                "key x: no order explains 3 operations: the answer to process 1's cas is done and had to be not done\n    \
                 process 1 cas [1 3], events 3 to 5: ok, done\n    \
                 process 0 write 1, events 0 to 1: ok\n    \
                 process 0 cas [1 2], events 2 to 4: ok, done",
            ),
            (
                "0 append a, 0 ok, 1 append b, 2 read, 2 ok b",
                "key x: no order explains 3 operations: the answer to process 2's read is b and had to be a or ab\n    \
                 process 2 read b, events 3 to 4: ok\n    \
                 process 0 append a, events 0 to 1: ok\n    \
                 process 1 append b, events 2 to ?: info",
            ),
        ] {
            let Verdict::NotLinearizable(found) = searched(&history(script)) else { panic!("{script}") };
            assert_eq!(found.to_string(), expected, "{script}");
        }
    }
}
