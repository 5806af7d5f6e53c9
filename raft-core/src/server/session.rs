//! A session: commands that are applied exactly once (thesis 6.3).

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::answers::{Failed, Why};
use super::coded::Coded;
use super::machine::Typed;
use crate::node::{Environment, SystemEnvironment};
use crate::sessions::{ClientSession, Proposer, Retries};

/// A client's session. A command that is answered was applied exactly once, and one that is not at most once, whatever
/// leaders, connections and answers were lost on the way.
///
/// Any number of tasks may propose at once, up to the window of the servers (see
/// [`Limits`](crate::sessions::Limits)); their commands may be applied in any order.
pub struct Session<M, P> {
    session: ClientSession<P, SystemEnvironment>,
    environment: SystemEnvironment,
    patience: Duration,
    machine: PhantomData<fn() -> M>,
}

impl<M: Typed, P: Proposer> Session<M, P> {
    pub(super) async fn register(
        proposer: P,
        environment: SystemEnvironment,
        patience: Duration,
    ) -> Result<Self, Why> {
        let deadline = environment.now().after(patience);
        let session = ClientSession::register(proposer, environment, Retries::default(), deadline).await?;
        Ok(Self { session, environment, patience, machine: PhantomData })
    }

    /// Has a command applied, exactly once, and returns its answer. It is sent again until there is one, or patience
    /// ends. Whoever drops the future has given the command up: it may be applied, until a later one of this session is
    /// answered that was sent while no earlier one was under way.
    ///
    /// # Errors
    ///
    /// There is no answer, and the error says what that means for the command. Whoever proposes it again proposes another
    /// command: after [`Failed::Unknown`] it may be applied twice.
    pub async fn propose(&self, command: M::Command) -> Result<M::Answer, Failed> {
        let command = command.encode().map_err(|error| Failed::NotApplied(Why::Unwritable(error)))?;
        let deadline = self.environment.now().after(self.patience);
        let answer = self.session.command(command, deadline).await?;
        M::Answer::decode(answer).map_err(|error| Failed::Unknown(Why::Unreadable(error)))
    }

    /// Ends the session, so that it takes nobody's place.
    ///
    /// # Errors
    ///
    /// It had expired, which may be this call's own doing, or nobody answered in time.
    pub async fn end(self) -> Result<(), Failed> {
        let deadline = self.environment.now().after(self.patience);
        Ok(self.session.unregister(deadline).await?)
    }
}

impl<M, P: Proposer> fmt::Debug for Session<M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.session.id()).finish_non_exhaustive()
    }
}
