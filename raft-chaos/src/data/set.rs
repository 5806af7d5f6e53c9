//! Sets that only grow.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::history::{F, Reply, Value};
use crate::linearizable::{Judge, Model, Spec, Traces};
use crate::plan::Operation;

pub(super) struct Sets(pub(super) Mix);

/// One set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Set(BTreeSet<i64>);

impl Object for Set {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match (f.name(), value) {
            ("read", _) => Reply::value(Value::List(self.0.iter().map(|&item| item.into()).collect())),
            ("add", Value::Whole(item)) => {
                self.0.insert(*item);
                Reply::DONE
            }
            (_, _) => Reply::DONE,
        }
    }
}

impl DataType for Sets {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Set>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        if client.operation(&self.0) == Operation::Add {
            ask("add", client.fresh().into())
        } else {
            bare("read")
        }
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(SetOf)
    }
}

/// What a set does.
#[derive(Clone, Copy, Debug)]
pub struct SetOf;

/// What a set is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is in it?
    Read,
    /// Put this into it.
    Add(Value),
}

impl Model for SetOf {
    type State = Arc<BTreeSet<Value>>;
    type Input = Input;
    /// What was read, and whether anything was in it twice; none of an add.
    type Output = Option<(BTreeSet<Value>, bool)>;

    fn init(&self) -> Self::State {
        Arc::default()
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Self::Output>) -> Option<Self::State> {
        match input {
            Input::Read => {
                let read = output.and_then(Option::as_ref);
                let fits = read.is_none_or(|(read, twice)| read == &**state && !twice);
                fits.then(|| Arc::clone(state))
            }
            Input::Add(item) => {
                let mut next = BTreeSet::clone(state);
                next.insert(item.clone());
                Some(Arc::new(next))
            }
        }
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.len() * 2 * size_of::<Value>()
    }
}

impl Spec for SetOf {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match (f.name(), asked) {
            ("read", _) => Some(Input::Read),
            ("add", item) if *item != Value::Null => Some(Input::Add(item.clone())),
            (_, _) => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Self::Output> {
        match input {
            Input::Read => {
                let items = reply.value.items()?;
                let read: BTreeSet<_> = items.iter().cloned().collect();
                let twice = read.len() < items.len();
                Some(Some((read, twice)))
            }
            Input::Add(_) => Some(None),
        }
    }

    fn is_read(&self, input: &Input) -> bool {
        *input == Input::Read
    }

    fn answer(&self, state: &Self::State, input: &Input) -> String {
        match input {
            Input::Read => Value::List(state.iter().cloned().collect()).to_string(),
            Input::Add(_) => "ok".to_owned(),
        }
    }

    fn traces(&self, input: &Input, output: Option<&Self::Output>) -> Traces {
        match input {
            Input::Read => {
                let read = output.and_then(Option::as_ref).map(|(read, _)| read);
                Traces::sees(read.into_iter().flatten().cloned())
            }
            Input::Add(item) => Traces::leaves([item.clone()]),
        }
    }
}
