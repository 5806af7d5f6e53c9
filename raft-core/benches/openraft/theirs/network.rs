//! The network of openraft's `benchmarks/minimal` (MIT or Apache-2.0, by its authors), as it is there but for tracing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use openraft::Raft;
use openraft::error::RPCError;
use openraft::error::RaftError;
use openraft::error::RemoteError;
use openraft::network::RPCOption;
use openraft::network::RaftNetworkFactory;
use openraft::raft::AppendEntriesRequest;
use openraft::raft::AppendEntriesResponse;
use openraft::raft::VoteRequest;
use openraft::raft::VoteResponse;
use openraft_legacy::prelude::*;

use super::store::LogStore;
use super::store::NodeId;
use super::store::SnapshotData;
use super::store::StateMachineStore;
use super::store::TypeConfig;

pub type BenchRaft = Raft<TypeConfig, Arc<StateMachineStore>>;

#[derive(Clone)]
pub struct Router {
    pub table: Arc<Mutex<BTreeMap<NodeId, BenchRaft>>>,
}

impl Router {
    pub fn new() -> Self {
        Router { table: Default::default() }
    }

    pub fn get_raft(&self, id: NodeId) -> BenchRaft {
        self.table.lock().unwrap().get(&id).unwrap().clone()
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl RaftNetworkFactory<TypeConfig> for Router {
    type Network = Adapter<TypeConfig, Network, SnapshotData>;

    async fn new_client(&mut self, target: NodeId, _node: &()) -> Self::Network {
        Network { target, target_raft: self.table.lock().unwrap().get(&target).unwrap().clone() }.into_v2()
    }
}

pub struct Network {
    target: NodeId,
    target_raft: BenchRaft,
}

impl RaftNetwork<TypeConfig> for Network {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig, RaftError<TypeConfig>>> {
        let resp =
            self.target_raft.append_entries(rpc).await.map_err(|e| RemoteError::new(self.target, e))?;
        Ok(resp)
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<TypeConfig>,
        RPCError<TypeConfig, RaftError<TypeConfig, InstallSnapshotError>>,
    > {
        let resp =
            self.target_raft.install_snapshot(rpc).await.map_err(|e| RemoteError::new(self.target, e))?;
        Ok(resp)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig, RaftError<TypeConfig>>> {
        let resp = self.target_raft.vote(rpc).await.map_err(|e| RemoteError::new(self.target, e))?;
        Ok(resp)
    }
}
