//! The process of a seed, from outside: waited for, and stopped at its limits.

use std::io;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::memory::held_mb;
use crate::runner::interrupted;

/// How the process of a seed ended.
pub(crate) enum Ended {
    /// By itself, or by a signal, which is -1.
    Code(i32),
    /// It was stopped because it ran for too long.
    TooLong,
    /// It was stopped because it held too much memory.
    TooLarge {
        /// How much.
        mb: u64,
    },
}

/// Waits for a process, and stops it at its limits. One that `is_to_hear` is interrupted when this one is.
pub(crate) fn wait(
    mut child: Child,
    limit: Duration,
    memory_max_mb: Option<u64>,
    mut is_to_hear: bool,
) -> io::Result<Ended> {
    let began = Instant::now();
    loop {
        if is_to_hear && interrupted() {
            is_to_hear = false;
            // One that has ended has nothing to hear.
            let _ = kill_process(Pid::from_child(&child), Signal::INT);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Code(status.code().unwrap_or(-1)));
        }
        let too_large = memory_max_mb
            .and_then(|max| held_mb(&child.id().to_string(), "VmRSS").filter(|held| *held > max));
        let over = match too_large {
            Some(mb) => Some(Ended::TooLarge { mb }),
            None => (began.elapsed() > limit).then_some(Ended::TooLong),
        };
        if let Some(over) = over {
            child.kill()?;
            child.wait()?;
            return Ok(over);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
