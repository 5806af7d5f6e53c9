//! An operator's way to the servers of a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::Environment;
use raft_core::server::{Coded, Machine};
use raft_core::sessions::{Answer, Request};
use raft_core::{ClusterId, EntryId, NodeId, RoleName, Time};
use tokio::task::JoinSet;

use crate::client::{Ask, Client, Outcome};
use crate::error::NetError;
use crate::net::Net;
use crate::orders::{self, Order, Report};

/// How long one server may take to accept a connection and to say what it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before servers are asked again that have no leader.
const REST: Duration = Duration::from_millis(50);

/// An operator's way to the servers of a cluster, of some of which it is known where they listen: who they are they say
/// themselves, and they name the others. Each time that something is asked all servers are looked at first: for programs
/// that ask much there is [`Servers`](crate::Servers).
pub struct Operator<N, E> {
    net: N,
    environment: E,
    cluster: ClusterId,
    addresses: Vec<String>,
}

/// The servers that were found, and those that were not.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Those that said what they are, each with where it was reached.
    pub found: BTreeMap<NodeId, (String, Report)>,
    /// Where nobody answered, and why.
    pub silent: BTreeMap<String, String>,
    /// Whether all who were asked refused this client.
    refused: bool,
}

/// What became of a request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it may have been carried out"]
pub enum NotObeyed {
    /// It was certainly not.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// Nobody knows.
    Unknown {
        /// Why, in words.
        reason: String,
    },
}

impl fmt::Display for NotObeyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } => write!(f, "not done: {reason}"),
            Self::Unknown { reason } => write!(f, "done or not, nobody knows: {reason}"),
        }
    }
}

impl std::error::Error for NotObeyed {}

impl Survey {
    /// Who leads: of those that say that they do, the one of the highest term.
    pub fn leader(&self) -> Option<NodeId> {
        let leads = |(_, report): &&(String, Report)| report.status.role == RoleName::Leader;
        let leaders = self.found.values().filter(leads);
        leaders
            .map(|(_, report)| report.status)
            .max_by_key(|status| status.current_term)
            .map(|status| status.id)
    }

    /// What is known best: what the leader says, or else who has seen the highest term.
    pub fn best(&self) -> Option<&Report> {
        let newest =
            || self.found.values().map(|(_, report)| report).max_by_key(|report| report.status.current_term);
        self.leader().and_then(|leader| self.found.get(&leader)).map(|(_, report)| report).or_else(newest)
    }

    /// Whether nobody was found, and all who answered do not want this client: it is not to be expected that they will.
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Why nobody could be asked.
    pub fn nobody(&self) -> String {
        let silent = self.silent.iter().map(|(address, why)| format!("{address}: {why}"));
        let silent: Vec<_> = silent.collect();
        if silent.is_empty() { "no servers are known".to_owned() } else { silent.join("; ") }
    }
}

impl<N: Net, E: Environment> Operator<N, E> {
    /// The way to the servers of `cluster`, of which some listen at these addresses.
    pub fn new(
        net: N,
        environment: E,
        cluster: ClusterId,
        addresses: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { net, environment, cluster, addresses: addresses.into_iter().collect() }
    }

    /// Asks all servers at once, those too that others name, until `deadline`, and each for a second at most.
    pub async fn survey(&self, deadline: Time) -> Survey {
        let mut survey = Survey::default();
        let mut next: BTreeSet<_> = self.addresses.iter().cloned().collect();
        let (mut asked, mut refused) = (BTreeSet::new(), 0);
        while !next.is_empty() {
            let mut asking = JoinSet::new();
            for address in std::mem::take(&mut next) {
                asked.insert(address.clone());
                let (net, environment, cluster) = (self.net.clone(), self.environment.clone(), self.cluster);
                let until = deadline.min(self.environment.now().after(PATIENCE));
                asking.spawn(async move {
                    let report = report_of(&net, environment, cluster, &address, until).await;
                    (address, report)
                });
            }
            while let Some(answered) = asking.join_next().await {
                match answered {
                    Ok((address, Ok(report))) => {
                        let members = report.membership.configured.configuration.members();
                        next.extend(members.iter().filter_map(|id| report.addresses.get(id)).cloned());
                        survey.found.entry(report.status.id).or_insert((address, report));
                    }
                    Ok((address, Err(error))) => {
                        refused += usize::from(matches!(
                            error,
                            NetError::Refused { .. } | NetError::Insecure { .. }
                        ));
                        survey.silent.insert(address, error.to_string());
                    }
                    // A panic has been told of.
                    Err(_) => {}
                }
            }
            next.retain(|address| !asked.contains(address) && !survey.has(address));
        }
        survey.refused = survey.found.is_empty() && refused == survey.silent.len();
        survey
    }

