//! How many connections there may be that others have dialled, by who they are.
//!
//! | who | how many | of one more |
//! | --- | --- | --- |
//! | whoever has not said yet who it is | `handshakes_max` | the one that has come first gives way |
//! | a server of which it is known where it listens | 16 of each | the one that has come first gives way |
//! | a client, or any other server | `connections_max` together | it is refused |
//!
//! So neither clients nor connections on which nothing is said keep a peer away.

use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::NodeId;
use tokio::task::AbortHandle;

use crate::frame::Party;

/// A peer has one connection, and one for snapshots. More are what is left of those that it has given up, and of which this
/// end has not heard yet.
const OF_A_PEER_MAX: usize = 16;

/// Who has a connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    /// How many have ever come.
    come: u64,
    newcomers: Kept,
    peers: BTreeMap<NodeId, Kept>,
    others: usize,
}

/// Connections by when they came, each with what ends it, once there is a task.
type Kept = BTreeMap<u64, Option<AbortHandle>>;

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has come, and is served by the task that `serve` spawns. Whether another one of those who have not said who they
    /// are had to give way.
    pub(crate) fn come(&self, newcomers_max: usize, serve: impl FnOnce(Place) -> AbortHandle) -> bool {
        let number = {
            let mut taken = self.taken();
            let number = taken.come;
            taken.come += 1;
            taken.newcomers.insert(number, None);
            number
        };
        // Not under the lock: the place is dropped at once where nothing is run any more.
        let task = serve(Place { room: self.clone(), number, whose: Whose::Newcomer });
        let mut taken = self.taken();
        let Taken { newcomers, peers, .. } = &mut *taken;
        // It may have said who it is meanwhile, and be gone.
        let mut all = iter::once(&mut *newcomers).chain(peers.values_mut());
        if let Some(place) = all.find_map(|kept| kept.get_mut(&number)) {
            *place = Some(task);
        }
        let gives_way = first_beyond(newcomers, newcomers_max.max(1));
        drop(taken);
        end(gives_way)
    }
}

/// The first of these, if there are more than that.
fn first_beyond(kept: &mut Kept, max: usize) -> Option<AbortHandle> {
    if kept.len() > max { kept.pop_first()?.1 } else { None }
}

/// Ends a task, if there is one to be ended.
fn end(task: Option<AbortHandle>) -> bool {
    task.inspect(AbortHandle::abort).is_some()
}

/// The place of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Room,
    number: u64,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Somebody's who has not said who it is.
    Newcomer,
    Peer(NodeId),
    Other,
}

impl Place {
    /// It is `party` who has come, and whose address is known here or not. Whether an earlier connection of it had to give way.
    ///
    /// # Errors
    ///
    /// There are as many clients and other servers as there may be.
    pub(crate) fn is_of(&mut self, party: Party, is_known: bool, others_max: usize) -> Result<bool, Full> {
        let mut taken = self.room.taken();
        let peer = match party {
            Party::Node { id, .. } => Some(id).filter(|_| is_known),
            Party::Client => None,
        };
        if peer.is_none() && taken.others >= others_max {
            return Err(Full { others_max });
        }
        // One that has had to give way in this very moment is there until its next wait.
        let task = taken.newcomers.remove(&self.number).flatten();
        let Some(peer) = peer else {
            taken.others += 1;
            self.whose = Whose::Other;
            return Ok(false);
        };
        self.whose = Whose::Peer(peer);
        let kept = taken.peers.entry(peer).or_default();
        kept.insert(self.number, task);
        let gives_way = first_beyond(kept, OF_A_PEER_MAX);
        drop(taken);
        Ok(end(gives_way))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        match self.whose {
            Whose::Newcomer => drop(taken.newcomers.remove(&self.number)),
            Whose::Peer(id) => {
                if let Some(kept) = taken.peers.get_mut(&id) {
                    kept.remove(&self.number);
                    if kept.is_empty() {
                        taken.peers.remove(&id);
                    }
                }
            }
            Whose::Other => taken.others -= 1,
        }
    }
}

