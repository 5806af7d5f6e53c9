//! What lists betray: every read of a list tells in which order all appends before it were, and that must fit together.
//!
//! After Elle (Kingsbury and Alvaro, 2020), in time linear in the history but for its sorting. It shares nothing with
//! [`linearizable`](crate::linearizable): no model, no search, no order of the log. What it can name:
//!
//! | name | is |
//! | --- | --- |
//! | `garbage-read` | an item was read that nobody appended |
//! | `duplicate-elements` | an item was read twice in one list |
//! | `G1a` | an item was read whose append failed (dirty read) |
//! | `G1b` | a list was read as it was in the middle of a transaction |
//! | `internal` | a transaction does not see what it did itself |
//! | `incompatible-order` | two reads do not tell one order |
//! | `G0` | appends of transactions are in a circle |
//! | `G1c` | with what was read |
//! | `G-single`, `G2` | with one, or more, reads that lack what must be before them |
//! | the same with `-realtime` | with what had ended before another began: stale reads, lost appends |

mod graph;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::history::{History, Value};
use graph::{Edge, Graph, Why};
use transactions::{Step, Transaction, transactions};

/// Something that no serial order in real time explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Its name, after Adya and Elle.
    pub name: String,
    /// The indexes of the `invoke`s of those that it is about.
    pub operations: Vec<u64>,
    /// What it is, in words.
    pub explanation: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.explanation)
    }
}

/// All that is wrong with single transactions, and the worst circle. Without any, every list is strictly serializable, as far as
/// reads show it.
///
/// # Errors
///
/// A sentence, where the history is none of lists, or an item is appended to a list twice, which leaves open which was read.
pub fn find(history: &History) -> Result<Vec<Anomaly>, String> {
    let transactions = transactions(history)?;
    let lists = Lists::new(&transactions)?;
    let mut found = Vec::new();
    for transaction in transactions.iter().filter(|transaction| transaction.is_ok()) {
        lists.look_at(transaction, &mut found);
    }
    found.extend(lists.circle());
    Ok(found)
}

/// Who appended an item: a place among all transactions, and whether it appended more to that list afterwards.
struct Writer {
    place: usize,
    is_last: bool,
}

struct Lists<'a> {
    all: &'a [Transaction],
    writers: BTreeMap<(&'a str, &'a Value), Writer>,
    /// The longest list that was read of each key, and who read it.
    longest: BTreeMap<&'a str, (&'a [Value], usize)>,
}

impl<'a> Lists<'a> {
    fn new(all: &'a [Transaction]) -> Result<Self, String> {
        let mut writers: BTreeMap<(&str, &Value), Writer> = BTreeMap::new();
        let mut longest: BTreeMap<&str, (&[Value], usize)> = BTreeMap::new();
        for (place, transaction) in all.iter().enumerate() {
            let mut last = BTreeMap::new();
            for (key, item) in transaction.appends() {
                if writers.insert((key, item), Writer { place, is_last: true }).is_some() {
                    return Err(format!("history: {item} is appended to {key} twice; append each item once"));
                }
                if let Some(before) = last.insert(key, item)
                    && let Some(writer) = writers.get_mut(&(key, before))
                {
                    writer.is_last = false;
                }
            }
            for (key, list) in transaction.reads() {
                let known = longest.entry(key).or_insert((list, place));
                if list.len() > known.0.len() {
                    *known = (list, place);
                }
            }
        }
        Ok(Self { all, writers, longest })
    }

