//! The search for any order: Wing and Gong's, with Lowe's list and cache.
//!
//! Beginnings and ends stand in one list in real-time order. An operation that fits is lifted out of the list, and the
//! search goes on from the front; at an end that is still there all orders with these choices are through, and
//! the last choice is undone. A set of chosen operations that led to the same state before is not tried again.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::mem::size_of;

use super::model::Model;

/// An operation as the search needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval<I, O> {
    /// What was asked.
    pub input: I,
    /// What was answered; none if nobody saw it.
    pub output: Option<O>,
    /// When it began. All beginnings and ends differ.
    pub start: u64,
    /// When it had ended; without an end it may take effect at any later time, or never.
    pub end: Option<u64>,
}

/// How far a search goes.
pub struct Limits<'a> {
    /// The most operations tried, each choice anew.
    pub steps: u64,
    /// The most bytes of the cache, about.
    pub cache_bytes: usize,
    /// Asked every few thousand steps: whether the search must end now.
    pub expired: &'a mut dyn FnMut() -> bool,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An order, as positions. Operations without an end that are not in it never took effect.
    Linearizable {
        /// First to last.
        order: Vec<usize>,
    },
    /// There is none.
    Stuck {
        /// The longest beginning of an order that was found.
        order: Vec<usize>,
        /// The operation that had ended there and could not be put into the order.
        blocked: usize,
    },
    /// A limit was met.
    Unknown {
        /// Which, in words.
        why: String,
    },
}

/// How many steps go between two questions for the time.
const STEPS_BETWEEN_QUESTIONS: u64 = 4096;

/// Looks for an order of `intervals` that `model` can answer so.
pub fn wgl<M: Model>(
    model: &M,
    intervals: &[Interval<M::Input, M::Output>],
    limits: &mut Limits<'_>,
) -> Outcome {
    let mut list = List::new(intervals);
    let mut chosen = Chosen::new(intervals.len());
    let mut cache = Cache::<M>::default();
    let mut unplaced = intervals.iter().filter(|interval| interval.end.is_some()).count();
    let mut state = model.init();
    let mut stack: Vec<(usize, M::State)> = Vec::new();
    let mut longest: (Vec<usize>, usize) = (Vec::new(), 0);
    let mut steps = 0_u64;
    let mut node = list.first();
    while unplaced > 0 {
        steps += 1;
        if steps > limits.steps {
            return Outcome::Unknown { why: format!("more than {} steps", limits.steps) };
        }
        if steps.is_multiple_of(STEPS_BETWEEN_QUESTIONS) && (limits.expired)() {
            return Outcome::Unknown { why: format!("out of time after {steps} steps") };
        }
        if let Some(position) = list.begins(node) {
            let interval = &intervals[position];
            let next = model.step(&state, &interval.input, interval.output.as_ref());
            if let Some(next) = next {
                chosen.insert(position);
                if cache.insert(model, &chosen, &next) {
                    if cache.bytes() > limits.cache_bytes {
                        return Outcome::Unknown { why: format!("more than {} bytes", limits.cache_bytes) };
                    }
                    unplaced -= usize::from(interval.end.is_some());
                    stack.push((position, std::mem::replace(&mut state, next)));
                    list.lift(position);
                    node = list.first();
                    continue;
                }
                chosen.remove(position);
            }
            node = list.after(node);
        } else {
            if stack.len() >= longest.0.len() {
                longest = (stack.iter().map(|(position, _)| *position).collect(), list.ends(node));
            }
            let Some((position, before)) = stack.pop() else {
                return Outcome::Stuck { order: longest.0, blocked: longest.1 };
            };
            state = before;
            chosen.remove(position);
            unplaced += usize::from(intervals[position].end.is_some());
            node = list.unlift(position);
        }
    }
    Outcome::Linearizable { order: stack.into_iter().map(|(position, _)| position).collect() }
}

/// A set of chosen operations, as [`Chosen::window`] gives it, and the state that it led to.
type Seen<S> = (Box<[u64]>, usize, S);

/// What was tried. Its order never matters, and its hashes are the same in every run.
struct Cache<M: Model> {
    seen: HashSet<Seen<M::State>, BuildHasherDefault<DefaultHasher>>,
    /// What lies beside the table, on the heap.
    beside: usize,
}

impl<M: Model> Default for Cache<M> {
    fn default() -> Self {
        Self { seen: HashSet::default(), beside: 0 }
    }
}

impl<M: Model> Cache<M> {
    /// Whether this is new.
    fn insert(&mut self, model: &M, chosen: &Chosen, state: &M::State) -> bool {
        let (window, first) = chosen.window();
        let bytes = on_the_heap(8 * window.len()) + on_the_heap(model.bytes(state));
        let new = self.seen.insert((window, first, state.clone()));
        self.beside += if new { bytes } else { 0 };
        new
    }

