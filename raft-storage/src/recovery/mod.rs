//! Forced recovery: a group that has lost the majority of its voters for good goes on as another one, with what one
//! surviving server has.
//!
//! Nobody can know what that server did not have: the majority may have committed more, and told clients so. So this is
//! never done by a server itself. A person stops the server, has a [`Plan`] made, which changes nothing and says what may
//! be lost, and has it [carried out](Plan::carry_out). Of several survivors take the one whose last entry is the
//! greatest, by term and then by index; the others come back with empty directories.
//!
//! One batch is appended to each group, so that a power cut leaves all of it or nothing:
//!
//! - **another cluster id.** The directory is of that cluster from then on. A server that is told another one does not
//!   start on it ([`ConfigError::OtherCluster`](raft_core::ConfigError)), and neither does one on a directory of the old
//!   cluster that is told the new one. Every message names its cluster, so the lost majority, should it come
//!   back, is a stranger to the new group, and the new group to it. Nothing here rests on terms: the old group may go on
//!   to any term, and its leader would be followed.
//! - **another life** of the directory: what the server once said is not its word any more.
//! - **a configuration** of the next term, in which this server alone votes, in that life. As the only voter it leads
//!   as soon as it starts, and with that all of its log is committed.
//!
//! Others join by ordinary membership changes, from empty directories. The snapshot, the log, and with it the sessions
//! of clients, and the directory of a [`RocksMachine`](crate::machine::RocksMachine) stay as they are.
//!
//! Groups that share a directory may have lost their majorities one by one. But those that share connections
//! are of one cluster, so all that have lost it are to be recovered at once, in one plan.
//!
//! ```
//! # use raft_core::node::{Done, LogStore};
//! # use raft_core::{Batch, Entry, EntryId, LogIndex, Payload, Term};
//! use raft_core::{ClusterId, Config, ConfigError, GroupId, Incarnation, NodeId, Raft, Time};
//! use raft_storage::{Recovery, RocksStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path();
//! # let mut store = RocksStore::open(directory, GroupId(0), Incarnation(1))?.store;
//! # let entry = Entry::new(EntryId::new(Term::new(1), LogIndex::new(1)), Payload::Command("x".into()));
//! # let hard_state = Some(raft_core::HardState { current_term: Term::new(1), voted_for: None });
//! # store.write(Batch { cluster: Some(ClusterId(1)), hard_state, entries: vec![entry].into(), ..Batch::default() });
//! # assert_eq!(store.done().await?, Done::Persisted(1));
//! # drop(store);
//! let id = NodeId::new(1);
//! let (cluster, incarnation) = (ClusterId(0x5eed), Incarnation(0xfeed)); // Drawn at random.
//! let plan = Recovery { id, groups: Vec::new(), cluster, incarnation }.plan(directory)?;
//! println!("{} may not be all; to go on, {}", plan.groups[0].before.last, plan.groups[0].entry);
//! plan.carry_out()?;
//!
//! let opened = RocksStore::open(directory, GroupId(0), Incarnation(0))?;
//! assert_eq!(opened.incarnation, incarnation);
//! let config = Config { cluster, incarnation, bootstrap: None, ..Config::new(id, vec![]) };
//! assert!(Raft::new(config.clone(), opened.restored.clone(), Time::ZERO).is_ok());
//! let old = Raft::new(Config { cluster: ClusterId(1), ..config }, opened.restored, Time::ZERO);
//! assert!(matches!(old, Err(ConfigError::OtherCluster { .. })));
//! # Ok(())
//! # }
//! ```

mod error;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::{
    Batch, ClusterId, Configuration, Configured, Entry, EntryId, GroupId, HardState, Incarnation, LogIndex,
    Member, NodeId, Payload, Term,
};
use serde::Serialize;

use crate::database::{Database, Mode, RocksOptions};
use crate::error::StorageError;
use crate::inspection::{Group, Inspection, Stop, as_hex, as_text};
use crate::rocks_log::{RocksLog, Staged};

pub use self::error::RecoveryError;