    /// Asks the server at this address.
    ///
    /// # Errors
    ///
    /// There is none, or it does not answer this client.
    pub async fn report(&self, address: &str, deadline: Time) -> Result<Report, NetError> {
        let until = deadline.min(self.environment.now().after(PATIENCE));
        report_of(&self.net, self.environment.clone(), self.cluster, address, until).await
    }

    /// Has the leader do this.
    ///
    /// # Errors
    ///
    /// It was not done, or nobody knows.
    pub async fn order(&self, order: &Order, deadline: Time) -> Result<Bytes, NotObeyed> {
        self.ask_leader(Ask::Order, orders::encode(order), deadline).await
    }

    /// Has the server at this address do this, and no other.
    ///
    /// # Errors
    ///
    /// It was not done, or nobody knows.
    pub async fn order_at(&self, address: &str, order: &Order, deadline: Time) -> Result<Bytes, NotObeyed> {
        self.ask_at(address, Ask::Order, orders::encode(order), deadline).await.map_err(Tried::not_obeyed)
    }

    /// Has the server `id` take a snapshot as soon as it can.
    ///
    /// # Errors
    ///
    /// It was not asked, or nobody knows.
    pub async fn snapshot(&self, id: NodeId, deadline: Time) -> Result<(), NotObeyed> {
        let survey = self.survey(deadline).await;
        let Some((address, _)) = survey.found.get(&id) else {
            return Err(NotObeyed::Refused { reason: format!("{id} does not answer: {}", survey.nobody()) });
        };
        self.order_at(address, &Order::Snapshot, deadline).await.map(|_| ())
    }

    /// Has a command applied, once: it is sent again only where it was certainly not applied.
    ///
    /// # Errors
    ///
    /// It was not applied, or nobody knows.
    pub async fn propose<M: Machine>(
        &self,
        command: M::Command,
        deadline: Time,
    ) -> Result<M::Answer, NotObeyed> {
        let command = command.encode().map_err(|error| NotObeyed::Refused { reason: error.to_string() })?;
        let answer = self.ask_leader(Ask::Apply, Request::Plain { command }.encode(), deadline).await?;
        match Answer::decode(answer) {
            Some(Answer::Applied(answer)) => M::Answer::decode(answer).map_err(unreadable),
            Some(_) | None => Err(unreadable("what answered is no state machine of this cluster")),
        }
    }

