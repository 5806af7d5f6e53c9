//! What a correct object does, one operation after the other.

use std::hash::Hash;
use std::mem::size_of;
use std::sync::Arc;

/// A sequential object.
pub trait Model {
    /// What it remembers.
    type State: Clone + Eq + Hash;
    /// What it is asked.
    type Input;
    /// What it answers.
    type Output;

    /// What it remembers at first.
    fn init(&self) -> Self::State;

    /// What it remembers after `input`, if it can then answer `output`; an answer that nobody saw fits
    /// always.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// About how many bytes a state takes.
    fn bytes(&self, state: &Self::State) -> usize;
}

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
    Cas(Option<Arc<str>>, Arc<str>),
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
            Input::Cas(from, to) if state == from => (Some(Arc::clone(to)), Output::Swapped(true)),
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