/// There are as many clients and servers that nobody knows as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    others_max: usize,
}

impl Full {
    /// Why the server `me` refuses one more.
    pub(crate) fn reason(self, me: NodeId) -> String {
        format!(
            "{me} has {} connections of clients, and takes no more (connections_max): close some, or ask another server",
            self.others_max
        )
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use raft_core::Incarnation;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    use super::*;

    const ME: NodeId = NodeId::new(9);

    /// Connections that say who they are, or nothing, and then go on for ever.
    struct Door {
        room: Room,
        open: JoinSet<()>,
        /// What became of each that has said who it is.
        say: mpsc::UnboundedSender<Result<bool, Full>>,
        let_in: mpsc::UnboundedReceiver<Result<bool, Full>>,
    }

    impl Door {
        fn new() -> Self {
            let (say, let_in) = mpsc::unbounded_channel();
            Self { room: Room::default(), open: JoinSet::new(), say, let_in }
        }

        /// Whether another one had to give way.
        fn comes(&mut self, newcomers_max: usize, party: Option<(Party, bool)>, others_max: usize) -> bool {
            let say = self.say.clone();
            let task = |mut place: Place| async move {
                if let Some((party, is_known)) = party {
                    let _ = say.send(place.is_of(party, is_known, others_max));
                }
                pending().await
            };
            self.room.come(newcomers_max, |place| self.open.spawn(task(place)))
        }

        async fn is_let_in(&mut self, party: Party, is_known: bool) -> Result<bool, Full> {
            // Those who are refused stay where they were.
            assert!(!self.comes(10, Some((party, is_known)), 2));
            self.let_in.recv().await.unwrap()
        }
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    fn peer(id: u64) -> Party {
        Party::Node { id: NodeId::new(id), incarnation: Incarnation(id) }
    }

    /// Whoever has come is counted where it belongs, and leaves room when it goes.
    #[test]
    fn clients_and_strangers_share_what_peers_do_not_need() {
        run(async {
            let mut door = Door::new();
            assert_eq!(door.is_let_in(Party::Client, false).await, Ok(false));
            assert_eq!(door.is_let_in(peer(1), false).await, Ok(false));
            for full in [Party::Client, peer(2)] {
                let refused = door.is_let_in(full, false).await.unwrap_err();
                assert!(refused.reason(ME).starts_with("n9 has 2 connections of clients, and takes no more"));
            }
            assert_eq!(door.is_let_in(peer(3), true).await, Ok(false));
            door.open.shutdown().await;
            assert_eq!(door.is_let_in(Party::Client, false).await, Ok(false));
        });
    }

    #[test]
    fn of_one_peer_the_oldest_connection_gives_way() {
        run(async {
            let mut door = Door::new();
            assert_eq!(door.is_let_in(peer(2), true).await, Ok(false));
            for nth in 0..20 {
                assert_eq!(door.is_let_in(peer(1), true).await, Ok(nth >= OF_A_PEER_MAX), "{nth}");
            }
            for _ in OF_A_PEER_MAX..20 {
                assert!(door.open.join_next().await.unwrap().unwrap_err().is_cancelled());
            }
            assert_eq!(door.open.len(), 1 + OF_A_PEER_MAX);
        });
    }

    #[test]
    fn of_those_who_say_nothing_the_oldest_gives_way() {
        run(async {
            let mut door = Door::new();
            let gave_way: Vec<_> = (0..4).map(|_| door.comes(2, None, 0)).collect();
            assert_eq!(gave_way, [false, false, true, true]);
            for _ in 0..2 {
                assert!(door.open.join_next().await.unwrap().unwrap_err().is_cancelled());
            }
            // One more that says who it is takes none of their places.
            assert!(door.comes(2, Some((peer(1), true)), 0));
            assert_eq!(door.let_in.recv().await, Some(Ok(false)));
        });
    }
}
