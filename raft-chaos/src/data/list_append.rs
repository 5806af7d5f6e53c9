//! Lists that are appended to and read as a whole: what is read tells all of the order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::anomalies;
use crate::history::{F, History, Reply, Value};
use crate::linearizable::{Judge, Model, Spec, Traces};
use crate::plan::Operation;

pub(super) struct Lists(pub(super) Mix);

/// One list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct List(Vec<i64>);

impl Object for List {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match (f.name(), value) {
            ("read", _) => Reply::value(Value::List(self.0.iter().map(|&item| item.into()).collect())),
            ("append", Value::Whole(item)) => {
                self.0.push(*item);
                Reply::DONE
            }
            (_, _) => Reply::DONE,
        }
    }
}

impl DataType for Lists {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<List>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        if client.operation(&self.0) == Operation::Append {
            ask("append", client.fresh().into())
        } else {
            bare("read")
        }
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(ListOf)
    }

    fn anomalies(&self, history: &History) -> Vec<String> {
        anomalies::find(history)
            .map_or_else(|why| vec![why], |found| found.iter().map(ToString::to_string).collect())
    }
}

/// What a list does.
#[derive(Clone, Copy, Debug)]
pub struct ListOf;

/// What a list is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is in it?
    Read,
    /// Put this at its end.
    Append(Value),
}

impl Model for ListOf {
    type State = Arc<Vec<Value>>;
    type Input = Input;
    /// What was read; none of an append.
    type Output = Option<Vec<Value>>;

    fn init(&self) -> Self::State {
        Arc::default()
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Self::Output>) -> Option<Self::State> {
        match input {
            Input::Read => {
                let fits = output.and_then(Option::as_ref).is_none_or(|read| read == &**state);
                fits.then(|| Arc::clone(state))
            }
            Input::Append(item) => Some(Arc::new(state.iter().chain([item]).cloned().collect())),
        }
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.len() * size_of::<Value>()
    }
}

impl Spec for ListOf {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match (f.name(), asked) {
            ("read", _) => Some(Input::Read),
            ("append", item) if *item != Value::Null => Some(Input::Append(item.clone())),
            (_, _) => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Self::Output> {
        match input {
            Input::Read => reply.value.items().map(|items| Some(items.to_vec())),
            Input::Append(_) => Some(None),
        }
    }

    fn is_read(&self, input: &Input) -> bool {
        *input == Input::Read
    }

    fn answer(&self, state: &Self::State, input: &Input) -> String {
        match input {
            Input::Read => Value::List(state.to_vec()).to_string(),
            Input::Append(_) => "ok".to_owned(),
        }
    }

    fn traces(&self, input: &Input, output: Option<&Self::Output>) -> Traces {
        match input {
            Input::Read => Traces::sees(output.and_then(Option::as_ref).into_iter().flatten().cloned()),
            Input::Append(item) => Traces::leaves([item.clone()]),
        }
    }
}
