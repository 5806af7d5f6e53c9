//! The clients: what they ask, whom, and what they saw of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::Environment;
use raft_core::sessions::{Limits, Retries as Tries};
use raft_core::{ClusterId, LogIndex, NodeId, Rng, Time};
use raft_net::{Client, Net, Outcome};
use tokio::task::JoinSet;

use super::form::Form;
use super::seen::Seen;
use super::sessions::InSessions;
use super::trace::Happening;
use super::waiting::{Waiting, Wishes};
use super::world::World;
use crate::data::{self, Ask as Asked, Command, DataType, Draw};
use crate::history::{F, History, Value};
use crate::plan::{Plan, Reads, Retries, Route, Workload};
use crate::recorder::{Recorder, Started};

/// How long a client waits for one server to take its connection.
const CONNECT: Duration = Duration::from_millis(300);
/// How long a client rests when a server knows no leader.
const REST: Duration = Duration::from_millis(20);

/// What all clients share. Clones share the same.
#[derive(Clone)]
pub(crate) struct Clients {
    state: Arc<Mutex<State>>,
    plan: Arc<Workload>,
    data: Arc<dyn DataType>,
    reads: Reads,
    servers: Arc<Vec<NodeId>>,
    world: World,
}

struct State {
    recorder: Recorder,
    keys: Vec<Key>,
    waiting: Waiting,
    /// The furthest of the log of which a client was told.
    acknowledged: LogIndex,
    /// Begin, end and name of each operation that was ok; end and name of the others.
    ended: Vec<Ended>,
    stopped: bool,
}

/// One operation that ended, for latencies and ratios.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) began: Time,
    pub(super) ended: Time,
    pub(super) f: F,
    pub(super) ok: bool,
}

/// One place among the keys in use: after so many operations its key is retired.
#[derive(Clone, Copy, Default)]
struct Key {
    generation: u64,
    operations: u64,
}

impl Clients {
    pub(super) fn new(plan: &Plan, data: Arc<dyn DataType>, world: World) -> Self {
        let Plan { workload: plan, cluster, .. } = plan;
        let keys = (0..plan.keys.live).map(|_| Key::default()).collect();
        let recorder = Recorder::new(plan.clients);
        let (waiting, acknowledged) = (Waiting::default(), LogIndex::ZERO);
        let state = State { recorder, keys, waiting, acknowledged, ended: Vec::new(), stopped: false };
        Self {
            state: Arc::new(Mutex::new(state)),
            plan: Arc::new(plan.clone()),
            data,
            reads: cluster.read,
            servers: Arc::new(cluster.nodes()),
            world,
        }
    }

    /// Runs all clients until [`Clients::stop`], and until what they have begun has ended.
    pub(crate) async fn run<N: Net, E: Environment>(self, way: Way<N, E>, seed: u64) {
        let mut rng = Rng::new(seed);
        self.limit_sessions(&way).await;
        let mut clients = JoinSet::new();
        for number in 0..self.plan.clients {
            let client = OneClient {
                shared: self.clone(),
                way: way.clone(),
                number,
                rng: Rng::new(rng.next_u64()),
                connection: None,
                sessions: self.sessions(&way),
                next: 0,
                drawn: 0,
                last_seen: None,
            };
            clients.spawn(client.run());
        }
        while clients.join_next().await.is_some() {}
    }

    /// A client's end of sessions, where clients have them.
    fn sessions<N: Net, E: Environment>(&self, way: &Way<N, E>) -> Option<InSessions<N, E>> {
        match self.plan.retries {
            Retries::None => None,
            Retries::Session { .. } => {
                let tries = Tries { patience: self.plan.op_timeout / 4, rest: REST };
                let Way { net, environment, addresses, .. } = way.clone();
                Some(InSessions::new(net, environment, addresses, CONNECT, tries))
            }
        }
    }

    /// Before all else, as many sessions are allowed as the plan says.
    async fn limit_sessions<N: Net, E: Environment>(&self, way: &Way<N, E>) {
        if let (Some(client), Retries::Session { sessions }) = (self.sessions(way), self.plan.retries)
            && sessions != Limits::INITIAL.sessions()
        {
            client.limit(sessions, || self.with(|state| state.stopped)).await;
        }
    }

    /// No operation begins any more.
    pub(super) fn stop(&self) {
        self.with(|state| state.stopped = true);
    }

