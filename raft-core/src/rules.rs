//! Figure 2, box "Rules for Servers": what comes in, what holds whenever it holds, what goes out.

use std::mem;

use crate::append_entries;
use crate::effects::{Effects, Violation, WriteToken};
use crate::entry::Payload;
use crate::event::Event;
use crate::fetch_entries;
use crate::input::Input;
use crate::install_snapshot;
use crate::lease::Lease;
use crate::message::{AppendEntriesReply, Envelope, Message};
use crate::planted::{next_poll, planted};
use crate::progress::Progress;
use crate::propose::Uncommitted;
use crate::read_index;
use crate::snapshot::Loaded;
use crate::state::{Health, Raft, Role, Sender};
use crate::types::{LogIndex, Session, Term, Time};

/// Terms and indexes beyond this are no server's: counting there one by one would take centuries.
pub(crate) const NUMBER_MAX: u64 = u64::MAX / 2;

/// Where a server was told of the highest term there can be, it counts on from there; no disk can have got this far.
pub(crate) const COUNTED_MAX: u64 = u64::MAX / 4 * 3;

impl Raft {
    /// Takes in one input at the moment `now`, which is read after the input has come in. Changes memory only;
    /// take effects after one input or after many. A `now` before an earlier one counts as the earlier one.
    pub fn step(&mut self, now: Time, input: Input) {
        if self.health != Health::Sound {
            return;
        }
        let early = matches!(input, Input::Read(_)) && planted!(self, LeaseJudgedEarly);
        self.now = if early { self.now } else { self.now.max(now) };
        match input {
            Input::Tick => {}
            Input::Receive(envelope) => self.receive(envelope),
            Input::Persisted(token) => self.persisted(&token),
            Input::WriteFailed => self.health = Health::Stopped,
            Input::Applied => self.applying = false,
            Input::Read(id) => self.read(id),
            Input::Loaded(loaded) => self.loaded(loaded),
            Input::SnapshotTaken { snapshot, data, done } => self.snapshot_taken(snapshot, data, done),
            Input::SnapshotFailed { snapshot, reason } => self.snapshot_failed(snapshot, reason),
        }
    }

