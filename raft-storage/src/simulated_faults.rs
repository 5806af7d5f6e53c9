//! What goes wrong on the disk of a server that is tested. The stores ask before each call what becomes of it; nothing of the
//! operating system is asked to fail.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use raft_core::{Loaded, Rng};

use crate::error::StorageError;

/// What is wrong with a disk. Where nothing is said of a kind of call, those go well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub struct DiskFault {
    /// What becomes of syncs.
    pub sync: Option<SyncFault>,
    /// What becomes of writes.
    pub write: Option<WriteFault>,
    /// What becomes of reads.
    pub read: Option<ReadFault>,
    /// Only so many calls are touched, the first ones.
    pub calls: Option<u64>,
}

/// What becomes of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub enum SyncFault {
    /// It takes so much longer.
    Slow(Duration),
    /// It fails.
    Error,
    /// It does not end while the fault lasts.
    Hang,
    /// It says that it was done, and was not: what it should have covered goes with the power.
    Lie,
}

/// What becomes of a write. Either way it may have got to the disk, and no sync covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub enum WriteFault {
    /// There is no room.
    NoSpace,
    /// It fails.
    Error,
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub enum ReadFault {
    /// It fails.
    Error,
    /// The disk returns one bit wrong. What is on it stays sound, and the next read finds it so.
    BitFlip,
}

/// How many calls a fault has touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub struct Touched {
    /// Syncs that took longer, failed, or hung.
    pub syncs: u64,
    /// Writes that failed.
    pub writes: u64,
    /// Reads that failed, or came with a wrong bit.
    pub reads: u64,
}

/// Names a fault of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "rocksdb", derive(serde::Deserialize, serde::Serialize))]
pub struct FaultId(u64);

/// The faults of one disk, which outlive the stores on it. Clones are handles on the same disk's. Faults add up.
///
/// Where the stores are in another process, that one has faults of its own that [`follow`](Self::follow) these, and tells what they
/// touch; here that is [heard of](Self::has_touched).
#[derive(Clone, Debug)]
pub struct DiskFaults {
    state: Arc<Mutex<State>>,
}

/// What faults are in force, and what each has touched so far.
pub type FaultsInForce = BTreeMap<FaultId, (DiskFault, Touched)>;

#[derive(Debug)]
struct State {
    in_force: FaultsInForce,
    /// How many there have been.
    count: u64,
    has_refused: bool,
    /// Of the store that waits for a sync that hangs. One store is open at a time.
    waiter: Option<Waker>,
    /// Draws which bit is wrong.
    rng: Rng,
    listener: Option<Listener>,
}