/// What is to be made of the directory of a surviving server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The server. It alone votes at first.
    pub id: NodeId,
    /// The groups that have lost their majority; none need be named where the directory has only one.
    pub groups: Vec<GroupId>,
    /// The cluster that they go on as, which is to be drawn at random.
    pub cluster: ClusterId,
    /// The new life of the directory, which is to be drawn at random.
    pub incarnation: Incarnation,
}

/// What a recovery would do, and what may be lost by it. Serializes as what `raft-chaos recover --format json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use = "nothing is changed before it is carried out"]
pub struct Plan {
    /// The directory.
    #[serde(serialize_with = "as_text")]
    pub directory: PathBuf,
    /// The server that is to vote alone.
    pub id: NodeId,
    /// The new cluster.
    pub cluster: ClusterId,
    /// The new life.
    #[serde(serialize_with = "as_hex")]
    pub incarnation: Incarnation,
    /// Of the write that an unclean stop interrupted, the bytes that are there. They are cut off; if a failing disk tore
    /// it and no power cut, the server may have acknowledged what was in it.
    pub torn_bytes: u64,
    /// What becomes of each group.
    pub groups: Vec<GroupPlan>,
}

/// What a recovery would make of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupPlan {
    /// What there is of it.
    pub before: Group,
    /// The entry to be appended, with which this server alone votes.
    pub entry: EntryId,
    /// The entries that are not known to have been committed, and will be: the first and the last. A client may have
    /// been told of one of them that nobody knows what became of it, or nothing.
    pub to_be_committed: Option<(LogIndex, LogIndex)>,
    /// The majority had committed this, as a snapshot shows that had begun to arrive, and what this server has ends
    /// before it: that much is lost for certain. Whatever else the majority had committed is lost too, and nothing here
    /// shows how much.
    pub known_lost: Option<EntryId>,
}

impl Recovery {
    /// Reads a directory through, and says what would be done. Changes nothing of it.
    ///
    /// # Errors
    ///
    /// A server runs on the directory, something in it is damaged, it is not that of this server, or it has nothing to
    /// go on with; the disk refused, or a later version wrote it.
    pub fn plan(&self, directory: impl AsRef<Path>) -> Result<Plan, RecoveryError> {
        let inspection = Inspection::verify(directory)?;
        let Inspection { directory, stop, torn_bytes, groups, problems, .. } = inspection;
        if stop == Stop::Running {
            return Err(StorageError::Locked { path: directory }.into());
        }
        if let Some(problem) = problems.into_iter().next() {
            return Err(RecoveryError::Damaged(problem));
        }
        let groups = self.choose(groups)?;
        let done = groups.iter().all(|group| self.is_done(group));
        let groups = groups.into_iter().map(|group| self.plan_group(group, done));
        Ok(Plan {
            directory,
            id: self.id,
            cluster: self.cluster,
            incarnation: self.incarnation,
            torn_bytes,
            groups: groups.collect::<Result<_, _>>()?,
        })
    }

    /// The groups that are meant, of those that there are.
    fn choose(&self, mut groups: Vec<Group>) -> Result<Vec<Group>, RecoveryError> {
        let there: Vec<_> = groups.iter().map(|group| group.id).collect();
        if let Some(&group) = self.groups.iter().find(|group| !there.contains(group)) {
            return Err(RecoveryError::NoSuchGroup { group, there });
        }
        if !self.groups.is_empty() {
            groups.retain(|group| self.groups.contains(&group.id));
        } else if groups.len() > 1 {
            return Err(RecoveryError::WhichGroups { there });
        }
        if groups.is_empty() { Err(RecoveryError::Nothing { group: None }) } else { Ok(groups) }
    }

    /// Whether the group is what a recovery to this cluster makes of it.
    fn is_done(&self, group: &Group) -> bool {
        let alone = Configuration::of([Member::bound(self.id, group.incarnation)]);
        let configured = group.configuration.as_ref();
        group.cluster == Some(self.cluster) && configured.is_some_and(|now| now.configuration == alone)
    }

