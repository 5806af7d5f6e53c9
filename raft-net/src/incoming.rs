//! The connections that others have dialled to this server: peers bring messages, clients requests.

use std::pin::pin;
use std::sync::Arc;

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
use crate::net::Net;
use crate::outbox::{Outbox, within, write_frame};
use crate::room::{Place, Room};
use crate::serve::{Answers, not_applied};
use crate::transport::{Context, Inlet};
use crate::version::Version;

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

    /// Answers a client's requests, one after the other.
    async fn serve_client(&mut self, identity: &Identity, version: Version) -> Result<(), NetError> {
        let Context { environment, config, .. } = self.context.clone();
        loop {
            let deadline = self.context.deadline(config.client_idle);
            let request = match within(&environment, deadline, "request", self.reader.next()).await? {
                Some(Frame::Request(request)) => request,
                Some(other) => return Err(NetError::Unexpected { frame: other.kind() }),
                None => return Ok(()),
            };
            let _owed = self.inlet.requests.owe();
            environment.point(Point::Received).await;
            let id = request.id;
            let operates = || request.ask == Ask::Apply && (config.needs_admin)(&request.command);
            let not_admin = || identity.is_no_admin().filter(|_| operates());
            if let Some(reason) = identity.may_not(request.ask).or_else(not_admin) {
                self.context.counters.refused(&reason);
                let outcome = Outcome::NotApplied { reason, leader_hint: None };
                let response = Frame::Response(Response { id, outcome });
                let response = (&response, version);
                write_frame(&environment, self.reader.stream_mut(), response, config.write_timeout).await?;
                continue;
            }
            let outcome = if request.command.len() > COMMAND_BYTES_MAX {
                not_applied("the command is too long; split it")
            } else {
                tokio::select! {
                    biased;
                    outcome = self.inlet.requests.answer(request) => outcome,
                    frame = self.reader.next() => match frame? {
                        Some(other) => return Err(NetError::Unexpected { frame: other.kind() }),
                        None => return Ok(()),
                    },
                }
            };
            let response = Frame::Response(Response { id, outcome });
            let response = (&response, version);
            write_frame(&environment, self.reader.stream_mut(), response, config.write_timeout).await?;
        }
    }
}
