//! What is in the directory of a store, read by somebody who does not own it.
//!
//! Nothing in the directory is opened for writing, and no byte of it is changed. What may change under the eyes is
//! copied into a scratch folder first, as it was at one moment: `CURRENT`, the manifest, the write-ahead logs. Tables,
//! which never change, are linked to. RocksDB opens that folder, for reading only. So a directory can be inspected
//! while a server runs on it; what it has written by then counts, durable or not. The scratch folder takes as
//! much room as the write-ahead logs: some memtables.
//!
//! [`Inspection::read`] reads the states of the groups, and no entries. [`Inspection::verify`] reads everything, and
//! holds each record against what the state of its group says of it.

mod checks;
mod problem;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use raft_core::{ClusterId, Configured, EntryId, GroupId, Incarnation, LogIndex, NodeId, Term};
use serde::{Serialize, Serializer};

use crate::error::StorageError;
use crate::format::{
    FORMAT_KEY, META, TORN, decode_format, group_of_cluster, group_of_state, is_suspect_mark, suspect_key,
};
use crate::mapping::Slot;
use crate::snapshots::Numbered;
use crate::state::State;
use crate::{record, suspect, upgrade};

use checks::States;
pub use problem::{Place, Problem};
use view::{Taken, View};

/// By group, where somebody has said so.
type Clusters = BTreeMap<GroupId, ClusterId>;

/// How many problems are told of, at most. The others are counted.
const PROBLEMS_MAX: usize = 1000;

/// What is in a directory. Serializes as what `raft-chaos inspect --format json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The directory.
    #[serde(serialize_with = "as_text")]
    pub directory: PathBuf,
    /// The number of its format; none if nothing was ever written to it.
    pub format: Option<u32>,
    /// How it was left.
    pub stop: Stop,
    /// Of the write that an unclean stop interrupted, the bytes that are there. Opening the store cuts them off.
    pub torn_bytes: u64,
    /// Whether the groups are what the store would find. Otherwise something is damaged, and they are what was
    /// there before the damaged place, if anything could be read at all: the server may since have voted, and
    /// acknowledged more.
    pub complete: bool,
    /// The groups whose states can be read, by id.
    pub groups: Vec<Group>,
    /// What was held against the states; none if that was not asked for.
    pub checked: Option<Checked>,
    /// What is damaged.
    pub problems: Vec<Problem>,
    /// How many problems there are beyond these.
    pub problems_more: u64,
}

/// How a directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// A server runs on it.
    Running,
    /// It was closed in order: whatever is missing since is damage.
    Clean,
    /// The server was killed, or the power went: the end of what was written last may be torn.
    Unclean,
}

/// What one group has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Which.
    pub id: GroupId,
    /// The cluster that it is of; none where nobody has said so yet.
    pub cluster: Option<ClusterId>,
    /// Its life: drawn when its store was made, or when it was [recovered](crate::recovery).
    #[serde(serialize_with = "as_hex")]
    pub incarnation: Incarnation,
    /// The latest term that the server has seen (§5.1).
    pub current_term: Term,
    /// Whom it gave its vote in that term (§5.2).
    pub voted_for: Option<NodeId>,
    /// The log is known to be committed as far as this, and was so by what was written last. It may be further.
    pub commit_bound: LogIndex,
    /// The last entry that was compacted (§7); 0 of term 0 if none was.
    pub base: EntryId,
    /// The last entry; the base if the log is empty.
    pub last: EntryId,
    /// The first entry of each term, in order.
    pub terms: Vec<EntryId>,
    /// Where the entries lie, in order.
    pub mapping: Vec<Run>,
    /// The slot of the next entry.
    pub next_slot: u64,
    /// Which servers the group has, by the last entry of the log that says so, or by the snapshot; none if neither
    /// does, and the servers are those that the group began with. Need not be committed.
    #[serde(serialize_with = "as_members")]
    pub configuration: Option<Configured>,
    /// The whole snapshot (§7).
    pub snapshot: Option<SnapshotPieces>,
    /// The beginning of another one.
    pub partial_snapshot: Option<SnapshotPieces>,
    /// Whether the log may have been longer: its end was torn and cut off, and the server has not caught up with a leader
    /// since. It may have acknowledged what is not there.
    pub suspect: bool,
}

impl Group {
    /// The first index of the log; of an empty log, that of the entry to come.
    pub const fn first_index(&self) -> LogIndex {
        self.base.index.next()
    }
}

