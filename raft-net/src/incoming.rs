//! The connections that others have dialled to this server: peers bring messages, clients requests.

use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use raft_core::node::{Environment, Point};
use raft_core::{Envelope, Incarnation, NodeId, Time};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use crate::client::{Ask, Outcome, Response};
use crate::error::NetError;
use crate::frame::{COMMAND_BYTES_MAX, Frame, FrameReader, Party};
use crate::identity::Identity;
use crate::link::Links;
use crate::multiplexed::UNDER_WAY_MAX;
use crate::net::Net;
use crate::outbox::{Outbox, PIECE_BYTES, within, write_frame, write_in_pieces};
use crate::room::{Place, Room};
use crate::serve::{Answers, not_applied};
use crate::transport::{Context, Inlet};
use crate::version::Version;

/// With so many bytes of requests of one connection under way, no more of them are read.
const UNDER_WAY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Accepts connections, and serves each in a task that ends with this one. The listener is dropped before
/// the inlet, so that the inlet closes only when the address is free.
pub(crate) async fn listen<N: Net, E: Environment, L: Links, A: Answers>(
    context: Context<N, E, L>,
    mut door: (N::Listener, Inlet<A>),
) {
    let (listener, inlet) = &mut door;
    let (mut connections, room) = (JoinSet::new(), Room::default());
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = context.net.accept(listener) => match accepted {
                Ok(stream) => {
                    let serve = |place| connections.spawn(serve(context.clone(), stream, inlet.clone(), place));
                    if room.come(context.config.handshakes_max, serve) {
                        context.counters.connections_turned_away.add(1);
                    }
                }
                // Out of file descriptors, most likely: some connections have to end first.
                Err(_) => context.environment.sleep_until(context.deadline(context.config.back_off.0)).await,
            }
        }
    }
}

/// Serves one connection to its end; the other side dials again.
async fn serve<N: Net, E: Environment, L: Links, A: Answers>(
    context: Context<N, E, L>,
    stream: N::Stream,
    inlet: Inlet<A>,
    place: Place,
) {
    let counters = Arc::clone(&context.counters);
    let mut incoming = Incoming { reader: FrameReader::new(stream), context, inlet, place };
    let ended = incoming.serve().await;
    if matches!(ended, Err(NetError::Insecure { .. })) {
        incoming.linger().await;
    }
    counters.ended(ended);
}

struct Incoming<N: Net, E, L, A> {
    context: Context<N, E, L>,
    reader: FrameReader<N::Stream>,
    inlet: Inlet<A>,
    place: Place,
}

impl<N: Net, E: Environment, L: Links, A: Answers> Incoming<N, E, L, A> {
    async fn serve(&mut self) -> Result<(), NetError> {
        let Context { net, environment, config, .. } = self.context.clone();
        let deadline = self.context.deadline(config.connect_timeout);
        let hello = match within(&environment, deadline, "handshake", self.reader.next()).await? {
            Some(Frame::Hello(hello)) => hello,
            Some(Frame::HelloRefused { reason }) => return Err(self.context.refused(reason)),
            Some(other) => return Err(NetError::Unexpected { frame: other.kind() }),
            None => return Ok(()),
        };
        let identity = net.identity(self.reader.stream());
        let welcome = config
            .welcome(&hello)
            .and_then(|version| identity.refusal(config.cluster, hello.party.id()).map_or(Ok(version), Err));
        if let Err(reason) = &welcome {
            self.context.counters.refused(reason);
        }
        let welcome = welcome.and_then(|version| self.make_room(hello.party).map(|()| version));
        let answer = match &welcome {
            Err(reason) => Frame::HelloRefused { reason: reason.clone() },
            Ok(_) => Frame::Hello(config.hello(hello.party.id())),
        };
        match hello.party {
            Party::Client => {
                let answer = (&answer, Version::NEWEST);
                write_frame(&environment, self.reader.stream_mut(), answer, config.write_timeout).await?;
                let Ok(version) = welcome else { return Ok(()) };
                self.reader.speak(version);
                self.serve_client(&identity, version).await
            }
            Party::Node { id, incarnation } => {
                let Context { links, counters, .. } = self.context.clone();
                let mut outbox = Outbox::new(links, counters, config.id, id);
                outbox.push(&answer, environment.now());
                outbox.drain(&environment, self.reader.stream_mut(), config.write_timeout).await?;
                let Ok(version) = welcome else { return Ok(()) };
                self.reader.speak(version);
                outbox.speak(version);
                self.serve_node(id, incarnation, outbox).await
            }
        }
    }

