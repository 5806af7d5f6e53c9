//! Histories known good and known bad, and random ones against a checker that tries every order.

use raft_core::LogIndex;

use super::*;
use crate::history::{Event, F, Reply, Type, Value};
use crate::recorder::{Outcome as End, Recorder, Started};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(u64::try_from(n).expect("fits"))).expect("below a usize")
    }
}

fn text(text: &str) -> Value {
    if text == "null" { Value::Null } else { Value::Text(text.to_owned()) }
}

/// A history from words: `0 write 1` begins, `0 ok`, `0 fail`, `0 info` and `0 late` (out of time, and not done) end; a read ends with `0 ok 1`, a
/// compare-and-set begins with `0 cas 1 2` and ends with `0 ok true`.
pub(super) fn history(script: &str) -> History {
    let mut history = History::default();
    let mut open: Vec<(u64, Event)> = Vec::new();
    for (index, line) in script.split(',').enumerate() {
        let words: Vec<_> = line.split_whitespace().collect();
        let process = words[0].parse().expect("a process");
        let value = words.get(2).map_or(Value::Null, |word| text(word));
        let begun = |f| Event {
            index: 0,
            process,
            kind: Type::Invoke,
            f,
            key: "x".to_owned(),
            value: value.clone(),
            swapped: None,
            time_ns: 0,
            node: None,
            log_index: None,
            done: None,
        };
        let mut event = match words[1] {
            f @ ("read" | "write" | "append" | "delete") => begun(F::new(f.to_owned())),
            "cas" => Event { value: Value::swap(text(words[2]), text(words[3])), ..begun(F::new("cas")) },
            end => {
                let position = open.iter().position(|(other, _)| *other == process).expect("begun");
                let mut event = open.remove(position).1;
                event.kind = match end {
                    "ok" => Type::Ok,
                    "fail" => Type::Fail,
                    _ => Type::Info,
                };
                event.done = (end == "late").then_some(false);
                if event.f == F::READ {
                    event.value = value;
                } else if event.f.name() == "cas" && event.kind == Type::Ok {
                    event.swapped = Some(words[2] == "true");
                }
                event
            }
        };
        if event.kind == Type::Invoke {
            open.push((process, event.clone()));
        }
        event.index = u64::try_from(index).expect("fits");
        event.time_ns = event.index;
        history.events.push(event);
    }
    history
}

pub(super) fn searched(history: &History) -> Verdict {
    search(
        &KeyValue,
        history,
        &mut Limits { steps: 10_000_000, cache_bytes: 1 << 30, expired: &mut || false },
    )
}

fn holds(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Unknown { why } => panic!("{why}"),
    }
}

