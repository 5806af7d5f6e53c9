//! A run, phase by phase: what fires, what is noted on the way, and what came of it.

use std::io::{self, Write};
use std::time::Duration;

use raft_core::{Term, Time};

use super::evidence;
use super::faults::Faults;
use super::hosts::Hosts;
use super::progress::{Miss, Progress};
use super::pulse::{Beat, Pulse, Watcher};
use super::ran::{Firing, Operations, Ran, Recovery, Violation, when};
use super::tally::Tally;
use super::trace::{Happening, Trace};
use super::workload::Clients;
use super::world::World;
use super::{millis, nanos, violation};
use crate::plan::Plan;

/// A run that goes on.
pub(super) struct Run<'a, H> {
    plan: &'a Plan,
    hosts: H,
    world: World,
    clients: Clients,
    faults: Faults,
    progress: Progress,
    recoveries: Vec<Recovery>,
    files: Files,
    beat: Option<Beat>,
}

impl<'a, H: Hosts> Run<'a, H> {
    pub(super) fn new(plan: &'a Plan, hosts: H, world: World, clients: Clients, faults: Faults) -> Self {
        let progress = Progress::new(&plan.check.liveness);
        Self {
            plan,
            hosts,
            world,
            clients,
            faults,
            progress,
            recoveries: Vec::new(),
            files: Files::default(),
            beat: None,
        }
    }

    /// The same, with the history and the schedule written down as they happen.
    pub(super) fn writing(
        self,
        history: Option<Box<dyn Write + Send>>,
        schedule: Option<Box<dyn Write + Send>>,
    ) -> Self {
        Self { files: Files { history, schedule, ..Files::default() }, ..self }
    }

    /// The same, with somebody who hears from time to time how it stands.
    pub(super) fn watched(self, watcher: Option<Watcher>) -> Self {
        Self { beat: watcher.map(Beat::new), ..self }
    }
}

/// Where the history and the schedule go as they happen, and how much of them is there.
#[derive(Default)]
struct Files {
    history: Option<Box<dyn Write + Send>>,
    events_written: usize,
    schedule: Option<Box<dyn Write + Send>>,
    firings_written: usize,
}

/// What there was at the end of the warm-up.
struct Warm {
    leaders: usize,
    term: Term,
    tally: Tally,
    /// What it had to bring and did not.
    cold: Option<String>,
}

