//! Three servers of openraft with logs in memory and calls for a network, after its own `benchmarks/minimal`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use openraft::alias::{
    DefaultEntryOf, EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf,
};
use openraft::entry::RaftEntry;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::{
    AnyError, Config, EntryPayload, OptionalSend, Raft, RaftLogReader, RaftNetworkFactory, RaftNetworkV2,
    RaftSnapshotBuilder, RaftTypeConfig, impls,
};

use crate::Put;
use crate::runtimes::Runtimes;

/// An empty request, and an empty answer.
#[derive(Clone, Debug)]
pub(crate) struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

type Leader = impls::leader_id_adv::LeaderId<u64, u64>;

#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Nothing;
    type R = Nothing;
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = Leader;
    type Vote = openraft::Vote<Leader>;
    type Payload = EntryPayload<Nothing, u64, ()>;
    type Entry = DefaultEntryOf<Self>;
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    type Responder<T: OptionalSend + 'static> = impls::OneshotResponder<Self, T>;
    type Batch<T: OptionalSend + 'static> = impls::InlineBatch<T>;
    type ErrorSource = AnyError;
}

type Server = Raft<Types, Machine>;

/// A log in memory. Nothing in it waits, so that a plain mutex does.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    vote: Option<VoteOf<Types>>,
    entries: BTreeMap<u64, EntryOf<Types>>,
    purged: Option<LogIdOf<Types>>,
}

impl Log {
    fn with<R>(&self, look: impl FnOnce(&mut Kept) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        Ok(self.with(|kept| kept.entries.range(range).map(|(_, entry)| entry.clone()).collect()))
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(self.with(|kept| kept.vote))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        Ok(self.with(|kept| {
            let last = kept.entries.last_key_value().map(|(_, entry)| entry.log_id());
            LogState { last_purged_log_id: kept.purged, last_log_id: last.or(kept.purged) }
        }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        self.with(|kept| kept.vote = Some(*vote));
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.with(|kept| kept.entries.extend(entries.into_iter().map(|entry| (entry.index(), entry))));
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        self.with(|kept| drop(kept.entries.split_off(&last.map_or(0, |last| last.index() + 1))));
        Ok(())
    }

    async fn purge(&mut self, to: LogIdOf<Types>) -> io::Result<()> {
        self.with(|kept| {
            kept.purged = Some(to);
            kept.entries = kept.entries.split_off(&(to.index() + 1));
        });
        Ok(())
    }
}

/// Knows what it has applied, and nothing else.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    snapshot: Option<SnapshotMetaOf<Types>>,
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, ()>> {
        let meta =
            SnapshotMetaOf::<Types> { last_log_id: self.applied, last_membership: self.membership.clone() };
        Ok(SnapshotOf::<Types, ()> { meta, snapshot: () })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                self.membership = StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(Nothing);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Types>, (): ()) -> io::Result<()> {
        (self.applied, self.membership) = (meta.last_log_id, meta.last_membership.clone());
        self.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, ()>>> {
        let snapshot = |meta| SnapshotOf::<Types, ()> { meta, snapshot: () };
        Ok(self.snapshot.clone().map(snapshot))
    }
}

/// Where the servers find each other.
#[derive(Clone, Default)]
struct Router(Arc<Mutex<BTreeMap<u64, Server>>>);

impl Router {
    fn servers(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Server>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftNetworkFactory<Types> for Router {
    type Network = Call;

    async fn new_client(&mut self, target: u64, (): &()) -> Call {
        Call { server: self.servers()[&target].clone() }
    }
}

/// A message is a call.
struct Call {
    server: Server,
}

impl RaftNetworkV2<Types> for Call {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.server.append_entries(request).await.map_err(|error| unreachable(error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.server.vote(request).await.map_err(|error| unreachable(error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, ()>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let installed = self.server.install_full_snapshot(vote, snapshot).await;
        installed.map_err(|error| unreachable(error).into())
    }
}

/// Nobody is out of reach here: whoever reads this has stopped.
fn unreachable(error: impl fmt::Display) -> Unreachable<Types> {
    Unreachable::from_string(error)
}

/// Three servers, of which the first leads.
pub(crate) struct Theirs {
    leader: Server,
}

impl Theirs {
    /// As in openraft's own benchmark; what it does not say is as usual.
    fn config() -> Arc<Config> {
        let config = Config {
            election_timeout_min: 200,
            election_timeout_max: 2000,
            purge_batch_size: 1024,
            max_payload_entries: 1024,
            ..Config::default()
        };
        Arc::new(config.validate().unwrap())
    }

    pub(crate) fn start(runtimes: &Runtimes) -> Self {
        let (router, config) = (Router::default(), Self::config());
        for id in 0..3 {
            let (config, router_too) = (Arc::clone(&config), router.clone());
            let new = Raft::new(id, config, router_too, Log::default(), Machine::default());
            let server = runtimes.block_on_node(id as usize, new).unwrap();
            router.servers().insert(id, server);
        }
        let servers: Vec<Server> = router.servers().values().cloned().collect();
        let leader = servers[0].clone();
        runtimes.block_on_clients(async move {
            servers[0].initialize(BTreeSet::from([0, 1, 2])).await.unwrap();
            for server in servers {
                let patience = Some(Duration::from_secs(5));
                server.wait(patience).applied_index_at_least(Some(1), "they begin").await.unwrap();
            }
        });
        Self { leader }
    }

    pub(crate) fn client(&self) -> Client {
        Client(self.leader.clone())
    }
}

#[derive(Clone)]
pub(crate) struct Client(Server);

impl Put for Client {
    async fn put(&self) {
        self.0.client_write(Nothing).await.unwrap();
    }

    async fn put_all(&self, batch: usize) {
        let mut answers = self.0.client_write_many(vec![Nothing; batch]).await.unwrap();
        while let Some(answer) = answers.try_next().await.unwrap() {
            answer.unwrap();
        }
    }
}
