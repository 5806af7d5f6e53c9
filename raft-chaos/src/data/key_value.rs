//! Values that are read, written, compared and set, deleted and appended to.

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::history::{F, Reply, Value};
use crate::linearizable::{Judge, KeyValue};
use crate::plan::Operation;

pub(super) struct KeyValues(pub(super) Mix);

/// One value, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Cell(Option<String>);

impl Object for Cell {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match (f.name(), value) {
            ("read", _) => return Reply::value(self.0.clone().map_or(Value::Null, Value::Text)),
            ("write", Value::Text(value)) => self.0 = Some(value.clone()),
            ("cas", Value::List(items)) => {
                let [from, Value::Text(to)] = items.as_slice() else { return Reply::DONE };
                let swapped = match (from, &self.0) {
                    (Value::Text(from), Some(held)) => from == held,
                    (Value::Null, None) => true,
                    (_, _) => false,
                };
                if swapped {
                    self.0 = Some(to.clone());
                }
                return Reply::swapped(swapped);
            }
            ("delete", _) => self.0 = None,
            ("append", Value::Text(more)) => self.0.get_or_insert_default().push_str(more),
            (_, _) => {}
        }
        Reply::DONE
    }
}

impl DataType for KeyValues {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Cell>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        let value = format!("c{}-{}", client.client, client.nth);
        match client.operation(&self.0) {
            Operation::Write => ask("write", Value::Text(value)),
            Operation::Cas => ask("cas", Value::swap(client.known.clone(), Value::Text(value))),
            Operation::Delete => bare("delete"),
            Operation::Append => ask("append", Value::Text(format!("{value};"))),
            Operation::Read
            | Operation::Add
            | Operation::Transfer
            | Operation::Enqueue
            | Operation::Dequeue => bare("read"),
        }
    }

    fn learned(&self, ask: &Ask, reply: &Reply) -> Value {
        match (ask.f.name(), &ask.value) {
            ("read", _) => reply.value.clone(),
            ("write", value) => value.clone(),
            ("cas", Value::List(items)) if reply.swapped == Some(true) => {
                items.last().cloned().unwrap_or(Value::Null)
            }
            (_, _) => Value::Null,
        }
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(KeyValue)
    }
}
