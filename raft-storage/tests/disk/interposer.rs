//! Stands between RocksDB and the C library: writes down what is done to the files of a directory, and makes
//! calls fail or hang.
//!
//! The test binary defines the C library's functions itself. What is linked into it, RocksDB and Rust's own
//! library, calls these, and these call the real ones. That nothing gets by is not taken for granted: a
//! directory rebuilt from what was written down has to be the real one, byte for byte
//! ([`power_cut`](crate::power_cut)).

#![expect(unsafe_code, reason = "the C library's functions are defined here, and the real ones called")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use libc::{FILE, mode_t, off_t, size_t, ssize_t};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Read,
    Write,
    Sync,
    Resize,
    Rename,
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

struct Watched {
    directory: PathBuf,
    inner: Mutex<Inner>,
    released: Condvar,
}

#[derive(Default)]
struct Inner {
    operations: Vec<Operation>,
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
    /// Carries out a call under the eyes of this watch. `real` gets how many bytes it may write, and returns a
    /// negative number where it fails.
    fn carry_out<R: Copy + Default + PartialOrd>(
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

fn set_errno(error: c_int) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = error };
}

/// Whoever watches the directory that `path` is in, and the path from there; empty for the directory itself.
fn watched(path: &Path) -> Option<(Arc<Watched>, String)> {
    let watches = lock(&WATCHES);
    let watched = watches.iter().find(|watched| path.starts_with(&watched.directory))?;
    let name = path.strip_prefix(&watched.directory).ok()?.to_str()?.to_owned();
    (!name.ends_with(" (deleted)")).then(|| (Arc::clone(watched), name))
}

fn watched_name(path: *const c_char) -> Option<(Arc<Watched>, String)> {
    if WATCHING.load(Ordering::SeqCst) == 0 {
        return None;
    }
    // SAFETY: the caller passes what the C library takes: a string that ends with a zero.
    let path = unsafe { CStr::from_ptr(path) };
    watched(Path::new(OsStr::from_bytes(path.to_bytes())))
}

fn watched_file(file: c_int) -> Option<(Arc<Watched>, String)> {
    if WATCHING.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let link = format!("/proc/self/fd/{file}\0");
    let mut path = [0_u8; 4096];
    // SAFETY: both buffers are there, and the second is as long as is said.
    let bytes = unsafe { libc::readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    watched(Path::new(OsStr::from_bytes(path.get(..usize::try_from(bytes).ok()?)?)))
}

/// The C library's own function: what comes after this binary's of the same name.
macro_rules! real {
    ($name:ident: fn($($argument:ty),*) -> $result:ty) => {{
        static REAL: OnceLock<usize> = OnceLock::new();
        let address = *REAL.get_or_init(|| {
            let name = concat!(stringify!($name), "\0");
            // SAFETY: the name ends with a zero.
            unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) as usize }
        });
        assert!(address != 0, concat!("no ", stringify!($name)));
        // SAFETY: the function of this name has this type.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(address) }
    }};
}

type Open = unsafe extern "C" fn(*const c_char, c_int, mode_t) -> c_int;

