//! Counters that are added to.

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::history::{F, Reply, Value};
use crate::linearizable::{Judge, Model, Spec, Traces};
use crate::plan::Operation;

/// The most that clients add at a time.
const MOST: u64 = 5;

pub(super) struct Counters(pub(super) Mix);

/// One counter; beyond 64 bits it begins anew at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Count(i64);

impl Object for Count {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match (f.name(), value) {
            ("read", _) => Reply::value(self.0.into()),
            ("add", Value::Whole(more)) => {
                self.0 = self.0.wrapping_add(*more);
                Reply::DONE
            }
            (_, _) => Reply::DONE,
        }
    }
}

impl DataType for Counters {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Count>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        if client.operation(&self.0) != Operation::Add {
            return bare("read");
        }
        let more = i64::try_from(1 + client.rng.below(MOST)).unwrap_or(1);
        ask("add", more.into())
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(CounterOf)
    }
}

/// What a counter does.
#[derive(Clone, Copy, Debug)]
pub struct CounterOf;

/// What a counter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// How much is it?
    Read,
    /// Add this.
    Add(i64),
}

impl Model for CounterOf {
    type State = i64;
    type Input = Input;
    /// What was read; none of an add.
    type Output = Option<i64>;

    fn init(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, input: &Input, output: Option<&Self::Output>) -> Option<i64> {
        match (input, output.copied().flatten()) {
            (Input::Read, Some(read)) if read != *state => None,
            (Input::Read, _) => Some(*state),
            (Input::Add(more), _) => Some(state.wrapping_add(*more)),
        }
    }

    fn bytes(&self, _state: &i64) -> usize {
        size_of::<i64>()
    }
}

impl Spec for CounterOf {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match f.name() {
            "read" => Some(Input::Read),
            "add" => asked.whole().map(Input::Add),
            _ => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Self::Output> {
        match (input, &reply.value) {
            // A counter that nobody has touched.
            (Input::Read, Value::Null) => Some(Some(0)),
            (Input::Read, value) => value.whole().map(Some),
            (Input::Add(_), _) => Some(None),
        }
    }

    fn is_read(&self, input: &Input) -> bool {
        *input == Input::Read
    }

    fn answer(&self, state: &i64, input: &Input) -> String {
        if *input == Input::Read { state.to_string() } else { "ok".to_owned() }
    }

    fn traces(&self, input: &Input, _output: Option<&Self::Output>) -> Traces {
        match input {
            Input::Read => Traces::sees_all(),
            Input::Add(_) => Traces::default(),
        }
    }
}
