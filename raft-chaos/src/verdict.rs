//! What is to be said of a run: whether safety held, whether progress came, whether the faults were real.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::{self, DataType};
use crate::judging::{self, Judged};
use crate::linearizable::CounterExample;
use crate::plan::{Check, Count, Limit, Plan};
use crate::sim::{Operations, Ran, Recovery, when};

/// The verdict on one run, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// raft-chaos itself has a bug.
    Bug,
    /// Not linearizable, or an invariant broken.
    Safety,
    /// A node panicked or ended by itself.
    Crash,
    /// The same seed went two ways.
    Divergence,
    /// Stopped from outside.
    Interrupted,
    /// Progress or a threshold was missed; safety is fine.
    Liveness,
    /// Nothing was proved: a judge gave up, evidence is missing, time ran out.
    Inconclusive,
    /// All held, with evidence.
    Pass,
}

impl Verdict {
    /// All of them, from the worst to the best.
    pub const ALL: [Self; 8] = [
        Self::Bug,
        Self::Safety,
        Self::Crash,
        Self::Divergence,
        Self::Interrupted,
        Self::Liveness,
        Self::Inconclusive,
        Self::Pass,
    ];

    /// Its name in `result.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bug => "bug",
            Self::Safety => "safety",
            Self::Crash => "crash",
            Self::Divergence => "divergence",
            Self::Interrupted => "interrupted",
            Self::Liveness => "liveness",
            Self::Inconclusive => "inconclusive",
            Self::Pass => "pass",
        }
    }

    /// The verdict of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Its name as people read it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bug => "BUG IN RAFT-CHAOS",
            Self::Safety => "SAFETY BROKEN",
            Self::Crash => "NODE CRASHED",
            Self::Divergence => "NOT DETERMINISTIC",
            Self::Interrupted => "INTERRUPTED",
            Self::Liveness => "LIVENESS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Pass => "PASS",
        }
    }

    /// The exit code of a run that ends so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Bug => 70,
            Self::Safety => 1,
            Self::Crash => 6,
            Self::Divergence => 4,
            Self::Interrupted => 130,
            Self::Liveness => 3,
            Self::Inconclusive => 2,
            Self::Pass => 0,
        }
    }
}

/// What the judge of linearizability said.
#[derive(Clone, Debug, Serialize)]
pub struct Checker {
    /// Who was asked.
    pub engine: &'static str,
    /// How long it took, in seconds of wall time.
    pub seconds: f64,
    /// `linearizable`, `not-linearizable`, `unknown` or `off`.
    pub verdict: &'static str,
}

/// The verdict and why.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The worst of what was found.
    pub verdict: Verdict,
    /// Everything that was found, the worst first.
    pub reasons: Vec<String>,
    /// How the history was judged.
    pub checker: Checker,
    /// The operations that do not fit, where a judge found some.
    pub examples: Vec<CounterExample>,
}

impl Judgement {
    /// What was found without operations that show it.
    pub const fn of(verdict: Verdict, reasons: Vec<String>, checker: Checker) -> Self {
        Self { verdict, reasons, checker, examples: Vec::new() }
    }

    /// The run was ended from outside: that comes before what it had no time for, and after what it had shown.
    pub(crate) fn is_of_an_interrupted_run(&mut self) {
        let place = if self.verdict < Verdict::Interrupted { self.reasons.len() } else { 0 };
        self.reasons.insert(place, "somebody wanted the run to end".to_owned());
        self.verdict = self.verdict.min(Verdict::Interrupted);
    }
}

/// The numbers that a run cannot know of itself.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// The most memory that the process has held, in MB.
    pub rss_mb: u64,
    /// What the stores held in the end, in MB.
    pub disk_mb: u64,
}

/// Judges a run. `elapsed` tells the time since any fixed moment; it bounds the search.
pub fn judge(
    plan: &Plan,
    ran: &Ran,
    footprint: Footprint,
    elapsed: &mut dyn FnMut() -> Duration,
) -> Judgement {
    judge_as(plan, &*data::of(&plan.workload), ran, footprint, elapsed)
}

/// Judges a run on a data type of one's own, see [`run_as`](crate::sim::run_as).
pub fn judge_as(
    plan: &Plan,
    data: &dyn DataType,
    ran: &Ran,
    footprint: Footprint,
    elapsed: &mut dyn FnMut() -> Duration,
) -> Judgement {
    judge_telling(plan, data, ran, footprint, elapsed, &mut |_| {})
}

