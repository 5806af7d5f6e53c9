//! One key of a key-value store, or a register.

use std::mem::size_of;
use std::sync::Arc;

use super::model::Model;
use super::spec::{Spec, Traces};
use crate::history::{F, Reply, Value};

/// One key of a key-value store, or a register.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue;

/// What a key is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is the value?
    Read,
    /// This is the value; none deletes it.
    Write(Option<Arc<str>>),
    /// If the value is the first, then make it the second.
    Cas(Option<Arc<str>>, Option<Arc<str>>),
    /// Put this behind the value; no value is an empty one.
    Append(Arc<str>),
}

/// What a key answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The value; none if there is none.
    Value(Option<Arc<str>>),
    /// Whether a compare-and-set found what it expected.
    Swapped(bool),
    /// It is done.
    Done,
}

impl Model for KeyValue {
    type State = Option<Arc<str>>;
    type Input = Input;
    type Output = Output;

    fn init(&self) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Output>) -> Option<Self::State> {
        let (next, answer) = match input {
            Input::Read => (state.clone(), Output::Value(state.clone())),
            Input::Write(value) => (value.clone(), Output::Done),
            Input::Cas(from, to) if state == from => (to.clone(), Output::Swapped(true)),
            Input::Cas(..) => (state.clone(), Output::Swapped(false)),
            Input::Append(tail) => {
                let head = state.as_deref().unwrap_or_default();
                (Some(format!("{head}{tail}").into()), Output::Done)
            }
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        size_of::<Self::State>() + state.as_ref().map_or(0, |value| value.len())
    }
}

impl Spec for KeyValue {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match (f.name(), asked) {
            ("read", _) => Some(Input::Read),
            ("delete", _) => Some(Input::Write(None)),
            ("write", value) => Some(Input::Write(Some(text(value)??))),
            ("append", value) => Some(Input::Append(text(value)??)),
            ("cas", Value::List(items)) => match items.as_slice() {
                [from, to] => Some(Input::Cas(text(from)?, text(to)?)),
                _ => None,
            },
            _ => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Output> {
        match input {
            Input::Read => Some(Output::Value(text(&reply.value)?)),
            // Jepsen's `ok` of a compare-and-set says that it swapped.
            Input::Cas(..) => Some(Output::Swapped(reply.swapped.unwrap_or(true))),
            Input::Write(_) | Input::Append(_) => Some(Output::Done),
        }
    }

    fn is_read(&self, input: &Input) -> bool {
        match input {
            Input::Read => true,
            Input::Write(_) | Input::Cas(..) | Input::Append(_) => false,
        }
    }

    fn answer(&self, state: &Self::State, input: &Input) -> String {
        match input {
            Input::Read => shown(state).to_string(),
            Input::Cas(from, _) => if state == from { "done" } else { "not done" }.to_owned(),
            Input::Write(_) | Input::Append(_) => "ok".to_owned(),
        }
    }

    fn traces(&self, input: &Input, output: Option<&Output>) -> Traces {
        match (input, output) {
            (Input::Read, Some(Output::Value(value))) => Traces::sees([shown(value)]),
            (Input::Read, _) => Traces::sees([]),
            (Input::Write(value), _) => Traces::leaves([shown(value)]),
            // That it did not find something can hang on anything.
            (Input::Cas(..), Some(Output::Swapped(false))) => Traces::sees_all(),
            (Input::Cas(from, to), _) => {
                Traces { leaves: Some(vec![shown(to)]), sees: Some(vec![shown(from)]) }
            }
            (Input::Append(_), _) => Traces::default(),
        }
    }
}

/// The text of a value, as the store holds it; none if it is more than one value.
fn text(value: &Value) -> Option<Option<Arc<str>>> {
    match value {
        Value::Null => Some(None),
        Value::Whole(number) => Some(Some(number.to_string().into())),
        Value::Text(text) => Some(Some(text.as_str().into())),
        Value::List(_) | Value::Map(_) => None,
    }
}

fn shown(value: &Option<Arc<str>>) -> Value {
    value.as_deref().map_or(Value::Null, Value::text)
}
