//! The plan written down with all its values, for one seed: `plan.lock.toml`.
//!
//! What is read from it is the same plan; a test holds both to it.

use std::fmt::{Display, Write};

use super::actions::{EXPECTS, STEPS};
use super::disks::{down_text, faults_text};
use super::links;
use super::sections::OPERATIONS;
use super::targets::{Split, Target};
use super::values::{Count, print_duration};
use super::{
    Action, Budget, Change, Chaos, Check, Cluster, Damage, Event, Expect, Loss, Plan, Range, Reads, Retries,
    Route, Step, Trigger, Undo, When, Workload,
};

impl Plan {
    /// The plan for this seed, as TOML. Reading it gives this plan, with this seed as its only one.
    pub fn lock(&self, seed: u64) -> String {
        let mut lock = Lock(String::new());
        lock.line("# Every value of one run. Running this file is the same run again.");
        lock.value("schema", 1);
        lock.value("name", quoted(&self.name));
        lock.value("about", quoted(&self.about));
        lock.value("tags", list(self.tags.iter().map(|tag| quoted(tag))));
        lock.run(self, seed);
        if let Some(test) = self.workload.test {
            lock.line("\n[workload]");
            lock.value("kind", quoted("lab"));
            lock.value("test", quoted(test.name));
            return lock.0;
        }
        lock.cluster(&self.cluster);
        lock.workload(&self.workload);
        for event in &self.events {
            lock.event(event);
        }
        for (chaos, kept) in self.chaos.iter().zip(self.kept(seed)) {
            lock.chaos(chaos, (self.run.swarm || chaos.off.is_some()).then_some(!kept));
        }
        lock.budget(&self.budget);
        lock.check(&self.check);
        lock.0
    }
}

/// An action as a plan writes it, on one line.
pub(super) fn action_text(action: &Action) -> String {
    let mut lock = Lock(String::new());
    lock.action(action);
    lock.0.trim_end().replace('\n', ", ")
}

struct Lock(String);

impl Lock {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn value(&mut self, key: &str, value: impl Display) {
        writeln!(self.0, "{key} = {value}").expect("a String takes all that is written to it");
    }

    fn run(&mut self, plan: &Plan, seed: u64) {
        let run = &plan.run;
        self.line("\n[run]");
        self.value("mode", quoted(run.mode.name()));
        // TOML's integers end at 2^63.
        match i64::try_from(seed) {
            Ok(seed) => self.value("seeds", seed),
            Err(_) => self.value("seeds", quoted(&seed.to_string())),
        }
        for (key, duration) in [
            ("warmup", run.warmup),
            ("duration", run.duration),
            ("settle", run.settle),
            ("max_wall", run.max_wall),
        ] {
            self.value(key, quoted(&print_duration(duration)));
        }
        self.value("swarm", run.swarm);
        self.line("\n[sim]");
        self.value("tick", quoted(&print_duration(plan.sim.tick)));
        let link = &plan.sim.link;
        let mut text = format!(
            "{{ delay = {}, jitter = {}",
            quoted(&print_duration(link.delay)),
            quoted(&print_duration(link.jitter))
        );
        if let Some((extra, share)) = link.tail {
            let tail = format!("{}@{}", print_duration(extra), share.print_percent());
            text.push_str(&format!(", tail = {}", quoted(&tail)));
        }
        self.value("link", format!("{text} }}"));
        self.value("shuffle_hosts", plan.sim.shuffle_hosts);
        self.value("recheck", plan.sim.recheck);
        self.line("\n[process]");
        if let Some(words) = &plan.process.node {
            self.value("node", words_text(words));
        }
        if let Some(next) = &plan.process.next {
            self.value("next", quoted(next));
        }
        self.value("keep_data_on_failure", plan.process.keep_data_on_failure);
    }