/// The same. Where something is wrong already before a search for any order says more of it, `known` hears what that is: the search
/// may take all the time and the memory that there is.
pub fn judge_telling(
    plan: &Plan,
    data: &dyn DataType,
    ran: &Ran,
    footprint: Footprint,
    elapsed: &mut dyn FnMut() -> Duration,
    known: &mut dyn FnMut(Judgement),
) -> Judgement {
    let mut found = Found::default();
    found.safety(&plan.check, ran);
    let began = elapsed();
    let (engine, verdict, examples) = match &plan.check.linearizable {
        None => ("off", "off", Vec::new()),
        Some(how) => {
            let engine = how.engine.name();
            let mut tell = |Judged { word, findings, examples }: &Judged| {
                let reasons = [&found.reasons[..], findings].concat();
                let checker = Checker { engine, verdict: word, seconds: 0.0 };
                let judgement = Found { reasons }.judgement(checker, examples.clone());
                if judgement.verdict < Verdict::Inconclusive {
                    known(judgement);
                }
            };
            let witness = plan.is_heard().then_some(&ran.witness[..]);
            let judged = judging::judge(data, &ran.history, witness, how, elapsed, &mut tell);
            found.reasons.extend(judged.findings);
            (engine, judged.word, judged.examples)
        }
    };
    let checker = Checker { engine, verdict, seconds: (elapsed() - began).as_secs_f64() };
    if ran.cut_short {
        found.add(
            Verdict::Inconclusive,
            "the run was cut short, as it was asked to be; what had happened until then is sound",
        );
    } else {
        found.progress(plan, ran);
        found.limits(&plan.check, ran, footprint);
        found.evidence(plan, ran);
    }
    found.judgement(checker, examples)
}

#[derive(Default)]
struct Found {
    reasons: Vec<(Verdict, String)>,
}

impl Found {
    fn add(&mut self, verdict: Verdict, reason: impl Into<String>) {
        self.reasons.push((verdict, reason.into()));
    }

    /// What all of it comes to, the worst first.
    fn judgement(mut self, checker: Checker, examples: Vec<CounterExample>) -> Judgement {
        self.reasons.sort_by_key(|(verdict, _)| *verdict);
        let verdict = self.reasons.first().map_or(Verdict::Pass, |(verdict, _)| *verdict);
        let reasons = self.reasons.into_iter().map(|(_, reason)| reason).collect();
        Judgement { verdict, reasons, checker, examples }
    }

    fn safety(&mut self, check: &Check, ran: &Ran) {
        let judged = |property: &str| {
            // What a server finds out about itself is always judged.
            property == "self-check" || check.invariants.iter().any(|invariant| invariant.name() == property)
        };
        for violation in ran.violations.iter().filter(|violation| judged(violation.property)) {
            let when = when(violation.time_ns, &ran.firings);
            self.add(Verdict::Safety, format!("{} {when}", violation.sentence));
        }
        for (node, why) in &ran.ends {
            self.add(Verdict::Crash, format!("{node} ended by itself: {why}"));
        }
    }

    fn progress(&mut self, plan: &Plan, ran: &Ran) {
        for missed in ran.cold.iter().chain(&ran.missed) {
            self.add(Verdict::Liveness, missed.clone());
        }
        let Operations { settled: (ok, all), owed, .. } = ran.operations;
        let written = plan.check.liveness.ok_ratio_after_heal.map(|share| u64::from(share.ppm()));
        let wanted = written.or(owed.then_some(990_000));
        if written.is_some() && all == 0 {
            self.add(
                Verdict::Inconclusive,
                "ok_ratio_after_heal: no operation began once all was healed and commit_within was over",
            );
        }
        if let Some(wanted) = wanted
            && u128::from(ok) * 1_000_000 < u128::from(wanted) * u128::from(all)
        {
            let parts = wanted / 1_000;
            self.add(
                Verdict::Liveness,
                format!("ok_ratio_after_heal: {ok} of {all} operations were ok once all was healed, of 1,000 at least {parts} must be"),
            );
        }
    }

    fn limits(&mut self, check: &Check, ran: &Ran, footprint: Footprint) {
        for (limit, count) in &check.limits {
            let number = match limit {
                Limit::Elections => ran.elections,
                Limit::Terms => ran.terms,
                Limit::Restarts => ran.restarts,
                Limit::RecoveryMs => longest_recovery(&ran.recoveries),
                Limit::P99Us => quantile(&ran.operations.all_us(), 99),
                Limit::RssMb => footprint.rss_mb,
                Limit::DiskMb => footprint.disk_mb,
                Limit::OkGapMs => ran.operations.ok_gap_ms,
                Limit::AppendRejections => ran.append_rejections,
                Limit::AppendsInFlight => ran.appends_in_flight,
            };
            if !count.holds(number) {
                self.add(Verdict::Liveness, format!("limits.{}: {number} is not {count}", limit.name()));
            }
        }
    }

