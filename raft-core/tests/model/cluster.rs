//! A state of a model: some servers, and what is on its way between them.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use raft_core::{Config, Envelope, Event, Incarnation, Input, NodeId, PlantedBug, Raft, Restored, Time};
use stateright::{Model, Property};

use crate::history::{History, Judges, log_matching};
use crate::server::{Disk, Outcome, Server};

/// How far a model goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) servers: u64,
    /// Servers that know nobody, on top of those.
    pub(crate) joiners: u64,
    /// Changes of the membership that are begun by all leaders together, to whatever set of voters.
    pub(crate) changes: usize,
    /// Nobody asks for votes in a later term.
    pub(crate) terms: usize,
    /// No leader with as many commands in its log takes another. The no-ops of leaders come on top.
    pub(crate) commands: usize,
    /// Crashes of all servers together.
    pub(crate) crashes: usize,
    pub(crate) pre_vote: bool,
    /// Whether each entry travels alone, or all that are missing together.
    pub(crate) one_by_one: bool,
    /// How many messages with entries may be on their way to one server.
    pub(crate) window: usize,
    /// Whether the judges of events look on. They take as much time again.
    pub(crate) judged: bool,
    /// Whether states that differ only in the names of servers are one.
    pub(crate) nameless: bool,
    pub(crate) planted: Option<PlantedBug>,
}

/// Equal where the future is. Instants and drawn numbers are no part of it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) network: Vec<Sent>,
    pub(crate) crashes: usize,
    pub(crate) changes: usize,
    /// How often the network has repeated a message.
    pub(crate) repeats: usize,
    pub(crate) history: Arc<History>,
    judges: Option<Arc<Judges>>,
    nameless: bool,
}

/// A message on its way.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) envelope: Arc<Envelope>,
    /// What it says, without who says it to whom.
    content: u64,
}

