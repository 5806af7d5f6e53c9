//! The clock of a machine: how fast it runs, what the plan does to it, and how far off it is.
//!
//! A monotonic clock runs fast or slow and is never set. The wall clock runs with it and is set besides; once a fault is
//! over it shows what it would without it. Nothing in a server reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft_core::Time;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::plan::ClockFault;

const MILLION: i128 = 1_000_000;
/// However many faults slow it: a clock that stands still wakes nobody.
const SLOWEST_PPM: i128 = 1_000;

/// A handle on a machine's clock. Clones are handles on the same one.
///
/// Where its server is another process, that one has a clock of its own that [`follow`](Self::follow)s this one.
#[derive(Clone, Default)]
pub(crate) struct Clock {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

/// Names a fault of clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ClockFaultId(pub(crate) u64);

/// What is done to a clock.
pub(crate) type ClockFaults = BTreeMap<ClockFaultId, ClockFault>;

/// By how much a clock is off, in nanoseconds; more than nothing is fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Off {
    pub(crate) monotonic: i64,
    pub(crate) wall: i64,
}

#[derive(Default)]
struct State {
    /// By how much it runs faster than the simulation without faults, in millionths.
    faster_ppm: u32,
    /// The last change of its rate, in the simulation's time, and what it showed then.
    changed_at: Duration,
    shown_then: Duration,
    /// What the plan does to it.
    faults: BTreeMap<ClockFaultId, InForce>,
    begun: u64,
    /// Of one that another follows: by how much each fault has set that off, as its server says.
    told: Option<BTreeMap<ClockFaultId, Off>>,
}

/// What the plan does to a clock, and since when.
struct InForce {
    fault: ClockFault,
    began: Duration,
}

impl InForce {
    /// By how much more, or less, the clock shows for how it has run since.
    fn drifted(&self, now: Duration) -> i128 {
        now.saturating_sub(self.began).as_nanos().cast_signed() * i128::from(self.fault.drift_ppm) / MILLION
    }

    /// By how much the wall clock is off for it.
    fn wall(&self, now: Duration) -> i128 {
        i128::from(self.fault.jump_ns) + self.drifted(now)
    }
}

