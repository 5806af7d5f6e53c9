//! A connection that carries messages to a peer: how they leave, and how it shows that nobody is there any more.

use std::pin::pin;
use std::time::Duration;

use raft_core::Time;
use raft_core::node::{Environment, Point};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::error::NetError;
use crate::frame::{Frame, FrameReader};
use crate::link::Links;
use crate::outbox::Outbox;

/// A connection after the handshake, as who has dialled sees it.
pub(crate) struct Carrying<S, E, L> {
    reader: FrameReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    pub(crate) outbox: Outbox<L>,
    environment: E,
    /// How long the peer may be silent.
    silence: Duration,
    /// When it was heard last.
    heard: Time,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, E: Environment, L: Links> Carrying<S, E, L> {
    /// A connection whose peer has just been heard.
    pub(crate) fn new(reader: FrameReader<S>, outbox: Outbox<L>, environment: E, silence: Duration) -> Self {
        let (reader, writer) = reader.split();
        let heard = environment.now();
        Self { reader, writer, outbox, environment, silence, heard }
    }

    /// When the peer will have been silent for too long.
    pub(crate) fn silent_at(&self) -> Time {
        self.heard.after(self.silence)
    }

    /// What the peer says next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, NetError> {
        self.reader.next().await
    }

    /// Notes what the peer has said.
    pub(crate) fn hear(&mut self, frame: Option<Frame>) -> Result<(), NetError> {
        self.heard = pong(frame, &self.environment)?;
        Ok(())
    }

    /// Writes all that is due, for as long as the peer is heard meanwhile: one that takes in slowly has not gone.
    pub(crate) async fn flush(&mut self) -> Result<(), NetError> {
        let now = self.environment.now();
        while let Some(ready) = self.outbox.next_ready(now)? {
            self.environment.point(Point::BeforeFrame).await;
            self.write(&ready).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let (writer, environment) = (&mut self.writer, self.environment.clone());
        let mut written = pin!(async {
            writer.write_all(bytes).await?;
            writer.flush().await
        });
        loop {
            let silent_at = self.heard.after(self.silence);
            tokio::select! {
                biased;
                done = written.as_mut() => return Ok(done?),
                frame = self.reader.next() => self.heard = pong(frame?, &environment)?,
                () = environment.sleep_until(silent_at) => return Err(NetError::Deadline { step: "pong" }),
            }
        }
    }
}

/// The moment at which the peer was heard; there is only one thing that it may say.
fn pong(frame: Option<Frame>, environment: &impl Environment) -> Result<Time, NetError> {
    match frame {
        Some(Frame::Pong) => Ok(environment.now()),
        Some(other) => Err(NetError::Unexpected { frame: other.kind() }),
        None => Err(NetError::Closed),
    }
}
