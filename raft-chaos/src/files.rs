//! How many files this process may have open, connections among them.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Has so many be allowed, or as many as the system lets this process have, and says how many are.
///
/// # Errors
///
/// The system changes nothing about that.
pub(crate) fn allow(needed: u64) -> io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current.filter(|current| *current < needed) else { return Ok(needed) };
    let raised = maximum.map_or(needed, |maximum| needed.min(maximum));
    if raised > current {
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum })?;
    }
    Ok(raised.max(current))
}
