//! Frames on their way out of one end of a connection: encoded, in order, and held back as long as
//! the link between the two servers takes. Those that a test harness has leave the line are in `aside.rs`.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use raft_core::node::{Environment, Point};
use raft_core::{NodeId, Time};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::aside::Aside;
use crate::counters::Counters;
use crate::error::NetError;
use crate::frame::Frame;
use crate::link::{Bent, Fate, Links};
use crate::version::Version;

/// With so many bytes waiting, no more messages are taken from the queue. One frame may go beyond it.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much is written at a time of frames that may be many or long.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Frames from one server to another, and when they are due.
pub(crate) struct Outbox<L> {
    links: L,
    counters: Arc<Counters>,
    from: NodeId,
    to: NodeId,
    /// All frames that wait, one behind the other.
    bytes: BytesMut,
    /// When how many more of those bytes may leave. Never goes back in time.
    due: VecDeque<(Time, usize)>,
    /// Frames that are not in that line.
    aside: Aside,
    /// The link has reset the connection.
    is_reset: bool,
    version: Version,
}

/// What an outbox has to know of a frame that it cannot read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    /// [`Frame::kind`].
    pub(crate) kind: &'static str,
    is_message: bool,
}

impl<L: Links> Outbox<L> {
    pub(crate) fn new(links: L, counters: Arc<Counters>, from: NodeId, to: NodeId) -> Self {
        let (bytes, due, aside) = (BytesMut::new(), VecDeque::new(), Aside::default());
        let version = Version::NEWEST;
        Self { links, counters, from, to, bytes, due, aside, is_reset: false, version }
    }

    /// From the next frame on they are of `version`.
    pub(crate) fn speak(&mut self, version: Version) {
        self.version = version;
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() + self.aside.bytes() < WAITING_BYTES_MAX
    }

    /// When the next bytes may leave.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let in_line = self.due.front().map(|(due, _)| *due);
        in_line.into_iter().chain(self.aside.next_due()).min()
    }

    /// When the last bytes will leave.
    pub(crate) fn last_due(&self) -> Option<Time> {
        self.due.back().map(|(due, _)| *due).max(self.aside.last_due())
    }

    /// Takes a frame, unless the link loses it or it is too long. A lost one is counted and forgotten.
    pub(crate) fn push(&mut self, frame: &Frame, now: Time) {
        let start = self.bytes.len();
        if frame.encode_in(self.version, &mut self.bytes).is_err() {
            self.counters.dropped_too_long.add(1);
            return;
        }
        if let Frame::Message(envelope) = frame {
            self.links.sends(envelope);
        }
        let label = Label { kind: frame.kind(), is_message: matches!(frame, Frame::Message(_)) };
        self.place(start, label, now);
    }

    /// Does to the last frame, which begins at `start`, what the link does to it.
    fn place(&mut self, start: usize, label: Label, now: Time) {
        let length = self.bytes.len() - start;
        match self.links.fate(self.from, self.to, label.kind, length) {
            Fate::Deliver { delay } => self.line_up(length, now.after(delay)),
            Fate::Bent(bent) => self.bend(start, bent, now),
            Fate::Held => return self.aside.hold(self.bytes.split_off(start), label, now),
            fate @ (Fate::Drop | Fate::Reset) => {
                self.bytes.truncate(start);
                self.counters.dropped_by_link.add(1);
                self.is_reset |= fate == Fate::Reset;
                return;
            }
        }
        if label.is_message {
            self.counters.sent.add(1);
        }
    }

    fn line_up(&mut self, length: usize, due: Time) {
        match self.due.back_mut() {
            // What is behind cannot overtake, so it leaves with what is before it.
            Some((before, waiting)) if due <= *before => *waiting += length,
            _ => self.due.push_back((due, length)),
        }
    }

    fn bend(&mut self, start: usize, bent: Bent, now: Time) {
        let Bent { delay, overtaken, again, flipped } = bent;
        let frame = &mut self.bytes[start..];
        if let Some(bit) = flipped {
            let place = bit / 8 % frame.len() as u64;
            frame[usize::try_from(place).unwrap_or(0)] ^= 1 << (bit % 8);
        }
        let due = now.after(delay);
        if let Some(later) = again {
            self.aside.put(BytesMut::from(&*frame), due.after(later));
        }
        match overtaken {
            Some(later) => self.aside.put(self.bytes.split_off(start), due.after(later)),
            None => self.line_up(self.bytes.len() - start, due),
        }
    }

    /// What is to leave next, in one write; none once all that is due has left. Nothing of it may be used again after an error.
    pub(crate) fn next_ready(&mut self, now: Time) -> Result<Option<BytesMut>, NetError> {
        if self.due.is_empty() && self.aside.is_empty() && !self.is_reset {
            return Ok(None);
        }
        for (frame, label) in self.aside.take_asking(now) {
            if self.links.holds(self.from, self.to, label.kind) {
                self.aside.hold(frame, label, now);
            } else {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&frame);
                self.place(start, label, now);
            }
        }
        if self.is_reset {
            return Err(NetError::Io(io::ErrorKind::ConnectionReset.into()));
        }
        let mut ready = 0;
        while let Some((due, length)) = self.due.front()
            && *due <= now
        {
            ready += length;
            self.due.pop_front();
        }
        if ready > 0 { Ok(Some(self.bytes.split_to(ready))) } else { Ok(self.aside.take_due(now)) }
    }

    /// Writes all that is due.
    pub(crate) async fn flush<E: Environment, S: AsyncWrite + Unpin + Send>(
        &mut self,
        environment: &E,
        stream: &mut S,
        timeout: Duration,
    ) -> Result<(), NetError> {
        let now = environment.now();
        while let Some(ready) = self.next_ready(now)? {
            write(environment, stream, &ready, timeout).await?;
        }
        Ok(())
    }

    /// Waits until all is due, and writes it.
    pub(crate) async fn drain<E: Environment, S: AsyncWrite + Unpin + Send>(
        &mut self,
        environment: &E,
        stream: &mut S,
        timeout: Duration,
    ) -> Result<(), NetError> {
        while let Some(due) = self.next_due() {
            environment.sleep_until(due).await;
            self.flush(environment, stream, timeout).await?;
        }
        self.flush(environment, stream, timeout).await
    }
}

