//! The lab's helpers that assert: who leads, what is agreed on.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use raft_core::{RoleName, Term};
use tokio::time::{Instant, sleep};

use super::cluster::Lab;
use super::failure::{Failure, Tested, expect, within};

/// What the lab allows for an election.
pub(super) const ELECTION: Duration = Duration::from_secs(1);

/// What came of [`Lab::wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// So many servers have applied the command, which is this.
    Applied(Bytes),
    /// A server has gone on to a later term.
    MovedOn,
}

impl Lab {
    /// Waits for a leader among the connected servers: of those that say that they lead the one of the highest term. Asks up
    /// to ten times, after a pause of about half a second each.
    ///
    /// # Errors
    ///
    /// Two lead one term, or nobody leads for about 5 s.
    pub async fn leader(&self) -> Tested<usize> {
        for _ in 0..10 {
            let pause = 450 + self.below(100) as u64;
            sleep(Duration::from_millis(pause)).await;
            let mut leaders: BTreeMap<Term, usize> = BTreeMap::new();
            for server in (0..self.servers()).filter(|server| self.is_connected(*server)) {
                let Some(status) = self.status(server).await else { continue };
                if status.role == RoleName::Leader
                    && let Some(first) = leaders.insert(status.current_term, server)
                {
                    return Err(Failure::Wrong(format!(
                        "servers {first} and {server} lead {}",
                        status.current_term
                    )));
                }
            }
            if let Some((_, leader)) = leaders.pop_last() {
                return Ok(leader);
            }
        }
        Err(Failure::Missed("expected a leader within ten looks, and none leads".to_owned()))
    }

    /// The term that all connected servers are in now.
    ///
    /// # Errors
    ///
    /// They are not in one.
    pub async fn same_term(&self) -> Tested<Term> {
        let mut same = None;
        for server in (0..self.servers()).filter(|server| self.is_connected(*server)) {
            let Some(status) = self.status(server).await else { continue };
            let term = *same.get_or_insert(status.current_term);
            within(term == status.current_term, || {
                format!(
                    "servers disagree on the term: one is in {term}, server {server} in {}",
                    status.current_term
                )
            })?;
        }
        same.ok_or_else(|| Failure::Missed("no server is connected".to_owned()))
    }

    /// No connected server says that it leads.
    ///
    /// # Errors
    ///
    /// One does.
    pub async fn no_leader(&self) -> Tested {
        for server in (0..self.servers()).filter(|server| self.is_connected(*server)) {
            let leads = self.status(server).await.is_some_and(|status| status.role == RoleName::Leader);
            expect(!leads, || format!("expected no leader, and server {server} says that it leads"))?;
        }
        Ok(())
    }

    /// Has the cluster agree on a command: offers it to connected servers in turn until one takes it, and waits until at
    /// least `servers` have applied it where it was to be. With `retry` it is offered again, and may be applied twice.
    /// Returns its number.
    ///
    /// # Errors
    ///
    /// That does not come within 10 s, or within 2 s of its being taken without `retry`.
    pub async fn one(&self, command: impl Into<Bytes>, servers: usize, retry: bool) -> Tested<u64> {
        let command = command.into();
        let began = Instant::now();
        let mut next = 0;
        while began.elapsed() < Duration::from_secs(10) {
            let mut started = None;
            for _ in 0..self.servers() {
                next = (next + 1) % self.servers();
                if self.is_connected(next) {
                    started = self.start(next, command.clone()).await;
                }
                if started.is_some() {
                    break;
                }
            }
            let Some(started) = started else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let taken = Instant::now();
            while taken.elapsed() < Duration::from_secs(2) {
                let (have, what) = self.committed(started.index);
                if have >= servers && what.as_ref() == Some(&command) {
                    return Ok(started.index);
                }
                sleep(Duration::from_millis(20)).await;
            }
            within(retry, || failed_to_agree(&command, servers))?;
        }
        Err(Failure::Missed(failed_to_agree(&command, servers)))
    }

    /// Waits until at least `servers` have applied the command of this number, for some 30 s; with a `term` only as long as
    /// no server is in a later one.
    ///
    /// # Errors
    ///
    /// It does not come.
    pub async fn wait(&self, index: u64, servers: usize, term: Option<Term>) -> Tested<Waited> {
        let mut pause = Duration::from_millis(10);
        for _ in 0..30 {
            if self.committed(index).0 >= servers {
                break;
            }
            sleep(pause).await;
            if pause < Duration::from_secs(1) {
                pause *= 2;
            }
            if let Some(term) = term
                && self.is_later_than(term).await
            {
                return Ok(Waited::MovedOn);
            }
        }
        match self.committed(index) {
            (have, Some(command)) if have >= servers => Ok(Waited::Applied(command)),
            (have, _) => Err(Failure::Missed(format!(
                "only {have} servers have command {index}, {servers} were wanted"
            ))),
        }
    }

    /// Whether a server that runs is in a later term.
    pub async fn is_later_than(&self, term: Term) -> bool {
        for server in 0..self.servers() {
            if self.status(server).await.is_some_and(|status| status.current_term > term) {
                return true;
            }
        }
        false
    }
}

fn failed_to_agree(command: &Bytes, servers: usize) -> String {
    let beginning = String::from_utf8_lossy(&command[..command.len().min(32)]).into_owned();
    format!("{servers} servers failed to agree on command {beginning}")
}

/// The number as a command.
pub(super) fn number(number: u64) -> Bytes {
    number.to_string().into()
}

/// Waits so many milliseconds.
pub(super) async fn millis(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}
