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

/// How often a process is looked at.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a process that is to end in order has for it.
const LEAVE: Duration = Duration::from_secs(10);

/// Waits for a process, and stops it at its limits. One that `hears` is interrupted when this one is, and before it is
/// killed: what it has started need not end with it.
pub(crate) fn wait(
    mut child: Child,
    limit: Duration,
    memory_max_mb: Option<u64>,
    hears: bool,
) -> io::Result<Ended> {
    let (began, mut is_to_hear) = (Instant::now(), hears);
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
            if hears {
                let _ = kill_process(Pid::from_child(&child), Signal::INT);
                wait_for(&mut child, LEAVE)?;
            }
            child.kill()?;
            child.wait()?;
            return Ok(over);
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until it has ended, but no longer than this.
fn wait_for(child: &mut Child, long: Duration) -> io::Result<()> {
    let began = Instant::now();
    while child.try_wait()?.is_none() && began.elapsed() < long {
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    use super::*;

    /// What a process has started is its own to end.
    #[test]
    fn who_runs_for_too_long_may_end_in_order() {
        let script = "trap 'echo in order; exit' INT; echo begun; while :; do sleep 0.01; done";
        for (hears, said) in [(true, "in order\n"), (false, "")] {
            // Who has started these tests in the background has it ignored, and then a shell does not trap it.
            let mut command = Command::new("env");
            let words = ["--default-signal=INT", "sh", "-c", script];
            let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let (mut begun, mut told) = (String::new(), String::new());
            out.read_line(&mut begun).unwrap();
            let ended = wait(child, Duration::from_millis(50), None, hears).unwrap();
            assert!(matches!(ended, Ended::TooLong));
            out.read_to_string(&mut told).unwrap();
            assert_eq!((&*begun, &*told), ("begun\n", said));
        }
    }
}