/// Writes one frame of `version` that no link touches.
pub(crate) async fn write_frame<E: Environment, S: AsyncWrite + Unpin + Send>(
    environment: &E,
    stream: &mut S,
    (frame, version): (&Frame, Version),
    timeout: Duration,
) -> Result<(), NetError> {
    let mut bytes = BytesMut::new();
    frame.encode_in(version, &mut bytes)?;
    write(environment, stream, &bytes, timeout).await
}

/// Writes frames that no link touches, each piece of them with a timeout of its own: a slow connection is not one that stands
/// still.
pub(crate) async fn write_in_pieces<E: Environment, S: AsyncWrite + Unpin + Send>(
    environment: &E,
    stream: &mut S,
    bytes: &[u8],
    timeout: Duration,
) -> Result<(), NetError> {
    for piece in bytes.chunks(PIECE_BYTES) {
        write(environment, stream, piece, timeout).await?;
    }
    Ok(())
}

async fn write<E: Environment, S: AsyncWrite + Unpin + Send>(
    environment: &E,
    stream: &mut S,
    bytes: &[u8],
    timeout: Duration,
) -> Result<(), NetError> {
    environment.point(Point::BeforeFrame).await;
    let deadline = environment.now().after(timeout);
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    within(environment, deadline, "write", written).await
}