    /// Tests the standing rules ("if there exists an N ..."), here and nowhere else, and says what
    /// has to be done about all that came in since the last time.
    pub fn take_effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.take_effects_into(&mut effects);
        effects
    }

    /// The same, into effects that were carried out: whatever is left in them goes, but for the memory of their
    /// lists. A driver that keeps one value for this makes a server that allocates nothing at rest, and one
    /// batch of entries a write otherwise.
    pub fn take_effects_into(&mut self, effects: &mut Effects) {
        let Effects { write, send, apply, restore, take_snapshot, load, reads, events, violation } = effects;
        if !send.is_empty() {
            send.clear();
        }
        if !events.is_empty() {
            events.clear();
        }

        let waits = planted!(self, ClockWaitsForDisk) && self.disk.oldest_given().is_some();
        if self.health == Health::Sound && !waits {
            self.step_down();
            self.time_out();
        }
        self.advance_commit_index();
        self.go_on_with_change();
        self.leave();
        self.log.close();
        if self.health == Health::Sound && !self.repairs.is_idle() {
            self.repair();
        }
        self.hand_over();
        self.serve_reads();
        self.send_snapshots();
        self.replicate();
        *restore = self.take_restore();
        *take_snapshot = self.take_snapshot();
        *apply = self.take_committed();
        *reads = self.reads.take_answered(self.last_applied);
        *write = self.take_write();
        self.take_messages(send);
        *load = self.loads.take_new();
        *violation = None;
        self.log.forget(self.config.cache_bytes_max);

        if !self.events.is_empty() {
            mem::swap(&mut self.events, events);
        }
        if self.health != Health::Sound {
            self.say_nothing_more(effects);
        }
    }

    /// Whoever is stopped does nothing and says nothing, but once why.
    fn say_nothing_more(&mut self, effects: &mut Effects) {
        let violation = match mem::replace(&mut self.health, Health::Stopped) {
            Health::Violated(violation) => Some(violation),
            Health::Sound | Health::Stopped => None,
        };
        *effects = Effects { events: mem::take(&mut effects.events), violation, ..Effects::default() };
    }

    /// A message is dropped unread if it is a stranger's, malformed, or meant for somebody else, and a vote if
    /// there is a leader to be true to. Then the higher-term rule, once, ahead of all else: whoever hears of
    /// a higher term adopts it and becomes a follower (§5.1). A term that is only proposed is nobody's yet.
    fn receive(&mut self, envelope: Envelope) {
        let Envelope { cluster, group, from, to, term, session, message, incarnation } = envelope;
        let ours = (cluster, group, to) == (self.config.cluster, self.config.group, self.config.id);
        let sound = match &message {
            Message::AppendEntries(args) => append_entries::is_well_formed(term, args),
            Message::InstallSnapshot(args) => install_snapshot::is_well_formed(term, args),
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::TimeoutNow
            | Message::AppendEntriesReply(
                AppendEntriesReply::Accepted { .. } | AppendEntriesReply::Rejected { .. },
            )
            | Message::InstallSnapshotReply(_)
            | Message::Confirm(_)
            | Message::ConfirmReply(_)
            | Message::ReadIndex
            | Message::NotMember(_) => true,
            Message::AppendEntriesReply(AppendEntriesReply::Lost { from, .. }) => *from > LogIndex::ZERO,
            Message::ReadIndexReply(reply) => read_index::is_well_formed(term, reply),
            Message::FetchEntries(args) => args.ids.len() <= fetch_entries::FETCH_MAX,
            Message::FetchEntriesReply(reply) => fetch_entries::is_well_formed(reply),
        };
        let superseded = message.counts() && self.is_another(from, incarnation);
        let stranger = !ours || from == self.config.id || (superseded && !planted!(self, AnyLifeCounts));
        if stranger || !sound || term.get() > NUMBER_MAX {
            self.counts.strangers_dropped += 1;
            self.observe(|| Event::StrangerDropped { from });
            return;
        }
        if message.asks_for_vote() {
            self.answer_removed(from, incarnation, session);
        }
        if message.disturbs_leader() && self.hears_leader() {
            self.counts.votes_ignored += 1;
            self.observe(|| Event::VoteIgnored { candidate: from, term });
            return;
        }
        if term < self.current_term && planted!(self, LowerTermUnanswered) {
            return;
        }
        if term > self.current_term && !message.is_proposal() {
            self.change_role(term, Role::Follower { leader: None });
        }
        self.handle(Sender { id: from, incarnation }, term, session, message);
    }

    fn handle(&mut self, sender: Sender, term: Term, session: Session, message: Message) {
        let from = sender.id;
        match message {
            Message::PreVote(args) => self.handle_pre_vote(sender, term, session, &args),
            Message::RequestVote(args) => {
                let reply = self.handle_request_vote(sender, term, &args);
                self.send(from, session, Message::RequestVoteReply(reply));
            }
            Message::AppendEntries(args) => {
                let (prev_log, leader_commit) = (args.prev_log, args.leader_commit);
                if let Some(reply) = self.handle_append_entries(from, term, args) {
                    let reply = if self.repairs.is_idle() {
                        reply
                    } else {
                        self.catch_up(session, leader_commit);
                        self.answer_to_leader(session, prev_log, reply)
                    };
                    self.send(from, session, Message::AppendEntriesReply(reply));
                }
            }
            // What a leader of the past wants is nobody's wish any more.
            Message::TimeoutNow if term < self.current_term => {}
            Message::TimeoutNow => self.handle_timeout_now(),
            Message::InstallSnapshot(args) => {
                if let Some(reply) = self.handle_install_snapshot(from, term, session, *args) {
                    self.send(from, session, Message::InstallSnapshotReply(reply));
                }
            }
            Message::Confirm(args) => self.handle_confirm(from, term, session, &args),
            Message::ReadIndex => self.handle_read_index(from, session),
            Message::FetchEntries(args) => self.handle_fetch_entries(from, session, args),
            // A reply of the past answers a question that nobody asks any more.
            message if term < self.current_term && message.is_reply() && !planted!(self, ReplyOfOldTerm) => {}
            Message::PreVoteReply(reply) => self.handle_pre_vote_reply(sender, session, &reply),
            Message::RequestVoteReply(reply) => self.handle_request_vote_reply(sender, session, &reply),
            Message::AppendEntriesReply(reply) => self.handle_append_entries_reply(sender, session, &reply),
            Message::InstallSnapshotReply(reply) => {
                self.handle_install_snapshot_reply(sender, session, &reply);
            }
            Message::ConfirmReply(reply) => self.handle_confirm_reply(sender, session, &reply),
            Message::NotMember(reply) => self.handle_not_member(&reply),
            Message::ReadIndexReply(reply) => self.handle_read_index_reply(session, &reply),
            Message::FetchEntriesReply(reply) => self.handle_fetch_entries_reply(sender, session, &reply),
        }
    }

    fn loaded(&mut self, loaded: Loaded) {
        self.loads.answered(&loaded);
        match loaded {
            Loaded::Entries { entries, .. } => self.log.loaded(entries.into()),
            Loaded::Damaged { from, to } => {
                let to = to.min(self.log.last().index);
                self.found_damaged((from.get()..=to.get()).map(LogIndex::new));
            }
            Loaded::Chunk { snapshot, offset, chunk } => self.send_chunk(snapshot, offset, chunk.as_ref()),
        }
    }

    fn persisted(&mut self, token: &WriteToken) {
        if !self.disk.confirm(token) {
            self.violate(Violation::WriteOutOfOrder);
            return;
        }
        let durable = self.disk.durable();
        self.observe(|| Event::Durable {
            term: durable.hard_state.current_term,
            voted_for: durable.hard_state.voted_for,
            index: durable.last.index,
        });
        self.let_more_wait();
        self.count_own_vote();
    }

    /// Followers and candidates (§5.2): if the election timeout elapsed. Leaders: if a heartbeat is due.
    fn time_out(&mut self) {
        if self.now < self.timer {
            return;
        }
        match &mut self.role {
            Role::Leader { progress, transfer, lease, .. } => {
                for peer in progress {
                    peer.heartbeat_due = true;
                }
                if let Some(transfer) = transfer {
                    transfer.told = false;
                }
                lease.heartbeat();
                self.timer = self.now.after(self.config.heartbeat);
                self.send_round();
            }
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                self.refuse_reads_beyond_commit();
                if !self.may_campaign() {
                    self.reset_election_timer();
                } else if self.config.pre_vote {
                    self.start_pre_vote();
                } else {
                    self.start_election(false);
                }
            }
        }
    }

    /// Draws a new election timeout, so that split votes are rare and soon resolved (§5.2).
    pub(crate) fn reset_election_timer(&mut self) {
        self.timer = self.now.after(self.rng.duration(self.config.election_timeout));
        if planted!(self, FixedTimeout) {
            self.timer = next_poll(self.now.after(self.config.election_timeout.0), self.config.seed);
        }
    }

    /// The only place where role and term change. With a new term the vote is free again.
    pub(crate) fn change_role(&mut self, term: Term, role: Role) {
        let (from_term, from, transferring) = (self.current_term, self.role(), self.transferring());
        let forgets = planted!(self, VoteForgottenInTerm) && matches!(role, Role::Follower { .. });
        if term > self.current_term || forgets {
            self.current_term = term;
            (self.voted_for, self.voted_incarnation) = (None, None);
            self.disk.drop_held_before(term);
        }
        self.role = role;
        if from == crate::RoleName::Leader {
            // A leader's deadline was its next heartbeat.
            self.reset_election_timer();
        }
        let (to, leader) = (self.role(), self.leader());
        self.counts.changed_role(to, leader);
        self.observe(|| Event::Role { from_term, from, term, to, leader });
        self.refuse_reads();
        if let Some(to) = transferring {
            self.observe(|| Event::TransferEnded { to, leads: false });
        }
    }

    /// Leaders (§5.2, §8): announce it at once, with an entry of the new term, which commits what
    /// earlier terms have left.
    pub(crate) fn become_leader(&mut self) {
        let next_index = self.log.last().index.next();
        let session = Session(self.rng.next_u64());
        let configuration = &self.configurations.latest().configuration;
        let follower = |peer| Progress {
            votes: configuration.votes(peer, None),
            ..Progress::new(peer, session, next_index, self.now)
        };
        let progress = self.others().into_iter().map(follower).collect();
        let role = Role::Leader {
            progress,
            transfer: None,
            uncommitted: Uncommitted::default(),
            lease: Lease::default(),
            sits_until: Time::ZERO,
        };
        self.change_role(self.current_term, role);
        self.counts.elections_won_handed_over += u64::from(self.handed_over);
        self.timer = self.now.after(self.config.heartbeat);
        // What no voter has any more, nobody can ask for.
        self.trust_tail();
        self.repairs.leads(self.current_term, self.now);
        self.append(Payload::Noop);
    }
}
