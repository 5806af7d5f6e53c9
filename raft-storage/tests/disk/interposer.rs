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
use std::path::Path;
use std::sync::{Arc, OnceLock};

use libc::{FILE, mode_t, off_t, size_t, ssize_t};

use crate::watch::{Call, Operation, Watched, is_anything_watched, watched};

/// What a call that fails says why.
pub(crate) fn set_errno(error: c_int) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = error };
}

fn watched_name(path: *const c_char) -> Option<(Arc<Watched>, String)> {
    if !is_anything_watched() {
        return None;
    }
    // SAFETY: the caller passes what the C library takes: a string that ends with a zero.
    let path = unsafe { CStr::from_ptr(path) };
    watched(Path::new(OsStr::from_bytes(path.to_bytes())))
}

fn watched_file(file: c_int) -> Option<(Arc<Watched>, String)> {
    if !is_anything_watched() {
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
    let is_there = watched.directory().join(&name).symlink_metadata().is_ok();
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
    let read = watched.carry_out((Call::Read, &name), -1, |_| {}, call, |_| None);
    watched.was_read(&name, u64::try_from(read).unwrap_or(0));
    read
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
    let read = watched.carry_out((Call::Read, &name), 0, |_| {}, call, |_| None);
    watched.was_read(&name, (read * size) as u64);
    read
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
unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    let real = real!(link: fn(*const c_char, *const c_char) -> c_int);
    let call = || unsafe { real(from, to) };
    let (Some((watched, from)), Some((_, to))) = (watched_name(from), watched_name(to)) else {
        return call();
    };
    let name = to.clone();
    watched.carry_out((Call::Link, &name), -1, |_| {}, call, |_| Some(Operation::Link { from, to }))
}

/// What Rust's own library calls, with both places named from the working directory.
#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    from_in: c_int,
    from: *const c_char,
    to_in: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let real = real!(linkat: fn(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int);
    let call = || unsafe { real(from_in, from, to_in, to, flags) };
    let (Some((watched, from)), Some((_, to))) = (watched_name(from), watched_name(to)) else {
        return call();
    };
    let name = to.clone();
    watched.carry_out((Call::Link, &name), -1, |_| {}, call, |_| Some(Operation::Link { from, to }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    let real = real!(mkdir: fn(*const c_char, mode_t) -> c_int);
    let call = || unsafe { real(path, mode) };
    let Some((watched, name)) = watched_name(path) else { return call() };
    let told = name.clone();
    watched.carry_out((Call::Make, &name), -1, |_| {}, call, |_| Some(Operation::Directory { name: told }))
}

unsafe fn remove_with(path: *const c_char, call: impl FnOnce() -> c_int) -> c_int {
    let Some((watched, name)) = watched_name(path) else { return call() };
    let told = name.clone();
    watched.carry_out((Call::Remove, &name), -1, |_| {}, call, |_| Some(Operation::Remove { name: told }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let real = real!(unlink: fn(*const c_char) -> c_int);
    unsafe { remove_with(path, || real(path)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    let real = real!(rmdir: fn(*const c_char) -> c_int);
    unsafe { remove_with(path, || real(path)) }
}