impl Sent {
    pub(crate) fn new(envelope: Envelope) -> Self {
        let mut hasher = DefaultHasher::new();
        (envelope.term, &envelope.message).hash(&mut hasher);
        Self { content: hasher.finish(), envelope: Arc::new(envelope) }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest patience that there is.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Scope {
    /// Time is no part of a model: a timeout is an action, and the clock of a server goes on to its deadline then
    /// and at no other time. What measures a time that has passed is off: check-quorum, and the patience with disks.
    fn raft(&self, id: NodeId, life: usize, restored: Restored) -> Raft {
        let mut config = Config::new(id, self.voters());
        // No disk is wiped here. Were each server's life its own, those of other names would not be the same.
        config.incarnation = Incarnation::default();
        config.bootstrap = config.bootstrap.filter(|_| id.get() <= self.servers);
        // Whoever is to vote has caught up when it has what there was: no round takes too long.
        config.election_timeout = (DAY, 2 * DAY);
        config.check_quorum = false;
        config.pre_vote = self.pre_vote;
        config.disk_patience = YEAR;
        config.append_window = self.window;
        config.append_bytes_max = if self.one_by_one { 1 } else { 1 << 19 };
        config.seed = id.get() + 1_000 * life as u64;
        config.observe = true;
        config.planted = self.planted;
        Raft::new(config, restored, Time::ZERO).unwrap()
    }

    fn voters(&self) -> Vec<NodeId> {
        (1..=self.servers).map(NodeId::new).collect()
    }

    /// Every set of servers that may be to vote.
    pub(crate) fn electorates(&self) -> impl Iterator<Item = Vec<NodeId>> {
        let servers = self.servers + self.joiners;
        let of = move |set: u64| (1..=servers).filter(move |id| set >> id & 1 == 1).map(NodeId::new);
        (1..1_u64 << servers).map(move |set| of(set << 1).collect())
    }

    pub(crate) fn start(&self) -> Cluster {
        let voters = self.voters();
        let all: Vec<_> = (1..=self.servers + self.joiners).map(NodeId::new).collect();
        let server = |&id: &NodeId| Arc::new(Server::new(self.raft(id, 0, Restored::default())));
        let mut judges = Judges::new(&voters);
        for &id in &all {
            judges.started(id, &Restored::default()).unwrap();
        }
        Cluster {
            servers: all.iter().map(server).collect(),
            network: Vec::new(),
            crashes: 0,
            changes: 0,
            repeats: 0,
            history: Arc::default(),
            judges: self.judged.then(|| Arc::new(judges)),
            nameless: self.nameless,
        }
    }
}

impl Cluster {
    pub(crate) fn place(&self, id: NodeId) -> usize {
        self.servers.iter().position(|server| server.raft.id() == id).expect("a server of this cluster")
    }

    /// Lets a server do something; what it says is returned.
    fn act(&mut self, place: usize, act: impl FnOnce(&mut Server, &mut Outcome)) -> Vec<Envelope> {
        let mut outcome = Outcome::default();
        let server = Arc::make_mut(&mut self.servers[place]);
        let committed_before = server.raft.commit_index();
        act(server, &mut outcome);
        server.look();
        History::watch(&mut self.history, server, committed_before);
        let id = server.raft.id();
        let stopped =
            |event: &Event| if let Event::Stopped { reason } = event { Some(reason.clone()) } else { None };
        let mut wrong = outcome.events.iter().find_map(stopped);
        if let Some(judges) = self.judges.as_mut().filter(|_| !outcome.events.is_empty()) {
            let judges = Arc::make_mut(judges);
            wrong = outcome.events.iter().find_map(|event| judges.observe(id, event).err());
        }
        if wrong.is_some() {
            Arc::make_mut(&mut self.history).wrong = wrong;
        }
        outcome.said
    }

    pub(crate) fn step(&mut self, place: usize, input: Input, disk: Disk) -> Vec<Envelope> {
        self.act(place, |server, outcome| server.step(Time::ZERO, input, disk, outcome))
    }

    /// An election timeout elapses, or a heartbeat is due.
    pub(crate) fn time_out(&mut self, place: usize, disk: Disk) -> Vec<Envelope> {
        self.act(place, |server, outcome| server.step(server.raft.deadline(), Input::Tick, disk, outcome))
    }

    /// A client asks a leader.
    pub(crate) fn propose(&mut self, place: usize, disk: Disk) -> Vec<Envelope> {
        self.act(place, |server, outcome| {
            server.raft.propose("x".into()).expect("it leads");
            server.act(disk, outcome);
        })
    }

    /// A leader is asked to let these vote; none if it refuses.
    pub(crate) fn change(&mut self, place: usize, voters: Vec<NodeId>, disk: Disk) -> Option<Vec<Envelope>> {
        self.changes += 1;
        let mut begun = false;
        let said = self.act(place, |server, outcome| {
            let from = server.raft.configuration().at;
            begun = server.raft.change_membership(from, voters, Vec::<NodeId>::new()).is_ok();
            server.act(disk, outcome);
        });
        begun.then_some(said)
    }

    pub(crate) fn persist(&mut self, place: usize, disk: Disk) -> Vec<Envelope> {
        self.act(place, |server, outcome| server.persist(disk, outcome))
    }

    /// A server crashes, and starts again.
    pub(crate) fn crash(&mut self, place: usize, survive: usize, scope: &Scope) {
        self.crashes += 1;
        let server = Arc::make_mut(&mut self.servers[place]);
        let (id, restored) = (server.raft.id(), server.crash(survive));
        if let Some(judges) = &mut self.judges
            && let Err(wrong) = Arc::make_mut(judges).started(id, &restored)
        {
            Arc::make_mut(&mut self.history).wrong = Some(wrong);
        }
        server.raft = scope.raft(id, self.crashes, restored);
        server.look();
    }

    /// Whether this server may time out.
    pub(crate) fn may_time_out(&self, place: usize, scope: &Scope) -> bool {
        let server = &self.servers[place];
        server.leads() || server.raft.current_term().get() < scope.terms as u64
    }

    pub(crate) fn may_propose(&self, place: usize, scope: &Scope) -> bool {
        let server = &self.servers[place];
        server.leads() && server.commands() < scope.commands
    }

    /// What tells states apart, in one number. Where names do not matter, it is the least of those that the servers
    /// get when they are named in the order of their looks.
    pub(crate) fn key(&self, nameless: bool) -> u64 {
        if !nameless {
            return self.key_as(&|id| id);
        }
        let places: Vec<_> = (0..self.servers.len()).collect();
        let named = |order: Vec<usize>| {
            self.key_as(&|id| {
                NodeId::new(order.iter().position(|&place| place == self.place(id)).unwrap() as u64)
            })
        };
        self.orders(&places).into_iter().map(named).min().unwrap_or_default()
    }

    /// The orders of these servers by their looks: one, unless some look alike.
    fn orders(&self, places: &[usize]) -> Vec<Vec<usize>> {
        let Some(least) = places.iter().map(|&place| self.servers[place].looks).min() else {
            return vec![Vec::new()];
        };
        let mut orders = Vec::new();
        for &first in places.iter().filter(|&&place| self.servers[place].looks == least) {
            let others: Vec<_> = places.iter().copied().filter(|&place| place != first).collect();
            orders.extend(self.orders(&others).into_iter().map(|rest| [vec![first], rest].concat()));
        }
        orders
    }

    fn key_as(&self, name: &dyn Fn(NodeId) -> NodeId) -> u64 {
        let mut servers: Vec<_> = self.servers.iter().collect();
        servers.sort_unstable_by_key(|server| name(server.raft.id()));
        let mut hasher = DefaultHasher::new();
        servers.iter().for_each(|server| server.hash_state(name, &mut hasher));
        let mut messages: Vec<_> = self.network.iter().map(|sent| self.key_of(sent, name)).collect();
        messages.sort_unstable();
        (messages, self.crashes, self.changes, self.repeats).hash(&mut hasher);
        self.history.hash_state(name, &mut hasher);
        hasher.finish()
    }

    /// A message without the number of its conversation: only whether that goes on matters.
    fn key_of(&self, sent: &Sent, name: &dyn Fn(NodeId) -> NodeId) -> (NodeId, NodeId, bool, u64) {
        let Envelope { from, to, session, message, .. } = &*sent.envelope;
        let (asker, other) = if message.is_reply() { (to, from) } else { (from, to) };
        let goes_on = self.servers[self.place(*asker)].is_current(*other, *session);
        (name(*from), name(*to), goes_on, sent.content)
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        self.key(self.nameless) == other.key(other.nameless)
    }
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key(self.nameless).hash(hasher);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.servers {
            let raft = &server.raft;
            let log: Vec<_> = server.written.entries().iter().map(|entry| entry.id.to_string()).collect();
            let (id, role, term) = (raft.id(), raft.role(), raft.current_term());
            write!(f, "{id} {role} {term} committed {} log {log:?}; ", raft.commit_index())?;
        }
        write!(f, "{} on their way, wrong: {:?}", self.network.len(), self.history.wrong)
    }
}

/// What must never be, and what must be somewhere or the model goes nowhere.
pub(crate) fn properties<M: Model<State = Cluster>>(scope: &Scope) -> Vec<Property<M>> {
    let mut properties: Vec<Property<M>> = vec![
        Property::always("election safety", |_, cluster: &Cluster| cluster.history.election_safety()),
        Property::always("log matching", |_, cluster: &Cluster| log_matching(&cluster.servers)),
        Property::always("leader completeness", |_, cluster: &Cluster| {
            cluster.history.leader_completeness(&cluster.servers)
        }),
        Property::always("state machine safety", |_, cluster: &Cluster| {
            cluster.history.state_machine_safety()
        }),
        Property::always("every step is one of the specification", |_, cluster: &Cluster| {
            cluster.history.wrong.is_none()
        }),
        Property::sometimes("an entry is committed in a later term", |_, cluster: &Cluster| {
            cluster.history.has_committed_later()
        }),
    ];
    let each_term: [[Property<M>; 2]; 4] = [
        [
            Property::sometimes("a leader in term 1", |_, cluster: &Cluster| cluster.history.was_led(1)),
            Property::sometimes("an entry of term 1 is committed", |_, c: &Cluster| {
                c.history.has_committed(1)
            }),
        ],
        [
            Property::sometimes("a leader in term 2", |_, cluster: &Cluster| cluster.history.was_led(2)),
            Property::sometimes("an entry of term 2 is committed", |_, c: &Cluster| {
                c.history.has_committed(2)
            }),
        ],
        [
            Property::sometimes("a leader in term 3", |_, cluster: &Cluster| cluster.history.was_led(3)),
            Property::sometimes("an entry of term 3 is committed", |_, c: &Cluster| {
                c.history.has_committed(3)
            }),
        ],
        [
            Property::sometimes("a leader in term 4", |_, cluster: &Cluster| cluster.history.was_led(4)),
            Property::sometimes("an entry of term 4 is committed", |_, c: &Cluster| {
                c.history.has_committed(4)
            }),
        ],
    ];
    if scope.changes > 0 {
        properties.push(Property::sometimes("a change is over", |_, cluster: &Cluster| {
            cluster.servers.iter().any(|server| server.was_changed())
        }));
        properties.push(Property::sometimes("a server knows that it was removed", |_, cluster: &Cluster| {
            cluster.servers.iter().any(|server| server.was_changed() && server.raft.removed().is_some())
        }));
    }
    if scope.joiners > 0 {
        properties.push(Property::sometimes("a server that has joined leads", |_, cluster: &Cluster| {
            cluster.servers.last().is_some_and(|server| server.leads())
        }));
    }
    properties.extend(each_term.into_iter().take(scope.terms).flatten());
    properties
}
