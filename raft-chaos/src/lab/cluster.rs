//! The cluster under test, and what is done to it.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use raft_core::node::{Handle, Outcome, StateMachine, Status};
use raft_core::{PlantedBug, Rng, Term};
use raft_storage::MemoryDisk;

use super::application::{Application, Snapshots};
use super::ledger::Ledger;
use super::lock;
use super::network::{Counts, Network, node};
use super::record::Record;
use super::run::Report;
use super::server::{Machine, Running};

/// What a test begins with.
#[derive(Clone, Copy)]
pub struct Setup {
    /// How many servers.
    pub servers: usize,
    /// Whether the network delays and loses from the beginning.
    pub unreliable: bool,
    /// Whether a client of a server that cannot be reached learns it after up to 7 s, and not within 100 ms.
    pub long_delays: bool,
    /// When servers take snapshots.
    pub snapshots: Snapshots,
    /// What runs on each of them.
    pub application: Application,
    /// The bug that every server has on purpose; none outside of tests.
    pub planted: Option<PlantedBug>,
}

impl Setup {
    /// So many servers that keep all commands, on a reliable network, and take no snapshots.
    pub const fn new(servers: usize) -> Self {
        Self {
            servers,
            unreliable: false,
            long_delays: true,
            snapshots: Snapshots::Never,
            application: Application::Commands,
            planted: None,
        }
    }

    /// The same on an unreliable network.
    #[must_use]
    pub const fn unreliable(self) -> Self {
        Self { unreliable: true, ..self }
    }

    /// The same with snapshots.
    #[must_use]
    pub const fn snapshots(self, snapshots: Snapshots) -> Self {
        Self { snapshots, ..self }
    }

    /// The same with a state machine, and short delays, as the lab has it for what clients call.
    #[must_use]
    pub const fn serving(self, machine: fn() -> Box<dyn StateMachine>) -> Self {
        Self { application: Application::Machine(machine), long_delays: false, ..self }
    }
}

/// A cluster under test, and whoever tests it. Servers are numbered from 0. Clones are handles on the same one.
#[derive(Clone)]
pub struct Lab {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    setup: Setup,
    pub(super) network: Network,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) record: Record,
    rng: Mutex<Rng>,
    slots: Mutex<Vec<Slot>>,
}

struct Slot {
    /// None while a life of it ends.
    machine: Option<Machine>,
    running: Option<Running>,
    connected: bool,
}

/// A command that a leader took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The number that the command has if it is committed: how many commands there are up to it.
    pub index: u64,
    /// The leader's term.
    pub term: Term,
}

impl Lab {
    /// Must be called on a current-thread runtime whose clock is paused.
    pub(super) fn new(seed: u64, setup: Setup, record: Record) -> Self {
        let mut rng = Rng::new(seed);
        let network = Network::new(setup.servers, rng.next_u64(), record.clone());
        network.state().unreliable = setup.unreliable;
        network.state().long_delays = setup.long_delays;
        let first = (0..setup.servers).map(node).collect::<Vec<_>>().into();
        let ledger = Arc::new(Mutex::new(Ledger::new(setup.servers, first, record.clone())));
        let mut slot = |server| {
            let machine = Machine {
                server,
                servers: setup.servers,
                application: setup.application,
                planted: setup.planted,
                snapshots: setup.snapshots,
                network: network.clone(),
                ledger: Arc::clone(&ledger),
                record: record.clone(),
                disk: MemoryDisk::new(),
                rng: Rng::new(rng.next_u64()),
                life: 0,
            };
            Slot { machine: Some(machine), running: None, connected: true }
        };
        let slots = Mutex::new((0..setup.servers).map(&mut slot).collect());
        let rng = Mutex::new(Rng::new(rng.next_u64()));
        let lab = Self { shared: Arc::new(Shared { setup, network, ledger, record, rng, slots }) };
        (0..setup.servers).for_each(|server| lab.boot(server));
        lab
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.shared.setup.servers
    }