/// Each row: what clients saw, and whether an order explains it.
#[test]
fn the_search_knows_good_from_bad() {
    for (script, expected) in [
        // Nothing, and a read of nothing.
        ("0 read, 0 ok null", true),
        ("0 read, 0 ok 1", false),
        // Reads beside a write see the old value or the new one, but not the new and then the old.
        ("0 write 1, 1 read, 1 ok null, 0 ok, 1 read, 1 ok 1", true),
        ("0 write 1, 1 read, 1 ok 1, 1 read, 1 ok null, 0 ok", false),
        // A stale read.
        ("0 write 1, 0 ok, 0 write 2, 0 ok, 1 read, 1 ok 1", false),
        // A write that was answered is lost.
        ("0 write 1, 0 ok, 1 read, 1 ok null", false),
        // A write that was overwritten comes back.
        ("0 write 1, 1 write 2, 0 ok, 1 ok, 2 read, 2 ok 2, 2 read, 2 ok 1", false),
        // Two readers disagree about the order of two writes.
        (
            "0 write 1, 1 write 2, 2 read, 3 read, 2 ok 1, 3 ok 2, 2 read, 3 read, 2 ok 2, 3 ok 1, 0 ok, 1 ok",
            false,
        ),
        // One compare-and-set of two wins.
        ("0 write 1, 0 ok, 0 cas 1 2, 1 cas 1 3, 0 ok true, 1 ok false, 2 read, 2 ok 2", true),
        ("0 write 1, 0 ok, 0 cas 1 2, 1 cas 1 3, 0 ok true, 1 ok true", false),
        // A compare-and-set of what is not there.
        ("0 cas null 1, 0 ok true, 0 cas null 2, 0 ok false", true),
        ("0 cas 1 2, 0 ok false, 0 read, 0 ok 2", false),
        // An operation without an answer takes effect at once, later, or never.
        ("0 write 1, 0 info, 1 read, 1 ok 1", true),
        ("0 write 1, 0 info, 1 read, 1 ok null, 1 read, 1 ok 1", true),
        ("0 write 1, 0 info, 1 read, 1 ok null, 1 read, 1 ok null", true),
        ("0 write 1, 1 read, 1 ok null, 1 read, 1 ok 1", true),
        // But once, not before it began, and not backwards.
        ("0 write 1, 0 info, 1 read, 1 ok 1, 1 write 2, 1 ok, 1 read, 1 ok 1", false),
        ("1 read, 1 ok 1, 0 write 1, 0 info", false),
        ("0 write 1, 0 info, 1 read, 1 ok 1, 1 read, 1 ok null", false),
        // What failed never was.
        ("0 write 1, 0 fail, 1 read, 1 ok null", true),
        ("0 write 1, 0 fail, 1 read, 1 ok 1", false),
        // Nor was what ran out of time and is known not to have been done.
        ("0 write 1, 0 late, 1 read, 1 ok null", true),
        ("0 write 1, 0 late, 1 read, 1 ok 1", false),
        // A lost append and a doubled one.
        ("0 append a, 0 ok, 1 append b, 1 ok, 2 read, 2 ok ab", true),
        ("0 append a, 0 ok, 1 append b, 1 ok, 2 read, 2 ok b", false),
        ("0 append a, 0 ok, 2 read, 2 ok aa", false),
        ("0 append a, 0 info, 2 read, 2 ok a, 0 delete, 0 ok, 2 read, 2 ok null", true),
        ("0 write 1, 0 ok, 0 delete, 0 ok, 2 read, 2 ok 1", false),
    ] {
        let history = history(script);
        assert_eq!(holds(&searched(&history)), expected, "{script}");
        assert_eq!(brute_force(&history), expected, "{script}");
    }
}

/// Each row: limits that are met, and what is said.
#[test]
fn a_search_at_its_limit_does_not_know() {
    let (history, _) = simulated(&Shape { clients: 8, keys: 1, operations: 2_000, trouble: 0 }, 1);
    for (steps, cache_bytes, expired, expected) in [
        (10, usize::MAX, false, "key k0: more than 10 steps"),
        (u64::MAX, 100, false, "key k0: more than 100 bytes"),
        (u64::MAX, usize::MAX, true, "key k0: out of time after 4096 steps"),
    ] {
        let verdict =
            search(&KeyValue, &history, &mut Limits { steps, cache_bytes, expired: &mut || expired });
        assert_eq!(verdict, Verdict::Unknown { why: expected.to_owned() });
    }
}

/// Tries every order, without any cunning.
fn brute_force(history: &History) -> bool {
    type Intervals = [Interval<Input, Output>];
    fn fits(intervals: &Intervals, placed: &mut Vec<usize>, state: &<KeyValue as Model>::State) -> bool {
        let left: Vec<_> = (0..intervals.len()).filter(|position| !placed.contains(position)).collect();
        if left.iter().all(|position| intervals[*position].end.is_none()) {
            return true;
        }
        left.iter().any(|position| {
            let interval = &intervals[*position];
            let is_next =
                left.iter().all(|other| intervals[*other].end.is_none_or(|end| end > interval.start));
            let next = KeyValue.step(state, &interval.input, interval.output.as_ref());
            is_next
                && next.is_some_and(|next| {
                    placed.push(*position);
                    let found = fits(intervals, placed, &next);
                    placed.pop();
                    found
                })
        })
    }
    operation::by_key(history).expect("a history").into_values().all(|mut operations| {
        operations.retain(|operation| !operation.failed);
        let intervals = operations.iter().map(|operation| operation.interval(&KeyValue).expect("it fits"));
        fits(&intervals.collect::<Vec<_>>(), &mut Vec::new(), &KeyValue.init())
    })
}

