//! A client's end, over whatever network.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answers::{self, Failed, Why};
use super::coded::Coded;
use super::machine::Typed;
use super::session::Session;
use crate::node::{Environment, SystemEnvironment};
use crate::sessions::{Proposed, Proposer, Request};
use crate::types::Time;

/// How long a request is tried again, unless [`Client::patience`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the first try of a read may take. A server that does not answer at all must not use up the patience that the others
/// would need; where the state machine takes longer, the tries after it have twice as long each.
const FIRST_TRY: Duration = Duration::from_secs(1);
/// How long to wait before a request that nobody took is tried again.
const REST: Duration = Duration::from_millis(20);

/// The way from a client to the servers of a cluster. `raft-net` has one over TCP.
pub trait Route: Proposer {
    /// Has one of the servers answer a query, once. Nobody waits past `deadline`; none if nobody answered.
    fn read(&self, query: Bytes, deadline: Time) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A client of a cluster that replicates an `M`. Cheap to clone.
pub struct Client<M, S> {
    servers: Arc<S>,
    environment: SystemEnvironment,
    patience: Duration,
    machine: PhantomData<fn() -> M>,
}

impl<M: Typed, S: Route> Client<M, S> {
    /// A client that reaches its servers so, by that clock.
    pub fn new(servers: S, environment: SystemEnvironment) -> Self {
        Self { servers: Arc::new(servers), environment, patience: PATIENCE, machine: PhantomData }
    }

    /// The same, which gives up a request after so long; usually after 30 s.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Has a command applied, and returns its answer. Sent again as long as it was certainly not applied, and never
    /// after that.
    ///
    /// # Errors
    ///
    /// There is no answer, and the error says what that means for the command.
    pub async fn propose(&self, command: M::Command) -> Result<M::Answer, Failed> {
        let command = command.encode().map_err(|error| Failed::NotApplied(Why::Unwritable(error)))?;
        let request = Request::Plain { command }.encode();
        let deadline = self.environment.now().after(self.patience);
        loop {
            match self.servers.propose(request.clone(), deadline).await {
                Proposed::Answered(answer) => return answers::of_bytes(answer),
                Proposed::Unknown => return Err(Failed::Unknown(Why::NoAnswer)),
                Proposed::NotApplied => {}
            }
            if !self.rest(deadline).await {
                return Err(Failed::NotApplied(Why::NoAnswer));
            }
        }
    }

    /// Asks of the state. The answer has all that any client had been told of when this was called.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn read(&self, query: M::Query) -> Result<M::Reply, Why> {
        let query = query.encode().map_err(Why::Unwritable)?;
        let deadline = self.environment.now().after(self.patience);
        let mut patience = FIRST_TRY;
        loop {
            let until = deadline.min(self.environment.now().after(patience));
            if let Some(reply) = self.servers.read(query.clone(), until).await {
                return M::Reply::decode(reply).map_err(Why::Unreadable);
            }
            patience = patience.saturating_mul(2);
            if !self.rest(deadline).await {
                return Err(Why::NoAnswer);
            }
        }
    }

    /// Registers a session, in which commands are applied exactly once.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn session(&self) -> Result<Session<M, Arc<S>>, Why> {
        Session::register(Arc::clone(&self.servers), self.environment, self.patience).await
    }

    /// Waits before the next try; false if there is to be none.
    async fn rest(&self, deadline: Time) -> bool {
        let rested = self.environment.now().after(REST);
        if rested < deadline {
            self.environment.sleep_until(rested).await;
        }
        rested < deadline
    }
}

impl<M, S> Clone for Client<M, S> {
    fn clone(&self) -> Self {
        let (servers, machine) = (Arc::clone(&self.servers), PhantomData);
        Self { servers, environment: self.environment, patience: self.patience, machine }
    }
}

impl<M, S> fmt::Debug for Client<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("patience", &self.patience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A state machine of which nothing but its values matters.
    struct Numbers;

    impl Typed for Numbers {
        type Command = u64;
        type Answer = u64;
        type Query = ();
        type Reply = u64;
    }

    /// Servers of which the first ones that are asked say nothing: until when each was asked, and how many are left.
    struct Silent(Mutex<(Vec<Time>, usize)>);

    impl Proposer for Silent {
        async fn propose(&self, _: Bytes, _: Time) -> Proposed {
            Proposed::NotApplied
        }
    }

    impl Route for Silent {
        async fn read(&self, _: Bytes, deadline: Time) -> Option<Bytes> {
            let (asked, silent) = &mut *self.0.lock().expect("nobody panicked");
            asked.push(deadline);
            if *silent > 0 {
                *silent -= 1;
                return None;
            }
            7_u64.encode().ok()
        }
    }

    /// A server that is stopped and not gone takes a query and says nothing. There is time left for the others then.
    #[tokio::test]
    async fn no_try_of_a_read_uses_up_all_patience() {
        let clock = SystemEnvironment::new();
        let servers = Silent(Mutex::new((Vec::new(), 2)));
        let client = Client::<Numbers, _>::new(servers, clock);
        let began = clock.now();
        assert_eq!(client.read(()).await, Ok(7));
        let took = clock.now().since(began);
        let (asked, _) = &*client.servers.0.lock().expect("nobody panicked");
        assert_eq!(asked.len(), 3);
        for (deadline, patience) in asked.iter().zip([FIRST_TRY, 2 * FIRST_TRY, 4 * FIRST_TRY]) {
            let given = deadline.since(began);
            assert!((patience..=patience + took).contains(&given), "{given:?} for {patience:?}");
        }
    }
}