    /// Asks of the state, as it was when this was called or later.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn read<M: Machine>(&self, query: M::Query, deadline: Time) -> Result<M::Reply, NotObeyed> {
        let query = query.encode().map_err(|error| NotObeyed::Refused { reason: error.to_string() })?;
        let reply = self.ask_leader(Ask::Read, query, deadline).await;
        // A query changes nothing: that nobody knows of it means that it was not answered.
        let reply = reply.map_err(|(NotObeyed::Refused { reason } | NotObeyed::Unknown { reason })| {
            NotObeyed::Refused { reason }
        });
        M::Reply::decode(reply?).map_err(|error| NotObeyed::Refused { reason: error.to_string() })
    }

    /// Begins a change of the members, and returns the entry that it begins with.
    ///
    /// # Errors
    ///
    /// It was not begun, or nobody knows.
    pub async fn change(&self, change: &Order, deadline: Time) -> Result<EntryId, NotObeyed> {
        let answer = self.order(change, deadline).await?;
        orders::decode(&answer).ok_or_else(|| unreadable("it is of another version"))
    }

    /// Whether this may give orders, as far as its own certificate says. The servers see to it in any case.
    ///
    /// # Errors
    ///
    /// It may not: why.
    pub fn may_order(&self) -> Result<(), NotObeyed> {
        self.may(Ask::Order)
    }

    fn may(&self, ask: Ask) -> Result<(), NotObeyed> {
        let reason = self.net.own_identity().may_not(ask);
        reason.map_or(Ok(()), |reason| Err(NotObeyed::Refused { reason }))
    }

    /// Asks whoever leads, as soon as somebody does.
    async fn ask_leader(&self, ask: Ask, request: Bytes, deadline: Time) -> Result<Bytes, NotObeyed> {
        self.may(ask)?;
        loop {
            let survey = self.survey(deadline).await;
            if survey.refused {
                return Err(NotObeyed::Refused { reason: survey.nobody() });
            }
            let reason = match survey.leader().and_then(|leader| survey.found.get(&leader)) {
                Some((address, _)) => match self.ask_at(address, ask, request.clone(), deadline).await {
                    Ok(answer) => return Ok(answer),
                    Err(Tried::Elsewhere { reason }) => reason,
                    Err(tried) => return Err(tried.not_obeyed()),
                },
                None if survey.found.is_empty() => survey.nobody(),
                None => "no server leads: where a majority is up, try again".to_owned(),
            };
            let rested = self.environment.now().after(REST);
            if rested >= deadline {
                return Err(NotObeyed::Refused { reason });
            }
            self.environment.sleep_until(rested).await;
        }
    }

    async fn ask_at(&self, address: &str, ask: Ask, request: Bytes, deadline: Time) -> Result<Bytes, Tried> {
        let until = deadline.min(self.environment.now().after(PATIENCE));
        let client = Client::connect(&self.net, self.environment.clone(), self.cluster, address, until).await;
        let elsewhere = |error: NetError| Tried::Elsewhere { reason: format!("{address}: {error}") };
        match client.map_err(elsewhere)?.ask(ask, request, deadline).await {
            Ok(Outcome::Committed(answer) | Outcome::Answered(answer)) => Ok(answer),
            // What is wrong with an order will not get better; a command may find room, or a leader.
            Ok(Outcome::NotApplied { reason, leader_hint: None }) if ask == Ask::Order => {
                Err(Tried::Refused { reason })
            }
            Ok(Outcome::NotApplied { reason, .. }) => Err(Tried::Elsewhere { reason }),
            Ok(Outcome::Unknown { reason }) => Err(Tried::Unknown { reason }),
            Err(error) => Err(Tried::Refused { reason: error.to_string() }),
        }
    }
}

/// It was done, and what was answered cannot be read.
fn unreadable(why: impl fmt::Display) -> NotObeyed {
    NotObeyed::Unknown { reason: format!("the answer cannot be read: {why}") }
}

/// What became of a request that one server was asked.
enum Tried {
    /// Another one is to be asked, or the same one again.
    Elsewhere { reason: String },
    /// It is refused.
    Refused { reason: String },
    /// Nobody knows.
    Unknown { reason: String },
}

impl Tried {
    fn not_obeyed(self) -> NotObeyed {
        match self {
            Self::Elsewhere { reason } | Self::Refused { reason } => NotObeyed::Refused { reason },
            Self::Unknown { reason } => NotObeyed::Unknown { reason },
        }
    }
}

impl Survey {
    /// Whether somebody was found there.
    fn has(&self, address: &str) -> bool {
        self.found.values().any(|(found, _)| found == address)
    }
}

/// What the server at `address` says of itself.
async fn report_of<N: Net, E: Environment>(
    net: &N,
    environment: E,
    cluster: ClusterId,
    address: &str,
    deadline: Time,
) -> Result<Report, NetError> {
    let mut client = Client::connect(net, environment, cluster, address, deadline).await?;
    match client.ask(Ask::Report, Bytes::new(), deadline).await? {
        Outcome::Answered(answer) => orders::decode(&answer)
            .ok_or(NetError::Malformed { frame: "report", why: "it is of another version" }),
        Outcome::NotApplied { reason, .. } => Err(NetError::Refused { reason }),
        Outcome::Unknown { .. } => Err(NetError::Deadline { step: "report" }),
        Outcome::Committed(_) => Err(NetError::Unexpected { frame: "response" }),
    }
}

impl<N, E> fmt::Debug for Operator<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Operator");
        fields.field("cluster", &self.cluster).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
