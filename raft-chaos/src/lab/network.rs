//! The lab's network: one-shot calls, each with a request and a reply, between servers and from clients to servers.
//!
//! There are no connections, and no call waits for another one. A server's requests and replies are the messages of
//! raft-core, encoded as they go over TCP. What a caller would do on learning that a call failed, a raft-core server
//! does not do: to it a failed call is a message that did not come, so that nothing of it waits behind a peer that
//! cannot be reached, however late the lab would say so. Clients do wait ([`Network::call`]).
//! And a reply reaches whatever life its receiver has when it is sent, where in the lab it would have gone with the one that asked:
//! raft-core has to tell them apart by itself.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::node::{Handle, Transport};
use raft_core::{Envelope, Message, NodeId, Rng};
use raft_net::Frame;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::failure::Failure;
use super::lock;
use super::record::Record;

/// How long a request waits in an unreliable network at most.
const REQUEST_DELAY_MS: u64 = 26;
/// Of so many requests, and of so many replies, an unreliable network loses one.
const LOST: u64 = 10;
/// How many messages may be sent at one instant. No time passes where the network is reliable; so two servers that never stop
/// to contradict each other would do so for ever, at this instant.
const AT_ONCE_MAX: u64 = 100_000;
/// How often a client that waits for a reply looks whether the server is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A handle on the network. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct Network {
    record: Record,
    state: Arc<Mutex<State>>,
}

pub(super) struct State {
    rng: Rng,
    /// Requests are delayed and lost, replies are lost.
    pub(super) unreliable: bool,
    /// Two thirds of the replies come late.
    pub(super) long_reordering: bool,
    /// Who calls a server that cannot be reached learns it after up to 7 s, and not within 100 ms.
    pub(super) long_delays: bool,
    /// Whether the first can call the second.
    links: Vec<Vec<bool>>,
    doors: Vec<Option<Door>>,
    pub(super) counts: Counts,
    /// How many messages were sent at this instant.
    at_once: (Duration, u64),
}

/// Where a server can be reached in the life that it has now.
struct Door {
    life: u64,
    inbox: mpsc::Sender<Envelope>,
    handle: Handle,
}

/// What was sent so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were made: requests, whatever became of them.
    pub calls: u64,
    /// Requests that were delivered, to each server.
    pub delivered: Vec<u64>,
    /// Bytes of all requests, and of the replies that were delivered.
    pub bytes: u64,
}

/// What becomes of a request or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Lost { after: Duration },
    Delivered { after: Duration, life: u64 },
}

/// A call that failed: the server may or may not have done what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallFailed;

/// What a server does with a client's request.
pub(super) type Serve = fn(Handle, Bytes) -> std::pin::Pin<Box<dyn Future<Output = Bytes> + Send>>;

impl Network {
    /// A network of so many servers, none of which runs; all links are there.
    pub(super) fn new(servers: usize, seed: u64, record: Record) -> Self {
        let state = State {
            rng: Rng::new(seed),
            unreliable: false,
            long_reordering: false,
            long_delays: false,
            links: vec![vec![true; servers]; servers],
            doors: (0..servers).map(|_| None).collect(),
            counts: Counts { delivered: vec![0; servers], ..Counts::default() },
            at_once: (Duration::ZERO, 0),
        };
        Self { record, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A server can be reached from now on.
    pub(super) fn open(&self, server: usize, life: u64, inbox: mpsc::Sender<Envelope>, handle: Handle) {
        self.state().doors[server] = Some(Door { life, inbox, handle });
    }

    /// A server is gone. What was on its way to it, or from it, is lost.
    pub(super) fn close(&self, server: usize) {
        self.state().doors[server] = None;
    }

    /// The transport of a server in one of its lives.
    pub(super) fn transport(&self, server: usize, life: u64) -> LabTransport {
        LabTransport { network: self.clone(), server, life }
    }

    fn send(&self, from: usize, life: u64, envelope: Envelope) {
        let Some(to) = place(envelope.to) else { return };
        let (is_reply, kind) = (is_reply(&envelope.message), envelope.message.kind());
        let mut frame = BytesMut::new();
        if let Err(error) = Frame::Message(envelope).encode(&mut frame) {
            self.record.found(format!("a message cannot be encoded: {error}"));
            return;
        }
        let bytes = frame.len();
        let at_once = self.state().at_once(self.record.elapsed());
        if at_once > AT_ONCE_MAX {
            if at_once == AT_ONCE_MAX + 1 {
                let what =
                    format!("more than {AT_ONCE_MAX} messages were sent at one instant; the next are lost");
                self.record.failed(Failure::Missed(what));
            }
            return;
        }
        let fate = {
            let mut state = self.state();
            if !state.lives(from, life) {
                return;
            }
            // The call that a reply belongs to was made by whom it goes to.
            if is_reply { state.reply(to, from, bytes) } else { state.request(from, to, bytes) }
        };
        self.record.hashed((from, to, kind, bytes, fate));
        let Fate::Delivered { after, life } = fate else { return };
        let network = self.clone();
        if after.is_zero() {
            return network.deliver(to, life, is_reply, frame);
        }
        tokio::spawn(async move {
            sleep(after).await;
            network.deliver(to, life, is_reply, frame);
        });
    }

    /// Hands a message over, unless the server that it was for is gone.
    fn deliver(&self, to: usize, life: u64, is_reply: bool, mut frame: BytesMut) {
        let envelope = match Frame::decode(&mut frame) {
            Ok(Some(Frame::Message(envelope))) => envelope,
            other => return self.record.found(format!("a message cannot be decoded: {other:?}")),
        };
        let mut state = self.state();
        let Some(door) = state.doors[to].as_ref().filter(|door| door.life == life) else { return };
        if door.inbox.try_send(envelope).is_err() {
            self.record.found(format!("the inbox of server {to} is full"));
        }
        if !is_reply {
            state.counts.delivered[to] += 1;
        }
        drop(state);
        self.record.hashed((to, life));
    }

    /// A client calls a server. `can` says whether there is a link between them.
    pub(super) async fn call(
        &self,
        can: bool,
        to: usize,
        request: Bytes,
        serve: Serve,
    ) -> Result<Bytes, CallFailed> {
        let fate = self.state().outward(can, to, request.len());
        self.record.hashed((to, request.len(), fate));
        let (Fate::Lost { after } | Fate::Delivered { after, .. }) = fate;
        sleep(after).await;
        let Fate::Delivered { life, .. } = fate else { return Err(CallFailed) };
        let handle = {
            let mut state = self.state();
            let handle = state.door(to, life).map(|door| door.handle.clone()).ok_or(CallFailed)?;
            state.counts.delivered[to] += 1;
            handle
        };
        let (reply, mut answer) = oneshot::channel();
        // Whatever becomes of the caller, the server goes on with it.
        tokio::spawn(async move { drop(reply.send(serve(handle, request).await)) });
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer.map_err(|_| CallFailed)?,
                () = sleep(LOOK_AGAIN) => {
                    self.state().door(to, life).ok_or(CallFailed)?;
                }
            }
        };
        let fate = {
            let mut state = self.state();
            // What a server that is gone still answered does not count.
            state.door(to, life).ok_or(CallFailed)?;
            state.homeward(life, answer.len())
        };
        self.record.hashed((to, answer.len(), fate));
        let Fate::Delivered { after, .. } = fate else { return Err(CallFailed) };
        sleep(after).await;
        Ok(answer)
    }
}

