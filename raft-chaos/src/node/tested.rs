//! What a node is told only where it is tested: none of it is for users, and all of it is hidden from them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use raft_core::{Config, Configuration, Incarnation, PlantedBug};
#[cfg(feature = "test-version")]
use raft_net::Version;
use raft_net::Versions;
use serde::{Deserialize, Serialize};

use super::ended::Ended;
use super::events::Events;
use super::machine::{Condition, Machine};
use crate::plan::{Cluster, Plan, Storage};
use crate::sim::{Planted, configure};

/// What a node is told only where it is tested.
#[derive(Clone, Debug, Default, Args)]
pub struct ForTests {
    /// What the tool that starts it knows of it besides its flags.
    #[arg(long, value_name = "FILE", hide = true)]
    pub tested: Option<PathBuf>,
    /// Speak the protocol version after the newest, too, as a node of the next release will.
    #[cfg(feature = "test-version")]
    #[arg(long, hide = true)]
    pub next_version: bool,
}

/// What the tool that starts a node knows of it besides its flags.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tested {
    /// The life of its directory, if that is empty.
    pub(crate) incarnation: Incarnation,
    /// What the cluster begins with, in these lives: a directory that was wiped is another one.
    pub(crate) first: Configuration,
    /// `plan.lock.toml`, which says how the cluster is.
    pub(crate) plan: PathBuf,
    /// The name of the bug that it has on purpose.
    pub(crate) planted: Option<String>,
    /// By how much its clock runs faster than this machine's, in millionths.
    pub(crate) faster_ppm: u32,
    /// How its machine is at its start. How it is from then on is said on standard input.
    pub(crate) condition: Condition,
}

/// What is different in a node that is tested; usually nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Different {
    tested: Option<(Tested, Cluster)>,
    /// The versions that it speaks, if not those of this release.
    versions: Option<Versions>,
}

impl ForTests {
    pub(super) fn read(&self) -> Result<Different, Ended> {
        let read = |path: &PathBuf| {
            read(path).map_err(|error| Ended::usage(format!("tested {}: {error}", path.display())))
        };
        Ok(Different { tested: self.tested.as_ref().map(read).transpose()?, versions: self.versions() })
    }

    #[cfg(feature = "test-version")]
    fn versions(&self) -> Option<Versions> {
        Versions::new(Version::OLDEST, Version::NEXT).filter(|_| self.next_version)
    }

    #[cfg(not(feature = "test-version"))]
    const fn versions(&self) -> Option<Versions> {
        None
    }
}

fn read(path: &Path) -> io::Result<(Tested, Cluster)> {
    let tested: Tested = serde_json::from_slice(&fs::read(path)?)?;
    let plan = Plan::read(&tested.plan, &[]).map_err(io::Error::other)?;
    Ok((tested, plan.cluster))
}

impl Different {
    /// The life of a new directory.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.tested.as_ref().map_or_else(Incarnation::random, |(tested, _)| tested.incarnation)
    }

    /// What the cluster begins with, where that is said.
    pub(super) fn first(&self) -> Option<&Configuration> {
        self.tested.as_ref().map(|(tested, _)| &tested.first)
    }

    /// Where it has its log.
    pub(super) fn storage(&self) -> Storage {
        self.tested.as_ref().map_or(Storage::Rocksdb, |(_, cluster)| cluster.storage)
    }

    /// The machine that it is on, where somebody says how that is.
    pub(super) fn machine(&self, events: Option<Arc<Events>>) -> Option<Machine> {
        self.tested.as_ref().map(|(tested, _)| Machine::new(tested, events))
    }

    /// The bug of its libraries.
    pub(super) fn bug(&self) -> Option<PlantedBug> {
        let (tested, _) = self.tested.as_ref()?;
        tested.planted.as_deref().and_then(Planted::named).and_then(Planted::of_libraries)
    }

    /// How it talks to others.
    pub(super) fn versions(&self) -> Versions {
        self.versions.unwrap_or(Versions::OURS)
    }

    /// How it is configured.
    pub(super) fn configure(&self, config: &mut Config) {
        if let Some((_, cluster)) = &self.tested {
            configure(config, cluster);
        }
        config.planted = self.bug();
    }
}

#[cfg(test)]
mod tests {
    use raft_core::NodeId;

    use super::super::{Settings, run};
    use super::*;

    /// A directory that cannot be made is not one that is damaged.
    #[test]
    fn a_directory_that_cannot_be_made_is_called_that() {
        let folder = tempfile::tempdir().unwrap();
        let [plan, tested, file] = ["plan.toml", "tested.json", "file"].map(|name| folder.path().join(name));
        fs::write(&plan, "schema = 1\nname = \"p\"\ncluster.storage = \"memory\"\n").unwrap();
        let first = Configuration::of([NodeId::new(1)]);
        let condition = Condition::default();
        let told =
            Tested { incarnation: Incarnation(1), first, plan, planted: None, faster_ppm: 0, condition };
        fs::write(&tested, serde_json::to_vec(&told).unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let settings = Settings {
            id: Some(1),
            peers: Some("1=127.0.0.1:1".to_owned()),
            data: Some(file.join("d")),
            ..Settings::default()
        };
        let for_tests = ForTests { tested: Some(tested), ..ForTests::default() };
        let ended = run(settings, &for_tests).unwrap_err();
        let begin = format!("data {}: cannot be made: ", file.join("d").display());
        assert!(ended.why.starts_with(&begin) && ended.status == 69, "{ended:?}");
    }
}