unsafe fn open_with(real: Open, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let call = || unsafe { real(path, flags, mode) };
    let Some((watched, name)) = watched_name(path) else { return call() };
    let is_there = watched.directory.join(&name).symlink_metadata().is_ok();
    let to_write = flags & libc::O_ACCMODE != libc::O_RDONLY;
    let creates = (flags & libc::O_CREAT != 0 && !is_there) || (to_write && flags & libc::O_TRUNC != 0);
    let told = name.clone();
    watched.carry_out(
        (Call::Open, &name),
        -1,
        |_| {},
        call,
        |_| {
            Some(if creates {
                Operation::Create { name: told }
            } else {
                Operation::Open { name: told, to_write }
            })
        },
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let real = real!(open: fn(*const c_char, c_int, mode_t) -> c_int);
    unsafe { open_with(real, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let real = real!(open64: fn(*const c_char, c_int, mode_t) -> c_int);
    unsafe { open_with(real, path, flags, mode) }
}

/// Where the file stands.
fn position(file: c_int) -> usize {
    // SAFETY: nothing but numbers is passed.
    let (flags, position) =
        unsafe { (libc::fcntl(file, libc::F_GETFL), libc::lseek(file, 0, libc::SEEK_CUR)) };
    assert!(flags & libc::O_APPEND == 0, "nobody here appends");
    usize::try_from(position).expect("a file that is written to stands somewhere")
}

unsafe fn slice<'a>(data: *const c_void, bytes: size_t) -> &'a [u8] {
    // SAFETY: the caller passes what it wants written.
    unsafe { std::slice::from_raw_parts(data.cast(), bytes) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, data: *const c_void, bytes: size_t) -> ssize_t {
    let real = real!(write: fn(c_int, *const c_void, size_t) -> ssize_t);
    let call = || unsafe { real(file, data, bytes) };
    let Some((watched, name)) = watched_file(file) else { return call() };
    let at = position(file);
    let partly = |written: usize| {
        let _partly = unsafe { real(file, data, written.min(bytes)) };
    };
    let told = name.clone();
    watched.carry_out((Call::Write, &name), -1, partly, call, |written| {
        let data = unsafe { slice(data, usize::try_from(written).unwrap_or(0)) }.to_vec();
        Some(Operation::Write { name: told, at, data })
    })
}

type PWrite = unsafe extern "C" fn(c_int, *const c_void, size_t, off_t) -> ssize_t;

unsafe fn pwrite_with(real: PWrite, file: c_int, data: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    let call = || unsafe { real(file, data, bytes, at) };
    let Some((watched, name)) = watched_file(file) else { return call() };
    let partly = |written: usize| {
        let _partly = unsafe { real(file, data, written.min(bytes), at) };
    };
    let told = name.clone();
    watched.carry_out((Call::Write, &name), -1, partly, call, |written| {
        let data = unsafe { slice(data, usize::try_from(written).unwrap_or(0)) }.to_vec();
        Some(Operation::Write { name: told, at: usize::try_from(at).unwrap_or(0), data })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(file: c_int, data: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    let real = real!(pwrite: fn(c_int, *const c_void, size_t, off_t) -> ssize_t);
    unsafe { pwrite_with(real, file, data, bytes, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(file: c_int, data: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    let real = real!(pwrite64: fn(c_int, *const c_void, size_t, off_t) -> ssize_t);
    unsafe { pwrite_with(real, file, data, bytes, at) }
}

unsafe fn read_with(file: c_int, call: impl FnOnce() -> ssize_t) -> ssize_t {
    let Some((watched, name)) = watched_file(file) else { return call() };
    watched.carry_out((Call::Read, &name), -1, |_| {}, call, |_| None)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn read(file: c_int, into: *mut c_void, bytes: size_t) -> ssize_t {
    let real = real!(read: fn(c_int, *mut c_void, size_t) -> ssize_t);
    unsafe { read_with(file, || real(file, into, bytes)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread(file: c_int, into: *mut c_void, bytes: size_t, at: off_t) -> ssize_t {
    let real = real!(pread: fn(c_int, *mut c_void, size_t, off_t) -> ssize_t);
    unsafe { read_with(file, || real(file, into, bytes, at)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(file: c_int, into: *mut c_void, bytes: size_t, at: off_t) -> ssize_t {
    let real = real!(pread64: fn(c_int, *mut c_void, size_t, off_t) -> ssize_t);
    unsafe { read_with(file, || real(file, into, bytes, at)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fread_unlocked(
    into: *mut c_void,
    size: size_t,
    count: size_t,
    file: *mut FILE,
) -> size_t {
    let real = real!(fread_unlocked: fn(*mut c_void, size_t, size_t, *mut FILE) -> size_t);
    let call = || unsafe { real(into, size, count, file) };
    // SAFETY: the caller passes a file that is open.
    let Some((watched, name)) = watched_file(unsafe { libc::fileno(file) }) else { return call() };
    watched.carry_out((Call::Read, &name), 0, |_| {}, call, |_| None)
}

unsafe fn sync_with(file: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some((watched, name)) = watched_file(file) else { return call() };
    let told = name.clone();
    watched.carry_out((Call::Sync, &name), -1, |_| {}, call, |_| Some(Operation::Sync { name: told }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(file: c_int) -> c_int {
    let real = real!(fsync: fn(c_int) -> c_int);
    unsafe { sync_with(file, || real(file)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    let real = real!(fdatasync: fn(c_int) -> c_int);
    unsafe { sync_with(file, || real(file)) }
}

unsafe fn resize_with(file: c_int, bytes: off_t, call: impl FnOnce() -> c_int) -> c_int {
    let Some((watched, name)) = watched_file(file) else { return call() };
    let told = name.clone();
    watched.carry_out(
        (Call::Resize, &name),
        -1,
        |_| {},
        call,
        |_| Some(Operation::Resize { name: told, bytes: usize::try_from(bytes).unwrap_or(0) }),
    )
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(file: c_int, bytes: off_t) -> c_int {
    let real = real!(ftruncate: fn(c_int, off_t) -> c_int);
    unsafe { resize_with(file, bytes, || real(file, bytes)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(file: c_int, bytes: off_t) -> c_int {
    let real = real!(ftruncate64: fn(c_int, off_t) -> c_int);
    unsafe { resize_with(file, bytes, || real(file, bytes)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = real!(rename: fn(*const c_char, *const c_char) -> c_int);
    let call = || unsafe { real(from, to) };
    let (Some((watched, from)), Some((_, to))) = (watched_name(from), watched_name(to)) else {
        return call();
    };
    let name = to.clone();
    watched.carry_out((Call::Rename, &name), -1, |_| {}, call, |_| Some(Operation::Rename { from, to }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let real = real!(unlink: fn(*const c_char) -> c_int);
    let call = || unsafe { real(path) };
    let Some((watched, name)) = watched_name(path) else { return call() };
    let told = name.clone();
    watched.carry_out((Call::Remove, &name), -1, |_| {}, call, |_| Some(Operation::Remove { name: told }))
}