/// Waits for `work`, but not beyond `deadline`.
pub(crate) async fn within<E: Environment, T, X>(
    environment: &E,
    deadline: Time,
    step: &'static str,
    work: impl Future<Output = Result<T, X>> + Send,
) -> Result<T, NetError>
where
    NetError: From<X>,
{
    tokio::select! {
        biased;
        done = work => Ok(done?),
        // A timer takes its time to make, and most work is done at once.
        () = async { environment.sleep_until(deadline).await } => Err(NetError::Deadline { step }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use raft_core::node::TokioEnvironment;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::frame::FrameReader;

    /// Links with a fate for each frame, in the order in which they are asked; then all is well.
    #[derive(Clone, Default)]
    struct Scripted {
        fates: Arc<Mutex<VecDeque<Fate>>>,
        holds: Arc<Mutex<bool>>,
    }

    impl Links for Scripted {
        fn fate(&self, _: NodeId, _: NodeId, _: &'static str, _: usize) -> Fate {
            let next = self.fates.lock().expect("nobody panicked").pop_front();
            next.unwrap_or(Fate::Deliver { delay: Duration::ZERO })
        }

        fn is_cut(&self, _: NodeId, _: NodeId) -> bool {
            false
        }

        fn holds(&self, _: NodeId, _: NodeId, _: &'static str) -> bool {
            *self.holds.lock().expect("nobody panicked")
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(1);

    struct Wire {
        links: Scripted,
        outbox: Outbox<Scripted>,
        clock: TokioEnvironment,
        near: DuplexStream,
        far: FrameReader<DuplexStream>,
    }

    impl Wire {
        fn new(fates: &[Fate]) -> Self {
            let links = Scripted::default();
            links.fates.lock().expect("nobody panicked").extend(fates);
            let outbox = Outbox::new(links.clone(), Arc::default(), NodeId::new(1), NodeId::new(2));
            let (near, far) = tokio::io::duplex(1 << 16);
            Self { links, outbox, clock: TokioEnvironment::new(), near, far: FrameReader::new(far) }
        }

        fn push(&mut self, reasons: &[&str]) {
            for &reason in reasons {
                let frame = Frame::HelloRefused { reason: reason.to_owned() };
                self.outbox.push(&frame, self.clock.now());
            }
        }

        async fn flush(&mut self) -> Result<(), NetError> {
            self.outbox.flush(&self.clock, &mut self.near, TIMEOUT).await
        }

        /// What has arrived once all has left.
        async fn arrives(mut self) -> Result<Vec<String>, NetError> {
            self.outbox.drain(&self.clock, &mut self.near, TIMEOUT).await?;
            drop(self.near);
            let mut arrived = Vec::new();
            while let Some(frame) = self.far.next().await? {
                let Frame::HelloRefused { reason } = frame else { continue };
                arrived.push(reason);
            }
            Ok(arrived)
        }
    }

    fn bent(bent: Bent) -> Fate {
        Fate::Bent(bent)
    }

    /// Each row: what becomes of the first two of three frames, and what arrives.
    #[tokio::test(start_paused = true)]
    async fn frames_are_overtaken_repeated_and_lost() {
        let ms = Duration::from_millis;
        let fine = Fate::Deliver { delay: ms(1) };
        let late = Some(ms(5));
        for (fates, expected) in [
            ([fine, fine], &["a", "b", "c"][..]),
            ([Fate::Deliver { delay: ms(9) }, fine], &["a", "b", "c"]),
            ([bent(Bent { delay: ms(9), ..Bent::default() }), fine], &["a", "b", "c"]),
            ([bent(Bent { overtaken: late, ..Bent::default() }), fine], &["b", "c", "a"]),
            ([fine, bent(Bent { again: late, ..Bent::default() })], &["a", "b", "c", "b"]),
            (
                [bent(Bent { overtaken: Some(ms(9)), again: late, ..Bent::default() }), fine],
                &["b", "c", "a", "a"],
            ),
            ([Fate::Drop, fine], &["b", "c"]),
        ] {
            let mut wire = Wire::new(&fates);
            wire.push(&["a", "b", "c"]);
            let arrived = wire.arrives().await.expect("nothing is wrong with the wire");
            assert_eq!(arrived, expected, "{fates:?}");
        }
    }

    /// Whichever bit is wrong: what comes of the frame is an error, or nothing.
    #[tokio::test(start_paused = true)]
    async fn a_frame_with_a_wrong_bit_is_refused() {
        for bit in 0..400 {
            let mut wire = Wire::new(&[bent(Bent { flipped: Some(bit), ..Bent::default() })]);
            wire.push(&["a"]);
            assert!(wire.arrives().await.is_err(), "bit {bit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_leaves_when_it_is_let_go() {
        let mut wire = Wire::new(&[Fate::Held]);
        *wire.links.holds.lock().expect("nobody panicked") = true;
        wire.push(&["a", "b"]);
        let began = wire.clock.now();
        while wire.clock.now() < began.after(TIMEOUT) {
            wire.flush().await.expect("nothing is wrong with the wire");
            assert!(!wire.outbox.aside.is_empty());
            wire.clock.sleep_until(wire.outbox.next_due().expect("something waits")).await;
        }
        *wire.links.holds.lock().expect("nobody panicked") = false;
        assert_eq!(wire.arrives().await.expect("nothing is wrong with the wire"), ["b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_ends_the_connection_at_once() {
        let fine = Fate::Deliver { delay: Duration::from_millis(1) };
        let mut wire = Wire::new(&[fine, Fate::Reset]);
        wire.push(&["a", "b"]);
        assert!(matches!(wire.flush().await, Err(NetError::Io(_))));
    }
}
