//! Frames on their way out of one end of a connection: encoded, in order, and held back as long as
//! the link between the two servers takes.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use raft_core::node::{Environment, Point};
use raft_core::{NodeId, Time};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::counters::Counters;
use crate::error::NetError;
use crate::frame::Frame;
use crate::link::{Fate, Links};

/// With so many bytes waiting, no more messages are taken from the queue. One frame may go beyond it.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

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
}

impl<L: Links> Outbox<L> {
    pub(crate) fn new(links: L, counters: Arc<Counters>, from: NodeId, to: NodeId) -> Self {
        Self { links, counters, from, to, bytes: BytesMut::new(), due: VecDeque::new() }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < WAITING_BYTES_MAX
    }

    /// When the next bytes may leave.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.due.front().map(|(due, _)| *due)
    }

    /// When the last bytes will leave.
    pub(crate) fn last_due(&self) -> Option<Time> {
        self.due.back().map(|(due, _)| *due)
    }

    /// Takes a frame, unless the link loses it or it is too long. A lost one is counted and forgotten.
    pub(crate) fn push(&mut self, frame: &Frame, now: Time) {
        let start = self.bytes.len();
        if frame.encode(&mut self.bytes).is_err() {
            self.counters.dropped_too_long.add(1);
            return;
        }
        let length = self.bytes.len() - start;
        let delay = match self.links.fate(self.from, self.to, frame.kind(), length) {
            Fate::Deliver { delay } => delay,
            Fate::Drop => {
                self.bytes.truncate(start);
                self.counters.dropped_by_link.add(1);
                return;
            }
        };
        if matches!(frame, Frame::Message(_)) {
            self.counters.sent.add(1);
        }
        let due = now.after(delay);
        match self.due.back_mut() {
            // What is behind cannot overtake, so it leaves with what is before it.
            Some((before, waiting)) if due <= *before => *waiting += length,
            _ => self.due.push_back((due, length)),
        }
    }

    /// Writes all that is due, at once. Nothing of it may be used again after an error.
    pub(crate) async fn flush<E: Environment, S: AsyncWrite + Unpin + Send>(
        &mut self,
        environment: &E,
        stream: &mut S,
        timeout: Duration,
    ) -> Result<(), NetError> {
        if self.due.is_empty() {
            return Ok(());
        }
        let now = environment.now();
        let mut ready = 0;
        while let Some((due, length)) = self.due.front()
            && *due <= now
        {
            ready += length;
            self.due.pop_front();
        }
        if ready > 0 {
            write(environment, stream, &self.bytes[..ready], timeout).await?;
            self.bytes.advance(ready);
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
        Ok(())
    }
}

/// Writes one frame that no link touches.
pub(crate) async fn write_frame<E: Environment, S: AsyncWrite + Unpin + Send>(
    environment: &E,
    stream: &mut S,
    frame: &Frame,
    timeout: Duration,
) -> Result<(), NetError> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes)?;
    write(environment, stream, &bytes, timeout).await
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
        () = environment.sleep_until(deadline) => Err(NetError::Deadline { step }),
    }
}
