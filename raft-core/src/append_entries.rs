//! Figure 2, box "AppendEntries RPC": both sides.

use crate::check_quorum::Heard;
use crate::configuration::Configuration;
use crate::effects::Violation;
use crate::entries::Entries;
use crate::entry::{Entry, Payload};
use crate::event::Event;
use crate::log::Found;
use crate::message::{AppendEntries, AppendEntriesReply, Message};
use crate::planted::planted;
use crate::rules::NUMBER_MAX;
use crate::snapshot::Load;
use crate::state::{Raft, Role, Sender};
use crate::types::{EntryId, LogIndex, NodeId, Session, Term};

impl Raft {
    /// Leaders (§5.3): whoever lacks entries is sent them, as far as the follower's window has room;
    /// whoever is due a heartbeat gets one, with entries if there are any to send.
    pub(crate) fn replicate(&mut self) {
        let Role::Leader { progress, .. } = &mut self.role else { return };
        let end = self.log.last().index;
        let bytes_max = self.config.append_bytes_max;
        let window = (self.config.append_window, self.config.append_window_bytes);
        let window = if planted!(self, WindowIgnored) { (usize::MAX, usize::MAX) } else { window };
        for peer in progress {
            if planted!(self, PrevBelowSnapshot) {
                peer.next_index = peer.next_index.max(self.log.base().index.next());
            }
            if planted!(self, TimerNotResetBySnapshot) && peer.snapshot_heard().is_some() {
                continue;
            }
            loop {
                let last = self.repairs.sound_to(peer.next_index, end, &self.log);
                let bare = peer.heartbeat_due && planted!(self, HeartbeatsWithoutEntries);
                let lacks_entries = !bare && peer.next_index <= last && peer.has_room(window);
                let found = lacks_entries.then(|| self.log.entries(peer.next_index, last, bytes_max));
                let entries = match found {
                    Some(Found::Here(entries)) => entries,
                    Some(Found::OnDisk { to }) => {
                        self.loads.ask(Load::Entries { from: peer.next_index, to, bytes_max });
                        Entries::default()
                    }
                    None => Entries::default(),
                };
                if entries.is_empty() && !peer.heartbeat_due {
                    break;
                }
                // Before the snapshot there is nothing to join on to: then it says only who leads.
                let prev_index = if bare { peer.match_index } else { peer.joins_on_to() };
                let prev_log = self.log.id_at(prev_index).unwrap_or(EntryId::ZERO);
                let bytes = entries.payload_bytes();
                peer.sent(entries.last().map(|entry| entry.id.index), bytes);
                let args = AppendEntries { prev_log, entries, leader_commit: self.commit_index };
                let message = Message::AppendEntries(args);
                self.outbox.push(self.config.envelope(
                    peer.follower,
                    self.current_term,
                    peer.session,
                    message,
                ));
            }
        }
    }

    /// Receiver implementation. None if the server has to stop.
    pub(crate) fn handle_append_entries(
        &mut self,
        leader: NodeId,
        term: Term,
        mut args: AppendEntries,
    ) -> Option<AppendEntriesReply> {
        // 1. A leader of the past is told so (§5.1).
        let durable = self.disk.durable().hard_state.current_term;
        let known = if planted!(self, AppendJudgedByDurableTerm) { durable } else { self.current_term };
        if term < known {
            return Some(self.reject(leader, term, args.prev_log));
        }
        self.follow(leader)?;

        // 2. The entries must join on to what is here (§5.3). What a snapshot stands for is committed, and
        //    so the leader has it too (§7).
        let last_new = args.entries.last().map_or(args.prev_log.index, |entry| entry.id.index);
        let base = self.log.base();
        if args.prev_log.index < base.index && planted!(self, CompactedIsConflict) {
            self.truncate(self.commit_index.next());
            return Some(self.reject(leader, term, args.prev_log));
        } else if args.prev_log.index < base.index {
            let covered = args.entries.partition_point(|entry| entry.id.index <= base.index);
            let contradicts = |entry: &Entry| entry.id.index == base.index && entry.id != base;
            if args.entries.iter().take(covered).any(contradicts) {
                self.violate(Violation::CommittedEntryContradicted { leader, index: base.index });
                return None;
            }
            args.entries = args.entries.after(covered);
        } else if !self.log.contains(args.prev_log) {
            return Some(self.reject(leader, term, args.prev_log));
        }

        // 3. Where an entry here conflicts with a new one, it and all after it go (§5.3).
        let after = args.prev_log.index.max(self.commit_index).next();
        let all = (planted!(self, AppendTruncates) && after <= self.log.last().index).then_some(after);
        if let Some(conflict) = all.or_else(|| self.log.first_conflict(&args.entries)) {
            if conflict <= self.commit_index {
                self.violate(Violation::CommittedEntryContradicted { leader, index: conflict });
                return None;
            }
            self.truncate(conflict);
        }

        // 4. What is not here yet is appended, and what the disk no longer has takes its place.
        if !self.repairs.is_idle() {
            self.mend(&args.entries);
        }
        let appended = self.log.append_missing(args.entries);
        let configured: Vec<_> = appended.iter().filter_map(Entry::configured).collect();
        if self.config.observe {
            self.events.extend(appended.iter().map(Event::appended));
        }
        self.configure(configured);

        // 5. What the leader has committed is committed here, as far as the two logs are known to
        //    agree: up to the last new entry, not the last entry.
        let last = self.log.last().index;
        let checked = if planted!(self, UncheckedTailCommitted) { last } else { last_new };
        self.commit_to(args.leader_commit.min(checked));
        let last_new = if planted!(self, WholeLogAcknowledged) { last } else { last_new };
        self.observe(|| Event::AppendAccepted { leader, match_index: last_new });
        Some(AppendEntriesReply::Accepted { match_index: last_new })
    }