    fn cluster(&mut self, cluster: &Cluster) {
        self.line("\n[cluster]");
        self.value("voters", cluster.voters);
        self.value("learners", cluster.learners);
        self.value("spares", cluster.spares);
        self.value("storage", quoted(cluster.storage.name()));
        let (min, max) = cluster.election_timeout;
        self.value("election_timeout", list([min, max].map(|end| quoted(&print_duration(end)))));
        self.value("heartbeat", quoted(&print_duration(cluster.heartbeat)));
        self.value("snapshot_every", cluster.snapshot_every);
        self.value("snapshot_trailing", cluster.snapshot_trailing);
        self.value("snapshot_chunk", quoted(&format!("{}B", cluster.snapshot_chunk)));
        self.value("log_cache", quoted(&format!("{}B", cluster.log_cache)));
        let read = match cluster.read {
            Reads::Log => "\"log\"".to_owned(),
            Reads::ReadIndex => "\"read-index\"".to_owned(),
            Reads::Lease { drift } => format!("\"lease\", lease_drift = {}", quoted(&drift.print_percent())),
        };
        self.value("features", format!("{{ prevote = {}, read = {read} }}", cluster.prevote));
    }

    fn workload(&mut self, workload: &Workload) {
        self.line("\n[workload]");
        self.value("kind", quoted(workload.kind.name()));
        self.value("clients", workload.clients);
        self.value("rate", workload.rate);
        self.value("value", quoted(&format!("{}B", workload.value)));
        let keys = &workload.keys;
        let (live, ops, clients) = (keys.live, keys.ops_per_key, keys.clients_per_key);
        self.value("keys", format!("{{ live = {live}, ops_per_key = {ops}, clients_per_key = {clients} }}"));
        let weights = OPERATIONS.iter().filter_map(|(word, operation)| {
            let (_, weight) = workload.mix.iter().find(|(other, _)| other == operation)?;
            Some(format!("{word} = {weight}"))
        });
        self.value("mix", format!("{{ {} }}", weights.collect::<Vec<_>>().join(", ")));
        self.value("op_timeout", quoted(&print_duration(workload.op_timeout)));
        match workload.retries {
            Retries::None => self.value("retries", quoted("none")),
            Retries::Session { sessions } => {
                self.value("retries", quoted("session"));
                self.value("sessions", sessions);
            }
        }
        match workload.route {
            Route::Leader => self.value("route", quoted("leader")),
            Route::Any => self.value("route", quoted("any")),
            Route::Sticky => self.value("route", quoted("sticky")),
            Route::Node(id) => self.value("route", id.get()),
        }
    }

    fn event(&mut self, event: &Event) {
        self.line("\n[[event]]");
        self.value("name", quoted(&event.name));
        self.value("when", format!("{{ {} }}", when_text(&event.when).join(", ")));
        self.value("optional", event.optional);
        self.action(&event.action);
    }

    fn chaos(&mut self, chaos: &Chaos, off: Option<bool>) {
        self.line("\n[[chaos]]");
        self.value("every", quoted(&print_duration(chaos.every)));
        self.value("weight", chaos.weight);
        if let Some(off) = off {
            self.value("off", off);
        }
        self.action(&chaos.action);
    }

