//! Who used the processor meanwhile: the load, the nodes, and others, who spoil what is measured.

use std::fs;
use std::time::Instant;

use serde::Serialize;

/// Others that take more than this share of a core spoil a row.
const BUSY_PERCENT: f64 = 10.0;

/// Processor time that was used up to a moment, in the system's ticks; none where it does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    at: Instant,
    load: Option<u64>,
    nodes: Option<u64>,
    machine: Option<u64>,
}

/// Processor time, in percent of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Of this process.
    pub load: Option<f64>,
    /// Of the nodes that it has started, all together.
    pub nodes: Option<f64>,
    /// Of everybody else on this machine: what the system does for disks and network by itself as well, and what the host
    /// has withheld.
    pub others: Option<f64>,
}

impl Shares {
    /// Whether others were in the way.
    pub fn is_busy(&self) -> bool {
        self.others.is_some_and(|others| others > BUSY_PERCENT)
    }
}

impl Used {
    /// Up to now, by this process and these nodes.
    pub(super) fn now(nodes: &[u32]) -> Self {
        let of = |node: &u32| of_process(&node.to_string());
        let nodes = if nodes.is_empty() { None } else { nodes.iter().map(of).sum() };
        Self { at: Instant::now(), load: of_process("self"), nodes, machine: of_machine() }
    }

    /// What each has used since then.
    pub(super) fn since(&self, earlier: &Self) -> Shares {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64().max(f64::MIN_POSITIVE);
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        let share = |ticks: u64| ticks as f64 / a_second / seconds * 100.0;
        let between = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let load = between(self.load, earlier.load);
        let nodes = between(self.nodes, earlier.nodes);
        let ours = load.map(|load| load + nodes.unwrap_or(0));
        // The machine counts in whole ticks, and processes more exactly: the difference can be a little below nothing.
        let machine = between(self.machine, earlier.machine);
        let others = machine.zip(ours).map(|(machine, ours)| machine.saturating_sub(ours));
        Shares { load: load.map(share), nodes: nodes.map(share), others: others.map(share) }
    }
}

/// All threads of a process.
fn of_process(process: &str) -> Option<u64> {
    in_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn in_stat(stat: &str) -> Option<u64> {
    // Its name, in parentheses, can hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let (user, system) = (fields.nth(11)?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

fn of_machine() -> Option<u64> {
    in_sum(&fs::read_to_string("/proc/stat").ok()?)
}

/// All but what was idle or waited for a disk. What guests of this machine used is in `user` already.
fn in_sum(stat: &str) -> Option<u64> {
    let numbers = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_ascii_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen, ..] = numbers[..] else {
        return None;
    };
    Some(user + nice + system + interrupts + soft_interrupts + stolen)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ticks_are_found_among_what_the_system_says() {
        let stat = "7 (a (b) 9) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 5 0 12345";
        assert_eq!(in_stat(stat), Some(281));
        assert_eq!(in_stat("7 (a"), None);
        assert_eq!(in_sum("cpu  50 1 7 900 30 2 4 3 9 0\ncpu0 1 1 1 1 1 1 1 1\n"), Some(67));
        assert_eq!(in_sum("cpu  50 1 7\n"), None);
        assert_eq!(in_sum("intr 5\n"), None);
    }

    #[test]
    fn what_neither_load_nor_nodes_used_others_did() {
        let at = Instant::now();
        let then = Used { at, load: Some(10), nodes: Some(0), machine: Some(1_000) };
        let later = |machine| Used {
            at: at + Duration::from_secs(2),
            load: Some(110),
            nodes: Some(50),
            machine: Some(machine),
        };
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        let percent = |ticks: f64| Some(ticks / a_second / 2.0 * 100.0);
        let shares = later(1_190).since(&then);
        assert_eq!(shares, Shares { load: percent(100.0), nodes: percent(50.0), others: percent(40.0) });
        assert!(shares.is_busy());
        assert_eq!(later(1_100).since(&then).others, Some(0.0));
        let unsaid = Used { machine: None, ..later(0) };
        assert_eq!(unsaid.since(&then).others, None);
        assert!(!unsaid.since(&then).is_busy());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_the_processor() {
        let then = Used::now(&[]);
        while of_process("self") == then.load {
            std::hint::black_box(0);
        }
        let shares = Used::now(&[]).since(&then);
        assert!(shares.load > Some(0.0) && shares.nodes.is_none() && shares.others.is_some(), "{shares:?}");
    }
}
