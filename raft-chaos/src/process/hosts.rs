//! The servers as processes of this machine: how they are started, stopped, halted, killed and listened to.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::{CommandExt, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::{Configuration, Incarnation, NodeId, Time};
use rustix::process::Signal;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::asking::attend;
use super::chronicle::{Chronicle, ToDisk};
use super::command::{Builds, NodeCommand, Own};
use super::door::Door;
use super::leftovers::{NODES, Register, stat};
use super::life::{Life, tell};
use super::machine::Machine;
use super::proxy::{Proxy, RealLinks};
use super::reader::Reader;
use crate::interrupt::interrupted;
use crate::monotonic::monotonic_ns;
use crate::node::{Condition, STORE, Tested};
use crate::sim::{Cast, Form, Hosts, Planted, SimLinks, Way, World};

/// How often it is looked whether anything is due. Servers and clients go on meanwhile.
const TICK: Duration = Duration::from_millis(1);
/// A server listens on this port and its id, and a proxy on this one, and a hundred times the one and once the other id.
const SERVER_PORT: u64 = 7_000;
const PROXY_PORT: u64 = 8_000;

/// The servers of a run as processes.
pub(super) struct Processes {
    /// Proxies and clients run on it.
    runtime: Runtime,
    clock: SystemEnvironment,
    /// The moment of the machine's clock in which the run began.
    origin_ns: u64,
    world: World,
    servers: BTreeMap<NodeId, Server>,
    builds: Builds,
    first: Configuration,
    /// What was done to disks, and when.
    done: Vec<(u64, NodeId, ToDisk)>,
    /// Whom the plan wants to stop.
    stops: mpsc::UnboundedSender<NodeId>,
    stopped: mpsc::UnboundedReceiver<NodeId>,
    register: Register,
    /// What went wrong with this tool's own files.
    failed: Option<io::Error>,
}

/// One of them.
struct Server {
    /// What starts it.
    command: NodeCommand,
    own: Own,
    /// What it is told besides, where it is this tool's own.
    tested: Option<Tested>,
    /// Its disk and its clock.
    machine: Machine,
    /// Where it has its files.
    folder: PathBuf,
    reader: Reader,
    life: Option<Life>,
    /// The life of its disk that it began with.
    began_as: Incarnation,
}

impl Processes {
    /// Starts all servers, and between them the proxies, and the clients.
    pub(super) fn start(
        (plan, folder): (&Path, &Path),
        (command, builds): (NodeCommand, Builds),
        cast: Cast,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Cast { world, seats, seeds, disks, clocks, clients, clients_seed, .. } = cast;
        let (clock, origin_ns) = (SystemEnvironment::new(), monotonic_ns());
        let host = host(std::process::id());
        let ids: Vec<NodeId> = seats.keys().copied().collect();
        let address = |&id: &NodeId| (id, format!("{host}:{}", SERVER_PORT + id.get()));
        let addresses: BTreeMap<_, _> = ids.iter().map(address).collect();
        let proxy = |from: NodeId, to: NodeId| format!("{host}:{}", PROXY_PORT + 100 * from.get() + to.get());
        let first = seats.values().next().map(|seat| seat.first.clone()).unwrap_or_default();
        let server = |(&id, &seed): (&NodeId, &u64)| {
            let folder = folder.join(NODES).join(id.get().to_string());
            let others = ids.iter().filter(|&&other| other != id);
            let own = Own {
                id,
                address: addresses[&id].clone(),
                peers: others.map(|&other| (other, proxy(id, other))).collect(),
                data: folder.join(super::DATA),
                events: folder.join("events.jsonl"),
                tested: folder.join("tested.json"),
            };
            let machine = Machine::new(&disks[&id], clocks[&id].clone());
            let tested = command.is_usual().then(|| Tested {
                incarnation: Incarnation(seed),
                first: first.clone(),
                plan: plan.to_owned(),
                planted: seats.get(&id).and_then(|seat| seat.planted).and_then(Planted::name),
                faster_ppm: machine.faster_ppm(),
                condition: Condition::default(),
            });
            let (command, reader) = (command.clone(), Reader::new(own.events.clone()));
            let began_as = Incarnation(seed);
            (id, Server { command, own, tested, machine, folder, reader, life: None, began_as })
        };
        let servers = seeds.iter().map(server).collect();
        for (&from, &to) in ids.iter().flat_map(|from| ids.iter().map(move |to| (from, to))) {
            if from != to {
                let (at, target) = (proxy(from, to), addresses[&to].clone());
                let proxy = runtime.block_on(Proxy::listen(&at, (from, to), target));
                let proxy = proxy.map_err(|error| {
                    io::Error::new(error.kind(), format!("{at}: {error}; is it another run's?"))
                })?;
                runtime.spawn(proxy.run(clock, RealLinks(SimLinks(world.clone()), clock)));
            }
        }
        let door = Door {
            servers: addresses.iter().map(|(&id, address)| (address.clone(), id)).collect(),
            world: world.clone(),
        };
        runtime.spawn(
            clients.run(Way { net: door, environment: clock, addresses, form: Form::Node }, clients_seed),
        );
        let (stops, stopped) = mpsc::unbounded_channel();
        let mut processes = Self {
            runtime,
            clock,
            origin_ns,
            world,
            servers,
            builds,
            first,
            done: Vec::new(),
            stops,
            stopped,
            register: Register::begin(folder)?,
            failed: None,
        };
        ids.into_iter().try_for_each(|id| processes.boot(id))?;
        Ok(processes)
    }

