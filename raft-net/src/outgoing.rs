//! A connection that this server has dialled to one peer: it carries messages there, and pings.

use std::pin::pin;
use std::time::Duration;

use raft_core::node::Environment;
use raft_core::{Envelope, NodeId, Time};
use tokio::sync::mpsc;

use crate::carrying::Carrying;
use crate::error::NetError;
use crate::frame::{Frame, FrameReader, Party};
use crate::link::Links;
use crate::net::Net;
use crate::outbox::{Outbox, within};
use crate::transport::Context;

/// How long it is waited at most before a peer is dialled again that does not want this server, or that this server does not
/// want: somebody has to change something first.
const REFUSED: Duration = Duration::from_secs(1);

/// How long a connection is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Always: it is dialled at once, and again whenever it fails.
    Kept,
    /// While it is needed: it is dialled for the first message, and closed once none has left for
    /// [`PeersConfig::idle`](crate::PeersConfig::idle).
    OnDemand,
}

/// One way to a peer, as seen from here.
pub(crate) struct Outgoing<N, E, L> {
    context: Context<N, E, L>,
    peer: NodeId,
    lifetime: Lifetime,
    queue: mpsc::Receiver<Envelope>,
    /// What a connection on demand is dialled for.
    first: Option<Envelope>,
    jitter: Jitter,
}

impl<N: Net, E: Environment, L: Links> Outgoing<N, E, L> {
    pub(crate) fn new(
        context: Context<N, E, L>,
        peer: NodeId,
        lifetime: Lifetime,
        queue: mpsc::Receiver<Envelope>,
    ) -> Self {
        let jitter = Jitter(context.config.seed ^ peer.get().rotate_left(32));
        Self { context, peer, lifetime, queue, first: None, jitter }
    }

    /// Dials, carries messages as long as the connection lives, waits, and dials again.
    pub(crate) async fn run(mut self) {
        let (shortest, longest) = self.context.config.back_off;
        let mut back_off = shortest;
        while self.is_needed().await {
            let ended = match self.dial().await {
                Ok((reader, outbox)) => {
                    back_off = shortest;
                    self.carry(reader, outbox).await
                }
                Err(error) => Err(error),
            };
            if ended.is_ok() {
                continue;
            }
            let was_refused = matches!(ended, Err(NetError::Refused { .. } | NetError::Insecure { .. }));
            self.context.counters.ended(ended);
            let wake = self.context.deadline(self.jitter.draw(back_off));
            self.context.environment.sleep_until(wake).await;
            let longest = if was_refused { longest.max(REFUSED) } else { longest };
            back_off = longest.min(back_off * 2);
            self.forget_waiting();
        }
    }

    /// Waits until there is a reason to dial; false if there never will be one.
    async fn is_needed(&mut self) -> bool {
        match self.lifetime {
            Lifetime::Kept => !self.queue.is_closed() && self.context.addresses.know(self.peer),
            Lifetime::OnDemand => {
                self.first = self.queue.recv().await;
                self.first.is_some()
            }
        }
    }