    /// About how many bytes it takes to hold this, and one more: a table that is full is held beside the one that takes its
    /// place, which is twice as large.
    fn bytes(&self) -> usize {
        let (places, is_full) = (self.seen.capacity(), self.seen.len() == self.seen.capacity());
        // An eighth of a table stays empty, and each place has a byte more than what is in it.
        let table = places / 7 * 8 * (size_of::<Seen<M::State>>() + 1);
        self.beside + if is_full { 3 * table } else { table }
    }
}

/// What a heap takes for so many bytes, about: it adds a word of its own and rounds up.
fn on_the_heap(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}

/// Beginnings and ends in real-time order, doubly linked. Node 0 is the head; the operation at `position` begins
/// at node `2 * position + 1` and ends at the next; one without an end has no such node in the list.
struct List {
    next: Vec<usize>,
    prev: Vec<usize>,
    open: Vec<bool>,
}

impl List {
    fn new<I, O>(intervals: &[Interval<I, O>]) -> Self {
        let mut nodes: Vec<(u64, usize)> = Vec::with_capacity(2 * intervals.len());
        for (position, interval) in intervals.iter().enumerate() {
            nodes.push((interval.start, 2 * position + 1));
            nodes.extend(interval.end.map(|end| (end, 2 * position + 2)));
        }
        nodes.sort_unstable();
        let count = 2 * intervals.len() + 1;
        let open = intervals.iter().map(|interval| interval.end.is_none()).collect();
        let mut list = Self { next: vec![0; count], prev: vec![0; count], open };
        let mut last = 0;
        for (_, node) in nodes {
            list.next[last] = node;
            list.prev[node] = last;
            last = node;
        }
        list.next[last] = 0;
        list.prev[0] = last;
        list
    }

    fn first(&self) -> usize {
        self.next[0]
    }

    fn after(&self, node: usize) -> usize {
        self.next[node]
    }

    /// The operation that begins at `node`.
    fn begins(&self, node: usize) -> Option<usize> {
        (node % 2 == 1).then_some(node / 2)
    }

    /// The operation that ends at `node`.
    fn ends(&self, node: usize) -> usize {
        (node / 2).saturating_sub(1)
    }

    fn lift(&mut self, position: usize) {
        self.unlink(2 * position + 1);
        if !self.open[position] {
            self.unlink(2 * position + 2);
        }
    }

    /// Puts an operation back where it was, and gives the node after its beginning.
    fn unlift(&mut self, position: usize) -> usize {
        if !self.open[position] {
            self.relink(2 * position + 2);
        }
        self.relink(2 * position + 1);
        self.next[2 * position + 1]
    }

    fn unlink(&mut self, node: usize) {
        let (prev, next) = (self.prev[node], self.next[node]);
        self.next[prev] = next;
        self.prev[next] = prev;
    }

    fn relink(&mut self, node: usize) {
        let (prev, next) = (self.prev[node], self.next[node]);
        self.next[prev] = node;
        self.prev[next] = node;
    }
}

/// A set of operations. Most are a gapless beginning and a few more, and it is kept in the cache so.
struct Chosen {
    words: Vec<u64>,
    /// All words before it are full.
    first: usize,
    /// All words from it on are empty.
    end: usize,
}

impl Chosen {
    fn new(count: usize) -> Self {
        Self { words: vec![0; count / 64 + 1], first: 0, end: 0 }
    }

    fn insert(&mut self, position: usize) {
        self.words[position / 64] |= 1 << (position % 64);
        self.end = self.end.max(position / 64 + 1);
        while self.first < self.words.len() && self.words[self.first] == u64::MAX {
            self.first += 1;
        }
    }

    fn remove(&mut self, position: usize) {
        self.words[position / 64] &= !(1 << (position % 64));
        self.first = self.first.min(position / 64);
        while self.end > 0 && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    /// The words that are neither in the full beginning nor in the empty rest, and where they start.
    fn window(&self) -> (Box<[u64]>, usize) {
        (self.words[self.first..self.end.max(self.first)].into(), self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::KeyValue;
    use super::*;

    /// What grows is held twice for a while, and what lies beside the table is more than its bytes.
    #[test]
    fn a_cache_counts_all_that_it_takes_to_hold_it() {
        let (mut cache, mut chosen) = (Cache::<KeyValue>::default(), Chosen::new(1_000));
        let mut place = 0;
        let mut grow = |cache: &mut Cache<KeyValue>, entries: usize| {
            while cache.seen.len() < entries {
                chosen.insert(2 * place);
                assert!(cache.insert(&KeyValue, &chosen, &None));
                place += 1;
            }
            cache.bytes()
        };
        // Of a table of 64 places 56 are used.
        let full = grow(&mut cache, 56);
        assert_eq!(cache.seen.capacity(), 56);
        let (entry, window) = (size_of::<Seen<Option<Arc<str>>>>(), 32);
        assert!(full >= 3 * 64 * entry + 56 * window, "{full}");
        let grown = grow(&mut cache, 57);
        assert!(grown < full && grown >= 128 * entry + 57 * window, "{grown} after {full}");
    }
}