impl<H: Hosts> Run<'_, H> {
    pub(super) fn play(mut self) -> io::Result<Ran> {
        let run = &self.plan.run;
        self.phase("warm-up");
        self.advance_to(run.warmup)?;
        let warm = Warm {
            leaders: self.world.leaders().len(),
            term: self.world.highest_term(),
            tally: self.world.tally(),
            cold: self.cold(),
        };
        self.phase("faults");
        self.advance_to(run.warmup + run.duration)?;
        self.phase("all is healed");
        let healed = self.hosts.elapsed();
        self.advance_to(run.warmup + run.duration + run.settle)?;
        let (cut_short, end) = (self.is_over(), self.hosts.elapsed());
        let owed = self
            .progress
            .commits_owed_since()
            .is_some_and(|since| since.as_nanos() <= nanos(healed + run.settle / 2));
        if cut_short {
            self.tell_servers();
        } else {
            // With nothing left to settle, what is due at this very moment is undone all the same.
            self.faults.advance(Time::ZERO.after(self.hosts.elapsed()), &mut self.hosts);
            self.faults.finish();
            self.drain();
            if owed {
                self.world.needs_acknowledged(self.clients.acknowledged());
            }
            self.write_down()?;
        }
        let event_hash = self.world.trace(|trace| trace.hash());
        Ok(Ran { cut_short, ..self.result(warm, (healed, end), owed, event_hash)? })
    }

    /// Whether the last event has come that anybody wants.
    fn is_over(&self) -> bool {
        self.hosts.is_over() || self.world.trace(|trace| trace.is_over())
    }

    /// What every server is at the end of a run that was cut short.
    fn tell_servers(&self) {
        let now = Time::ZERO.after(self.hosts.elapsed());
        for (id, server) in self.world.servers() {
            let how = match (server.running, server.paused) {
                (false, _) => "is down",
                (true, 0) => "runs",
                (true, _) => "is paused",
            };
            let (role, term, snapshot) = (server.role, server.term, server.snapshot);
            let text = format!("{id} {how}: {role} in {term}, its snapshot goes up to {snapshot}");
            self.world.trace(|trace| trace.tell(now, &text));
        }
    }

    fn phase(&self, phase: &'static str) {
        self.world.set_now(Time::ZERO.after(self.hosts.elapsed()));
        self.world.happened(&Happening::Phase { phase: phase.into() });
    }

    fn advance_to(&mut self, end: Duration) -> io::Result<()> {
        while self.hosts.elapsed() < end && !self.is_over() {
            let now = Time::ZERO.after(self.hosts.elapsed());
            self.world.set_now(now);
            self.faults.advance(now, &mut self.hosts);
            self.hosts.step();
            if self.plan.is_heard() {
                self.progress.advance(now, &self.world, &self.clients.wishes());
            }
            self.recover(now);
            self.write_down()?;
            self.tell_watcher();
        }
        Ok(())
    }

    /// Whoever watches hears from time to time how it stands.
    fn tell_watcher(&mut self) {
        let Some(beat) = &mut self.beat else { return };
        let is_heard = self.plan.is_heard();
        beat.tell(|| Pulse {
            virtual_s: self.hosts.elapsed().as_secs_f64(),
            ok: self.clients.ok() as u64,
            elections: is_heard.then(|| self.world.leaders().len() as u64),
            faults: self.faults.in_force(),
        });
    }

    /// No operation begins any more; those under way come to their ends, which takes no longer than
    /// they may.
    fn drain(&mut self) {
        self.clients.stop();
        while self.clients.is_waiting() {
            self.world.set_now(Time::ZERO.after(self.hosts.elapsed()));
            self.hosts.step();
        }
    }

    /// Writes down what the last tick brought.
    fn write_down(&mut self) -> io::Result<()> {
        let files = &mut self.files;
        if let Some(file) = &mut files.history {
            files.events_written = self.clients.write_history(files.events_written, file)?;
            file.flush()?;
        }
        if let Some(file) = &mut files.schedule {
            for fired in &self.faults.fired()[files.firings_written..] {
                writeln!(file, "{}", serde_json::to_string(fired)?)?;
            }
            files.firings_written = self.faults.fired().len();
            file.flush()?;
        }
        self.world.trace(Trace::flush)
    }

    /// What a warm-up has to bring and this one did not.
    fn cold(&self) -> Option<String> {
        if self.plan.run.warmup.is_zero() {
            None
        } else if self.plan.is_heard() && self.world.leaders().is_empty() {
            Some(format!("the warm-up of {:?} ended without a leader", self.plan.run.warmup))
        } else if self.clients.ok() == 0 {
            Some(format!("the warm-up of {:?} ended without one operation that was ok", self.plan.run.warmup))
        } else {
            None
        }
    }

    fn recover(&mut self, now: Time) {
        if let Some(&heal) = self.faults.heals().get(self.recoveries.len()) {
            self.recoveries.push(Recovery { at: millis(heal.since(Time::ZERO)), leader: None, commit: None });
        }
        let Some(last) = self.recoveries.last_mut().filter(|last| last.commit.is_none()) else { return };
        let heal = Time::from_nanos(last.at * 1_000_000);
        if last.leader.is_none() && self.progress.is_led() {
            last.leader = Some(millis(now.since(heal)));
        }
        let (_, committed) = self.world.committed();
        if last.leader.is_some() && committed >= heal {
            last.commit = Some(millis(committed.since(heal)));
        }
    }

    /// What came of it. All was `healed`, and no operation began after the `end`.
    fn result(
        mut self,
        warm: Warm,
        (healed, end): (Duration, Duration),
        owed: bool,
        event_hash: u64,
    ) -> io::Result<Ran> {
        let virtual_time = self.hosts.elapsed();
        let in_order = match self.hosts.end()? {
            Some(in_order) => {
                if owed {
                    in_order.needs_acknowledged(self.clients.acknowledged());
                }
                in_order
            }
            None => self.world.clone(),
        };
        let (history, ended) = self.clients.take();
        let began = Time::ZERO.after(self.plan.run.warmup);
        let end = Time::ZERO.after(end);
        let from = Time::ZERO.after(healed + self.plan.check.liveness.commit_within);
        let operations = Operations::of(&ended, began, end, from, owed);
        let firing = |firing: &evidence::Firing| Firing {
            event: firing.event.clone(),
            time_ns: firing.time_ns,
            evidence: serde_json::to_value(&firing.evidence).unwrap_or_default(),
            had_effect: firing.evidence.had_effect(),
        };
        let violation = |violation: &violation::Violation| Violation {
            time_ns: violation.at.as_nanos(),
            property: violation.property,
            nodes: violation.nodes.clone(),
            sentence: violation.to_string(),
        };
        let firings: Vec<_> = self.faults.firings().iter().map(firing).collect();
        let missed = |miss: Miss| format!("{} {}", miss.what, when(miss.at.as_nanos(), &firings));
        let missed = [self.progress.no_leader, self.progress.no_commit].into_iter().flatten().map(missed);
        let missed = missed.chain(self.faults.unmet().iter().cloned()).collect();
        let servers = self.world.servers();
        let tally = self.world.tally().since(warm.tally);
        Ok(Ran {
            history,
            witness: in_order.witness(),
            violations: in_order.violations().iter().map(violation).collect(),
            ends: self.world.ends(),
            firings,
            skipped: self.faults.skipped(),
            unfired: self.faults.unfired(),
            missed,
            cold: warm.cold,
            cut_short: false,
            recoveries: self.recoveries,
            operations,
            elections: (self.world.leaders().len() - warm.leaders) as u64,
            terms: self.world.highest_term().get() - warm.term.get(),
            snapshots_taken: tally.snapshots_taken,
            snapshots_installed: tally.snapshots_installed,
            append_rejections: tally.append_rejections,
            appends_in_flight: self.world.appends_in_flight(),
            commands_repeated: tally.commands_repeated,
            sessions_expired: tally.sessions_expired,
            entries_repaired: tally.entries_repaired,
            coverage: self.world.coverage(),
            committed: self.world.committed().0,
            restarts: servers.values().map(|server| server.life.saturating_sub(1)).sum(),
            event_hash,
            virtual_time,
        })
    }
}
