//! A snapshot, to be read at leisure: files are read on threads where waiting for a disk holds nobody up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};

use super::frames::Source;

type Read = io::Result<(Source, Vec<u8>)>;

/// The bytes of a snapshot, frame by frame. Has to be read within a tokio runtime.
pub(super) struct Reader {
    /// What reads the next frame; none behind the last one, or an error.
    next: Option<JoinHandle<Read>>,
    frame: Vec<u8>,
    /// How much of the frame was handed over.
    at: usize,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        Self { next: Some(read(source)), frame: Vec::new(), at: 0 }
    }
}

fn read(mut source: Source) -> JoinHandle<Read> {
    spawn_blocking(move || {
        let frame = source.next()?;
        Ok((source, frame))
    })
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at == self.frame.len() {
            let Some(next) = &mut self.next else { return Poll::Ready(Ok(())) };
            let read = ready!(Pin::new(next).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
            self.next = None;
            let (source, frame) = read?;
            // The next frame is read while this one is on its way.
            self.next = (!frame.is_empty()).then(|| self::read(source));
            (self.frame, self.at) = (frame, 0);
        }
        let bytes = into.remaining().min(self.frame.len() - self.at);
        into.put_slice(&self.frame[self.at..self.at + bytes]);
        self.at += bytes;
        Poll::Ready(Ok(()))
    }
}
