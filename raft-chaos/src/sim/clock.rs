//! The clock of a machine: how fast it runs, what the plan does to it, and how far off it is.
//!
//! A monotonic clock runs fast or slow and is never set. The wall clock runs with it and is set besides; once a fault is
//! over it shows what it would without it. Nothing in a server reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft_core::Time;
use tokio::sync::Notify;

use crate::plan::ClockFault;

const MILLION: i128 = 1_000_000;
/// However many faults slow it: a clock that stands still wakes nobody.
const SLOWEST_PPM: i128 = 1_000;

/// A handle on a machine's clock. Clones are handles on the same one.
#[derive(Clone, Default)]
pub(super) struct Clock {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

/// Names a fault of clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockFaultId(u64);

/// By how much a clock is off, in nanoseconds; more than nothing is fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Off {
    pub(super) monotonic: i64,
    pub(super) wall: i64,
}

#[derive(Default)]
struct State {
    /// By how much it runs faster than the simulation without faults, in millionths.
    faster_ppm: u32,
    /// The last change of its rate, in the simulation's time, and what it showed then.
    changed_at: Duration,
    shown_then: Duration,
    /// What the plan does to it, and since when.
    faults: Vec<(ClockFaultId, ClockFault, Duration)>,
    begun: u64,
}

impl Clock {
    pub(super) fn new(faster_ppm: u32) -> Self {
        let state = State { faster_ppm, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the monotonic clock shows when the simulation has lasted so long.
    pub(super) fn shows(&self, elapsed: Duration) -> Time {
        Time::ZERO.after(self.lock().shows(elapsed))
    }

    /// How long the simulation has lasted when it first shows that, if its rate stays as it is.
    pub(super) fn elapsed(&self, shown: Time) -> Duration {
        self.lock().elapsed(Duration::from_nanos(shown.as_nanos()))
    }

    /// Waits until its rate changes. What waits for it must have begun to before it looks at the clock.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + Send {
        self.changed.notified()
    }

    /// Does this to it from now on.
    pub(super) fn begin(&self, now: Duration, fault: ClockFault) -> ClockFaultId {
        let state = &mut *self.lock();
        state.keep(now);
        state.begun += 1;
        let id = ClockFaultId(state.begun);
        state.faults.push((id, fault, now));
        self.changed.notify_waiters();
        id
    }

    /// Does it no more: its rate is what it was without it, and its wall clock is put right.
    pub(super) fn end(&self, now: Duration, fault: ClockFaultId) {
        let state = &mut *self.lock();
        state.keep(now);
        state.faults.retain(|(id, ..)| *id != fault);
        self.changed.notify_waiters();
    }

    /// By how much it is off, against what it would show had there never been a fault.
    pub(super) fn off(&self, now: Duration) -> Off {
        let state = self.lock();
        let right = scaled(now, MILLION + i128::from(state.faster_ppm), MILLION);
        let wall = state.faults.iter().map(|(_, fault, began)| jumped(fault) + drifted(fault, *began, now));
        let monotonic = state.shows(now).as_nanos().cast_signed() - right.as_nanos().cast_signed();
        Off { monotonic: clamped(monotonic), wall: clamped(wall.sum()) }
    }

    /// By how much one fault sets it off, whatever others do; by nothing once it is over.
    pub(super) fn off_by(&self, now: Duration, fault: ClockFaultId) -> Off {
        let state = self.lock();
        let Some((_, fault, began)) = state.faults.iter().find(|(id, ..)| *id == fault) else {
            return Off::default();
        };
        let monotonic = drifted(fault, *began, now);
        Off { monotonic: clamped(monotonic), wall: clamped(jumped(fault) + monotonic) }
    }
}

impl State {
    /// By how many millionths of a second it goes on in a second of the simulation, of which there are a million.
    fn rate(&self) -> i128 {
        let drift: i128 = self.faults.iter().map(|(_, fault, _)| i128::from(fault.drift_ppm)).sum();
        (MILLION + i128::from(self.faster_ppm) + drift).max(SLOWEST_PPM)
    }

    fn shows(&self, elapsed: Duration) -> Duration {
        self.shown_then + scaled(elapsed.saturating_sub(self.changed_at), self.rate(), MILLION)
    }

    fn elapsed(&self, shown: Duration) -> Duration {
        let rate = self.rate().unsigned_abs();
        let left = shown.saturating_sub(self.shown_then).as_nanos() * MILLION.unsigned_abs();
        self.changed_at + Duration::from_nanos(u64::try_from(left.div_ceil(rate)).unwrap_or(u64::MAX))
    }

    /// What it shows now stays when its rate changes.
    fn keep(&mut self, now: Duration) {
        (self.shown_then, self.changed_at) = (self.shows(now), now);
    }
}

/// By how much a fault sets a wall clock.
fn jumped(fault: &ClockFault) -> i128 {
    i128::from(fault.jump_ns)
}

/// By how much more a clock shows for a fault that has lasted since then.
fn drifted(fault: &ClockFault, began: Duration, now: Duration) -> i128 {
    now.saturating_sub(began).as_nanos().cast_signed() * i128::from(fault.drift_ppm) / MILLION
}

/// So many parts of a whole of that many.
fn scaled(duration: Duration, parts: i128, whole: i128) -> Duration {
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
            assert_eq!(clock.off_by(ms(4_000), fault), expected);
        };
        off(first, 0, -800);
        off(second, 200, -600);
        clock.end(ms(4_000), first);
        off(first, 0, 0);
        off(second, 200, -600);
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