    /// Begins a life of a server.
    fn boot(&mut self, id: NodeId) -> io::Result<()> {
        let known = self.world.server(id);
        let incarnation = self.world.membership(|membership| membership.life(id));
        let Some(server) = self.servers.get_mut(&id) else { return Ok(()) };
        if let Some(tested) = server.tested.as_mut().filter(|tested| tested.incarnation != incarnation) {
            self.done.push((monotonic_ns(), id, ToDisk::Wiped));
            tested.incarnation = incarnation;
        }
        if known.is_some_and(|server| server.flipped) {
            self.done.push((monotonic_ns(), id, ToDisk::Flipped));
        }
        fs::create_dir_all(&server.folder)?;
        let condition = server.machine.condition();
        if let Some(tested) = &mut server.tested {
            tested.condition = condition.clone();
            fs::write(&server.own.tested, serde_json::to_vec(tested)?)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(server.folder.join("log"))?;
        let mut command = server.command.of(&server.own);
        let input = if server.command.is_usual() { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(log.try_clone()?).stderr(log);
        // What a terminal sends to interrupt this tool is not for them.
        let child = command.process_group(0).spawn()?;
        self.register.add(child.id())?;
        let attendant = attend(id, server.own.address.clone(), self.world.clone(), self.stops.clone());
        let attendant = self.runtime.spawn(attendant);
        server.life = Some(Life::new(child, condition, attendant));
        Ok(())
    }

    /// Tells servers what is wrong with their machines. One that is halted would not hear of it: it is told when it goes on.
    fn tell_servers(&mut self) {
        for (&id, server) in &mut self.servers {
            let condition = server.machine.condition();
            let Some(life) = server.life.as_mut().filter(|life| !life.knows(&condition)) else { continue };
            if self.world.server(id).is_some_and(|server| server.paused == 0)
                && let Err(error) = life.tell(condition)
            {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Has servers end that the plan wants to.
    fn stop_servers(&mut self) {
        while let Ok(id) = self.stopped.try_recv() {
            let life = self.servers.get_mut(&id).and_then(|server| server.life.as_mut());
            // To be told twice means to hurry.
            if let Some(life) = life.filter(|life| !life.stopping) {
                life.stopping = true;
                life.signal(Signal::TERM);
            }
        }
    }

    /// Hears what servers have written down since the last time, in the order of its times.
    fn listen(&mut self) {
        let mut lines = Vec::new();
        for (&id, server) in &mut self.servers {
            match server.reader.read() {
                Ok(read) => lines.extend(read.into_iter().map(|line| (id, line))),
                Err(error) => drop(self.failed.get_or_insert(error)),
            }
        }
        lines.sort_by_key(|(_, line)| line.time_ns);
        for (id, line) in lines {
            if let Some(server) = self.servers.get_mut(&id) {
                server.machine.hear(&line.happening);
                server.life.iter_mut().for_each(|life| life.hear(&line.happening));
            }
            tell(&self.world, id, line.happening);
        }
    }

    /// Notes who has ended.
    fn look_who_ended(&mut self) {
        let ended = |server: &mut Server| {
            let status = server.life.as_mut()?.child.try_wait().ok().flatten()?;
            Some((server.own.id, status))
        };
        let ended: Vec<_> = self.servers.values_mut().filter_map(ended).collect();
        if !ended.is_empty() {
            // What they have said last.
            self.listen();
        }
        for (id, status) in ended {
            let Some(life) = self.servers.get_mut(&id).and_then(|server| server.life.take()) else {
                continue;
            };
            life.attendant.abort();
            let is = |code: u8| status.code() == Some(code.into());
            let damaged = self.world.server(id).is_some_and(|server| server.damaged);
            if is(0) && life.stopping {
                self.world.shut_down(id);
            } else if life.stopping && status.signal() == Some(Signal::TERM.as_raw()) {
                self.world.gone(id, "ended before it could shut down in order");
            } else if is(STORE) && (damaged || life.gave_out) {
                self.world.gave_out(id);
            } else if life.is_contradicted {
                self.world.gone(id, "ended by itself");
            } else {
                let why = life.reason(status.code(), &self.servers[&id].folder.join("log"));
                self.world.ended_over(id, why);
            }
        }
    }

    /// Notes which of those that are paused have really stopped.
    fn look_who_is_halted(&self) {
        for (&id, server) in &self.servers {
            let Some(life) = &server.life else { continue };
            if self.world.server(id).is_some_and(|server| server.paused > 0)
                && stat(life.child.id()).is_some_and(|(state, _)| state == 'T')
            {
                self.world.is_halted(id);
            }
        }
    }

    /// All that happened, for those who judge it.
    fn in_order(&self) -> io::Result<World> {
        let mut chronicle = Chronicle::new(self.origin_ns);
        for &(at_ns, id, done) in &self.done {
            chronicle.done(at_ns, id, done);
        }
        for (&id, server) in &self.servers {
            chronicle.hear(id, Reader::new(server.own.events.clone()).read()?);
        }
        let lives = self.servers.iter().map(|(&id, server)| (id, server.began_as)).collect();
        Ok(chronicle.told(self.first.clone(), lives))
    }

    /// Ends a life wherever it is, and hears the last of it.
    fn end_life(&mut self, id: NodeId) {
        if let Some(life) = self.servers.get_mut(&id).and_then(|server| server.life.take()) {
            self.runtime.block_on(life.kill());
        }
        self.listen();
    }

    fn end_all(&mut self) {
        for life in self.servers.values_mut().filter_map(|server| server.life.take()) {
            self.runtime.block_on(life.kill());
        }
    }
}

impl Hosts for Processes {
    fn elapsed(&self) -> Duration {
        self.clock.now().since(Time::ZERO)
    }

    fn step(&mut self) {
        self.tell_servers();
        self.runtime.block_on(async { tokio::time::sleep(TICK).await });
        self.world.set_now(self.clock.now());
        self.stop_servers();
        self.listen();
        self.look_who_ended();
        self.look_who_is_halted();
    }

    fn is_over(&self) -> bool {
        interrupted() || self.failed.is_some()
    }

    fn is_running(&mut self, node: NodeId) -> bool {
        self.servers.get(&node).is_some_and(|server| server.life.is_some())
    }

    fn kill(&mut self, node: NodeId) {
        self.end_life(node);
    }

    /// A plan that asks for it has been refused.
    fn darken(&mut self, _: NodeId, _: bool) {}

    fn start(&mut self, node: NodeId) {
        if let Err(error) = self.boot(node) {
            self.failed.get_or_insert(error);
        }
    }

    fn pause(&mut self, node: NodeId, on: bool) {
        if let Some(life) = self.servers.get(&node).and_then(|server| server.life.as_ref()) {
            life.signal(if on { Signal::STOP } else { Signal::CONT });
        }
    }

    fn replace(&mut self, node: NodeId, command: &[String]) {
        if let Some(server) = self.servers.get_mut(&node) {
            server.command = NodeCommand::of_words(command, &self.builds);
        }
    }

    fn end(&mut self) -> io::Result<Option<World>> {
        self.end_all();
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.in_order().map(Some),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// The host of a run's servers: an address of this machine that no other run has that goes on.
pub(crate) fn host(pid: u32) -> Ipv4Addr {
    let [_, high, middle, low] = pid.to_be_bytes();
    // 127.0.0.x is everybody's; a number of a process has 22 bits.
    Ipv4Addr::new(127, high + 64, middle, low)
}
