//! The messages between the servers, as `messages.jsonl`: a line when one is sent, with what the link does to it, and one
//! when it comes in.
//!
//! What links do to messages is in the run's hash; this file is for those who draw them, and nothing of it is hashed. Between
//! processes a message is sent when it comes to the proxy, and comes in when the proxy hands it on.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};

use raft_core::{AppendEntriesReply, Envelope, InstallSnapshotReply, LogIndex, Message, NodeId, Term, Time};
use raft_net::{Bent, Fate};
use serde::{Deserialize, Serialize};

use crate::mix::mix;

/// Who writes them down.
pub(super) struct Messages {
    file: Box<dyn Write + Send>,
    failed: Option<io::Error>,
    /// How many were sent.
    count: u64,
    /// The one whose fate is asked next.
    next: Option<(Says, Copies)>,
    ends: Ends,
}

/// When messages come in.
enum Ends {
    /// It is told. This is what may yet come in, by who sends what to whom; of two that say the same, the first sent comes in first.
    Told(BTreeMap<(NodeId, NodeId, u64), VecDeque<Copies>>),
    /// Nobody hears of it: they come in when the link hands them on, and one that was held at a moment that is not known. This
    /// is when the last one of each direction does.
    HandedOn(BTreeMap<(NodeId, NodeId), Time>),
}

/// A message, and how often it may yet come in.
struct Copies {
    message: u64,
    left: u8,
    /// What names all that it says.
    name: u64,
}

/// What a diagram has to show of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Says {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) term: Term,
    /// The last entry of a log, the one before those that are sent, or the one up to which logs agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<LogIndex>,
    /// How many entries are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entries: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<LogIndex>,
    /// Whether what was asked for is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) granted: Option<bool>,
}

/// A line of `messages.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// One was sent.
    Sent {
        time_ns: u64,
        message: u64,
        #[serde(flatten)]
        says: Says,
        /// What the link does to it, in a word.
        fate: Cow<'static, str>,
    },
    /// One came in; or was lost at the last moment, because the link was cut meanwhile.
    Received {
        time_ns: u64,
        received: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
}

impl Messages {
    /// `hears` whether it will be told what comes in.
    pub(super) fn new(file: Box<dyn Write + Send>, hears: bool) -> Self {
        let ends = if hears { Ends::Told(BTreeMap::new()) } else { Ends::HandedOn(BTreeMap::new()) };
        Self { file, failed: None, count: 0, next: None, ends }
    }

    /// The fate of this one is asked next.
    pub(super) fn says(&mut self, envelope: &Envelope) {
        let copies = Copies { message: self.count, left: 1, name: mix(0, envelope) };
        self.count += 1;
        self.next = Some((Says::of(envelope), copies));
    }

    /// The link decided. One that was held is asked for again, and has its line already.
    pub(super) fn sent(&mut self, now: Time, fate: &Fate) {
        let Some((says, mut copies)) = self.next.take() else { return };
        let (from, to, message) = (says.from, says.to, copies.message);
        let fate_name = Cow::Borrowed(name(fate));
        self.write(&Line::Sent { time_ns: now.as_nanos(), message, says, fate: fate_name });
        match &mut self.ends {
            Ends::Told(on_way) => {
                copies.left += u8::from(matches!(fate, Fate::Bent(bent) if bent.again.is_some()));
                if !matches!(fate, Fate::Drop | Fate::Reset) {
                    on_way.entry((from, to, copies.name)).or_default().push_back(copies);
                }
            }
            Ends::HandedOn(last) => {
                let ends = handed_on(now, fate, last.entry((from, to)).or_default());
                for end in ends.into_iter().flatten() {
                    self.write(&Line::Received { time_ns: end.as_nanos(), received: message, lost: false });
                }
            }
        }
    }

    /// A message came in.
    pub(super) fn received(&mut self, now: Time, envelope: &Envelope, lost: bool) {
        let Ends::Told(on_way) = &mut self.ends else { return };
        let way = (envelope.from, envelope.to, mix(0, envelope));
        let Some(waiting) = on_way.get_mut(&way) else { return };
        let Some(first) = waiting.front_mut() else { return };
        let received = Line::Received { time_ns: now.as_nanos(), received: first.message, lost };
        first.left -= 1;
        if first.left == 0 {
            waiting.pop_front();
        }
        if waiting.is_empty() {
            on_way.remove(&way);
        }
        self.write(&received);
    }

    /// Writes what has not been written.
    ///
    /// # Errors
    ///
    /// This, or an earlier line, could not be.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.failed.take().map_or(Ok(()), Err)
    }

    fn write(&mut self, line: &Line) {
        let written = serde_json::to_writer(&mut self.file, line).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| self.file.write_all(b"\n")) {
            self.failed.get_or_insert(error);
        }
    }
}

