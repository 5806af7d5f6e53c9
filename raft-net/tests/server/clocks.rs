//! Servers on clocks of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_core::node::{Environment, Point, SystemEnvironment};
use raft_core::server::Server;
use raft_core::{Config, GroupId, Incarnation, NodeId, RoleName, Time};
use raft_net::Tcp;
use raft_storage::RocksStore;
use tokio::time::timeout;

use crate::world::List;

/// So much faster a clock runs.
const FASTER: u64 = 100_000;

/// A clock that runs fast.
#[derive(Clone)]
struct Fast(SystemEnvironment);

impl Environment for Fast {
    fn now(&self) -> Time {
        Time::from_nanos(self.0.now().as_nanos() * FASTER)
    }

    async fn sleep_until(&self, deadline: Time) {
        self.0.sleep_until(Time::from_nanos(deadline.as_nanos().div_ceil(FASTER))).await;
    }

    async fn point(&self, point: Point) {
        self.0.point(point).await;
    }
}

/// An hour of silence, after which a server is to elect, is over in no time where its clock runs fast.
#[tokio::test]
async fn a_server_goes_by_the_clock_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let log = RocksStore::open(folder.path(), GroupId(0), Incarnation::random()).unwrap();
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    let id = NodeId::new(1);
    let config = Config {
        election_timeout: (hours(1), hours(2)),
        heartbeat: hours(1) / 10,
        disk_patience: hours(1000),
        ..Config::new(id, vec![id])
    };
    let tcp = Tcp::new(BTreeMap::from([(id, "127.0.0.1:0".to_owned())]));
    let builder = Server::builder(config).environment(Fast(SystemEnvironment::new()));
    let server = builder.log(log).network(tcp).machine(List::default()).start().await.unwrap();
    let mut watch = server.watch();
    let leads = watch.wait_for(|status| status.role == RoleName::Leader);
    timeout(Duration::from_secs(60), leads).await.unwrap().unwrap();
}