/// Hears which fault has touched one more call, and all that it has touched.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(FaultId, Touched) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl DiskFaults {
    /// A disk on which all goes well. `seed` decides what is left to chance.
    pub fn new(seed: u64) -> Self {
        let (in_force, rng) = (BTreeMap::new(), Rng::new(seed));
        let state = State { in_force, count: 0, has_refused: false, waiter: None, rng, listener: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The same, with somebody who hears of each call that is touched before anything comes of it: by which fault, and how many
    /// that makes.
    #[must_use]
    pub fn heard_by(self, hear: impl Fn(FaultId, Touched) + Send + Sync + 'static) -> Self {
        self.lock().listener = Some(Listener(Arc::new(hear)));
        self
    }

    /// Calls that begin from now on meet this.
    pub fn begin(&self, fault: DiskFault) -> FaultId {
        let mut state = self.lock();
        state.count += 1;
        let id = FaultId(state.count);
        state.in_force.insert(id, (fault, Touched::default()));
        id
    }

    /// Calls that begin from now on no longer meet this, and what hung over it goes on.
    pub fn end(&self, id: FaultId) {
        let mut state = self.lock();
        state.in_force.remove(&id);
        if let Some(waiter) = state.waiter.take() {
            waiter.wake();
        }
    }

    /// All that is in force now.
    pub fn in_force(&self) -> FaultsInForce {
        self.lock().in_force.clone()
    }

    /// From now on the same is in force as elsewhere: what is not has ended, and what was not begins, with as many calls to go
    /// as it has there.
    pub fn follow(&self, elsewhere: FaultsInForce) {
        let ended: Vec<_> = self.in_force().into_keys().filter(|id| !elsewhere.contains_key(id)).collect();
        ended.into_iter().for_each(|id| self.end(id));
        let mut state = self.lock();
        for (id, fault) in elsewhere {
            state.in_force.entry(id).or_insert(fault);
        }
    }

    /// A store elsewhere, whose faults follow these, says that so many calls were touched.
    pub fn has_touched(&self, id: FaultId, all: Touched) {
        if let Some((_, touched)) = self.lock().in_force.get_mut(&id) {
            *touched = all;
        }
    }

    /// What it has touched so far; nothing once it has ended.
    pub fn touched(&self, id: FaultId) -> Touched {
        self.lock().in_force.get(&id).map_or_else(Touched::default, |(_, touched)| *touched)
    }

    /// Whether a call was refused, or met what does not check, since this was last asked: then it is over this that
    /// the store is poisoned.
    pub fn take_refused(&self) -> bool {
        std::mem::take(&mut self.lock().has_refused)
    }

    /// A write that has got to the disk, perhaps.
    pub(crate) fn write(&self) -> Result<(), StorageError> {
        let met = self.meet(|fault| fault.write, |touched| &mut touched.writes);
        let Some((_, worst)) = met.into_iter().next() else { return Ok(()) };
        let message = match worst {
            WriteFault::NoSpace => NO_SPACE,
            WriteFault::Error => BROKEN,
        };
        Err(self.refuse("writing a batch", message))
    }

    /// A sync that begins.
    pub(crate) fn sync(&self) -> OneSync {
        let met = self.meet(|fault| fault.sync, |touched| &mut touched.syncs);
        let mut sync = OneSync {
            faults: self.clone(),
            longer: Duration::ZERO,
            hangs: Vec::new(),
            fails: false,
            lies: false,
        };
        for (id, fault) in met {
            match fault {
                SyncFault::Slow(longer) => sync.longer = sync.longer.saturating_add(longer),
                SyncFault::Error => sync.fails = true,
                SyncFault::Hang => sync.hangs.push(id),
                SyncFault::Lie => sync.lies = true,
            }
        }
        sync
    }

    /// What comes of a read by which the disk would return this. The stores check what they read: a wrong bit is
    /// found, wherever it is.
    pub(crate) fn read(&self, sound: Loaded) -> Result<Loaded, StorageError> {
        let count = match &sound {
            Loaded::Entries { entries, .. } => entries.len(),
            Loaded::Chunk { chunk, .. } => usize::from(chunk.is_some()),
            Loaded::Damaged { .. } => 0,
        };
        // Of nothing no bit can be wrong.
        let meets = |fault: &DiskFault| fault.read.filter(|read| *read == ReadFault::Error || count > 0);
        let met = self.meet(meets, |touched| &mut touched.reads);
        let place = self.lock().rng.below(count.max(1) as u64);
        if met.iter().any(|(_, fault)| *fault == ReadFault::Error) {
            return Err(self.refuse("reading a record", BROKEN));
        }
        if met.is_empty() {
            return Ok(sound);
        }
        match sound {
            Loaded::Entries { from, .. } if place == 0 => Ok(Loaded::Damaged { from, to: from }),
            Loaded::Entries { from, mut entries } => {
                entries.truncate(usize::try_from(place).unwrap_or(usize::MAX));
                Ok(Loaded::Entries { from, entries })
            }
            Loaded::Chunk { offset, .. } => {
                self.lock().has_refused = true;
                Err(StorageError::Corrupt { what: "a piece of a snapshot", key: format!("offset {offset}") })
            }
            Loaded::Damaged { .. } => Ok(sound),
        }
    }

    /// A call meets every fault that says something of its kind, and has not touched all the calls that it may.
    fn meet<T>(
        &self,
        says: impl Fn(&DiskFault) -> Option<T>,
        count: fn(&mut Touched) -> &mut u64,
    ) -> Vec<(FaultId, T)> {
        let (mut met, mut told) = (Vec::new(), Vec::new());
        let mut state = self.lock();
        for (&id, (fault, touched)) in &mut state.in_force {
            let all = touched.syncs + touched.writes + touched.reads;
            if let Some(what) = says(fault).filter(|_| fault.calls.is_none_or(|calls| all < calls)) {
                *count(touched) += 1;
                met.push((id, what));
                told.push((id, *touched));
            }
        }
        let listener = state.listener.clone();
        drop(state);
        if let Some(Listener(hear)) = listener {
            told.into_iter().for_each(|(id, touched)| hear(id, touched));
        }
        met
    }

    fn refuse(&self, what: &'static str, message: &str) -> StorageError {
        self.lock().has_refused = true;
        StorageError::Io { what, message: message.to_owned() }
    }

    /// Waits until the fault has ended.
    async fn ended(&self, id: FaultId) {
        poll_fn(|context| {
            let mut state = self.lock();
            if !state.in_force.contains_key(&id) {
                return Poll::Ready(());
            }
            state.waiter = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A panic elsewhere leaves no half-made change here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the system says.
const NO_SPACE: &str = "No space left on device";
const BROKEN: &str = "Input/output error";

/// What becomes of one sync.
pub(crate) struct OneSync {
    faults: DiskFaults,
    /// It takes so much longer.
    pub(crate) longer: Duration,
    hangs: Vec<FaultId>,
    fails: bool,
    lies: bool,
}

impl OneSync {
    /// To be awaited when its time is over. Whether what it covers is durable now, as it says.
    pub(crate) async fn end(self) -> Result<bool, StorageError> {
        for id in self.hangs {
            self.faults.ended(id).await;
        }
        if self.fails {
            Err(self.faults.refuse("syncing the write-ahead log", BROKEN))
        } else {
            Ok(!self.lies)
        }
    }
}