/// When a link hands on what it does this to, and once more; `last` is when it hands on the last one that stays in line. A
/// message with a wrong bit is no message.
fn handed_on(now: Time, fate: &Fate, last: &mut Time) -> [Option<Time>; 2] {
    let mut in_line = |due: Time| {
        *last = due.max(*last);
        *last
    };
    match *fate {
        Fate::Deliver { delay } => [Some(in_line(now.after(delay))), None],
        Fate::Bent(Bent { delay, overtaken, again, flipped: None }) => {
            let due = now.after(delay);
            [
                Some(overtaken.map_or_else(|| in_line(due), |later| due.after(later))),
                again.map(|later| due.after(later)),
            ]
        }
        Fate::Bent(_) | Fate::Held | Fate::Drop | Fate::Reset => [None, None],
    }
}

/// What a link does, in a word.
const fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Deliver { .. } => "deliver",
        Fate::Bent(bent) if bent.flipped.is_some() => "corrupt",
        Fate::Bent(bent) if bent.again.is_some() => "duplicate",
        Fate::Bent(_) => "reorder",
        Fate::Held => "hold",
        Fate::Drop => "drop",
        Fate::Reset => "reset",
    }
}

impl Says {
    fn of(envelope: &Envelope) -> Self {
        let Envelope { from, to, term, ref message, .. } = *envelope;
        let mut says = Self {
            from,
            to,
            kind: Cow::Borrowed(message.kind()),
            term,
            index: None,
            entries: None,
            commit: None,
            granted: None,
        };
        match message {
            Message::PreVote(asked) => says.index = Some(asked.last_log.index),
            Message::RequestVote(asked) => says.index = Some(asked.last_log.index),
            Message::PreVoteReply(answer) => says.granted = Some(answer.vote_granted),
            Message::RequestVoteReply(answer) => says.granted = Some(answer.vote_granted),
            Message::AppendEntries(append) => {
                says.index = Some(append.prev_log.index);
                says.entries = Some(append.entries.len());
                says.commit = Some(append.leader_commit);
            }
            Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
                (says.index, says.granted) = (Some(*match_index), Some(true));
            }
            Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, .. }) => {
                (says.index, says.granted) = (Some(refused.index), Some(false));
            }
            Message::AppendEntriesReply(AppendEntriesReply::Lost { from, .. }) => {
                (says.index, says.granted) = (Some(*from), Some(false));
            }
            Message::InstallSnapshot(install) => says.index = Some(install.snapshot.index()),
            Message::InstallSnapshotReply(
                InstallSnapshotReply::Received { snapshot, .. }
                | InstallSnapshotReply::Installed { snapshot },
            ) => says.index = Some(snapshot.last_included.index),
            Message::ReadIndexReply(answer) => says.index = answer.read_index.map(|id| id.index),
            Message::NotMember(news) => says.index = Some(news.configured.index),
            Message::TimeoutNow
            | Message::Confirm(_)
            | Message::ConfirmReply(_)
            | Message::ReadIndex
            | Message::FetchEntries(_)
            | Message::FetchEntriesReply(_) => {}
        }
        says
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Each row: what links do to messages that are sent one millisecond after the other, and when they hand them on.
    #[test]
    fn links_hand_on_in_line_but_for_what_is_overtaken() {
        let ms = Duration::from_millis;
        let fine = |delay| Fate::Deliver { delay: ms(delay) };
        let bent = |overtaken, again, flipped| Fate::Bent(Bent { delay: ms(1), overtaken, again, flipped });
        for (fates, expected) in [
            (&[fine(0), fine(0)][..], &[[Some(0), None], [Some(1), None]][..]),
            (&[fine(9), fine(0)], &[[Some(9), None], [Some(9), None]]),
            (&[bent(Some(ms(9)), None, None), fine(0)], &[[Some(10), None], [Some(1), None]]),
            (&[bent(None, Some(ms(5)), None)], &[[Some(1), Some(6)]]),
            (&[bent(None, None, Some(3)), Fate::Held, Fate::Drop, Fate::Reset], &[[None; 2]; 4]),
        ] {
            let (mut last, mut now) = (Time::ZERO, Time::ZERO);
            for (fate, expected) in fates.iter().zip(expected) {
                let handed = handed_on(now, fate, &mut last);
                assert_eq!(handed, expected.map(|at| Some(Time::ZERO.after(ms(at?)))), "{fates:?}");
                now = now.after(ms(1));
            }
        }
    }
}
