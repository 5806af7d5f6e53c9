//! What a node keeps beside its log, in `node.json` in its directory: whose directory it is, what the cluster began
//! with, and where servers listen that it was told of since.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use raft_core::{Configuration, NodeId};
use serde::{Deserialize, Serialize};

use super::ended::Ended;

pub(crate) const FILE: &str = "node.json";

/// What a node keeps, and where.
#[derive(Debug)]
pub(super) struct Home {
    directory: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    id: NodeId,
    /// The kind of data, by its name.
    kind: String,
    /// What the cluster began with; none of a server that joined it. Flags that say something else later change nothing.
    first: Option<Configuration>,
    addresses: BTreeMap<NodeId, String>,
}

impl Home {
    /// The home of the server `id`, which keeps data of that kind, in this directory, which is locked and there. A new one
    /// begins with `first`; until it is [settled](Self::settle) nothing of it is kept.
    pub(super) fn open(
        directory: &Path,
        id: NodeId,
        kind: &str,
        first: Option<Configuration>,
    ) -> Result<Self, Ended> {
        let new = || Kept { id, kind: kind.to_owned(), first, addresses: BTreeMap::new() };
        let kept = read(directory)?.unwrap_or_else(new);
        let (name, of) = (directory.display(), kept.id);
        if of != id {
            return Err(Ended::usage(format!(
                "data {name}: it is the directory of {of}, not of {id}; give {id} its own, or start {of} here"
            )));
        }
        if kept.kind != kind {
            return Err(Ended::usage(format!(
                "data {name}: it has data of kind {}; give --kind {}",
                kept.kind, kept.kind
            )));
        }
        Ok(Self { directory: directory.to_owned(), kept: Mutex::new(kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps from now on whose directory this is. To be called before anything of the server is in it.
    pub(super) fn settle(&self) -> Result<(), Ended> {
        write(&self.directory, &self.kept()).map_err(|error| {
            let path = self.directory.join(FILE);
            Ended::damaged(&path, format!("cannot be written: {error}; mend the disk, or make room on it"))
        })
    }

    /// What the cluster began with; none of a server that joined it.
    pub(super) fn first(&self) -> Option<Configuration> {
        self.kept().first.clone()
    }

    /// Where servers listen that it was told of.
    pub(super) fn addresses(&self) -> BTreeMap<NodeId, String> {
        self.kept().addresses.clone()
    }

    /// Keeps where these servers listen, over restarts. It is in the log too, so that a disk that refuses is only told of.
    pub(super) fn keep(&self, addresses: &BTreeMap<NodeId, String>) {
        let mut kept = self.kept();
        let before = kept.addresses.clone();
        kept.addresses.extend(addresses.iter().map(|(id, address)| (*id, address.clone())));
        if kept.addresses != before
            && let Err(error) = write(&self.directory, &kept)
        {
            let file = self.directory.join(FILE);
            tracing::warn!(file = %file.display(), %error, "where servers listen cannot be kept");
        }
    }
}

/// Whose directory it is, and the kind of data in it; none where no node has begun to keep anything.
pub(crate) fn whose(directory: &Path) -> Result<Option<(NodeId, String)>, Ended> {
    Ok(read(directory)?.map(|Kept { id, kind, .. }| (id, kind)))
}

/// Makes a directory that of a node which begins a cluster alone.
pub(crate) fn begin(directory: &Path, id: NodeId, kind: &str) -> Result<(), Ended> {
    Home::open(directory, id, kind, Some(Configuration::of([id])))?.settle()
}

fn read(directory: &Path) -> Result<Option<Kept>, Ended> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Ended::damaged(&path, format!("{error}; bring the node back as a new one, by replace"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Ended::damaged(&path, format!("cannot be read: {error}; mend the disk"))),
    }
}

/// All of it or nothing, and durably.
fn write(directory: &Path, kept: &Kept) -> io::Result<()> {
    let new = directory.join("node.json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let first = Some(Configuration::of([one]));
        let home = Home::open(directory.path(), one, "kv", first.clone()).unwrap();
        home.settle().unwrap();
        home.keep(&BTreeMap::from([(two, "b:2".to_owned())]));
        // What it began with is what counted when the directory was made.
        let again = Home::open(directory.path(), one, "kv", Some(Configuration::of([one, two]))).unwrap();
        assert_eq!((again.first(), again.addresses()), (first, BTreeMap::from([(two, "b:2".to_owned())])));
        let error = Home::open(directory.path(), two, "kv", None).unwrap_err();
        assert!(
            error.why.ends_with("it is the directory of n1, not of n2; give n2 its own, or start n1 here")
        );
        let error = Home::open(directory.path(), one, "set", None).unwrap_err();
        assert!(error.why.ends_with("it has data of kind kv; give --kind kv"), "{error}");
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(Home::open(directory.path(), one, "kv", None).unwrap_err().status, 74);
    }
}
