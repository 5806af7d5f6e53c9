//! What is asked of the data.

use bytes::Bytes;
use raft_net::{Net, NotObeyed};
use serde_json::json;

use super::{Client, REFUSED, Said, refused};
use crate::data::{self, Answer};
use crate::history::{F, Value};
use crate::node::{Command, Store};

/// An operation that no history knows of.
pub(crate) fn command(f: &'static str, key: &str, value: Value) -> data::Command {
    data::Command { operation: u64::MAX, key: key.to_owned(), f: F::new(f), value, ballast: Bytes::new() }
}

impl<N: Net> Client<N> {
    async fn apply(&self, f: &'static str, key: &str, value: Value) -> Result<Answer, NotObeyed> {
        let command = Command::Data(command(f, key, value));
        self.operator.propose::<Store>(command, self.deadline).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Said, NotObeyed> {
        let query = command("read", key, Value::Null);
        let answer = self.operator.read::<Store>(query, self.deadline).await?;
        let value = answer.reply.value;
        let json = json!({ "key": key, "value": value, "index": answer.index });
        Ok(if value == Value::Null {
            Said::with(REFUSED, format!("no value under {key}"), json)
        } else {
            Said::done(value.to_string(), json)
        })
    }

    pub(super) async fn put(&self, key: &str, value: &str) -> Result<Said, NotObeyed> {
        self.change("write", key, Value::text(value)).await
    }

    pub(super) async fn append(&self, key: &str, value: &str) -> Result<Said, NotObeyed> {
        self.change("append", key, Value::text(value)).await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<Said, NotObeyed> {
        self.change("delete", key, Value::Null).await
    }

    async fn change(&self, f: &'static str, key: &str, value: Value) -> Result<Said, NotObeyed> {
        let answer = self.apply(f, key, value).await?;
        let json = json!({ "key": key, "index": answer.index });
        Ok(Said::done(format!("done by entry {}", answer.index), json))
    }

    pub(super) async fn cas(&self, key: &str, from: Option<&str>, to: &str) -> Result<Said, NotObeyed> {
        let from = from.map_or(Value::Null, Value::text);
        let answer = self.apply("cas", key, Value::swap(from.clone(), Value::text(to))).await?;
        let swapped =
            answer.reply.swapped.ok_or_else(|| refused("these nodes do not keep values under keys"))?;
        let json = json!({ "key": key, "index": answer.index, "swapped": swapped });
        Ok(if swapped {
            Said::done(format!("done by entry {}", answer.index), json)
        } else {
            Said::with(REFUSED, format!("not done: what is under {key} is not {from}"), json)
        })
    }
}