    /// Whether an operation is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.with(|state| state.waiting.is_any())
    }

    /// What clients want now.
    pub(super) fn wishes(&self) -> Wishes {
        let wishes = self.with(|state| state.waiting.wishes());
        match self.plan.route {
            Route::Node(only) => Wishes { confined: BTreeSet::from([only]), ..wishes },
            Route::Leader | Route::Any | Route::Sticky => wishes,
        }
    }

    /// Whether it is answered beside the log.
    fn is_beside(&self, f: &F) -> bool {
        self.data.is_read(f) && self.reads != Reads::Log
    }

    /// The furthest of the log of which a client was told.
    pub(super) fn acknowledged(&self) -> LogIndex {
        self.with(|state| state.acknowledged)
    }

    /// Writes the events of the history from the place `from` on, a line each; where it ends now.
    pub(super) fn write_history(&self, from: usize, out: &mut dyn Write) -> io::Result<usize> {
        self.with(|state| {
            let events = &state.recorder.history().events;
            events[from..].iter().try_for_each(|event| event.write_to(out))?;
            Ok(events.len())
        })
    }

    /// What was seen, and how each operation ended.
    pub(super) fn take(&self) -> (History, Vec<Ended>) {
        self.with(|state| (state.recorder.history().clone(), state.ended.clone()))
    }

    /// How many operations were ok so far.
    pub(super) fn ok(&self) -> usize {
        self.with(|state| state.ended.iter().filter(|ended| ended.ok).count())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// The key that this place holds now.
    fn key(&mut self, place: u64, operations_max: u64) -> String {
        let Some(key) = usize::try_from(place).ok().and_then(|place| self.keys.get_mut(place)) else {
            return String::new();
        };
        if key.operations >= operations_max {
            *key = Key { generation: key.generation + 1, operations: 0 };
        }
        key.operations += 1;
        format!("k{place}.{}", key.generation)
    }
}

/// How clients reach servers.
#[derive(Clone)]
pub(crate) struct Way<N, E> {
    pub(crate) net: N,
    pub(crate) environment: E,
    pub(crate) addresses: BTreeMap<NodeId, String>,
    pub(crate) form: Form,
}

/// One client: one operation at a time.
struct OneClient<N: Net, E> {
    shared: Clients,
    way: Way<N, E>,
    number: u64,
    rng: Rng,
    connection: Option<Client<N, E>>,
    /// Where clients have sessions: through what this one has its commands applied.
    sessions: Option<InSessions<N, E>>,
    /// Whom to ask next, as a place among the servers.
    next: usize,
    /// How many operations it has drawn.
    drawn: u64,
    /// The last key that this client has heard of, and what it knows of it.
    last_seen: Option<(String, Value)>,
}

impl<N: Net, E: Environment> OneClient<N, E> {
    /// Open loop: operations are due at their times, whatever became of earlier ones; a client that is
    /// late begins at once, and what it missed meanwhile is left out.
    async fn run(mut self) {
        let plan = Arc::clone(&self.shared.plan);
        let spacing = Duration::from_secs(1) / u32::try_from(plan.rate).unwrap_or(u32::MAX);
        let period = spacing * u32::try_from(plan.clients).unwrap_or(u32::MAX);
        let mut due = Time::ZERO.after(spacing * u32::try_from(self.number).unwrap_or(u32::MAX));
        loop {
            self.way.environment.sleep_until(due).await;
            if self.shared.with(|state| state.stopped) {
                return;
            }
            self.operation(&plan).await;
            due = due.after(period).max(self.way.environment.now());
        }
    }

    async fn operation(&mut self, plan: &Workload) {
        let began = self.way.environment.now();
        let deadline = began.after(plan.op_timeout);
        let key = self.key(plan);
        let asked = self.draw(plan, &key);
        let started = self.begin(began, &key, &asked);
        let weight = usize::try_from(plan.value).unwrap_or(0);
        let ballast = Bytes::from(vec![0; weight.saturating_sub(weight_of(&asked.value))]);
        let operation = u64::try_from(started.invoked()).unwrap_or(u64::MAX);
        let Asked { f, value } = asked.clone();
        let command = Command { operation, key: key.clone(), f, value, ballast };
        let is_beside = self.shared.is_beside(&asked.f);
        let form = self.way.form;
        let (outcome, node) = match &mut self.sessions {
            Some(sessions) if !is_beside => (sessions.ask(form.command(command, true), deadline).await, None),
            // A read that nobody answered has changed nothing.
            Some(_) | None if is_beside => self.ask(true, form.query(&command), deadline).await,
            Some(_) | None => self.ask(false, form.command(command, false), deadline).await,
        };
        if let Some(answer) = outcome.answer() {
            self.last_seen = Some((key, self.shared.data.learned(&asked, &answer.reply)));
        }
        self.end(began, asked.f, started, outcome, node);
    }