    fn budget(&mut self, budget: &Budget) {
        self.line("\n[budget]");
        let values = [
            ("down_or_cut", budget.down_or_cut.name().to_owned()),
            ("disk_loss", budget.disk_loss.name().to_owned()),
            ("max_clock_error", print_duration(budget.max_clock_error)),
        ];
        for ((key, value), written) in values.into_iter().zip(budget.written) {
            // What is written may be broken by no event.
            if written {
                self.value(key, quoted(&value));
            } else {
                self.line(&format!("# {key} = {}, for chaos only", quoted(&value)));
            }
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Heal => self.value("do", quoted("heal")),
            Action::Partition { split, undo } => {
                self.value("do", quoted("partition"));
                self.value("split", split_text(split));
                self.undo("for", undo);
            }
            Action::Crash { target, undo, loss, damage } => {
                self.on_target("crash", target, "restart_after", undo);
                self.down(*loss, *damage);
            }
            Action::Stop { target, undo, damage } => {
                self.on_target("stop", target, "restart_after", undo);
                self.down(Loss::None, *damage);
            }
            Action::Disk { target, fault, undo } => {
                self.on_target("disk", target, "for", undo);
                self.value("disk", faults_text(fault));
            }
            Action::Link { target, fault, undo } => {
                self.value("do", quoted("link"));
                self.value("target", links::target_text(target));
                self.value("link", fault);
                links::only_text(fault).into_iter().for_each(|only| self.value("only", only));
                self.undo("for", undo);
            }
            Action::Clock { target, fault, undo } => {
                self.on_target("clock", target, "for", undo);
                self.value("clock", fault);
            }
            Action::IsolateClient { target, undo } => self.on_target("isolate-client", target, "for", undo),
            Action::Pause { target, undo } => self.on_target("pause", target, "for", undo),
            Action::Snapshot { target } => {
                self.value("do", quoted("snapshot"));
                self.value("target", target_text(target));
            }
            Action::Upgrade { target, node } => {
                self.value("do", quoted("upgrade"));
                self.value("target", target_text(target));
                self.value("node", words_text(node));
            }
            Action::Wipe { target, restart_after } => {
                self.value("do", quoted("wipe"));
                self.value("target", target_text(target));
                self.value("restart_after", range_text(*restart_after));
            }
            Action::Membership { change, target, via, expect } => {
                self.value("do", quoted("membership"));
                self.value("change", change_text(change));
                if let Some(target) = target {
                    self.value("target", target_text(target));
                }
                self.value("via", target_text(via));
                self.expect(*expect);
            }
            Action::Transfer { to, expect } => {
                self.value("do", quoted("transfer"));
                self.value("to", target_text(to));
                self.expect(*expect);
            }
        }
    }

    fn expect(&mut self, expect: Option<Expect>) {
        let word = EXPECTS.iter().find(|(_, known)| Some(*known) == expect);
        if let Some((word, _)) = word {
            self.value("expect", quoted(word));
        }
    }

    fn on_target(&mut self, word: &str, target: &Target, key: &str, undo: &Undo) {
        self.value("do", quoted(word));
        self.value("target", target_text(target));
        self.undo(key, undo);
    }

    fn down(&mut self, loss: Loss, damage: Option<Damage>) {
        if let Some(disk) = down_text(loss, damage) {
            self.value("disk", disk);
        }
    }

    fn undo(&mut self, key: &str, undo: &Undo) {
        match undo {
            Undo::After(range) => self.value(key, range_text(*range)),
            Undo::AtEnd => {}
            Undo::Never => self.value("heal", false),
        }
    }