    /// Waits for the next message; none if nobody is left to send any. Cancel safe.
    async fn next_message(&mut self) -> Option<Envelope> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.queue.recv().await,
        }
    }

    /// Connects and shakes hands.
    async fn dial(&self) -> Result<(FrameReader<N::Stream>, Outbox<L>), NetError> {
        let Context { net, environment, links, config, counters, addresses } = &self.context;
        let address = addresses.get(self.peer).ok_or(NetError::Closed)?;
        counters.dials.add(1);
        let deadline = self.context.deadline(config.connect_timeout);
        let stream = within(environment, deadline, "connection", net.connect(&address)).await?;

        let refusal = net.identity(&stream).refusal(config.cluster, Some(self.peer));
        let mut reader = FrameReader::new(stream);
        let mut outbox = Outbox::new(links.clone(), counters.clone(), config.id, self.peer);
        let deadline = self.context.deadline(config.connect_timeout);
        if let Some(reason) = refusal {
            outbox.push(&Frame::HelloRefused { reason: reason.clone() }, environment.now());
            let told = outbox.drain(environment, reader.stream_mut(), config.write_timeout);
            within(environment, deadline, "handshake", told).await?;
            return Err(self.context.refused(reason));
        }
        outbox.push(&Frame::Hello(config.hello(Some(self.peer))), environment.now());
        let answer = within(environment, deadline, "handshake", async {
            outbox.drain(environment, reader.stream_mut(), config.write_timeout).await?;
            reader.next().await
        });
        match answer.await? {
            Some(Frame::Hello(hello)) => match (config.welcome(&hello), hello.party) {
                (Err(reason), _) => Err(self.context.refused(reason)),
                (Ok(version), Party::Node { id, .. }) if id == self.peer => {
                    if version < config.versions.newest() {
                        tracing::info!(peer = %self.peer, %version, "a peer speaks an older protocol version");
                    }
                    reader.speak(version);
                    outbox.speak(version);
                    Ok((reader, outbox))
                }
                (Ok(_), Party::Node { .. } | Party::Client) => {
                    let reason = format!("{} is not at {}; correct its address", self.peer, address);
                    Err(self.context.refused(reason))
                }
            },
            Some(Frame::HelloRefused { reason }) => Err(self.context.refused(reason)),
            Some(other) => Err(NetError::Unexpected { frame: other.kind() }),
            None => Err(NetError::Closed),
        }
    }

    /// Carries messages until the connection fails or is not needed any more.
    async fn carry(&mut self, reader: FrameReader<N::Stream>, outbox: Outbox<L>) -> Result<(), NetError> {
        let Context { environment, config, .. } = self.context.clone();
        let mut line = Carrying::new(reader, outbox, environment.clone(), config.silence);
        let began = environment.now();
        let mut idle_at = self.idle_at(&line.outbox, began);
        let mut next_ping = began.after(config.keep_alive);
        let mut armed = next_ping;
        let mut timer = pin!(environment.sleep_until(armed));
        loop {
            tokio::select! {
                biased;
                frame = line.next() => line.hear(frame?)?,
                envelope = self.next_message(), if line.outbox.has_room() => match envelope {
                    Some(envelope) => {
                        let now = environment.now();
                        self.take_waiting(envelope, &mut line.outbox, now);
                        idle_at = self.idle_at(&line.outbox, now);
                    }
                    None => return Ok(()),
                },
                () = timer.as_mut() => armed = Time::from_nanos(u64::MAX),
            }
            let now = environment.now();
            if now >= line.silent_at() {
                return Err(NetError::Deadline { step: "pong" });
            }
            if now >= next_ping {
                line.outbox.push(&Frame::Ping, now);
                next_ping = now.after(config.keep_alive);
            }
            line.flush().await?;
            if now >= idle_at {
                return Ok(());
            }

            let due = line.outbox.next_due().unwrap_or(next_ping);
            let wake = due.min(next_ping).min(line.silent_at()).min(idle_at);
            if wake < armed {
                armed = wake;
                timer.set(environment.sleep_until(wake));
            }
        }
    }

    /// Takes `first` and all that waits behind it, so that they go out in one write.
    fn take_waiting(&mut self, first: Envelope, outbox: &mut Outbox<L>, now: Time) {
        outbox.push(&Frame::Message(first), now);
        while outbox.has_room()
            && let Ok(envelope) = self.queue.try_recv()
        {
            outbox.push(&Frame::Message(envelope), now);
        }
    }

    /// When the connection will not be needed any more, unless another message comes.
    fn idle_at(&self, outbox: &Outbox<L>, now: Time) -> Time {
        match self.lifetime {
            Lifetime::Kept => Time::from_nanos(u64::MAX),
            Lifetime::OnDemand => outbox.last_due().unwrap_or(now).after(self.context.config.idle),
        }
    }

    /// Drops what piled up while the peer could not be reached: it is old by now, and the protocol
    /// sends again what still matters.
    fn forget_waiting(&mut self) {
        while self.first.take().is_some() || self.queue.try_recv().is_ok() {
            self.context.counters.dropped_unreachable.add(1);
        }
    }
}

/// A generator of waits: SplitMix64.
struct Jitter(u64);

impl Jitter {
    /// From half of `most` to all of it.
    fn draw(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let half = u64::try_from(most.as_nanos() / 2).unwrap_or(u64::MAX / 2);
        Duration::from_nanos(half + bits % (half + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed waits the same times, another seed others, and all of them in the upper half.
    #[test]
    fn waits_are_drawn_from_the_seed() {
        let most = Duration::from_millis(100);
        let draw = |seed| {
            let mut jitter = Jitter(seed);
            (0..100).map(|_| jitter.draw(most)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|wait| (most / 2..=most).contains(wait)));
    }
}