    fn evidence(&mut self, plan: &Plan, ran: &Ran) {
        let check = &plan.check;
        let mut number = |name: &str, number: u64, wanted: Option<Count>| {
            if let Some(wanted) = wanted.filter(|wanted| !wanted.holds(number)) {
                self.add(Verdict::Inconclusive, format!("evidence.{name}: {number} is not {wanted}"));
            }
        };
        number("ops_ok", ran.history.counts().all.ok, Some(check.evidence.ops_ok));
        // Under `swarm` these need to come in one seed of all.
        if !plan.run.swarm {
            number("elections", ran.elections, check.evidence.elections);
            number("snapshots_installed", ran.snapshots_installed, check.evidence.snapshots_installed);
        }
        number("commands_repeated", ran.commands_repeated, check.evidence.commands_repeated);
        number("sessions_expired", ran.sessions_expired, check.evidence.sessions_expired);
        number("entries_repaired", ran.entries_repaired, check.evidence.entries_repaired);
        if check.evidence.every_event_fired {
            for event in &ran.unfired {
                self.add(Verdict::Inconclusive, format!("event {event} never fired"));
            }
        }
        if check.evidence.every_fault_had_effect {
            for firing in ran.firings.iter().filter(|firing| !firing.had_effect) {
                let at = Duration::from_nanos(firing.time_ns);
                self.add(
                    Verdict::Inconclusive,
                    format!("event {} fired at {at:?} and did nothing", firing.event),
                );
            }
        }
    }
}

/// The largest number in `recovery_ms`; beyond any bound if nothing followed the last heal.
fn longest_recovery(recoveries: &[Recovery]) -> u64 {
    let Some(last) = recoveries.last() else { return 0 };
    let numbers = |recovery: &Recovery| [recovery.leader, recovery.commit];
    let longest = recoveries.iter().flat_map(numbers).flatten().max();
    last.commit.and(longest).unwrap_or(u64::MAX)
}

/// The smallest of `sorted` that at least so many in a hundred do not exceed; 0 of none.
pub fn quantile(sorted: &[u64], percent: usize) -> u64 {
    permille(sorted, percent * 10)
}

/// The same with so many in a thousand.
pub fn permille(sorted: &[u64], permille: usize) -> u64 {
    let place = (sorted.len() * permille).div_ceil(1_000).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: when a leader and a commit followed each heal, and the number that is to be within the limit. A cluster that
    /// is dead in the end has not recovered.
    #[test]
    fn a_recovery_is_as_long_as_the_later_of_leader_and_commit() {
        for (followed, longest) in [
            (&[][..], 0),
            (&[(Some(200), Some(300))], 300),
            // The last commit was before it was seen who leads.
            (&[(Some(400), Some(300)), (Some(10), Some(20))], 400),
            // Another heal came first.
            (&[(Some(400), None), (Some(10), Some(20))], 400),
            (&[(Some(10), Some(20)), (Some(10), None)], u64::MAX),
            (&[(None, None)], u64::MAX),
        ] {
            let recovery = |&(leader, commit)| Recovery { at: 1_000, leader, commit };
            let recoveries: Vec<_> = followed.iter().map(recovery).collect();
            assert_eq!(longest_recovery(&recoveries), longest, "{followed:?}");
        }
    }

    /// Each row: the ratio that a plan writes, and what is said where no operation began late enough to count.
    #[test]
    fn a_ratio_of_nothing_is_none() {
        for (written, verdict) in
            [("", Verdict::Pass), ("[check.liveness]\nok_ratio_after_heal = 0.9\n", Verdict::Inconclusive)]
        {
            let text = format!("schema = 1\nname = \"one\"\n{written}");
            let plan = Plan::parse(&text, "plan.toml", &[]).unwrap();
            let mut found = Found::default();
            found.progress(&plan, &Ran::default());
            assert_eq!(found.reasons.first().map_or(Verdict::Pass, |(verdict, _)| *verdict), verdict);
        }
    }

    /// Each row: numbers, a percentage, and the number that so many do not exceed.
    #[test]
    fn quantiles_are_numbers_that_occurred() {
        for (sorted, percent, expected) in [
            (&[][..], 50, 0),
            (&[7], 99, 7),
            (&[1, 2, 3, 4], 50, 2),
            (&[1, 2, 3, 4], 51, 3),
            (&[1, 2, 3, 4], 100, 4),
        ] {
            assert_eq!(quantile(sorted, percent), expected);
        }
        let thousand: Vec<u64> = (1..=1_000).collect();
        assert_eq!((permille(&thousand, 999), permille(&thousand[..999], 999)), (999, 999));
    }
}
