//! How much memory a process holds.

use std::fs;

/// What `/proc/<process>/status` says in the line that begins with `key`, in MB: `VmRSS` is held now, `VmHWM` was the most.
/// None where the system does not say.
pub(crate) fn held_mb(process: &str, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().split(' ').next()?.parse::<u64>().ok().map(|kb| kb >> 10)
}