impl State {
    pub(super) fn set_link(&mut self, one: usize, other: usize, is_there: bool) {
        self.links[one][other] = is_there;
        self.links[other][one] = is_there;
    }

    fn door(&self, server: usize, life: u64) -> Option<&Door> {
        self.doors[server].as_ref().filter(|door| door.life == life)
    }

    /// How many messages have been sent now, with one more.
    fn at_once(&mut self, now: Duration) -> u64 {
        let (instant, sent) = self.at_once;
        self.at_once = (now, if instant == now { sent + 1 } else { 1 });
        self.at_once.1
    }

    fn lives(&self, server: usize, life: u64) -> bool {
        self.door(server, life).is_some()
    }

    fn request(&mut self, from: usize, to: usize, bytes: usize) -> Fate {
        let can = self.links[from][to];
        self.outward(can, to, bytes)
    }

    /// A request, from whom there is a link or not.
    fn outward(&mut self, can: bool, to: usize, bytes: usize) -> Fate {
        self.counts.calls += 1;
        self.counts.bytes += bytes as u64;
        let Some(life) = self.doors[to].as_ref().filter(|_| can).map(|door| door.life) else {
            let limit = if self.long_delays { 7000 } else { 100 };
            return Fate::Lost { after: Duration::from_millis(self.rng.below(limit)) };
        };
        if !self.unreliable {
            return Fate::Delivered { after: Duration::ZERO, life };
        }
        let after = Duration::from_millis(self.rng.below(REQUEST_DELAY_MS + 1));
        if self.rng.one_in(LOST) { Fate::Lost { after } } else { Fate::Delivered { after, life } }
    }

    /// The reply of a server to a call of another one.
    fn reply(&mut self, caller: usize, server: usize, bytes: usize) -> Fate {
        let life = self.doors[caller].as_ref().filter(|_| self.links[caller][server]).map(|door| door.life);
        match life {
            Some(life) => self.homeward(life, bytes),
            None => Fate::Lost { after: Duration::ZERO },
        }
    }

    /// A reply, to this life of whoever called.
    fn homeward(&mut self, life: u64, bytes: usize) -> Fate {
        if self.unreliable && self.rng.one_in(LOST) {
            return Fate::Lost { after: Duration::ZERO };
        }
        self.counts.bytes += bytes as u64;
        let mut after = Duration::ZERO;
        if self.long_reordering && self.rng.below(900) < 600 {
            let longest = 1 + self.rng.below(2000);
            after = Duration::from_millis(200 + self.rng.below(longest));
        }
        Fate::Delivered { after, life }
    }
}

/// The way of one life of a server to the others.
pub(super) struct LabTransport {
    network: Network,
    server: usize,
    life: u64,
}

impl Transport for LabTransport {
    fn send(&mut self, envelope: Envelope) {
        self.network.send(self.server, self.life, envelope);
    }
}

/// The lab numbers servers from 0.
pub(super) fn place(id: NodeId) -> Option<usize> {
    usize::try_from(id.get()).ok()?.checked_sub(1)
}

/// The id of the server that the lab gives this number.
pub(super) fn node(server: usize) -> NodeId {
    NodeId::new(server as u64 + 1)
}

/// Whether a message is the reply of a call, and not the request of one. Who was removed is told when it asks for votes.
const fn is_reply(message: &Message) -> bool {
    message.is_reply() || matches!(message, Message::NotMember(_))
}
