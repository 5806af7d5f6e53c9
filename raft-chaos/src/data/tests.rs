//! Each data type does what it says, its model agrees, and a false answer is found.

mod known;

use bytes::Bytes;

use super::*;
use crate::history::{Event, Type};
use crate::linearizable::{Limits, TookEffect, Verdict};

const KINDS: [Kind; 7] =
    [Kind::Register, Kind::Kv, Kind::ListAppend, Kind::Set, Kind::Counter, Kind::Bank, Kind::Queue];

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("a value")
}

fn command(f: &str, asked: &str) -> Command {
    Command {
        operation: 0,
        key: "x".into(),
        f: F::new(f.to_owned()),
        value: value(asked),
        ballast: Bytes::new(),
    }
}

/// Each row: a kind, what is asked of one key, one after the other, and what is answered.
#[test]
fn each_operation_does_what_it_says() {
    let bank = |zero: i64, one: i64| {
        let others: Vec<_> = (2..8).map(|account| format!(r#""{account}":10"#)).collect();
        format!(r#"{{"0":{zero},"1":{one},{}}}"#, others.join(","))
    };
    let (at_first, then) = (bank(10, 10), bank(2, 18));
    for (kind, steps) in [
        (
            Kind::Kv,
            &[
                ("read", "null", "null", None),
                ("append", r#""a""#, "null", None),
                ("append", r#""b""#, "null", None),
                ("cas", r#"[null,"c"]"#, "null", Some(false)),
                ("cas", r#"["ab","c"]"#, "null", Some(true)),
                ("read", "null", r#""c""#, None),
                ("delete", "null", "null", None),
                ("cas", r#"[null,"d"]"#, "null", Some(true)),
                ("write", r#""e""#, "null", None),
                ("read", "null", r#""e""#, None),
            ][..],
        ),
        (
            Kind::ListAppend,
            &[
                ("read", "null", "[]", None),
                ("append", "2", "null", None),
                ("append", "1", "null", None),
                ("read", "null", "[2,1]", None),
            ],
        ),
        (
            Kind::Set,
            &[
                ("read", "null", "[]", None),
                ("add", "2", "null", None),
                ("add", "1", "null", None),
                ("add", "2", "null", None),
                ("read", "null", "[1,2]", None),
            ],
        ),
        (
            Kind::Counter,
            &[
                ("read", "null", "0", None),
                ("add", "5", "null", None),
                ("add", "-7", "null", None),
                ("read", "null", "-2", None),
            ],
        ),
        (
            Kind::Bank,
            &[
                ("read", "null", at_first.as_str(), None),
                ("transfer", r#"{"from":0,"to":1,"amount":8}"#, "null", Some(true)),
                ("transfer", r#"{"from":0,"to":1,"amount":3}"#, "null", Some(false)),
                ("transfer", r#"{"from":0,"to":9,"amount":1}"#, "null", Some(false)),
                ("read", "null", then.as_str(), None),
            ],
        ),
        (
            Kind::Queue,
            &[
                ("dequeue", "null", "null", None),
                ("enqueue", "2", "null", None),
                ("enqueue", "1", "null", None),
                ("dequeue", "null", "2", None),
                ("dequeue", "null", "1", None),
                ("dequeue", "null", "null", None),
            ],
        ),
    ] {
        let mut machine = named(kind, Mix::new()).machine();
        let mut history = History::default();
        for (place, &(f, asked, answered, swapped)) in steps.iter().enumerate() {
            let command = command(f, asked);
            assert_eq!(crate::data::decode::<Command>(&encode(&command)).expect("a command"), command);
            let reply = Reply { value: value(answered), swapped };
            let seen = machine.read(&command);
            assert_eq!(seen, reply, "{kind:?} {place}: what is read beside the log");
            assert_eq!(machine.apply(command.clone()), reply, "{kind:?} {place}");
            whole(&mut history, 0, "x", &Ask { f: command.f, value: command.value }, &reply);
            let mut restored = named(kind, Mix::new()).machine();
            restored.restore(&machine.snapshot()).expect("its own snapshot");
            assert_eq!(
                (restored.state(), restored.snapshot()),
                (machine.state(), machine.snapshot()),
                "{kind:?}"
            );
        }
        assert_eq!(searched(kind, &history), Verdict::Linearizable, "{kind:?}: its model agrees");
        assert!(machine.restore(b"no snapshot").is_err());
    }
}

/// Two keys, in any order.
#[test]
fn the_state_names_what_all_keys_hold() {
    for (kind, f, one, two) in [
        (Kind::Kv, "write", r#""1""#, r#""2""#),
        (Kind::ListAppend, "append", "1", "2"),
        (Kind::Counter, "add", "1", "2"),
    ] {
        let state = |asked: &[(&str, &str)]| {
            let mut machine = named(kind, Mix::new()).machine();
            for (key, asked) in asked {
                machine.apply(Command { key: (*key).to_owned(), ..command(f, asked) });
            }
            machine.state()
        };
        assert_eq!(state(&[("x", one), ("y", two)]), state(&[("y", two), ("x", one)]), "{kind:?}");
        assert_ne!(state(&[("x", one), ("y", two)]), state(&[("x", two), ("y", one)]), "{kind:?}");
        assert_ne!(state(&[("x", one)]), state(&[]), "{kind:?}");
    }
}

/// Notes an operation that begins and ends at once.
fn whole(history: &mut History, process: u64, key: &str, ask: &Ask, reply: &Reply) {
    let answered = if ask.value == Value::Null { &reply.value } else { &ask.value };
    for (kind, value, swapped) in [(Type::Invoke, &ask.value, None), (Type::Ok, answered, reply.swapped)] {
        let index = history.events.len() as u64;
        let (key, f, value) = (key.to_owned(), ask.f.clone(), value.clone());
        let (node, log_index) = (None, None);
        history.events.push(Event {
            index,
            process,
            kind,
            f,
            key,
            value,
            swapped,
            time_ns: index,
            node,
            log_index,
            done: None,
        });
    }
}

fn searched(kind: Kind, history: &History) -> Verdict {
    let mut limits = Limits { steps: 1_000_000, cache_bytes: 1 << 28, expired: &mut || false };
    judge(kind).search(history, &mut limits)
}

fn is_good(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Unknown { why } => panic!("{why}"),
    }
}

/// What clients draw, and a correct machine answers, is explained, and no longer when one answer is another one.
#[test]
fn what_clients_draw_is_judged_good_and_with_a_false_answer_bad() {
    for kind in KINDS {
        let data = named(kind, mix_of(kind));
        for seed in 0..20 {
            let (history, took_effect) = drawn(&*data, seed);
            assert_eq!(
                data.judge().witness(&history, &took_effect),
                Verdict::Linearizable,
                "{kind:?} {seed}"
            );
            assert_eq!(searched(kind, &history), Verdict::Linearizable, "{kind:?} {seed}");
            assert_eq!(data.anomalies(&history), [""; 0], "{kind:?} {seed}");
            let Some(history) = with_a_false_answer(history, &mut Rng::new(seed)) else { continue };
            assert!(!is_good(&data.judge().witness(&history, &took_effect)), "{kind:?} {seed}");
            assert!(!is_good(&searched(kind, &history)), "{kind:?} {seed}");
            assert_eq!(data.anomalies(&history).is_empty(), kind != Kind::ListAppend, "{kind:?} {seed}");
        }
    }
}

pub(super) fn mix_of(kind: Kind) -> Mix {
    use Operation::{Add, Append, Cas, Delete, Dequeue, Enqueue, Read, Transfer, Write};
    let operations: &[Operation] = match kind {
        Kind::Register => &[Read, Write, Cas],
        Kind::Kv => &[Read, Write, Cas, Delete],
        Kind::ListAppend => &[Read, Append],
        Kind::Set | Kind::Counter => &[Read, Add],
        Kind::Bank => &[Read, Transfer],
        Kind::Queue => &[Enqueue, Dequeue],
        Kind::Lab => &[],
    };
    operations.iter().map(|operation| (*operation, 1)).collect()
}

/// Sixty operations of three clients, one after the other, on two keys.
fn drawn(data: &dyn DataType, seed: u64) -> (History, Vec<TookEffect>) {
    let mut rng = Rng::new(seed);
    let mut machine = data.machine();
    let (mut history, mut took_effect) = (History::default(), Vec::new());
    let mut known = Value::Null;
    for nth in 1..=60 {
        let (client, key) = (rng.below(3), if rng.one_in(2) { "x" } else { "y" });
        let ask = data.draw(&mut Draw { rng: &mut rng, client, clients: 3, nth, known: &known });
        let operation = history.events.len() as u64;
        let command = Command {
            operation,
            key: key.to_owned(),
            f: ask.f.clone(),
            value: ask.value.clone(),
            ballast: Bytes::new(),
        };
        let reply = machine.apply(command);
        known = data.learned(&ask, &reply);
        whole(&mut history, client, key, &ask, &reply);
        let index = raft_core::LogIndex::new(nth);
        took_effect.push(TookEffect { index, beside: false, operation });
    }
    (history, took_effect)
}

/// Makes one answer one that nobody can give.
fn with_a_false_answer(mut history: History, rng: &mut Rng) -> Option<History> {
    let is_answer =
        |event: &&mut Event| event.kind == Type::Ok && matches!(event.f.name(), "read" | "dequeue");
    let count = history.events.iter_mut().filter(is_answer).count() as u64;
    let chosen = usize::try_from(rng.below(count.max(1))).ok()?;
    let event = history.events.iter_mut().filter(is_answer).nth(chosen)?;
    event.value = match &event.value {
        Value::Null | Value::Text(_) => Value::text("of nobody"),
        Value::Whole(number) => Value::Whole(number + 1_000_000),
        Value::List(items) => Value::List(items.iter().cloned().chain([Value::Whole(-1)]).collect()),
        Value::Map(accounts) => {
            Value::Map(accounts.keys().map(|name| (name.clone(), Value::Whole(1))).collect())
        }
    };
    Some(history)
}
