//! The crate porcupine-rs, with models of its own: they share nothing with ours but the history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};

use super::{Opinion, Outsider};
use crate::history::{Event, History, Reply, Type, Value};
use crate::plan::Kind;

pub(super) struct Porcupine;

impl Outsider for Porcupine {
    fn name(&self) -> String {
        "porcupine-rs 0.3".to_owned()
    }

    fn knows(&self, _kind: Kind, history: &History) -> bool {
        history.events.iter().all(|event| event.f.name() != "txn")
    }

    /// Key by key: all at once would be a thread for each.
    fn judge(&self, kind: Kind, history: &History, limit: Duration) -> Opinion {
        let until = Instant::now() + limit;
        let mut opinion = Opinion::Good;
        for (key, operations) in by_key(kind, history) {
            let left = until.saturating_duration_since(Instant::now());
            match check_operations_timeout::<Object>(&operations, left) {
                CheckResult::Ok => {}
                CheckResult::Illegal => return Opinion::Bad { why: format!("key {key} is illegal") },
                CheckResult::Unknown => {
                    opinion = Opinion::Unknown { why: format!("key {key} took longer than {limit:?}") }
                }
            }
        }
        opinion
    }
}

/// One step: what was asked, and what was answered if that was seen.
#[derive(Clone, Debug)]
struct Step {
    kind: Kind,
    f: String,
    asked: Value,
    reply: Option<Reply>,
}

#[derive(Clone, Debug)]
struct Object;

impl Model for Object {
    /// What was put there; null where nobody has touched it.
    type State = Value;
    type Op = Step;
    type Metadata = ();

    fn init() -> Value {
        Value::Null
    }

    fn step(state: &Value, step: &Step) -> (bool, Value) {
        let state = if step.kind == Kind::Bank && *state == Value::Null { &untouched() } else { state };
        let (answer, next) = does(state, step);
        let fits = step.reply.as_ref().is_none_or(|reply| match answer {
            Answer::Done => true,
            Answer::Value(value) => {
                reply.value == value || is_nothing(step.kind, &reply.value) && is_nothing(step.kind, &value)
            }
            Answer::Condition(held) => reply.swapped.unwrap_or(true) == held,
        });
        (fits, next)
    }
}

enum Answer {
    Done,
    Value(Value),
    Condition(bool),
}

/// Whether it is what may be read where nobody has put anything.
fn is_nothing(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Counter => matches!(value, Value::Null | Value::Whole(0)),
        Kind::ListAppend | Kind::Set => value.items().is_some_and(<[_]>::is_empty),
        Kind::Register | Kind::Kv | Kind::Bank | Kind::Queue | Kind::Lab => *value == Value::Null,
    }
}

fn untouched() -> Value {
    Value::Map((0..8).map(|account| (account.to_string(), Value::Whole(10))).collect())
}

fn does(state: &Value, Step { kind, f, asked, .. }: &Step) -> (Answer, Value) {
    let items = || state.items().unwrap_or_default().to_vec();
    let list = |list: Vec<Value>| (Answer::Done, Value::List(list));
    match (f.as_str(), kind) {
        ("read", _) => (Answer::Value(state.clone()), state.clone()),
        ("write", _) => (Answer::Done, asked.clone()),
        ("delete", _) => (Answer::Done, Value::Null),
        ("cas", _) => match asked.items() {
            Some([from, to]) if from == state => (Answer::Condition(true), to.clone()),
            Some(_) | None => (Answer::Condition(false), state.clone()),
        },
        ("append", Kind::ListAppend) | ("enqueue", _) => list([items(), vec![asked.clone()]].concat()),
        ("append", _) => {
            let head = if *state == Value::Null { String::new() } else { state.to_string() };
            (Answer::Done, Value::Text(head + &asked.to_string()))
        }
        ("add", Kind::Counter) => {
            let sum = state.whole().unwrap_or(0) + asked.whole().unwrap_or(0);
            (Answer::Done, Value::Whole(sum))
        }
        ("add", _) => {
            let mut set = items();
            if !set.contains(asked) {
                set.push(asked.clone());
                set.sort();
            }
            list(set)
        }
        ("dequeue", _) => {
            let mut queue = items();
            let first = if queue.is_empty() { Value::Null } else { queue.remove(0) };
            (Answer::Value(first), Value::List(queue))
        }
        ("transfer", _) => transfer(state, asked),
        (_, _) => (Answer::Condition(false), state.clone()),
    }
}

fn transfer(state: &Value, asked: &Value) -> (Answer, Value) {
    let refused = (Answer::Condition(false), state.clone());
    let (Value::Map(accounts), Value::Map(parts)) = (state, asked) else { return refused };
    let (Some(from), Some(to), Some(amount)) =
        (parts.get("from"), parts.get("to"), parts.get("amount").and_then(Value::whole))
    else {
        return refused;
    };
    let (from, to) = (from.to_string(), to.to_string());
    let has = |account: &str| accounts.get(account).and_then(Value::whole);
    let (Some(left), Some(right)) = (has(&from), has(&to)) else { return refused };
    if left < amount {
        return refused;
    }
    let mut accounts = accounts.clone();
    accounts.insert(from, Value::Whole(left - amount));
    accounts.insert(to, Value::Whole(right + amount));
    (Answer::Condition(true), Value::Map(accounts))
}

/// What porcupine needs of each key. An operation without an end goes on for ever, and one that failed never was.
fn by_key(kind: Kind, history: &History) -> BTreeMap<&str, Vec<Operation<Object>>> {
    let mut keys: BTreeMap<&str, Vec<Operation<Object>>> = BTreeMap::new();
    let mut open: BTreeMap<u64, &Event> = BTreeMap::new();
    let time = |index| i64::try_from(index).unwrap_or(i64::MAX);
    let mut add = |begun: &'_ Event, key, ended: Option<&Event>| {
        let reply = ended.map(|ended| Reply { value: ended.value.clone(), swapped: ended.swapped });
        let step = Step { kind, f: begun.f.to_string(), asked: begun.value.clone(), reply };
        keys.entry(key).or_default().push(Operation {
            client_id: u32::try_from(begun.process).ok(),
            call_time: time(begun.index),
            return_time: ended.map_or(i64::MAX, |ended| time(ended.index)),
            op: step,
            metadata: None,
        });
    };
    for event in &history.events {
        match (event.kind, open.remove(&event.process)) {
            (Type::Invoke, _) => drop(open.insert(event.process, event)),
            (Type::Ok, Some(begun)) => add(begun, begun.key.as_str(), Some(event)),
            (Type::Info, Some(begun)) if !event.is_not_done() => add(begun, begun.key.as_str(), None),
            (Type::Fail | Type::Info, _) | (Type::Ok, None) => {}
        }
    }
    open.into_values().for_each(|begun| add(begun, begun.key.as_str(), None));
    keys
}