/// Entries that lie in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first of them.
    pub first_index: LogIndex,
    /// Where it lies.
    pub first_slot: u64,
    /// How many there are.
    pub len: u64,
}

/// A snapshot, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotPieces {
    /// The last entry that it stands for.
    pub last_included: EntryId,
    /// Who made it.
    #[serde(serialize_with = "as_hex")]
    pub made_by: Incarnation,
    /// How long what there is of it is, in bytes.
    pub bytes: u64,
    /// How many pieces of it there are.
    pub pieces: u64,
}

/// What was checked, in numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// States that tell of one and the same log.
    pub states: u64,
    /// Entries that are what their leader made, each in its place.
    pub entries: u64,
    /// Pieces of snapshots that are what their maker made, each in its place.
    pub pieces: u64,
    /// Records that nothing refers to any more. Their room is given back when all of their file is free.
    pub stale: u64,
}

#[derive(Serialize)]
struct Members {
    at: EntryId,
    members: String,
}

/// As the configuration prints: `n1,n2+n3` has two voters and a learner.
fn as_members<S: Serializer>(configured: &Option<Configured>, serializer: S) -> Result<S::Ok, S::Error> {
    let members = |configured: &Configured| Members {
        at: configured.at,
        members: configured.configuration.to_string(),
    };
    configured.as_ref().map(members).serialize(serializer)
}

/// A path need not be text, and JSON has to be.
pub(crate) fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// An identity is no number to count with, and too long for some who read JSON.
pub(crate) fn as_hex<S: Serializer>(incarnation: &Incarnation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{:016x}", incarnation.0))
}

impl Inspection {
    /// Reads what the groups in `directory` have. Of entries it reads nothing. To know how many pieces snapshots are
    /// in, it reads them through, and so checks them.
    ///
    /// Damage is no error: it is told of in [`problems`](Self::problems).
    ///
    /// # Errors
    ///
    /// The directory is not that of a store, a later version wrote it, it was written to all the time, or the
    /// disk refused.
    pub fn read(directory: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::of(directory.as_ref(), false)
    }

    /// The same, and checks every record: that it is what was made, under its own key, that no index is missing and
    /// no term goes down, that no piece of a snapshot is missing, and that nothing is there that the states know
    /// nothing of. Reads all tables and write-ahead logs through once.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn verify(directory: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::of(directory.as_ref(), true)
    }

    /// Whether nothing is damaged, as far as was asked.
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn of(directory: &Path, verify: bool) -> Result<Self, StorageError> {
        let Taken { view, stop, torn_bytes, complete, problems } = view::take(directory)?;
        let mut inspection = Self {
            directory: directory.to_owned(),
            format: None,
            stop,
            torn_bytes,
            complete,
            groups: Vec::new(),
            checked: verify.then(Checked::default),
            problems,
            problems_more: 0,
        };
        if let Some(view) = view {
            let (states, clusters) = inspection.read_states(&view)?;
            inspection.count_pieces(&view, &states, &clusters)?;
            if verify {
                checks::entries(&view, &states, &mut inspection)?;
                checks::pieces_of_nobody(&view, &states, &mut inspection)?;
            }
        }
        Ok(inspection)
    }

    fn found(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_more += 1;
        }
    }

    /// The states of the groups, the clusters that they are of, and the format that they are in.
    fn read_states(&mut self, view: &View) -> Result<(States, Clusters), StorageError> {
        let (mut states, mut clusters) = (States::new(), Clusters::new());
        let Some(mut stored) = view.records(META) else { return Ok((states, clusters)) };
        let is_told = self.read_format(view)?;
        stored.seek_to_first();
        while let Some((key, value)) = stored.item() {
            let wrong = match (group_of_state(key), self.format) {
                (Some(group), Some(format)) => match upgrade::decode_state(format, value) {
                    Some(state) => {
                        states.insert(group, state);
                        None
                    }
                    None => Some((format!("meta/{group}/state"), "it is damaged, or contradicts itself")),
                },
                (Some(group), None) if is_told => {
                    Some((format!("meta/{group}/state"), "its format is not known"))
                }
                (Some(_), None) => Some(("meta/format".into(), "it is missing")),
                (None, _) if key == FORMAT_KEY || is_suspect_mark(key) => None,
                (None, _) => match (group_of_cluster(key), record::decode_cluster(value)) {
                    (Some(group), Some(cluster)) => {
                        clusters.insert(group, cluster);
                        None
                    }
                    (Some(group), None) => Some((format!("meta/{group}/cluster"), "it is damaged")),
                    (None, _) => Some((format!("meta/{}", key.escape_ascii()), "nothing has this key")),
                },
            };
            if let Some((key, wrong)) = wrong {
                self.lacks(Problem::key(key, wrong));
            }
            stored.next();
        }
        if let Err(error) = stored.status() {
            self.lacks(Problem::key("meta", view.damage(error)?));
        }
        for group in clusters.keys().filter(|group| !states.contains_key(group)) {
            let problem = Problem::key(format!("meta/{group}/state"), "it is missing");
            if self.problems.iter().all(|told| told.place != problem.place) {
                self.lacks(problem);
            }
        }
        if let Some(checked) = &mut self.checked {
            checked.states = states.len() as u64;
        }
        Ok((states, clusters))
    }

    /// Whether the format was found to be damaged.
    fn read_format(&mut self, view: &View) -> Result<bool, StorageError> {
        let problem = match view.get(META, FORMAT_KEY) {
            Ok(None) => return Ok(false),
            Ok(Some(bytes)) => match decode_format(&bytes) {
                Ok(format) => {
                    self.format = Some(format);
                    return Ok(false);
                }
                Err(error) => Problem::of(error)?,
            },
            Err(error) => Problem::key("meta/format", view.damage(error)?),
        };
        self.lacks(problem);
        Ok(true)
    }

    /// A problem that leaves something unknown of the groups.
    fn lacks(&mut self, problem: Problem) {
        self.complete = false;
        self.found(problem);
    }

    fn count_pieces(
        &mut self,
        view: &View,
        states: &States,
        clusters: &Clusters,
    ) -> Result<(), StorageError> {
        for (&group, state) in states {
            let mut pieces = |numbered: Option<&Numbered>, whole| match numbered {
                Some(numbered) => checks::pieces(view, group, numbered, whole, self).map(Some),
                None => Ok(None),
            };
            let whole = pieces(state.snapshots.whole(), true)?;
            let begun = pieces(state.snapshots.begun(), false)?;
            let suspect = self.is_suspect(view, group)?;
            let told = Group::of(group, clusters.get(&group).copied(), state, (whole, begun));
            self.groups.push(Group { suspect, ..told });
        }
        Ok(())
    }
}