    /// The leader's side.
    pub(crate) fn handle_append_entries_reply(
        &mut self,
        from: Sender,
        session: Session,
        reply: &AppendEntriesReply,
    ) {
        let follower = from.id;
        let (base, last) = (self.log.base().index, self.log.last().index);
        let refusal_counts = planted!(self, RefusalCounts);
        let patience = self.config.election_timeout.1;
        let shared = match *reply {
            AppendEntriesReply::Accepted { .. } | AppendEntriesReply::Lost { .. } => LogIndex::ZERO,
            AppendEntriesReply::Rejected { refused, .. } if planted!(self, BackUpByOne) => {
                refused.index.prev().prev()
            }
            // Fast back-up (§5.3): the logs differ after the last entry here that is no later than the
            // hint, so all entries of a term in between are skipped at once.
            AppendEntriesReply::Rejected { hint, .. } => self.log.shared_with(hint),
        };
        let Some(peer) = self.hear(from, session) else { return };
        match *reply {
            AppendEntriesReply::Accepted { match_index } if match_index > last => {
                self.violate(Violation::MatchBeyondLog { follower, match_index });
            }
            AppendEntriesReply::Accepted { match_index } => {
                if peer.accepted(match_index, base) {
                    self.observe(|| Event::MatchCounted { follower, match_index });
                }
            }
            AppendEntriesReply::Rejected { hint, .. } if refusal_counts => {
                peer.accepted(hint.index, base);
            }
            AppendEntriesReply::Lost { from, session } => peer.begin_anew(session, from.min(last.next())),
            AppendEntriesReply::Rejected { .. } if peer.disowns(shared, patience) => {
                let anew = Session(self.rng.next_u64());
                if let Some(peer) = self.hear(from, session) {
                    peer.begin_anew(anew, shared.next());
                }
            }
            AppendEntriesReply::Rejected { refused, .. } => {
                if peer.is_news(refused.index) {
                    peer.refused(refused.index, shared);
                }
            }
        }
    }

    /// Whoever sends entries of the current term leads it; a candidate gives way (§5.2).
    pub(crate) fn follow(&mut self, leader: NodeId) -> Option<()> {
        let heard = Heard { leader, at: self.now };
        if let Role::Follower { leader: Some(known) } = &mut self.role
            && known.leader == leader
        {
            *known = heard;
        } else if let Some(known) = self.leader() {
            let term = self.current_term;
            self.violate(Violation::TwoLeaders { term, known, other: leader });
            return None;
        } else {
            self.change_role(self.current_term, Role::Follower { leader: Some(heard) });
        }
        self.followed = self.now;
        self.repairs.follows(self.current_term);
        self.told_removed = None;
        self.reset_election_timer();
        Some(())
    }

    fn reject(&mut self, leader: NodeId, term: Term, refused: EntryId) -> AppendEntriesReply {
        self.counts.appends_rejected += 1;
        self.observe(|| Event::AppendRejected { leader, term, refused });
        AppendEntriesReply::Rejected { refused, hint: self.log.outline().last_no_later_than(refused) }
    }

    fn truncate(&mut self, from: LogIndex) {
        self.remove(from, |last| Event::Truncated { from, last });
    }

    /// The entry at `from` and all that follow it leave the log.
    pub(crate) fn remove(&mut self, from: LogIndex, event: impl FnOnce(EntryId) -> Event) {
        self.log.truncate(from);
        self.repairs.truncate(from);
        let last = self.log.last();
        if !planted!(self, WritesConfirmIndexes) {
            self.disk.truncate(last);
        }
        self.observe(|| event(last));
        if !planted!(self, ConfigurationNotRolledBack) && self.configurations.truncate(from) {
            self.configured();
        }
    }
}

/// Whether what the entry asks can be understood; a command the state machine understands.
fn is_sound(payload: &Payload) -> bool {
    match payload {
        Payload::Noop | Payload::Command(_) => true,
        Payload::Configuration(bytes) => Configuration::from_bytes(bytes).is_some(),
    }
}

/// Whether the entries could come from any leader of `term`: without gaps after `prev_log`, with terms
/// that do not go down and do not pass the leader's.
pub(crate) fn is_well_formed(term: Term, args: &AppendEntries) -> bool {
    let mut last = args.prev_log;
    last.term <= term
        && last.index.get() <= NUMBER_MAX
        && args.entries.iter().all(|entry| {
            let follows = entry.id.index == last.index.next() && entry.id.term >= last.term;
            last = entry.id;
            follows && entry.id.term <= term && is_sound(&entry.payload)
        })
}
