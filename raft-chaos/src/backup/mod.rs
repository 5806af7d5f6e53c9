//! `raft-chaos backup` and `raft-chaos restore`: the directory of a stopped node in one file, and a new cluster of one
//! node from that.
//!
//! | file | is |
//! | --- | --- |
//! | `archive.rs` | the bytes of a backup, and how they are written and read: [`About`] |
//! | `words.rs` | what is said of it |
//!
//! A backup has the files of the directory as they are. What is to be known of it is what [`Recovery`] plans, which reads
//! every record; and restoring it is unpacking it and carrying that plan out: the node begins a new cluster, to which
//! the old servers are strangers.

mod archive;
mod words;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use raft_core::{ClusterId, Incarnation, NodeId};
use raft_storage::format::LOCK;
use raft_storage::recovery::{GroupPlan, Plan};
use raft_storage::{Hold, Recovery, RecoveryError};
use serde::Serialize;

use crate::node::{Ended, STORE, home};
use crate::recover;
use archive::Archive;
pub use archive::{About, Copied, FORMAT};
pub use words::json;

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 1;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 64 not the directory of a node, no backup, something is there already, \
or bad arguments; 69 a node runs on it, the disk refused, or a later version wrote it; 70 bug; 74 something is damaged.";

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Of which directory.
    pub directory: String,
    /// The file.
    pub backup: String,
    /// How long it is.
    pub bytes: u64,
    /// What it says of itself.
    #[serde(flatten)]
    pub about: About,
}

/// Puts the directory of a stopped node into the file `to`, which is not there yet. Changes nothing in it.
///
/// # Errors
///
/// A node runs on it, it is damaged or not that of a node, there is something at `to`, or the disk refused: with which
/// status the process is to end, and why.
pub fn back_up(directory: &Path, to: &Path) -> Result<Backup, Ended> {
    check_free(to, |_| false)?;
    let (node, kind) = home::whose(directory)?.ok_or_else(|| {
        let name = directory.display();
        Ended::usage(format!("directory {name}: it has no {}; name one that a node was given", home::FILE))
    })?;
    let before = files(directory)?;
    let plan = plan(directory, node, recover::drawn_cluster())?;
    let _hold = Hold::of(directory).map_err(|error| refused(error.into()))?;
    // A node may have come and gone since the files were looked through.
    if files(directory)? != before {
        return Err(archive::changed(directory));
    }
    let about = about(&plan, kind, copied(directory, before.into_keys())?)?;
    let bytes = archive::write(&about, directory, to)?;
    Ok(Backup { directory: text(directory), backup: text(to), bytes, about })
}

/// What is to be restored.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The directory that is to be made: there is nothing in it.
    pub directory: &'a Path,
    /// The node that is to have it, and to vote alone.
    pub id: NodeId,
    /// The new cluster, if it is not to be drawn here.
    pub cluster: Option<ClusterId>,
}

/// A directory that was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// From which file.
    pub backup: String,
    /// What it says of itself.
    pub of: About,
    /// The directory.
    pub directory: String,
    /// The node that it is of, which votes alone.
    pub id: NodeId,
    /// The new cluster.
    pub cluster: ClusterId,
    /// The life that the directory is in, in hexadecimal digits.
    pub incarnation: String,
}

impl Restore<'_> {
    /// Makes the directory, durably: all of it or nothing.
    ///
    /// # Errors
    ///
    /// The backup is none or is damaged, there is something in the directory, or the disk refused: with which status
    /// the process is to end, and why.
    pub fn carry_out(&self) -> Result<Restored, Ended> {
        let Self { from, directory, id, cluster } = *self;
        check_free(directory, is_empty)?;
        let archive = Archive::open(from)?;
        let unmade = |error: io::Error| {
            let name = directory.display();
            Ended::unavailable(format!(
                "directory {name}: cannot be made: {error}; name one within a disk that has room, not where one is mounted"
            ))
        };
        let (folder, mut names) = beside(directory);
        names.permissions(fs::Permissions::from_mode(0o777));
        let scratch = names.tempdir_in(folder).map_err(unmade)?;
        let about = archive.unpack(scratch.path())?;
        let mut plan = plan(scratch.path(), about.node, cluster.unwrap_or_else(recover::drawn_cluster))?;
        plan.id = id;
        plan.carry_out().map_err(refused)?;
        home::begin(scratch.path(), id, &about.kind)?;
        fs::rename(scratch.path(), directory).map_err(unmade)?;
        let _is_elsewhere_now = scratch.keep();
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unmade)?;
        let Plan { cluster, incarnation, .. } = plan;
        let (backup, directory) = (text(from), text(directory));
        Ok(Restored { backup, of: about, directory, id, cluster, incarnation: hexadecimal(incarnation) })
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn hexadecimal(incarnation: Incarnation) -> String {
    format!("{:016x}", incarnation.0)
}