impl Inspection {
    /// Whether a group is marked, or is about to be. A mark that cannot be read was told of with all that lies beside it, and is
    /// believed.
    fn is_suspect(&self, view: &View, group: GroupId) -> Result<bool, StorageError> {
        let is_marked = match view.get(META, &suspect_key(group)) {
            Ok(mark) => mark.is_some_and(|mark| suspect::is_mark(&mark)),
            Err(error) => view.damage(error).map(|_| true)?,
        };
        Ok(is_marked || self.directory.join(TORN).exists())
    }
}

impl Group {
    /// With it comes how many pieces the whole snapshot is in, and the one that has begun.
    fn of(
        id: GroupId,
        cluster: Option<ClusterId>,
        state: &State,
        (whole, begun): (Option<u64>, Option<u64>),
    ) -> Self {
        let snapshot = |numbered: Option<&Numbered>, pieces: Option<u64>| {
            let (Numbered { snapshot, .. }, pieces) = (numbered?, pieces?);
            let (last_included, made_by) = (snapshot.id.last_included, snapshot.id.made_by);
            Some(SnapshotPieces { last_included, made_by, bytes: numbered?.bytes(), pieces })
        };
        let run = |(first_index, first_slot, len): (LogIndex, Slot, u64)| Run {
            first_index,
            first_slot: first_slot.get(),
            len,
        };
        let by_snapshot = state.snapshots.whole().map(|whole| &whole.snapshot.configured);
        let by_snapshot = by_snapshot.filter(|configured| !configured.configuration.voters.is_empty());
        Self {
            id,
            cluster,
            configuration: state.configurations.last().or(by_snapshot).cloned(),
            incarnation: state.incarnation,
            current_term: state.hard_state.current_term,
            voted_for: state.hard_state.voted_for,
            commit_bound: state.commit_bound,
            base: state.log.base(),
            last: state.log.last(),
            terms: state.log.firsts().to_vec(),
            mapping: state.mapping.runs().map(run).collect(),
            next_slot: state.mapping.next_slot().get(),
            snapshot: snapshot(state.snapshots.whole(), whole),
            partial_snapshot: snapshot(state.snapshots.begun(), begun),
            suspect: false,
        }
    }
}
