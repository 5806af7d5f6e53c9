//! A directory that is watched: what is done to it is written down, and calls fail or hang as the test says. The
//! calls come from the [interposer](crate::interposer).

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::interposer::set_errno;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Read,
    Write,
    Sync,
    Resize,
    Rename,
    Link,
    Make,
    Remove,
}

/// What was done to a directory, and it was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The file is opened, to be read or written.
    Open {
        name: String,
        to_write: bool,
    },
    /// It is made, or made empty.
    Create {
        name: String,
    },
    Write {
        name: String,
        at: usize,
        data: Vec<u8>,
    },
    Resize {
        name: String,
        bytes: usize,
    },
    /// The file, or the directory itself where the name is empty.
    Sync {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// The file gets a second name.
    Link {
        from: String,
        to: String,
    },
    /// The directory is made.
    Directory {
        name: String,
    },
    /// A file, or a directory that is empty.
    Remove {
        name: String,
    },
    /// The test's own note.
    Note(usize),
}

/// What is to become of calls that would succeed.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) call: Call,
    /// A part of the file's name.
    pub(crate) file: &'static str,
    /// How many such calls are let through first.
    pub(crate) after: usize,
    /// How many fail then.
    pub(crate) times: usize,
    pub(crate) error: c_int,
    /// How many bytes of a write are written all the same.
    pub(crate) written: usize,
}

impl Fault {
    /// Every such call fails.
    pub(crate) fn always(call: Call, file: &'static str, error: c_int) -> Self {
        Self { call, file, after: 0, times: usize::MAX, error, written: 0 }
    }
}

/// A directory that is watched, until this is dropped.
pub(crate) struct Watch(Arc<Watched>);

pub(crate) struct Watched {
    directory: PathBuf,
    inner: Mutex<Inner>,
    released: Condvar,
}

#[derive(Default)]
struct Inner {
    operations: Vec<Operation>,
    /// How many bytes were read of each file.
    read: BTreeMap<String, u64>,
    faults: Vec<Fault>,
    /// Syncs of files whose name ends so wait.
    hang: Option<&'static str>,
    hanging: usize,
}

static WATCHES: Mutex<Vec<Arc<Watched>>> = Mutex::new(Vec::new());
static WATCHING: AtomicUsize = AtomicUsize::new(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(crate) fn begin(directory: &Path) -> Self {
        let directory = directory.canonicalize().unwrap();
        let watched = Watched { directory, inner: Mutex::default(), released: Condvar::new() };
        let watched = Arc::new(watched);
        lock(&WATCHES).push(Arc::clone(&watched));
        WATCHING.fetch_add(1, Ordering::SeqCst);
        Self(watched)
    }

    /// What was done so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        lock(&self.0.inner).operations.clone()
    }

    pub(crate) fn count(&self, is_one: impl Fn(&Operation) -> bool) -> usize {
        lock(&self.0.inner).operations.iter().filter(|operation| is_one(operation)).count()
    }

    /// How many bytes were read of files whose name ends with `file`.
    pub(crate) fn bytes_read(&self, file: &str) -> u64 {
        let inner = lock(&self.0.inner);
        inner.read.iter().filter(|(name, _)| name.ends_with(file)).map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn note(&self, note: usize) {
        lock(&self.0.inner).operations.push(Operation::Note(note));
    }

    pub(crate) fn fail(&self, fault: Fault) {
        lock(&self.0.inner).faults.push(fault);
    }

    /// The disk is mended.
    pub(crate) fn mend(&self) {
        lock(&self.0.inner).faults.clear();
    }

    /// Syncs of files whose name ends with `file` wait from now on.
    pub(crate) fn hang(&self, file: &'static str) {
        lock(&self.0.inner).hang = Some(file);
    }

    /// Waits until a sync hangs.
    pub(crate) fn wait_for_hang(&self) {
        let mut inner = lock(&self.0.inner);
        while inner.hanging == 0 {
            inner = self.0.released.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn release(&self) {
        lock(&self.0.inner).hang = None;
        self.0.released.notify_all();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.release();
        lock(&WATCHES).retain(|watched| !Arc::ptr_eq(watched, &self.0));
        WATCHING.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn was_read(&self, name: &str, bytes: u64) {
        *lock(&self.inner).read.entry(name.to_owned()).or_default() += bytes;
    }

    /// Carries out a call under the eyes of this watch. `real` gets how many bytes it may write, and returns a
    /// negative number where it fails.
    pub(crate) fn carry_out<R: Copy + Default + PartialOrd>(
        &self,
        (call, name): (Call, &str),
        refused: R,
        partly: impl FnOnce(usize),
        real: impl FnOnce() -> R,
        told: impl FnOnce(R) -> Option<Operation>,
    ) -> R {
        let mut inner = lock(&self.inner);
        while call == Call::Sync && inner.hang.is_some_and(|file| !name.is_empty() && name.ends_with(file)) {
            inner.hanging += 1;
            self.released.notify_all();
            inner = self.released.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.hanging -= 1;
        }
        let mut faults = inner.faults.iter_mut();
        if let Some(fault) = faults.find(|fault| fault.call == call && name.contains(fault.file)) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                partly(fault.written);
                let error = fault.error;
                drop(inner);
                set_errno(error);
                return refused;
            }
        }
        let result = real();
        if result >= R::default() {
            inner.operations.extend(told(result));
        }
        result
    }
}

/// Asked at each call of the process, so that the others cost nothing.
pub(crate) fn is_anything_watched() -> bool {
    WATCHING.load(Ordering::SeqCst) > 0
}

/// Whoever watches the directory that `path` is in, and the path from there; empty for the directory itself.
pub(crate) fn watched(path: &Path) -> Option<(Arc<Watched>, String)> {
    let watches = lock(&WATCHES);
    let watched = watches.iter().find(|watched| path.starts_with(&watched.directory))?;
    let name = path.strip_prefix(&watched.directory).ok()?.to_str()?.to_owned();
    (!name.ends_with(" (deleted)")).then(|| (Arc::clone(watched), name))
}
