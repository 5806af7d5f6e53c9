//! Banks whose accounts always add up: money is moved between them, and all are read at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ask, DataType, Draw, Machine, Mix, Object, Objects, ask, bare};
use crate::history::{F, Reply, Value};
use crate::linearizable::{Judge, Model, Spec, Traces};
use crate::plan::Operation;

/// The accounts of a bank are numbered from 0.
const ACCOUNTS: u64 = 8;
/// What each has at first.
const AT_FIRST: i64 = 10;
/// The most that clients move at a time.
const MOST: u64 = 5;

pub(super) struct Banks(pub(super) Mix);

/// One bank: what its accounts have. None has less than nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Bank(BTreeMap<String, i64>);

impl Default for Bank {
    fn default() -> Self {
        Self((0..ACCOUNTS).map(|account| (account.to_string(), AT_FIRST)).collect())
    }
}

impl Object for Bank {
    fn apply(&mut self, f: &F, value: &Value) -> Reply {
        match f.name() {
            "read" => {
                let account = |(name, &has): (&String, &i64)| (name.clone(), Value::Whole(has));
                Reply::value(Value::Map(self.0.iter().map(account).collect()))
            }
            "transfer" => {
                let Some(Transfer { from, to, amount }) = Transfer::of(value) else { return Reply::DONE };
                let covered = self.0.contains_key(&to) && self.0.get(&from).is_some_and(|has| *has >= amount);
                if covered {
                    self.0.entry(from).and_modify(|has| *has -= amount);
                    self.0.entry(to).and_modify(|has| *has += amount);
                }
                Reply::swapped(covered)
            }
            _ => Reply::DONE,
        }
    }
}

impl DataType for Banks {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Bank>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        if client.operation(&self.0) != Operation::Transfer {
            return bare("read");
        }
        let from = client.rng.below(ACCOUNTS);
        let to = (from + 1 + client.rng.below(ACCOUNTS - 1)) % ACCOUNTS;
        let whole = |number| Value::Whole(i64::try_from(number).unwrap_or(0));
        let amount = whole(1 + client.rng.below(MOST));
        let parts = [("from", whole(from)), ("to", whole(to)), ("amount", amount)];
        ask("transfer", Value::Map(parts.map(|(name, value)| (name.to_owned(), value)).into()))
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(BankOf)
    }
}

/// So much from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    from: String,
    to: String,
    amount: i64,
}

impl Transfer {
    /// A transfer as it stands in a history; none if it is not one of a positive amount between two accounts.
    fn of(value: &Value) -> Option<Self> {
        let Value::Map(parts) = value else { return None };
        let (from, to) = (parts.get("from")?.to_string(), parts.get("to")?.to_string());
        let amount = parts.get("amount")?.whole()?;
        (from != to && amount > 0).then_some(Self { from, to, amount })
    }
}

/// What a bank does.
#[derive(Clone, Copy, Debug)]
pub struct BankOf;

/// What a bank is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What has each account?
    Read,
    /// Move money, if there is enough of it.
    Transfer(Transfer),
}

/// What a bank answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// What each account has.
    Accounts(BTreeMap<String, i64>),
    /// Whether there was enough money.
    Moved(bool),
}

impl Model for BankOf {
    type State = BTreeMap<String, i64>;
    type Input = Input;
    type Output = Output;

    fn init(&self) -> Self::State {
        (0..ACCOUNTS).map(|account| (account.to_string(), AT_FIRST)).collect()
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Output>) -> Option<Self::State> {
        let (next, answer) = match input {
            Input::Read => (state.clone(), Output::Accounts(state.clone())),
            Input::Transfer(Transfer { from, to, amount }) => {
                let of = |account: &String| state.get(account).copied();
                match (of(from), of(to)) {
                    (Some(has), Some(other)) if has >= *amount => {
                        let mut next = state.clone();
                        next.insert(from.clone(), has - amount);
                        next.insert(to.clone(), other + amount);
                        (next, Output::Moved(true))
                    }
                    (_, _) => (state.clone(), Output::Moved(false)),
                }
            }
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        state.len() * 64
    }
}

impl Spec for BankOf {
    fn input(&self, f: &F, asked: &Value) -> Option<Input> {
        match f.name() {
            "read" => Some(Input::Read),
            "transfer" => Transfer::of(asked).map(Input::Transfer),
            _ => None,
        }
    }

    fn output(&self, input: &Input, reply: &Reply) -> Option<Output> {
        match (input, &reply.value) {
            (Input::Read, Value::Map(accounts)) => {
                let account = |(name, has): (&String, &Value)| Some((name.clone(), has.whole()?));
                accounts.iter().map(account).collect::<Option<_>>().map(Output::Accounts)
            }
            (Input::Read, _) => None,
            // Jepsen's `ok` of a transfer says that the money moved.
            (Input::Transfer(_), _) => Some(Output::Moved(reply.swapped.unwrap_or(true))),
        }
    }

    fn is_read(&self, input: &Input) -> bool {
        *input == Input::Read
    }

    fn answer(&self, state: &Self::State, input: &Input) -> String {
        match input {
            Input::Read => {
                let account = |(name, &has): (&String, &i64)| (name.clone(), Value::Whole(has));
                Value::Map(state.iter().map(account).collect()).to_string()
            }
            Input::Transfer(Transfer { from, to, amount }) => {
                let covered = state.contains_key(to) && state.get(from).is_some_and(|has| has >= amount);
                if covered { "done" } else { "not done" }.to_owned()
            }
        }
    }

    fn traces(&self, input: &Input, output: Option<&Output>) -> Traces {
        match (input, output) {
            (Input::Read, _) | (Input::Transfer(_), Some(Output::Moved(false))) => Traces::sees_all(),
            (Input::Transfer(_), _) => Traces::default(),
        }
    }
}
