//! `clock`: what is done to a clock. Read and printed here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Share;
use super::lock::quoted;
use super::values::{self, print_duration};
use super::walk::{Item, Section};

/// What is done to a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFault {
    /// By how much it runs faster than it should, or slower, in millionths; more than -1,000,000. Wall clock and
    /// monotonic clock do.
    pub drift_ppm: i64,
    /// By how much the wall clock is set forward, or back, in nanoseconds.
    pub jump_ns: i64,
}

impl ClockFault {
    /// How far the wall clock is from the true time when this has lasted so long.
    pub fn error_after(&self, lasting: Duration) -> Duration {
        let drifted = i128::from(self.drift_ppm) * lasting.as_nanos().cast_signed() / 1_000_000;
        let error =
            (i128::from(self.jump_ns) + drifted).unsigned_abs().max(self.jump_ns.unsigned_abs().into());
        Duration::from_nanos(u64::try_from(error).unwrap_or(u64::MAX))
    }
}

/// `clock` of the action of that name.
pub(super) fn fault(table: &mut Section<'_>) -> Option<ClockFault> {
    let item = table.required("clock")?;
    let mut clock = item.section()?;
    let drift = clock.read("drift", drift);
    let jump = clock.read("jump", jump);
    let is_wrong = (clock.has("drift") && drift.is_none()) || (clock.has("jump") && jump.is_none());
    clock.finish();
    let fault = ClockFault { drift_ppm: drift.unwrap_or(0), jump_ns: jump.unwrap_or(0) };
    if fault == ClockFault::default() && !is_wrong {
        item.wrong(
            "nothing is wrong with it; write drift or jump, as in { drift = \"+2%\", jump = \"-800ms\" }",
        );
    }
    Some(fault)
}

fn drift(item: &Item<'_>) -> Option<i64> {
    let (sign, share) = item.parsed(values::signed_percent, "a signed percentage, as in \"+2%\"")?;
    let ppm = sign.of(share.ppm().into())?;
    if ppm <= -1_000_000 {
        return item.expected("more than -100%: a clock that stands still wakes nobody");
    }
    Some(ppm)
}

fn jump(item: &Item<'_>) -> Option<i64> {
    let like = "a signed duration, as in \"-800ms\"";
    let (sign, duration) = item.parsed(values::signed_duration, like)?;
    let nanos = u64::try_from(duration.as_nanos()).ok().and_then(|nanos| sign.of(nanos));
    nanos.or_else(|| item.expected("a shorter one; nanoseconds must fit 63 bits"))
}

/// Prints as a plan writes it.
impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |number: i64| if number < 0 { '-' } else { '+' };
        let drift = Share::from_ppm(self.drift_ppm.unsigned_abs()).unwrap_or_default().print_percent();
        let drift = quoted(&format!("{}{drift}", sign(self.drift_ppm)));
        let jump = print_duration(Duration::from_nanos(self.jump_ns.unsigned_abs()));
        let jump = quoted(&format!("{}{jump}", sign(self.jump_ns)));
        let parts = [
            (self.drift_ppm != 0).then(|| format!("drift = {drift}")),
            (self.jump_ns != 0).then(|| format!("jump = {jump}")),
        ];
        write!(f, "{{ {} }}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
