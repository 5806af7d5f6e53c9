//! What clients ask a leader to do (§5.3), and how much of it may wait to be committed.

use std::collections::VecDeque;

use bytes::Bytes;

#[cfg(doc)]
use crate::effects::Effects;
use crate::entry::Payload;
use crate::event::Event;
use crate::input::ProposeError;
use crate::state::{Health, Raft, Role};
use crate::transfer::Transfer;
use crate::types::{EntryId, LogIndex};

/// The commands of a leader's reign that are not committed yet, by their size in memory. No-ops do not count:
/// a reign begins with nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncommitted {
    commands: VecDeque<(LogIndex, usize)>,
    bytes: usize,
}

impl Uncommitted {
    /// Whether a command may be added. The first one may be of any size: else it never could.
    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.commands.is_empty() || self.bytes.saturating_add(bytes) <= bytes_max
    }

    fn appended(&mut self, index: LogIndex, bytes: usize) {
        self.commands.push_back((index, bytes));
        self.bytes += bytes;
    }

    /// All up to `index` is committed.
    pub(crate) fn committed(&mut self, index: LogIndex) {
        while let Some(&(first, bytes)) = self.commands.front()
            && first <= index
        {
            self.commands.pop_front();
            self.bytes -= bytes;
        }
    }
}

impl Raft {
    /// Appends a client's command to the leader's log (§5.3). It is committed when an entry with the id
    /// returned is handed out in [`Effects::apply`], and certainly lost when one with the same index
    /// and another term is. Until then nobody knows.
    ///
    /// # Errors
    ///
    /// This server does not lead, is about to lead no longer, or has too much that is not committed
    /// ([`Config::uncommitted_bytes_max`](crate::Config::uncommitted_bytes_max)); nothing was appended.
    pub fn propose(&mut self, command: Bytes) -> Result<EntryId, ProposeError> {
        let (payload, leader) = (Payload::Command(command), self.leader());
        let bytes = payload.weight();
        match &mut self.role {
            Role::Leader { .. } if self.health != Health::Sound => {
                Err(ProposeError::NotLeader { leader: None })
            }
            Role::Leader { transfer: Some(Transfer { to, .. }), .. } => {
                Err(ProposeError::Transferring { to: *to })
            }
            Role::Leader { transfer: None, uncommitted, .. } => {
                if !uncommitted.has_room(bytes, self.config.uncommitted_bytes_max) {
                    return Err(ProposeError::Overloaded);
                }
                uncommitted.appended(self.log.last().index.next(), bytes);
                Ok(self.append(payload))
            }
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                Err(ProposeError::NotLeader { leader })
            }
        }
    }

    pub(crate) fn append(&mut self, payload: Payload) -> EntryId {
        let (id, checksum) = self.log.append(self.current_term, payload);
        self.observe(|| Event::Appended { id, checksum });
        id
    }
}
