//! What clients and servers say to each other, and a client's end of it.
//!
//! What a command means, how often it is tried again and who leads are the user's affair.

use bytes::Bytes;
use raft_core::node::Environment;
use raft_core::{ClusterId, NodeId, Time};
use tokio::sync::oneshot;

use crate::error::NetError;
use crate::frame::{COMMAND_BYTES_MAX, Frame, FrameReader, Hello, Party};
use crate::net::Net;
use crate::outbox::{within, write_frame};
use crate::version::{Version, Versions};

/// A client wants something of the state machine, or of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names the request on its connection: no two that are under way at the same time have the same.
    pub id: u64,
    /// What is to be done with the command.
    pub ask: Ask,
    /// For the state machine, or an order.
    pub command: Bytes,
}

/// What is to be done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The state machine is to apply it, once it is committed.
    Apply,
    /// The state machine is to answer it from what it has: nothing is committed, and nothing changes.
    Read,
    /// The server is to say what it is: a [`Report`](crate::Report). The command says nothing.
    Report,
    /// The server is to do what an operator says: it is an [`Order`](crate::Order).
    Order,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request.
    pub id: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request. There are three ends, because a network has three; a good one is of its own for
/// each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is committed and was applied; this is the state machine's answer.
    Committed(Bytes),
    /// It was a query, and this is the state machine's answer. It has all that was committed when the query
    /// came to the server. Or it was for the server, and this is its answer.
    Answered(Bytes),
    /// It was certainly not applied and never will be. Trying again is safe.
    NotApplied {
        /// Why, in words.
        reason: String,
        /// Who probably leads and would have taken it.
        leader_hint: Option<NodeId>,
    },
    /// Nobody knows. It may have been applied, or may yet be.
    Unknown {
        /// Why, in words.
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Self::Committed(result) | Self::Answered(result) => result,
            Self::NotApplied { reason, .. } | Self::Unknown { reason } => reason.as_bytes(),
        }
    }
}

/// The right to answer a request, once. If it is dropped, the client is told "unknown".
#[derive(Debug)]
#[must_use = "a client waits for the answer"]
pub struct Responder(oneshot::Sender<Outcome>);

impl Responder {
    pub(crate) const fn new(answer: oneshot::Sender<Outcome>) -> Self {
        Self(answer)
    }

    /// Tells the client what became of its request. If the client has gone away, nobody is told.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.0.send(outcome);
    }
}

/// One client's connection to one server; one request at a time.
#[derive(Debug)]
pub struct Client<N: Net, E> {
    reader: FrameReader<N::Stream>,
    environment: E,
    node: NodeId,
    /// Those that the server speaks.
    versions: Versions,
    version: Version,
    last_id: u64,
    /// A request is under way, or came to no end.
    broken: bool,
}

impl<N: Net, E: Environment> Client<N, E> {
    /// Connects to the server of `cluster` at `address`.
    ///
    /// # Errors
    ///
    /// Nobody answered by `deadline`, or the server does not belong to `cluster`, or refused for another
    /// reason that it gives. Another server, or the same one later, may answer.
    pub async fn connect(
        net: &N,
        environment: E,
        cluster: ClusterId,
        address: &str,
        deadline: Time,
    ) -> Result<Self, NetError> {
        let stream = within(&environment, deadline, "connection", net.connect(address)).await?;
        let identity = net.identity(&stream);
        let mut reader = FrameReader::new(stream);
        let hello = Hello { versions: Versions::OURS, cluster, party: Party::Client, to: None };
        let left = deadline.since(environment.now());
        let hello = (&Frame::Hello(hello), Version::NEWEST);
        write_frame(&environment, reader.stream_mut(), hello, left).await?;
        match within(&environment, deadline, "handshake", reader.next()).await? {
            Some(Frame::Hello(Hello { party: Party::Node { id: node, .. }, versions, .. })) => {
                if let Some(reason) = identity.refusal(cluster, Some(node)) {
                    tracing::warn!(reason, "a server is refused");
                    return Err(NetError::Refused { reason });
                }
                let strange = || NetError::Refused {
                    reason: format!(
                        "{node} speaks protocol version {versions}, and this client {}",
                        Versions::OURS
                    ),
                };
                let version = Versions::OURS.common(versions).ok_or_else(strange)?;
                reader.speak(version);
                Ok(Self { reader, environment, node, versions, version, last_id: 0, broken: false })
            }
            Some(Frame::HelloRefused { reason }) => Err(NetError::Refused { reason }),
            Some(other) => Err(NetError::Unexpected { frame: other.kind() }),
            None => Err(NetError::Closed),
        }
    }

    /// The server at the other end.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The versions of the conversation that the server speaks.
    pub const fn versions(&self) -> Versions {
        self.versions
    }

    /// Sends `command` and waits for what becomes of it, until `deadline`: after that it is
    /// [`Outcome::Unknown`], as it is when the connection fails. Then, or if this future is dropped, the
    /// connection is spent.
    ///
    /// # Errors
    ///
    /// Nothing was sent: the command is too long, or the connection is spent ([`NetError::Closed`]).
    pub async fn request(&mut self, command: Bytes, deadline: Time) -> Result<Outcome, NetError> {
        self.ask(Ask::Apply, command, deadline).await
    }

    /// Sends `query` and waits for its answer, until `deadline`. All else is as with [`request`](Self::request),
    /// but that a query without an answer has changed nothing.
    ///
    /// # Errors
    ///
    /// Nothing was sent, as there.
    pub async fn read(&mut self, query: Bytes, deadline: Time) -> Result<Outcome, NetError> {
        self.ask(Ask::Read, query, deadline).await
    }

    /// The connection, on which nothing has been asked.
    pub(crate) fn into_parts(self) -> (FrameReader<N::Stream>, Version, E) {
        (self.reader, self.version, self.environment)
    }

    pub(crate) async fn ask(
        &mut self,
        ask: Ask,
        command: Bytes,
        deadline: Time,
    ) -> Result<Outcome, NetError> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(NetError::CommandTooLong { bytes: command.len() });
        }
        if self.broken {
            return Err(NetError::Closed);
        }
        self.broken = true;
        self.last_id += 1;
        match self.exchange(Request { id: self.last_id, ask, command }, deadline).await {
            Ok(outcome) => {
                self.broken = false;
                Ok(outcome)
            }
            Err(error) => Ok(Outcome::Unknown { reason: error.to_string() }),
        }
    }

    async fn exchange(&mut self, request: Request, deadline: Time) -> Result<Outcome, NetError> {
        let id = request.id;
        let left = deadline.since(self.environment.now());
        let request = (&Frame::Request(request), self.version);
        write_frame(&self.environment, self.reader.stream_mut(), request, left).await?;
        match within(&self.environment, deadline, "response", self.reader.next()).await? {
            Some(Frame::Response(response)) if response.id == id => Ok(response.outcome),
            Some(other) => Err(NetError::Unexpected { frame: other.kind() }),
            None => Err(NetError::Closed),
        }
    }
}