    /// What is wrong with what one transaction read.
    fn look_at(&self, transaction: &Transaction, found: &mut Vec<Anomaly>) {
        let mut note = |name: &str, other: Option<&Transaction>, explanation: String| {
            let operations = [Some(transaction), other].into_iter().flatten();
            let operations = operations.map(|transaction| transaction.invoked).collect();
            found.push(Anomaly { name: name.to_owned(), operations, explanation });
        };
        let shown = transaction.shown();
        for (key, list) in transaction.reads() {
            let mut seen = BTreeSet::new();
            for item in list {
                let writer = self.writers.get(&(key, item)).map(|writer| &self.all[writer.place]);
                match writer {
                    None => note("garbage-read", None, format!("{shown}: nobody appended {item}")),
                    Some(writer) if writer.failed => {
                        let failed = format!("{shown}: {item} is of {}, which failed", writer.shown());
                        note("G1a", Some(writer), failed);
                    }
                    Some(_) => {}
                }
                if !seen.insert(item) {
                    note("duplicate-elements", writer, format!("{shown}: {item} was appended once"));
                }
            }
            if let Some(last) = list.last()
                && let Some(Writer { place, is_last: false }) = self.writers.get(&(key, last))
                && self.all[*place].invoked != transaction.invoked
            {
                let writer = &self.all[*place];
                note("G1b", Some(writer), format!("{shown}: in the middle of {}", writer.shown()));
            }
            if let Some((longest, place)) = self.longest.get(key)
                && !longest.starts_with(list)
            {
                let other = &self.all[*place];
                note(
                    "incompatible-order",
                    Some(other),
                    format!("{shown} is no beginning of {}", other.shown()),
                );
            }
        }
        if let Some(expected) = contradicts_itself(&transaction.steps) {
            note("internal", None, format!("{shown}: by its own steps it had to read {expected}"));
        }
    }

    /// The worst circle among transactions that were done.
    fn circle(&self) -> Option<Anomaly> {
        let mut graph = Graph::default();
        let observed = self.orders(&mut graph);
        self.real_time(&observed, &mut graph);
        use Why::{ReadWrite, RealTime, WriteRead, WriteWrite};
        let levels: [&[Why]; 6] = [
            &[WriteWrite],
            &[WriteWrite, WriteRead],
            &[WriteWrite, WriteRead, ReadWrite],
            &[WriteWrite, RealTime],
            &[WriteWrite, WriteRead, RealTime],
            &[WriteWrite, WriteRead, ReadWrite, RealTime],
        ];
        let cycle = levels.iter().find_map(|reasons| graph.cycle(reasons))?;
        Some(self.told(&cycle))
    }

    /// What follows from the order of each list. Gives the transactions that were done: all that are ok, and those of which an
    /// item was read.
    fn orders(&self, graph: &mut Graph) -> BTreeSet<usize> {
        let mut done: BTreeSet<usize> =
            (0..self.all.len()).filter(|place| self.all[*place].is_ok()).collect();
        let mut writer_at: BTreeMap<&str, Vec<Option<usize>>> = BTreeMap::new();
        for (&key, (list, _)) in &self.longest {
            let writers: Vec<_> =
                list.iter().map(|item| self.writers.get(&(key, item)).map(|writer| writer.place)).collect();
            done.extend(writers.iter().flatten());
            for pair in writers.windows(2) {
                if let [Some(before), Some(after)] = pair {
                    graph.add(*before, *after, Why::WriteWrite);
                }
            }
            writer_at.insert(key, writers);
        }
        let unread = self.unread();
        for (key, unread) in &unread {
            if let Some(Some(last)) = writer_at.get(key).and_then(|writers| writers.last()) {
                unread.iter().for_each(|place| graph.add(*last, *place, Why::WriteWrite));
            }
        }
        for (place, transaction) in self.all.iter().enumerate() {
            for (key, list) in transaction.reads() {
                let writers = &writer_at[key];
                if let Some(Some(writer)) = list.len().checked_sub(1).and_then(|last| writers.get(last)) {
                    graph.add(*writer, place, Why::WriteRead);
                }
                match writers.get(list.len()) {
                    Some(Some(next)) => graph.add(place, *next, Why::ReadWrite),
                    Some(None) => {}
                    None => {
                        let unread = unread.get(key).into_iter().flatten();
                        unread.for_each(|next| graph.add(place, *next, Why::ReadWrite));
                    }
                }
            }
        }
        done
    }