    /// There is room for whoever has come, or the reason why not.
    fn make_room(&mut self, party: Party) -> Result<(), String> {
        let Context { config, counters, addresses, .. } = &self.context;
        let is_known = party.id().is_some_and(|id| addresses.know(id));
        match self.place.is_of(party, is_known, config.connections_max) {
            Ok(gave_way) => {
                counters.connections_turned_away.add(gave_way.into());
                Ok(())
            }
            Err(full) => {
                let reason = full.reason(config.id);
                counters.turned_away(&reason);
                Err(reason)
            }
        }
    }

    /// Who was refused has to hear why, and would not if its connection were cut while it still speaks.
    async fn linger(&mut self) {
        let Context { environment, config, .. } = self.context.clone();
        let deadline = self.context.deadline(config.connect_timeout);
        let stream = self.reader.stream_mut();
        let unread = async {
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await
        };
        // It has said enough by then, whatever it was.
        drop(within(&environment, deadline, "end", unread).await);
    }

    /// Takes in messages and answers pings, until the peer has been silent for too long.
    async fn serve_node(
        &mut self,
        peer: NodeId,
        incarnation: Incarnation,
        mut outbox: Outbox<L>,
    ) -> Result<(), NetError> {
        let Context { environment, config, .. } = self.context.clone();
        let mut silent_at = self.context.deadline(config.idle);
        let mut next_pong = self.context.deadline(config.unasked_pong);
        let mut received = self.reader.received();
        let mut armed = silent_at.min(next_pong);
        let mut timer = pin!(environment.sleep_until(armed));
        loop {
            let mut heard = tokio::select! {
                biased;
                frame = self.reader.next() => {
                    match frame? {
                        Some(Frame::Message(envelope)) => {
                            let named = (envelope.cluster, envelope.from, envelope.incarnation);
                            if named != (config.cluster, peer, incarnation) {
                                return Err(NetError::Unexpected { frame: envelope.message.kind() });
                            }
                            self.take_in(envelope).await?;
                        }
                        Some(Frame::Ping) => {
                            outbox.push(&Frame::Pong, environment.now());
                            received = self.reader.received();
                            next_pong = self.context.deadline(config.unasked_pong);
                        }
                        Some(other) => return Err(NetError::Unexpected { frame: other.kind() }),
                        None => return Ok(()),
                    }
                    true
                }
                () = timer.as_mut() => {
                    armed = Time::from_nanos(u64::MAX);
                    false
                }
            };
            let now = environment.now();
            if now >= next_pong {
                // Of a long frame on a slow link, or behind many, the pings are not here yet.
                if self.reader.received() > received {
                    outbox.push(&Frame::Pong, now);
                    heard = true;
                }
                received = self.reader.received();
                next_pong = now.after(config.unasked_pong);
            }
            if heard {
                silent_at = now.after(config.idle);
            } else if now >= silent_at {
                return Err(NetError::Deadline { step: "ping" });
            }
            outbox.flush(&environment, self.reader.stream_mut(), config.write_timeout).await?;

            let wake = outbox.next_due().map_or(silent_at, |due| due.min(silent_at)).min(next_pong);
            if wake < armed {
                armed = wake;
                timer.set(environment.sleep_until(wake));
            }
        }
    }

