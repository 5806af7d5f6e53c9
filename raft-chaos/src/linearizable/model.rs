//! What a correct object does, one operation after the other.

use std::hash::Hash;

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