/// What of the directory can be recovered, having read all of it.
fn plan(directory: &Path, id: NodeId, cluster: ClusterId) -> Result<Plan, Ended> {
    let recovery = Recovery { id, groups: Vec::new(), cluster, incarnation: Incarnation::random() };
    recovery.plan(directory).map_err(refused)
}

fn about(plan: &Plan, kind: String, files: Vec<Copied>) -> Result<About, Ended> {
    let [GroupPlan { before, to_be_committed, known_lost, .. }] = &plan.groups[..] else {
        return Err(Ended::usage(
            "groups: a node has one, and the directory has more: it is another program's",
        ));
    };
    Ok(About {
        format: FORMAT,
        node: plan.id,
        kind,
        cluster: before.cluster,
        incarnation: hexadecimal(before.incarnation),
        members: before.configuration.as_ref().map(|configured| configured.configuration.to_string()),
        last: before.last,
        committed: before.commit_bound,
        to_be_committed: *to_be_committed,
        known_lost: *known_lost,
        torn_bytes: plan.torn_bytes,
        suspect: before.suspect,
        files,
    })
}

/// The files that make up a directory, each with its length and time. What a node keeps beside its log is made anew
/// where it is restored.
fn files(directory: &Path) -> Result<BTreeMap<String, (u64, SystemTime)>, Ended> {
    let listed = || {
        let mut files = BTreeMap::new();
        for file in directory.read_dir()? {
            let file = file?;
            let (name, about) = (file.file_name().into_string(), file.metadata()?);
            if let Some(name) = name.ok().filter(|name| *name != LOCK && !name.starts_with(home::FILE))
                && about.is_file()
            {
                files.insert(name, (about.len(), about.modified()?));
            }
        }
        Ok(files)
    };
    listed().map_err(|error: io::Error| unread(directory, &error))
}

fn copied(directory: &Path, names: impl Iterator<Item = String>) -> Result<Vec<Copied>, Ended> {
    let copied = |name: String| {
        let path = directory.join(&name);
        let (bytes, crc32c) = archive::sum(&path).map_err(|error| unread(&path, &error))?;
        Ok(Copied { name, bytes, crc32c })
    };
    names.map(copied).collect()
}

fn unread(path: &Path, error: &io::Error) -> Ended {
    Ended::unavailable(format!("{}: {error}; mend the disk", path.display()))
}

/// That nothing is at `path` but what is `tolerated`, and that it lies in a folder.
fn check_free(path: &Path, tolerated: impl Fn(&Path) -> bool) -> Result<(), Ended> {
    let name = path.display();
    if path.symlink_metadata().is_ok() && !tolerated(path) {
        return Err(Ended::usage(format!(
            "{name}: something is there already; name a place where nothing is"
        )));
    }
    let (folder, _) = beside(path);
    if path.file_name().is_none() || !folder.is_dir() {
        return Err(Ended::usage(format!("{name}: give it a name in a folder that is there")));
    }
    Ok(())
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().is_ok_and(|mut files| files.next().is_none())
}

/// The folder that something lies in, and names beside it for what is not whole yet.
fn beside(path: &Path) -> (&Path, tempfile::Builder<'_, 'static>) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names = tempfile::Builder::new();
    names.prefix(path.file_name().unwrap_or_default()).suffix(".part");
    (folder, names)
}

fn refused(error: RecoveryError) -> Ended {
    match (recover::exit_code(&error), error) {
        (_, RecoveryError::Damaged(problem)) => {
            Ended { status: STORE, why: format!("damaged: {problem}; take the backup of another node") }
        }
        (recover::INCONCLUSIVE, error) => Ended::unavailable(error),
        (status, error) => Ended { status, why: error.to_string() },
    }
}
