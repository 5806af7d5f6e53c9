//! Queues: what was put in first comes out first, once.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::history::{F, Reply, Value};
use crate::linearizable::{Judge, Model, Spec, Traces};
use crate::plan::Operation;

pub(super) struct Queues(pub(super) Mix);

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Queue(VecDeque<i64>);

impl Object for Queue {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match (f.name(), value) {
            ("dequeue", _) => Reply::value(self.0.pop_front().map_or(Value::Null, Value::Whole)),
            ("enqueue", Value::Whole(item)) => {
                self.0.push_back(*item);
                Reply::DONE
            }
            (_, _) => Reply::DONE,
        }
    }
}

impl DataType for Queues {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Queue>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        if client.operation(&self.0) == Operation::Enqueue {
            ask("enqueue", client.fresh().into())
        } else {
            bare("dequeue")
        }
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(QueueOf)
    }
}

/// What a queue does.
#[derive(Clone, Copy, Debug)]
pub struct QueueOf;

/// What a queue is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Put this in.
    Enqueue(Value),
    /// Take the first out.
    Dequeue,
}

impl Model for QueueOf {
    type State = Arc<VecDeque<Value>>;
    type Input = Input;
    /// What came out, null if nothing was in it; none of an enqueue.
    type Output = Option<Value>;

    fn init(&self) -> Self::State {
        Arc::default()
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Self::Output>) -> Option<Self::State> {
        let mut next = VecDeque::clone(state);
        match input {
            Input::Enqueue(item) => next.push_back(item.clone()),
            Input::Dequeue => {
                let first = next.pop_front().unwrap_or(Value::Null);
                if output.and_then(Option::as_ref).is_some_and(|out| *out != first) {
                    return None;
                }
            }
        }
        Some(Arc::new(next))
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.len() * size_of::<Value>()
    }
}

impl Spec for QueueOf {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match (f.name(), asked) {
            ("dequeue", _) => Some(Input::Dequeue),
            ("enqueue", item) if *item != Value::Null => Some(Input::Enqueue(item.clone())),
            (_, _) => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Self::Output> {
        match input {
            Input::Enqueue(_) => Some(None),
            Input::Dequeue => Some(Some(reply.value.clone())),
        }
    }

    fn is_read(&self, _input: &Input) -> bool {
        false
    }

    fn answer(&self, state: &Self::State, input: &Input) -> String {
        match input {
            Input::Enqueue(_) => "ok".to_owned(),
            Input::Dequeue => state.front().unwrap_or(&Value::Null).to_string(),
        }
    }

    fn traces(&self, input: &Input, output: Option<&Self::Output>) -> Traces {
        let of = |item: &Value| {
            // Neither stays without the other.
            Traces { leaves: Some(vec![item.clone()]), sees: Some(vec![item.clone()]) }
        };
        match (input, output.and_then(Option::as_ref)) {
            (Input::Enqueue(item), _) => of(item),
            (Input::Dequeue, Some(Value::Null)) => Traces::sees_all(),
            (Input::Dequeue, Some(item)) => of(item),
            // One that nobody saw end takes out whatever is first, or nothing.
            (Input::Dequeue, None) => Traces::default(),
        }
    }
}