    /// Asks until an answer is certain or time is up. A server that says "certainly not applied" may be
    /// followed by another one within the same operation; "unknown" ends it.
    async fn ask(&mut self, is_beside: bool, command: Bytes, deadline: Time) -> (Seen, Option<NodeId>) {
        while self.way.environment.now() < deadline {
            let Some(client) = self.connect(deadline).await else {
                self.try_another(None);
                self.rest(deadline).await;
                continue;
            };
            let node = Some(client.node());
            let outcome = if is_beside {
                client.read(command.clone(), deadline).await
            } else {
                client.request(command.clone(), deadline).await
            };
            match outcome {
                Ok(Outcome::Committed(answer)) => return (Seen::of(self.way.form.answer(answer)), node),
                Ok(Outcome::Answered(answer)) => return (Seen::of(data::decode(&answer).ok()), node),
                Ok(Outcome::NotApplied { leader_hint, .. }) => {
                    let hint = leader_hint.filter(|_| self.shared.plan.route == Route::Leader);
                    if self.shared.plan.route != Route::Sticky {
                        self.try_another(hint);
                    }
                    if hint.is_none() {
                        self.rest(deadline).await;
                    }
                }
                Ok(Outcome::Unknown { .. }) => {
                    self.try_another(None);
                    return (Seen::Unknown, node);
                }
                // Nothing was sent.
                Err(_) => self.connection = None,
            }
        }
        (Seen::TimedOut, None)
    }

    async fn connect(&mut self, deadline: Time) -> Option<&mut Client<N, E>> {
        if self.shared.plan.route == Route::Any {
            self.connection = None;
            self.next = usize::try_from(self.rng.below(self.shared.servers.len() as u64)).unwrap_or(0);
        }
        if self.connection.is_none() {
            let server = match self.shared.plan.route {
                Route::Node(id) => id,
                Route::Leader | Route::Any | Route::Sticky => self.shared.servers[self.next],
            };
            let Way { net, environment, addresses, .. } = &self.way;
            let address = addresses.get(&server)?;
            let until = deadline.min(environment.now().after(CONNECT));
            self.connection =
                Client::connect(net, environment.clone(), ClusterId(1), address, until).await.ok();
        }
        if self.shared.plan.route == Route::Sticky {
            let server = self.connection.as_ref().map(Client::node);
            self.shared.with(|state| state.waiting.stays(self.number, server));
        }
        self.connection.as_mut()
    }

    /// Goes to the server that is said to lead, or to the next one.
    fn try_another(&mut self, leader: Option<NodeId>) {
        self.connection = None;
        let servers = &self.shared.servers;
        let hinted = leader.and_then(|leader| servers.iter().position(|&server| server == leader));
        self.next = hinted.unwrap_or((self.next + 1) % servers.len());
    }

    async fn rest(&mut self, deadline: Time) {
        self.way.environment.sleep_until(deadline.min(self.way.environment.now().after(REST))).await;
    }

    /// One of the keys that this client touches.
    fn key(&mut self, plan: &Workload) -> String {
        let (keys, clients) = (&plan.keys, plan.clients);
        let mine = |place: &u64| (self.number + clients - place % clients) % clients < keys.clients_per_key;
        let places: Vec<u64> = (0..keys.live).filter(mine).collect();
        let place = self.rng.pick(&places).copied().unwrap_or(self.number % keys.live.max(1));
        self.shared.with(|state| state.key(place, keys.ops_per_key))
    }

    fn draw(&mut self, plan: &Workload, key: &str) -> Asked {
        self.drawn += 1;
        let known =
            self.last_seen.as_ref().filter(|(of, _)| of == key).map_or(&Value::Null, |(_, value)| value);
        self.shared.data.draw(&mut Draw {
            rng: &mut self.rng,
            client: self.number,
            clients: plan.clients,
            nth: self.drawn,
            known,
        })
    }

    fn begin(&self, now: Time, key: &str, asked: &Asked) -> Started {
        let Asked { f, value } = asked.clone();
        let client = usize::try_from(self.number).unwrap_or(usize::MAX);
        let started = self.shared.with(|state| {
            state.waiting.begins(self.number, !self.shared.is_beside(&asked.f), now);
            state.recorder.invoke(now.as_nanos(), client, f, key, value)
        });
        let started = started.expect("the recorder was made for this many clients");
        self.happened(&started, "");
        started
    }

    fn end(&self, began: Time, f: F, started: Started, seen: Seen, node: Option<NodeId>) {
        let ended = self.way.environment.now();
        self.happened(&started, seen.name());
        let ok = seen.answer().is_some();
        let (outcome, log_index) = seen.outcome();
        self.shared.with(|state| {
            state.waiting.ends(self.number, ok, ended);
            state.acknowledged = state.acknowledged.max(log_index.unwrap_or_default());
            state.ended.push(Ended { began, ended, f, ok });
            state.recorder.complete(ended.as_nanos(), started, outcome, node, log_index);
        });
    }

    fn happened(&self, started: &Started, outcome: &str) {
        let operation = u64::try_from(started.invoked()).unwrap_or(u64::MAX);
        self.shared.world.happened(&Happening::Operation { operation, outcome: outcome.to_owned() });
    }
}

/// About how many bytes of text a written value has by itself.
fn weight_of(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Whole(_) => size_of::<i64>(),
        Value::Text(text) => text.len(),
        // Of a compare-and-set, what it writes.
        Value::List(items) => items.last().map_or(0, weight_of),
        Value::Map(parts) => parts.values().map(weight_of).sum(),
    }
}