    /// The test's own generator.
    pub fn rng(&self) -> MutexGuard<'_, Rng> {
        lock(&self.shared.rng)
    }

    /// A number below `bound`.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.rng().below(bound as u64)).unwrap_or(0)
    }

    /// A command that hardly is proposed twice.
    pub fn random_command(&self) -> Bytes {
        self.rng().next_u64().to_string().into()
    }

    fn boot(&self, server: usize) {
        let mut slots = lock(&self.shared.slots);
        let slot = &mut slots[server];
        if slot.running.is_none()
            && let Some(machine) = &mut slot.machine
        {
            slot.running = Some(machine.start());
        }
    }

    /// All links to and from the server are cut, in both directions. The tester still reaches it.
    pub fn disconnect(&self, server: usize) {
        self.shared.record.did("disconnect", node(server));
        lock(&self.shared.slots)[server].connected = false;
        let mut network = self.shared.network.state();
        (0..self.servers()).for_each(|other| network.set_link(server, other, false));
    }

    /// The links between the server and every server that is connected are there.
    pub fn connect(&self, server: usize) {
        self.shared.record.did("connect", node(server));
        let mut slots = lock(&self.shared.slots);
        slots[server].connected = true;
        let mut network = self.shared.network.state();
        for other in (0..self.servers()).filter(|other| slots[*other].connected) {
            network.set_link(server, other, true);
        }
    }

    /// Links inside each side are there, links across are not.
    pub fn partition(&self, one: &[usize], other: &[usize]) {
        self.shared.record.did("partition", format!("{one:?} | {other:?}"));
        let mut network = self.shared.network.state();
        for side in [one, other] {
            for (&from, &to) in side.iter().flat_map(|from| side.iter().map(move |to| (from, to))) {
                network.set_link(from, to, true);
            }
        }
        for (&from, &to) in one.iter().flat_map(|from| other.iter().map(move |to| (from, to))) {
            network.set_link(from, to, false);
        }
    }

    /// Every server is connected.
    pub fn connect_all(&self) {
        (0..self.servers()).for_each(|server| self.connect(server));
    }

    /// Cuts the server off and ends it where it is. What it had given to its disk stays there.
    pub async fn crash(&self, server: usize) {
        self.disconnect(server);
        self.shared.record.did("crash", node(server));
        let taken = {
            let slot = &mut lock(&self.shared.slots)[server];
            slot.running.take().map(|running| (running, slot.machine.take()))
        };
        if let Some((running, Some(machine))) = taken {
            machine.kill(running).await;
            lock(&self.shared.slots)[server].machine = Some(machine);
        }
    }

    /// Starts a server that has crashed, from what its disk has, and connects it. A server that runs is crashed first.
    pub async fn restart(&self, server: usize) {
        self.crash(server).await;
        self.shared.record.did("restart", node(server));
        self.boot(server);
        self.connect(server);
    }

    /// Crashes all servers, then restarts them all.
    pub async fn restart_all(&self) {
        self.crash_all().await;
        for server in 0..self.servers() {
            self.restart(server).await;
        }
    }

    /// Crashes all servers.
    pub async fn crash_all(&self) {
        for server in 0..self.servers() {
            self.crash(server).await;
        }
    }

    /// Whether the network delays and loses from now on.
    pub fn set_unreliable(&self, unreliable: bool) {
        self.shared.network.state().unreliable = unreliable;
    }

    /// Whether two thirds of the replies come 200 to 2200 ms late from now on.
    pub fn set_long_reordering(&self, long_reordering: bool) {
        self.shared.network.state().long_reordering = long_reordering;
    }

    /// Whether the server is connected.
    pub fn is_connected(&self, server: usize) -> bool {
        lock(&self.shared.slots)[server].connected
    }

    /// Whether the server runs.
    pub fn is_up(&self, server: usize) -> bool {
        lock(&self.shared.slots)[server].running.is_some()
    }

    /// The way to ask the server; none if it does not run.
    pub fn handle(&self, server: usize) -> Option<Handle> {
        lock(&self.shared.slots)[server].running.as_ref().map(|running| running.handle.clone())
    }

    /// What the server is now; none if it does not run.
    pub async fn status(&self, server: usize) -> Option<Status> {
        self.handle(server)?.status().await
    }

    /// What the server's state machine answers from the state that it has now; none if it does not run.
    pub async fn look(&self, server: usize, query: Bytes) -> Option<Bytes> {
        let state =
            lock(&self.shared.slots)[server].running.as_ref().map(|running| Arc::clone(&running.state))?;
        let answer = state.lock().await.query(query).await;
        Some(answer)
    }

    /// Has a command applied through the server, as clients of a node do. None if that is not known to have happened.
    pub async fn submit(&self, server: usize, command: impl Into<Bytes>) -> Option<Bytes> {
        match self.handle(server)?.propose(command.into()).await {
            Outcome::Applied { answer, .. } => Some(answer),
            Outcome::NotApplied(_) | Outcome::Unknown => None,
        }
    }

    /// Offers a command to a server and does not wait for what becomes of it. None if the server does not take it.
    pub async fn start(&self, server: usize, command: impl Into<Bytes>) -> Option<Started> {
        let handle = self.handle(server)?;
        let command = command.into();
        // Both questions stand one behind the other at the node's door, so the last entry is the command's.
        tokio::task::unconstrained(async move {
            let mut proposed = pin!(handle.propose(command));
            if now(&mut proposed).await.is_some() {
                return None;
            }
            let status = handle.status().await?;
            let id = match now(&mut proposed).await {
                None => status.last_log,
                Some(Outcome::Applied { id, .. }) => id,
                Some(Outcome::NotApplied(_) | Outcome::Unknown) => return None,
            };
            let index = lock(&self.shared.ledger).number(id)?;
            Some(Started { index, term: id.term })
        })
        .await
    }

    /// How many servers have applied the command of this number in the lives that they have now, and what it is.
    pub fn committed(&self, index: u64) -> (usize, Option<Bytes>) {
        lock(&self.shared.ledger).committed(index)
    }

    /// Requests that were delivered to the server.
    pub fn rpcs(&self, server: usize) -> u64 {
        self.shared.network.state().counts.delivered[server]
    }

    /// Bytes of all requests that were made, and of the replies that were delivered.
    pub fn bytes(&self) -> u64 {
        self.shared.network.state().counts.bytes
    }

    /// All that was counted.
    pub fn counts(&self) -> Counts {
        self.shared.network.state().counts.clone()
    }

    /// The most bytes that any server's term, vote and log take on its disk.
    pub fn state_bytes(&self) -> usize {
        let ledger = lock(&self.shared.ledger);
        (0..self.servers()).map(|server| ledger.state_bytes(server)).max().unwrap_or(0)
    }

    /// The most bytes that any server's snapshot takes on its disk; 0 if none has one.
    pub fn snapshot_bytes(&self) -> usize {
        let ledger = lock(&self.shared.ledger);
        (0..self.servers()).map(|server| ledger.snapshot_bytes(server)).max().unwrap_or(0)
    }

    /// How many snapshots servers have installed that leaders sent.
    pub fn snapshots_installed(&self) -> u64 {
        lock(&self.shared.ledger).snapshots_installed()
    }
}

impl Lab {
    /// What came of the test.
    pub(super) fn report(&self) -> Report {
        let Shared { record, ledger, .. } = &*self.shared;
        let ledger = lock(ledger);
        Report {
            failures: record.failures(),
            event_hash: record.hash(),
            counts: self.counts(),
            commands: ledger.commands(),
            leaders: ledger.leaders(),
            snapshots_installed: ledger.snapshots_installed(),
            coverage: ledger.coverage(),
            virtual_time: record.elapsed(),
            cut_short: false,
        }
    }
}

/// What a future has come to by now, if it has.
async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