/// What a simulated run is like; `trouble` is the share of operations, in percent, that fail or end unseen.
struct Shape {
    clients: u64,
    keys: usize,
    operations: usize,
    trouble: u64,
}

/// An operation on its way.
struct Running {
    started: Started,
    input: Input,
    key: usize,
    /// Once it took effect.
    output: Option<Output>,
}

/// A history of an atomic register, and the order in which it took effect. With every second seed the reads are
/// answered beside the log.
fn simulated(shape: &Shape, seed: u64) -> (History, Vec<TookEffect>) {
    let mut rng = Rng(seed);
    let mut recorder = Recorder::new(shape.clients);
    let mut running: Vec<Option<Running>> = (0..shape.clients).map(|_| None).collect();
    // What ended unseen and may yet take effect.
    let mut ghosts: Vec<(Input, usize, usize)> = Vec::new();
    let mut states = vec![KeyValue.init(); shape.keys];
    let mut applied: Vec<usize> = Vec::new();
    let (mut begun, mut value) = (0, 0_u64);
    while begun < shape.operations || running.iter().any(Option::is_some) {
        let client = rng.index(running.len());
        let Some(mut operation) = running[client].take() else {
            if begun < shape.operations {
                begun += 1;
                running[client] = Some(begin(&mut recorder, &mut rng, client, shape.keys, &mut value));
            }
            continue;
        };
        let trouble = rng.below(100) < shape.trouble;
        match (operation.output.take(), trouble) {
            (None, true) if rng.below(2) == 0 => {
                recorder.complete(0, operation.started, End::Fail, None, None)
            }
            (None, true) => {
                ghosts.push((operation.input, operation.key, operation.started.invoked()));
                recorder.complete(0, operation.started, End::Info, None, None);
            }
            (None, false) => {
                let state = &mut states[operation.key];
                operation.output = Some(answer(state, &operation.input));
                *state = KeyValue.step(state, &operation.input, None).expect("it can always be done");
                applied.push(operation.started.invoked());
                running[client] = Some(operation);
            }
            (Some(_), true) => recorder.complete(0, operation.started, End::Info, None, None),
            (Some(output), false) => {
                let reply = match output {
                    Output::Value(value) => Reply::value(value.map_or(Value::Null, |value| text(&value))),
                    Output::Swapped(swapped) => Reply::swapped(swapped),
                    Output::Done => Reply::DONE,
                };
                recorder.complete(0, operation.started, End::Ok(reply), None, None);
            }
        }
        if !ghosts.is_empty() && rng.below(4) == 0 {
            let (input, key, invoked) = ghosts.swap_remove(rng.index(ghosts.len()));
            states[key] = KeyValue.step(&states[key], &input, None).expect("it can always be done");
            applied.push(invoked);
        }
    }
    let history = recorder.into_history();
    let mut index = LogIndex::ZERO;
    let took_effect = applied.into_iter().map(|invoked| {
        let beside = seed.is_multiple_of(2) && history.events[invoked].f == F::READ;
        index = if beside { index } else { index.next() };
        TookEffect { index, beside, operation: u64::try_from(invoked).expect("fits") }
    });
    let took_effect = took_effect.collect();
    (history, took_effect)
}