    /// Hands a message to the node, or loses it. Never waits for the node.
    async fn take_in(&mut self, envelope: Envelope) -> Result<(), NetError> {
        let Context { environment, links, config, counters, .. } = &self.context;
        environment.point(Point::Received).await;
        let is_lost = links.is_cut(envelope.from, config.id);
        links.receives(&envelope, is_lost);
        if is_lost {
            counters.dropped_by_link.add(1);
            return Ok(());
        }
        counters.received.add(1);
        match self.inlet.messages.try_send(envelope) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                counters.dropped_inbox_full.add(1);
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(NetError::Closed),
        }
    }

    /// Answers a client's requests, each as soon as it can be. As many are read as may be under way.
    async fn serve_client(&mut self, identity: &Identity, version: Version) -> Result<(), NetError> {
        let Context { environment, config, counters, .. } = self.context.clone();
        let Self { context, reader, inlet, .. } = self;
        let requests = &inlet.requests;
        let (mut answering, mut bytes) = (FuturesUnordered::new(), 0);
        loop {
            let has_room = answering.len() < UNDER_WAY_MAX && bytes < UNDER_WAY_BYTES_MAX;
            let idle_at = context.deadline(config.client_idle);
            // The first poll of a request that has just come in; by itself, as after it this task would be woken for nothing.
            let mut answered = answering.next().now_or_never().flatten();
            let mut read = None;
            if answered.is_none() {
                tokio::select! {
                    biased;
                    Some(one) = answering.next() => answered = Some(one),
                    frame = reader.next(), if has_room => read = frame?,
                    // A client that waits for so much may have gone, and nobody would see.
                    () = environment.sleep_until(idle_at), if answering.is_empty() || !has_room => {
                        return Err(NetError::Deadline { step: "request" });
                    }
                }
            }
            if answered.is_some() {
                let mut written = Written::new(version);
                while let Some((response, asked, debt)) = answered {
                    bytes -= asked;
                    written.take(response, debt)?;
                    answered =
                        if written.is_enough() { None } else { answering.next().now_or_never().flatten() };
                }
                let timeout = config.write_timeout;
                write_in_pieces(&environment, reader.stream_mut(), &written.frames, timeout).await?;
                continue;
            }
            let request = match read {
                Some(Frame::Request(request)) => request,
                Some(other) => return Err(NetError::Unexpected { frame: other.kind() }),
                None => return Ok(()),
            };
            let debt = requests.owe();
            environment.point(Point::Received).await;
            let operates = || request.ask == Ask::Apply && (config.needs_admin)(&request.command);
            let not_admin = || identity.is_no_admin().filter(|_| operates());
            let refused = identity.may_not(request.ask).or_else(not_admin);
            if let Some(reason) = &refused {
                counters.refused(reason);
            }
            bytes += request.command.len();
            answering.push(async move {
                let (id, asked) = (request.id, request.command.len());
                let outcome = match refused {
                    Some(reason) => Outcome::NotApplied { reason, leader_hint: None },
                    None if asked > COMMAND_BYTES_MAX => not_applied("the command is too long; split it"),
                    None => requests.answer(request).await,
                };
                (Response { id, outcome }, asked, debt)
            });
        }
    }
}

/// Answers that are written together. They are owed until then.
struct Written<O> {
    frames: BytesMut,
    version: Version,
    owed: Vec<O>,
}

impl<O> Written<O> {
    fn new(version: Version) -> Self {
        Self { frames: BytesMut::new(), version, owed: Vec::new() }
    }

    fn is_enough(&self) -> bool {
        self.frames.len() >= PIECE_BYTES
    }

    /// Takes an answer. One that is too long for a frame is none: the others have nothing to do with that.
    fn take(&mut self, response: Response, debt: O) -> Result<(), NetError> {
        let id = response.id;
        self.owed.push(debt);
        match Frame::Response(response).encode_in(self.version, &mut self.frames) {
            Err(error @ NetError::FrameTooLong { .. }) => {
                let outcome = Outcome::Unknown { reason: format!("the answer: {error}") };
                Frame::Response(Response { id, outcome }).encode_in(self.version, &mut self.frames)
            }
            encoded => encoded,
        }
    }
}
