//! `plan explain`: what a seed will bring, told before it is run.

use std::time::Duration;

use crate::plan::{Entry, Plan, Timeline};

/// What this seed of the plan will bring, for people or as one JSON object.
pub fn explain(plan: &Plan, seed: u64, json: bool) -> String {
    let timeline = plan.timeline(seed);
    if json {
        return serde_json::to_string(&timeline).unwrap_or_default();
    }
    told(plan, &timeline).join("\n")
}

fn told(plan: &Plan, timeline: &Timeline) -> Vec<String> {
    let (run, cluster) = (&plan.run, &plan.cluster);
    let mut lines = vec![
        format!(
            "plan      {}   {} voters, {} learners, {} spares; seed {}",
            plan.name, cluster.voters, cluster.learners, cluster.spares, timeline.seed
        ),
        format!(
            "time      {:?} of warm-up before 0 s, {:?} of faults, {:?} to settle",
            run.warmup, run.duration, run.settle
        ),
    ];
    if !timeline.off.is_empty() {
        lines.push(format!("off       {} with this seed", timeline.off.join(" ")));
    }
    lines.extend(timeline.entries.iter().map(entry));
    lines.extend(timeline.more.iter().map(|name| format!("    and more of {name}")));
    lines.push(format!("  {} everything is healed that is not for ever", at(timeline.duration_ns)));
    if timeline.entries.iter().any(|entry| !entry.waits.is_empty()) {
        lines.push("          >= is not before that, and once what is in brackets holds".to_owned());
    }
    if !plan.chaos.is_empty() {
        let budget = &plan.budget;
        lines.push(format!(
            "          chaos is skipped where there is nobody to do it to, or that the budget does not admit: \
down_or_cut {}, disk_loss {}",
            budget.down_or_cut.name(),
            budget.disk_loss.name()
        ));
    }
    lines
}

fn entry(entry: &Entry) -> String {
    let sign = if entry.waits.is_empty() { "  " } else { ">=" };
    let mut line = format!("{sign}{} {}: {}", at(entry.time_ns), entry.event, entry.does);
    if let Some(length) = entry.for_ns.filter(|_| entry.waits.is_empty()) {
        line.push_str(&format!("   until {}", at(entry.time_ns + length).trim_start()));
    }
    if !entry.waits.is_empty() {
        line.push_str(&format!("   [{}]", entry.waits.join(", ")));
    }
    line
}

fn at(nanos: u64) -> String {
    format!("{:>9.3} s", Duration::from_nanos(nanos).as_secs_f64())
}
