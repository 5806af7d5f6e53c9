//! The process of a seed, from outside: waited for, and stopped at its limits.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt::interrupted;
use crate::memory::held_mb;

/// How the process of a seed ended.
pub(crate) enum Ended {
    /// By itself, or by a signal, which is -1.
    Code(i32),
    /// Somebody wanted it to end, and it could not do so in order.
    Interrupted,
    /// It was stopped because it ran for too long.
    TooLong,
    /// It was stopped because it held too much memory.
    TooLarge {
        /// How much.
        mb: u64,
    },
}

impl Ended {
    fn of(status: ExitStatus) -> Self {
        let ends = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
        match status.signal() {
            Some(signal) if ends.contains(&signal) => Self::Interrupted,
            _ => Self::Code(status.code().unwrap_or(-1)),
        }
    }
}

/// How often a process is looked at.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a process that is to be stopped has to end what it has started.
const LEAVE: Duration = Duration::from_secs(10);
/// How long one that was interrupted has to tell what it knows.
const TELL: Duration = Duration::from_secs(60);

/// Waits for a process, interrupts it when this one is, and stops it at its limits. One that `has_servers` is interrupted before it
/// is stopped, too: what it has started need not end with it.
pub(crate) fn wait(
    mut child: Child,
    limit: Duration,
    memory_max_mb: Option<u64>,
    has_servers: bool,
) -> io::Result<Ended> {
    let (began, mut told) = (Instant::now(), None::<Instant>);
    loop {
        if told.is_none() && interrupted() {
            told = Some(Instant::now());
            tell_to_end(&child);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::of(status));
        }
        let too_large = memory_max_mb
            .and_then(|max| held_mb(&child.id().to_string(), "VmRSS").filter(|held| *held > max));
        let is_late = told.is_some_and(|told| told.elapsed() > TELL);
        let over = match too_large {
            _ if is_late => Some(Ended::Interrupted),
            Some(mb) => Some(Ended::TooLarge { mb }),
            None => (began.elapsed() > limit).then_some(Ended::TooLong),
        };
        if let Some(over) = over {
            if has_servers && !is_late {
                tell_to_end(&child);
                wait_for(&mut child, LEAVE)?;
            }
            child.kill()?;
            child.wait()?;
            return Ok(over);
        }
        thread::sleep(PAUSE);
    }
}

/// One that has ended has nothing to hear.
fn tell_to_end(child: &Child) {
    let _ = kill_process(Pid::from_child(child), Signal::INT);
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
        for (has_servers, said) in [(true, "in order\n"), (false, "")] {
            // Who has started these tests in the background has it ignored, and then a shell does not trap it.
            let mut command = Command::new("env");
            let words = ["--default-signal=INT", "sh", "-c", script];
            let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let (mut begun, mut told) = (String::new(), String::new());
            out.read_line(&mut begun).unwrap();
            let ended = wait(child, Duration::from_millis(50), None, has_servers).unwrap();
            assert!(matches!(ended, Ended::TooLong));
            out.read_to_string(&mut told).unwrap();
            assert_eq!((&*begun, &*told), ("begun\n", said));
        }
    }

    /// Each row: what a shell does, and whether that is an interrupt.
    #[test]
    fn who_dies_of_an_interrupt_was_interrupted() {
        for (script, is_one) in
            [("kill -INT $$", true), ("kill -TERM $$", true), ("kill -KILL $$", false), ("exit 130", false)]
        {
            let words = ["--default-signal=INT,TERM", "sh", "-c", script];
            let child = Command::new("env").args(words).spawn().unwrap();
            let ended = wait(child, Duration::from_secs(60), None, false).unwrap();
            assert_eq!(matches!(ended, Ended::Interrupted), is_one, "{script}");
        }
    }
}