    /// Appends that were ok and that no read has: they come after all that was read. Of those that are alone in their
    /// transactions the one that ended first stands for all, because what began after another one's end began after its end too.
    fn unread(&self) -> BTreeMap<&'a str, Vec<usize>> {
        let mut read: BTreeMap<&str, BTreeSet<&Value>> = BTreeMap::new();
        for (key, (list, _)) in &self.longest {
            read.insert(key, list.iter().collect());
        }
        let mut unread: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, transaction) in self.all.iter().enumerate().filter(|(_, transaction)| transaction.is_ok())
        {
            for (key, item) in transaction.appends() {
                if read.get(key).is_some_and(|read| read.contains(item)) {
                } else if transaction.steps.len() > 1 {
                    unread.entry(key).or_default().push(place);
                } else {
                    let known = first.entry(key).or_insert(place);
                    if transaction.ended < self.all[*known].ended {
                        *known = place;
                    }
                }
            }
        }
        first.into_iter().for_each(|(key, place)| unread.entry(key).or_default().push(place));
        unread
    }

    /// What had ended before another began. Only from those that no other one stands between.
    fn real_time(&self, done: &BTreeSet<usize>, graph: &mut Graph) {
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for &place in done {
            events.push((self.all[place].invoked, false, place));
            events.extend(self.all[place].ended.map(|ended| (ended, true, place)));
        }
        events.sort_unstable();
        let mut latest: Vec<usize> = Vec::new();
        for (_, is_end, place) in events {
            if is_end {
                let invoked = self.all[place].invoked;
                // What had ended before this began is before whatever comes after it, by this one.
                latest.retain(|other| self.all[*other].ended.is_none_or(|ended| ended > invoked));
                latest.push(place);
            } else {
                latest.iter().for_each(|before| graph.add(*before, place, Why::RealTime));
            }
        }
    }

    fn told(&self, cycle: &[Edge]) -> Anomaly {
        let reads = cycle.iter().filter(|(.., why)| *why == Why::ReadWrite).count();
        let read = cycle.iter().any(|(.., why)| *why == Why::WriteRead);
        let real_time = cycle.iter().any(|(.., why)| *why == Why::RealTime);
        let name = match (reads, read) {
            (0, false) => "G0",
            (0, true) => "G1c",
            (1, _) => "G-single",
            (_, _) => "G2",
        };
        let because = |(from, to, why): &Edge| {
            let (from, to) = (self.all[*from].shown(), self.all[*to].shown());
            match why {
                Why::WriteWrite => format!("{from} is before {to} in the list"),
                Why::WriteRead => format!("{from} is before {to}, which has it"),
                Why::ReadWrite => format!("{from} is before {to}, which it has not"),
                Why::RealTime => format!("{from} had ended before {to} began"),
            }
        };
        let because: Vec<_> = cycle.iter().map(because).collect();
        Anomaly {
            name: format!("{name}{}", if real_time { "-realtime" } else { "" }),
            operations: cycle.iter().map(|(from, ..)| self.all[*from].invoked).collect(),
            explanation: format!("a circle:\n    {}", because.join(",\n    ")),
        }
    }
}

/// What a transaction had to read by its own earlier steps, where it read something else.
fn contradicts_itself(steps: &[Step]) -> Option<Value> {
    let mut known: BTreeMap<&str, (bool, Vec<Value>)> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Append { key, item } => known.entry(key).or_default().1.push(item.clone()),
            Step::Read { list: None, .. } => {}
            Step::Read { key, list: Some(list) } => {
                let (whole, end) = known.entry(key).or_default();
                let fits = if *whole { list == end } else { list.ends_with(end) };
                if !fits {
                    return Some(Value::List(end.clone()));
                }
                (*whole, *end) = (true, list.clone());
            }
        }
    }
    None
}