    fn plan_group(&self, before: Group, done: bool) -> Result<GroupPlan, RecoveryError> {
        let group = before.id;
        if before.last.index == LogIndex::ZERO {
            return Err(RecoveryError::Nothing { group: Some(group) });
        }
        if before.cluster == Some(self.cluster) {
            return Err(RecoveryError::SameCluster { group, cluster: self.cluster, done });
        }
        if before.incarnation == self.incarnation {
            return Err(RecoveryError::SameLife { group, incarnation: self.incarnation });
        }
        if let Some(Configured { configuration, .. }) = &before.configuration {
            self.check_whose(&before, configuration)?;
        }
        let term = Term::new(before.current_term.get().saturating_add(1));
        let snapshot = before.snapshot.as_ref().map_or(LogIndex::ZERO, |whole| whole.last_included.index);
        let (last, bound) = (before.last.index, before.commit_bound.max(snapshot));
        let arriving = before.partial_snapshot.as_ref().map(|partial| partial.last_included);
        Ok(GroupPlan {
            entry: EntryId::new(term, last.next()),
            to_be_committed: (bound < last).then(|| (bound.next(), last)),
            known_lost: arriving.filter(|arriving| arriving.index > last),
            before,
        })
    }

    /// Whether a directory can be that of this server, by the last configuration that is in there.
    fn check_whose(&self, before: &Group, configuration: &Configuration) -> Result<(), RecoveryError> {
        let next = configuration.next.iter().flat_map(|next| next.voters.iter().chain(&next.learners));
        let members = configuration.voters.iter().chain(&configuration.learners).chain(next);
        let mut own = members.filter(|member| member.id == self.id).peekable();
        let (group, id) = (before.id, self.id);
        if own.peek().is_none() {
            return Err(RecoveryError::NotAMember { group, id, configuration: configuration.clone() });
        }
        let is_this = |member: &Member| member.incarnation.is_none_or(|life| life == before.incarnation);
        if own.any(is_this) {
            Ok(())
        } else {
            Err(RecoveryError::AnotherLife { group, id, incarnation: before.incarnation })
        }
    }
}

impl Plan {
    /// Carries it out, in one write: after a crash all of it is there or nothing, and it can be planned and carried
    /// out again.
    ///
    /// # Errors
    ///
    /// A server runs on the directory, or was run on it since the plan was made; or the disk refused.
    pub fn carry_out(&self) -> Result<(), RecoveryError> {
        let database = Database::open(&self.directory, Mode::Production, RocksOptions::default())?;
        let database = Arc::new(database);
        let carried_out = self.write(&database);
        if !matches!(carried_out, Err(RecoveryError::Storage(_))) {
            Database::close(database);
        }
        carried_out
    }

    fn write(&self, database: &Database) -> Result<(), RecoveryError> {
        let mut staged = Staged::default();
        for group in &self.groups {
            let found = RocksLog::find(database, group.before.id)?.filter(|log| group.is_of(log));
            let mut log =
                found.ok_or_else(|| RecoveryError::Changed { directory: self.directory.clone() })?;
            log.live_anew(self.incarnation);
            log.stage(database, &self.batch(group.entry), &mut staged)?;
            log.seal(database, &mut staged)?;
        }
        Ok(staged.write(database)?)
    }

    /// With which the group is another one.
    fn batch(&self, entry: EntryId) -> Batch {
        let alone = Configuration::of([Member::bound(self.id, self.incarnation)]);
        let payload = Payload::Configuration(alone.to_bytes());
        Batch {
            cluster: Some(self.cluster),
            hard_state: Some(HardState { current_term: entry.term, voted_for: None }),
            entries: vec![Entry::new(entry, payload)].into(),
            commit_index: entry.index,
            ..Batch::default()
        }
    }
}

impl GroupPlan {
    /// Whether the log is still what the plan was made of.
    fn is_of(&self, log: &RocksLog) -> bool {
        let (restored, before) = (log.restored(), &self.before);
        let state = HardState { current_term: before.current_term, voted_for: before.voted_for };
        log.incarnation() == before.incarnation
            && restored.hard_state == state
            && restored.log.last() == before.last
    }
}
