//! Frames that have left the line of their connection, because a test harness has them overtaken, repeated
//! or held: each leaves when it is due by itself, whatever came before or behind it.

use std::time::Duration;

use bytes::BytesMut;
use raft_core::Time;

use crate::outbox::Label;

/// How often a frame that is held is asked about: links say that they hold one, and not until when.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Frames that are not in line, in the order in which they left it.
#[derive(Default)]
pub(crate) struct Aside {
    frames: Vec<Waiting>,
}

struct Waiting {
    frame: BytesMut,
    due: Time,
    /// Of a frame that is held: then its fate is asked again when it is due.
    held: Option<Label>,
}

impl Aside {
    pub(crate) const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.frames.iter().map(|waiting| waiting.frame.len()).sum()
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        self.frames.iter().map(|waiting| waiting.due).min()
    }

    pub(crate) fn last_due(&self) -> Option<Time> {
        self.frames.iter().map(|waiting| waiting.due).max()
    }

    /// Takes a frame that leaves at `due`.
    pub(crate) fn put(&mut self, frame: BytesMut, due: Time) {
        self.frames.push(Waiting { frame, due, held: None });
    }

    /// Takes a frame that is held.
    pub(crate) fn hold(&mut self, frame: BytesMut, label: Label, now: Time) {
        self.frames.push(Waiting { frame, due: now.after(ASK_EVERY), held: Some(label) });
    }

    /// The frames that were held and are to be asked about now.
    pub(crate) fn take_asking(&mut self, now: Time) -> Vec<(BytesMut, Label)> {
        let asking = |waiting: &mut Waiting| waiting.held.is_some() && waiting.due <= now;
        let asking = self.frames.extract_if(.., asking);
        asking.filter_map(|waiting| Some((waiting.frame, waiting.held?))).collect()
    }

    /// Of the frames that leave now the one that was due first.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<BytesMut> {
        let due = |(_, waiting): &(usize, &Waiting)| waiting.held.is_none() && waiting.due <= now;
        let due = self.frames.iter().enumerate().filter(due);
        let (first, _) = due.min_by_key(|(_, waiting)| waiting.due)?;
        Some(self.frames.remove(first).frame)
    }
}