impl Clock {
    pub(crate) fn new(faster_ppm: u32) -> Self {
        let state = State { faster_ppm, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the monotonic clock shows when the simulation has lasted so long.
    pub(crate) fn shows(&self, elapsed: Duration) -> Time {
        Time::ZERO.after(self.lock().shows(elapsed))
    }

    /// How long the simulation has lasted when it first shows that, if its rate stays as it is.
    fn elapsed(&self, shown: Time) -> Duration {
        self.lock().elapsed(Duration::from_nanos(shown.as_nanos()))
    }

    /// Waits until it shows this, whatever is done to it meanwhile. `elapsed` says how long the simulation has lasted, and
    /// `sleep_until` waits until it has lasted so long.
    pub(crate) async fn reaches<S: Future<Output = ()>>(
        &self,
        deadline: Time,
        elapsed: impl Fn() -> Duration,
        sleep_until: impl Fn(Duration) -> S,
    ) {
        loop {
            // It is listened for changes before it is looked at.
            let changed = self.changed.notified();
            let wake = self.elapsed(deadline);
            tokio::select! {
                biased;
                () = sleep_until(wake) => {}
                () = changed => {}
            }
            if self.shows(elapsed()) >= deadline {
                return;
            }
        }
    }

    /// Does this to it from now on.
    pub(super) fn begin(&self, now: Duration, fault: ClockFault) -> ClockFaultId {
        let mut state = self.lock();
        state.begun += 1;
        let id = ClockFaultId(state.begun);
        state.begin(now, id, fault);
        self.changed.notify_waiters();
        id
    }

    /// Does it no more: its rate is what it was without it, and its wall clock is put right.
    pub(super) fn end(&self, now: Duration, fault: ClockFaultId) {
        let mut state = self.lock();
        state.keep(now);
        state.faults.remove(&fault);
        self.changed.notify_waiters();
    }

    /// By how much it is off, against what it would show had there never been a fault.
    pub(super) fn off(&self, now: Duration) -> Off {
        self.lock().off(now)
    }

    /// By how much this fault sets it off, whatever others do; by nothing once it is over.
    pub(crate) fn set_off(&self, now: Duration, fault: ClockFaultId) -> Off {
        let state = self.lock();
        if let Some(told) = &state.told {
            return told.get(&fault).copied().unwrap_or_default();
        }
        let off =
            |fault: &InForce| Off { monotonic: clamped(fault.drifted(now)), wall: clamped(fault.wall(now)) };
        state.faults.get(&fault).map(off).unwrap_or_default()
    }

    // --- one clock that follows another ---

    /// By how much it runs faster without faults, in millionths.
    pub(crate) fn faster_ppm(&self) -> u32 {
        self.lock().faster_ppm
    }

    /// What is done to it now.
    pub(crate) fn faults(&self) -> ClockFaults {
        self.lock().faults.iter().map(|(id, in_force)| (*id, in_force.fault)).collect()
    }

    /// From now on the same is done to it as to the other.
    pub(crate) fn follow(&self, now: Duration, others: &ClockFaults) {
        let mut state = self.lock();
        state.keep(now);
        state.faults.retain(|id, _| others.contains_key(id));
        for (&id, &fault) in others {
            if !state.faults.contains_key(&id) {
                state.begin(now, id, fault);
            }
        }
        self.changed.notify_waiters();
    }

    /// Another follows it from now on, whose server says by how much it is off.
    pub(crate) fn is_followed(&self) {
        self.lock().told = Some(BTreeMap::new());
    }

    /// The server of the one that follows it says that this fault has set it off by so much.
    pub(crate) fn is_told(&self, fault: ClockFaultId, off: Off) {
        if let Some(told) = &mut self.lock().told {
            told.insert(fault, off);
        }
    }
}

impl State {
    /// By how many millionths of a second it goes on in a second of the simulation, of which there are a million.
    fn rate(&self) -> i128 {
        let drift: i128 = self.faults.values().map(|in_force| i128::from(in_force.fault.drift_ppm)).sum();
        (MILLION + i128::from(self.faster_ppm) + drift).max(SLOWEST_PPM)
    }

    fn shows(&self, elapsed: Duration) -> Duration {
        self.shown_then + scaled(elapsed.saturating_sub(self.changed_at), self.rate(), MILLION)
    }

    fn elapsed(&self, shown: Duration) -> Duration {
        let (rate, left) = (self.rate(), shown.saturating_sub(self.shown_then));
        if rate == MILLION {
            return self.changed_at + left;
        }
        let left = (left.as_nanos() * MILLION.unsigned_abs()).div_ceil(rate.unsigned_abs());
        self.changed_at + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// What it shows now stays when its rate changes.
    fn keep(&mut self, now: Duration) {
        (self.shown_then, self.changed_at) = (self.shows(now), now);
    }

    fn begin(&mut self, now: Duration, id: ClockFaultId, fault: ClockFault) {
        self.keep(now);
        self.faults.insert(id, InForce { fault, began: now });
    }

    fn off(&self, now: Duration) -> Off {
        let right = scaled(now, MILLION + i128::from(self.faster_ppm), MILLION);
        let wall = self.faults.values().map(|fault| fault.wall(now));
        let monotonic = self.shows(now).as_nanos().cast_signed() - right.as_nanos().cast_signed();
        Off { monotonic: clamped(monotonic), wall: clamped(wall.sum()) }
    }
}

/// So many parts of a whole of that many: mostly all of them, which takes no division.
fn scaled(duration: Duration, parts: i128, whole: i128) -> Duration {
    if parts == whole {
        return duration;
    }
    let nanos = duration.as_nanos() * parts.unsigned_abs() / whole.unsigned_abs();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn clamped(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Each row: by how much a clock is faster, how long the simulation has lasted, and what the clock shows.
    #[test]
    fn a_fast_clock_shows_more_and_its_deadlines_come_sooner() {
        for (faster_ppm, elapsed_ms, shows_ms) in
            [(0, 1_000, 1_000), (500_000, 1_000, 1_500), (1_000_000, 1_000, 2_000), (10_000, 0, 0)]
        {
            let (clock, elapsed) = (Clock::new(faster_ppm), ms(elapsed_ms));
            assert_eq!(clock.shows(elapsed), Time::ZERO.after(ms(shows_ms)));
            assert_eq!(clock.elapsed(clock.shows(elapsed)), elapsed);
        }
        let clock = Clock::new(1);
        for nanos in 1_000_000_u64..1_000_100 {
            let deadline = Time::from_nanos(nanos);
            let elapsed = clock.elapsed(deadline);
            assert!(clock.shows(elapsed) >= deadline, "it has come");
            assert!(clock.shows(elapsed - Duration::from_nanos(1)) < deadline, "and not before");
        }
    }

    /// It never goes back, whatever is done to it; the wall clock does, and is right when all is over.
    #[test]
    fn faults_of_clocks_add_up_and_the_wall_clock_is_put_right() {
        let clock = Clock::default();
        let off = |at, monotonic_ms: i64, wall_ms: i64| {
            let expected = Off { monotonic: monotonic_ms * 1_000_000, wall: wall_ms * 1_000_000 };
            assert_eq!(clock.off(ms(at)), expected, "at {at} ms");
        };
        let fast = clock.begin(ms(1_000), ClockFault { drift_ppm: 100_000, jump_ns: -800_000_000 });
        off(1_000, 0, -800);
        let slow = clock.begin(ms(2_000), ClockFault { drift_ppm: -50_000, jump_ns: 0 });
        off(2_000, 100, -700);
        off(3_000, 150, -650);
        clock.end(ms(3_000), fast);
        off(3_000, 150, -50);
        off(4_000, 100, -100);
        clock.end(ms(4_000), slow);
        off(5_000, 100, 0);
        let mut shown = Time::ZERO;
        for at in 0..6_000 {
            let now = clock.shows(ms(at));
            assert!(now >= shown, "at {at} ms");
            shown = now;
        }
    }

    /// What another one does, or undoes, is not its own.
    #[test]
    fn each_fault_of_clocks_is_known_for_what_it_does_itself() {
        let clock = Clock::default();
        let back = ClockFault { drift_ppm: 0, jump_ns: -800_000_000 };
        let fast = ClockFault { drift_ppm: 100_000, jump_ns: -800_000_000 };
        let (first, second) = (clock.begin(ms(1_000), back), clock.begin(ms(2_000), fast));
        let off = |fault, monotonic_ms: i64, wall_ms: i64| {
            let expected = Off { monotonic: monotonic_ms * 1_000_000, wall: wall_ms * 1_000_000 };
            assert_eq!(clock.set_off(ms(4_000), fault), expected);
        };
        off(first, 0, -800);
        off(second, 200, -600);
        clock.end(ms(4_000), first);
        off(first, 0, 0);
        off(second, 200, -600);
    }

    /// A server elsewhere is told of a fault a little later, and what it says of it counts.
    #[test]
    fn a_clock_follows_another_and_its_server_says_how_far_it_is_off() {
        let (here, there) = (Clock::new(7), Clock::new(7));
        here.is_followed();
        let early = here.begin(ms(0), ClockFault { drift_ppm: 500_000, jump_ns: 0 });
        there.follow(ms(100), &here.faults());
        assert_eq!(there.set_off(ms(1_100), early).monotonic, 500_000_000);
        let late = here.begin(ms(1_000), ClockFault { drift_ppm: 0, jump_ns: 9 });
        there.follow(ms(1_100), &here.faults());
        here.end(ms(2_000), early);
        there.follow(ms(2_100), &here.faults());
        assert_eq!(there.faults().into_keys().collect::<Vec<_>>(), [late]);
        let off = there.set_off(ms(9_000), late);
        assert_eq!(off, Off { monotonic: 0, wall: 9 });
        assert_eq!(here.set_off(ms(9_000), late), Off::default(), "nobody has said so");
        here.is_told(late, off);
        assert_eq!(here.set_off(ms(9_000), late), off);
    }

    #[test]
    fn no_clock_stands_still() {
        let clock = Clock::default();
        for _ in 0..2 {
            clock.begin(Duration::ZERO, ClockFault { drift_ppm: -900_000, jump_ns: 0 });
        }
        assert_eq!(clock.elapsed(Time::ZERO.after(ms(1))), ms(1_000));
    }
}