    fn check(&mut self, check: &Check) {
        self.line("\n[check]");
        match &check.linearizable {
            None => self.value("linearizable", false),
            Some(how) => {
                let engine = quoted(how.engine.name());
                let timeout = quoted(&print_duration(how.timeout));
                let memory = quoted(&format!("{}B", how.memory));
                self.value(
                    "linearizable",
                    format!("{{ engine = {engine}, timeout = {timeout}, memory = {memory} }}"),
                );
            }
        }
        self.value("invariants", list(check.invariants.iter().map(|invariant| quoted(invariant.name()))));
        self.line("[check.liveness]");
        self.value("leader_within", quoted(&print_duration(check.liveness.leader_within)));
        self.value("commit_within", quoted(&print_duration(check.liveness.commit_within)));
        match check.liveness.ok_ratio_after_heal {
            Some(ratio) => self.value("ok_ratio_after_heal", ratio),
            None => self.line("# ok_ratio_after_heal: 0.99 if progress is owed in settle"),
        }
        self.line("[check.limits]");
        for (limit, count) in &check.limits {
            self.value(limit.name(), quoted(&count.to_string()));
        }
        self.line("[check.evidence]");
        let evidence = &check.evidence;
        let counts = [
            ("ops_ok", Some(evidence.ops_ok)),
            ("elections", evidence.elections),
            ("snapshots_installed", evidence.snapshots_installed),
            ("commands_repeated", evidence.commands_repeated),
            ("sessions_expired", evidence.sessions_expired),
            ("entries_repaired", evidence.entries_repaired),
        ];
        for (key, count) in counts {
            if let Some(count) = count.as_ref().map(Count::to_string) {
                self.value(key, quoted(&count));
            }
        }
        self.value("every_event_fired", evidence.every_event_fired);
        self.value("every_fault_had_effect", evidence.every_fault_had_effect);
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn words_text(words: &[String]) -> String {
    list(words.iter().map(|word| quoted(word)))
}

pub(super) fn range_text((min, max): Range) -> String {
    if min == max {
        return quoted(&print_duration(min));
    }
    list([min, max].map(|end| quoted(&print_duration(end))))
}

/// `when`, key by key, as a plan writes it.
pub(super) fn when_text(when: &When) -> Vec<String> {
    let mut text = Vec::new();
    for (key, duration) in [("at", when.at), ("every", when.every), ("after", when.after)] {
        text.extend(duration.map(|duration| format!("{key} = {}", quoted(&print_duration(duration)))));
    }
    text.extend(when.times.map(|times| format!("times = {times}")));
    text.extend(when.event.as_ref().map(|name| format!("event = {}", quoted(name))));
    text.extend(when.leader_elected.then(|| "leader = \"elected\"".to_owned()));
    for (key, count) in [("term", when.term), ("commit", when.commit)] {
        text.extend(count.map(|count| format!("{key} = {}", quoted(&count.to_string()))));
    }
    let with: Vec<_> = when.with.iter().map(ToString::to_string).collect();
    text.extend((!with.is_empty()).then(|| format!("with = {}", quoted(&with.join(" and ")))));
    text.extend(when.trigger.iter().flat_map(trigger_text));
    text.extend(when.nth.map(|nth| format!("nth = {nth}")));
    text
}

fn trigger_text(trigger: &Trigger) -> Vec<String> {
    let (key, word) = trigger.moment.words();
    let mut text = vec![format!("{key} = {}", quoted(word))];
    text.extend(trigger.chunk.map(|chunk| format!("chunk = {chunk}")));
    text.extend(trigger.on.as_ref().map(|on| format!("on = {}", target_text(on))));
    text
}

fn change_text(change: &Change) -> String {
    let ids = |ids: &Vec<raft_core::NodeId>| list(ids.iter().map(|id| id.get().to_string()));
    let word = |step: &Step| STEPS.iter().find(|(_, known)| known == step).map_or("", |(word, _)| word);
    match change {
        Change::Any(steps) => list(steps.iter().map(|step| quoted(word(step)))),
        Change::Voters { from, to } => list([from, to].map(ids)),
    }
}

pub(super) fn target_text(target: &Target) -> String {
    if let Target::Ids(_) = target { target.to_string() } else { quoted(&target.to_string()) }
}

fn split_text(split: &Split) -> String {
    match split {
        Split::Isolate(target) => format!("{{ isolate = {} }}", target_text(target)),
        Split::Groups(groups) => {
            let group = |ids: &Vec<raft_core::NodeId>| list(ids.iter().map(|id| id.get().to_string()));
            format!("{{ groups = {} }}", list(groups.iter().map(group)))
        }
        Split::Cut(links) => {
            let link = links.iter().map(|(a, b)| format!("[{}, {}]", a.get(), b.get()));
            format!("{{ cut = {} }}", list(link))
        }
        Split::Any(shapes) => {
            format!("{{ any = {} }}", list(shapes.iter().map(|shape| quoted(&shape.to_string()))))
        }
    }
}
