//! One server of the simulated cluster, on its host.

use std::time::Duration;

use raft_core::node::{Handle, LogStore, NodeError};
use raft_core::{GroupId, NodeId, Rng};
use raft_storage::{MemoryStore, Opened, RocksStore, StorageError, SyncDelay};
use tokio::task::JoinSet;

use super::clock::Clock;
use super::disk::{Disk, Kept};
use super::door::Door;
use super::environment::{SimEnvironment, SimLinks};
use super::seat::{Seat, Surroundings, answer};
use super::world::World;

/// The port that every server listens on.
const PORT: u16 = 7000;
/// The shortest and the longest time that a sync takes.
const SYNC: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(4));

/// The simulated host that all clients run on.
pub(super) const CLIENTS: &str = "clients";

/// The simulated host that a server runs on.
pub(super) fn host_name(id: NodeId) -> String {
    id.to_string()
}

/// Where a server listens, as others find it.
pub(super) fn address(id: NodeId) -> String {
    format!("{}:{PORT}", host_name(id))
}

/// What a server needs in each of its lives.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) seat: Seat,
    pub(super) world: World,
    pub(super) disk: Disk,
    pub(super) seed: u64,
    pub(super) clock: Clock,
}

impl Server {
    /// One life, from start to stop; a crash drops it anywhere.
    pub(super) async fn live(self) -> turmoil::Result {
        let id = self.seat.id;
        let environment = SimEnvironment::new(&self.world, Some(id), self.clock.clone());
        let life = self.world.server(id).map_or(0, |server| server.life);
        let mut rng = Rng::new(self.seed ^ life.wrapping_mul(0x9e37_79b9));
        let incarnation = self.world.membership(|membership| membership.life(id));
        let mut sync = Rng::new(rng.next_u64());
        let world = self.world.clone();
        let delay: SyncDelay = Box::new(move || {
            world.syncs(id);
            sync.duration(SYNC)
        });
        // What an earlier life was refused says nothing of this one.
        self.disk.faults.take_refused();
        let (time, faults) = (environment.clone(), self.disk.faults.clone());
        let ended = match &self.disk.kept {
            Kept::Memory(disk) => {
                let opened = MemoryStore::open(disk, incarnation, time, delay, faults);
                self.run(opened, environment, &mut rng).await
            }
            Kept::Rocksdb { folder, .. } => {
                self.disk.closed(self.world.now());
                match RocksStore::open_simulated(folder, GroupId(0), incarnation, time, delay, faults) {
                    Ok(opened) => {
                        self.disk.opened(self.world.now(), opened.store.synced_wal());
                        self.run(opened, environment, &mut rng).await
                    }
                    Err(error) => Err(NodeError::Store(error)),
                }
            }
        };
        match ended {
            Ok(()) => {
                self.disk.stopped(self.world.now());
                self.world.shut_down(id);
            }
            Err(NodeError::Store(_)) if self.disk.faults.take_refused() => {
                self.disk.closed(self.world.now());
                self.disk.gave_out(&mut rng);
                self.world.gave_out(id);
            }
            Err(NodeError::Store(error)) if self.world.is_over_damage(id, &error) => {
                self.world.gave_out(id);
            }
            Err(error) => self.world.ended(id, &error),
        }
        Ok(())
    }

    async fn run<S: LogStore<Error = StorageError>>(
        &self,
        opened: Opened<S>,
        environment: SimEnvironment,
        rng: &mut Rng,
    ) -> Result<(), NodeError<StorageError>> {
        let Seat { id, cluster, .. } = &self.seat;
        self.world.started(*id, opened.incarnation, &opened.restored);
        let address = |id| (id, address(id));
        let around = Surroundings {
            net: Door { node: *id, world: self.world.clone() },
            address: format!("0.0.0.0:{PORT}"),
            peers: cluster.nodes().into_iter().map(address).collect(),
            environment,
            links: SimLinks(self.world.clone()),
            world: self.world.clone(),
        };
        self.seat.run(opened, around, rng, |handle, tasks| self.attend(handle, tasks)).await
    }

    /// Does what the plan asks of a server.
    fn attend(&self, handle: Handle, tasks: &mut JoinSet<()>) {
        let id = self.seat.id;
        let Some(server) = self.world.server(id) else { return };
        let asked = handle.clone();
        tasks.spawn(async move {
            loop {
                server.take_snapshot.notified().await;
                asked.snapshot().await;
            }
        });
        let (world, changed) = (self.world.clone(), handle.clone());
        tasks.spawn(async move {
            loop {
                server.asked.notified().await;
                while let Some((ask, what)) = world.next_ask(id) {
                    let answer = answer(&changed, what).await;
                    world.answered_ask(ask, answer);
                }
            }
        });
        tasks.spawn(async move {
            server.stop.notified().await;
            handle.shutdown().await;
        });
    }
}