fn begin(recorder: &mut Recorder, rng: &mut Rng, client: usize, keys: usize, fresh: &mut u64) -> Running {
    let key = rng.index(keys);
    *fresh += 1;
    let value = fresh.to_string();
    // Recent values, so that some comparisons hit.
    let guess = fresh.saturating_sub(1 + rng.below(4)).to_string();
    let (f, carried, input) = match rng.below(6) {
        0 | 1 => (F::READ, Value::Null, Input::Read),
        2 | 3 => (F::new("write"), text(&value), Input::Write(Some(value.as_str().into()))),
        4 => {
            let cas = Input::Cas(Some(guess.as_str().into()), Some(value.as_str().into()));
            (F::new("cas"), Value::swap(text(&guess), text(&value)), cas)
        }
        _ => (F::new("delete"), Value::Null, Input::Write(None)),
    };
    let started = recorder.invoke(0, client, f, &format!("k{key}"), carried).expect("a client");
    Running { started, input, key, output: None }
}

fn answer(state: &<KeyValue as Model>::State, input: &Input) -> Output {
    match input {
        Input::Read => Output::Value(state.clone()),
        Input::Write(_) | Input::Append(_) => Output::Done,
        Input::Cas(from, _) => Output::Swapped(state == from),
    }
}

/// Changes what one read saw to `seen`; none if no read was answered.
fn with_a_read_changed(mut history: History, rng: &mut Rng, seen: &str) -> Option<History> {
    let reads: Vec<_> = history
        .events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.f == F::READ && event.kind == Type::Ok && event.value != text(seen))
        .map(|(position, _)| position)
        .collect();
    let position = *reads.get(rng.index(reads.len().max(1)))?;
    history.events[position].value = text(seen);
    Some(history)
}

/// What an atomic register did is always explained; with a read of what nobody wrote it never is.
#[test]
fn random_histories_of_an_atomic_register_are_accepted_and_with_a_false_read_refused() {
    for seed in 0..300 {
        let shape =
            Shape { clients: 1 + seed % 6, keys: 1 + Rng(seed).index(4), operations: 60, trouble: seed % 12 };
        let (history, took_effect) = simulated(&shape, seed);
        assert_eq!(witness(&KeyValue, &history, &took_effect), Verdict::Linearizable, "seed {seed}");
        assert_eq!(searched(&history), Verdict::Linearizable, "seed {seed}");
        if let Some(history) = with_a_read_changed(history, &mut Rng(seed), "nobody wrote this") {
            assert!(!holds(&witness(&KeyValue, &history, &took_effect)), "seed {seed}");
            assert!(!holds(&searched(&history)), "seed {seed}");
        }
    }
}

/// Small histories with a read of some other value: the search says what trying every order says.
#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut refused = 0;
    for seed in 0..3_000 {
        let shape = Shape { clients: 3, keys: 1, operations: 7, trouble: 15 };
        let (history, _) = simulated(&shape, seed);
        let mut rng = Rng(seed);
        let seen = rng.below(7).to_string();
        let Some(history) = with_a_read_changed(history, &mut rng, &seen) else { continue };
        let expected = brute_force(&history);
        assert_eq!(holds(&searched(&history)), expected, "seed {seed}");
        refused += usize::from(!expected);
    }
    assert!((500..2_500).contains(&refused), "{refused} were refused");
}

/// 10,000 operations of 5 clients on 16 keys, about what a long run leaves.
#[test]
fn a_long_history_is_searched_in_full() {
    for trouble in [0, 1] {
        let (history, took_effect) =
            simulated(&Shape { clients: 5, keys: 16, operations: 10_000, trouble }, 1);
        assert_eq!(witness(&KeyValue, &history, &took_effect), Verdict::Linearizable);
        assert_eq!(searched(&history), Verdict::Linearizable);
        let history = with_a_read_changed(history, &mut Rng(1), "nobody wrote this").expect("a read");
        assert!(!holds(&witness(&KeyValue, &history, &took_effect)));
        assert!(!holds(&searched(&history)));
    }
}
