//! What the events of a history say in terms of a model.

use super::model::Model;
use crate::history::{F, Reply, Value};

/// A model, and how its inputs and outputs stand in a history.
pub trait Spec: Model {
    /// What an operation asks; none if the value does not fit it, or the model has no such operation.
    fn input(&self, f: &F, asked: &Value) -> Option<Self::Input>;

    /// What its `ok` answers; none if that does not fit.
    fn output(&self, input: &Self::Input, reply: &Reply) -> Option<Self::Output>;

    /// Whether it never changes anything: without an answer it says nothing, and it may be answered beside the log.
    fn is_read(&self, input: &Self::Input) -> bool;

    /// What it has to answer in this state, for people.
    fn answer(&self, state: &Self::State, input: &Self::Input) -> String;

    /// The values by which it is connected to others, so that an explanation can leave out what has nothing to do with a
    /// violation. An operation may be connected by anything, unless this says otherwise.
    fn traces(&self, input: &Self::Input, output: Option<&Self::Output>) -> Traces {
        let (_, _) = (input, output);
        Traces::default()
    }
}

/// Values by which an operation is connected to others; none where it may be anything. Where an order explains some operations,
/// the same order must explain them without those that leave only what no other one of them sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// What it leaves behind, or takes away.
    pub leaves: Option<Vec<Value>>,
    /// What it saw, or had to find.
    pub sees: Option<Vec<Value>>,
}

impl Traces {
    /// It leaves these, whatever is there.
    pub fn leaves(values: impl IntoIterator<Item = Value>) -> Self {
        Self { leaves: Some(values.into_iter().collect()), sees: Some(Vec::new()) }
    }

    /// It changes nothing, and saw these.
    pub fn sees(values: impl IntoIterator<Item = Value>) -> Self {
        Self { leaves: Some(Vec::new()), sees: Some(values.into_iter().collect()) }
    }

    /// It changes nothing, and what it saw hangs on everything.
    pub const fn sees_all() -> Self {
        Self { leaves: Some(Vec::new()), sees: None }
    }

    /// Whether it changes nothing.
    pub(super) fn is_read(&self) -> bool {
        self.leaves.as_ref().is_some_and(Vec::is_empty)
    }
}
