//! What a plan may ask of the simulated world only. It is refused by name where servers are processes.

use super::disks::OLD_COPY;
use super::mode::{EVENTS, NEXT};
use super::tree::event_name;
use super::walk::{Item, Section};
use super::{Mode, Process, Storage, unheard};

/// Actions that a server has to hear of, and why: its own store and its own timers make them true.
const TOLD: [(&str, &str); 2] = [
    (
        "clock",
        "all processes have this machine's clock, and only this tool's own node makes another one of it",
    ),
    (
        "disk",
        "all processes have this machine's disks, and only this tool's own node makes faulty ones of them",
    ),
];
/// What is to be done about that.
const OWN_NODES: &str = "leave it out, or leave process.node and upgrades out";

/// Actions that do something to what a server has on its disk, or after which it is to find there what it had.
const NEED_DISKS: [&str; 5] = ["crash", "stop", "wipe", "disk", "upgrade"];

/// Why nothing comes after a wipe of a server that is started by a command of the plan's.
const BOUND_TO_NO_LIFE: &str = "what a command of the plan's starts is bound to no life of its disk, and nobody notices a \
                                wiped one; leave it out, or leave process.node and upgrades out";
/// Why a server is not upgraded to one that is silent.
const FALLS_SILENT: &str =
    "what is started so does not tell what happens in it, as the others do; add {events}";

/// Notes all that a plan asks for which processes cannot do.
pub(super) fn refuse(root: &mut Section<'_>, mode: Mode, storage: Storage, process: &Process) {
    let upgrades: Vec<_> = steps(root).iter().filter_map(|step| deed(step, "upgrade")).collect();
    match mode {
        Mode::Process => {}
        Mode::Sim | Mode::Both => {
            for upgrade in &upgrades {
                upgrade.not_built(
                    "only a server that is a process is started by a command; write run.mode = \"process\", or leave it out",
                );
            }
        }
    }
    if mode == Mode::Sim {
        return;
    }
    if let Some(kind) = root.section("workload").get("kind").filter(|kind| kind.raw_text() == Some("lab")) {
        refused(&kind, "a test of the lab is one of the simulation");
    }
    let limits = root.section("check").get("limits");
    if let Some(limit) =
        limits.as_ref().and_then(Item::raw_section).and_then(|mut limits| limits.get("appends_in_flight"))
    {
        refused(&limit, "messages between processes are not looked into");
    }
    let are_own = process.node.is_none() && upgrades.is_empty();
    for step in steps(root) {
        refuse_in(&step, storage);
        if let Some(wipe) = deed(&step, "wipe").filter(|_| !are_own) {
            wipe.not_built(BOUND_TO_NO_LIFE);
        }
        for (word, why) in TOLD {
            if let Some(deed) = deed(&step, word).filter(|_| !are_own) {
                deed.not_built(&format!("{why}; {OWN_NODES}"));
            }
        }
        if let Some(node) = upgraded_to(&step).filter(|node| process.tells() && !has(node, EVENTS)) {
            node.not_built(FALLS_SILENT);
        }
    }
    let mut steps = steps(root).into_iter();
    let is_next = |step: Item<'_>| upgraded_to(&step).is_some_and(|node| has(&node, NEXT));
    if let Some(next) =
        root.section("process").get("next").filter(|_| process.next.is_some() && !steps.any(is_next))
    {
        next.wrong(
            "nothing is upgraded to it; write an event with do = \"upgrade\" and node = [\"{next}\", ...]",
        );
    }
    if !process.tells() {
        unheard::refuse(root);
    }
}

/// `do`, if that is it.
fn deed<'a>(step: &Item<'a>, word: &str) -> Option<Item<'a>> {
    step.raw_section()?.get("do").filter(|deed| deed.raw_text() == Some(word))
}

/// The command that servers are upgraded to, if that is it.
fn upgraded_to<'a>(step: &Item<'a>) -> Option<Item<'a>> {
    deed(step, "upgrade").and_then(|_| step.raw_section()?.get("node"))
}

/// Whether one of the words of a command has this in it.
fn has(command: &Item<'_>, word: &str) -> bool {
    command.raw_list().unwrap_or_default().iter().filter_map(Item::raw_text).any(|text| text.contains(word))
}

/// All events and all chaos.
pub(super) fn steps<'a>(root: &mut Section<'a>) -> Vec<Item<'a>> {
    let list = |item: Option<Item<'a>>| item.as_ref().and_then(Item::raw_list).unwrap_or_default();
    let (mut events, mut chaos) = (list(root.get("event")), list(root.get("chaos")));
    for (position, event) in events.iter_mut().enumerate() {
        event.key = format!("event.{}", event_name(event.node, position));
    }
    for (number, table) in (1..).zip(&mut chaos) {
        table.key = format!("chaos.{number}");
    }
    events.into_iter().chain(chaos).collect()
}

fn refuse_in(item: &Item<'_>, storage: Storage) {
    let Some(mut table) = item.raw_section() else { return };
    if let Some(deed) = table.get("do") {
        let word = deed.raw_text().unwrap_or_default();
        if storage == Storage::Memory && NEED_DISKS.contains(&word) {
            deed.not_built("what is in a process's memory is on no disk, and ends with it; write cluster.storage = \"rocksdb\"");
        }
    }
    if let Some(lose) = inner(&mut table, "disk", "lose").filter(|lose| lose.raw_text() == Some("unsynced")) {
        refused(&lose, "what the system was handed outlives a process, and its power is this machine's");
    }
    let damage = inner(&mut table, "disk", "damage");
    if let Some(damage) = damage.filter(|it| it.raw_text().is_some_and(|text| text.starts_with(OLD_COPY))) {
        refused(&damage, "nobody keeps copies of what is on this machine's disks");
    }
    if let Some(fsync) = inner(&mut table, "when", "fsync").filter(|fsync| fsync.raw_text() == Some("before"))
    {
        refused(&fsync, "a process is not held before it syncs");
    }
    if let Some(only) = table.get("only") {
        refused(&only, "a proxy treats all messages alike");
    }
}

fn inner<'a>(table: &mut Section<'a>, key: &'static str, inner: &'static str) -> Option<Item<'a>> {
    table.get(key)?.raw_section()?.get(inner)
}

fn refused(item: &Item<'_>, why: &str) {
    item.not_built(&format!("{why}; write run.mode = \"sim\", or leave it out"));
}

#[cfg(test)]
mod tests {
    use super::super::Plan;

    const HEAD: &str = "schema = 1\nname = \"p\"\nrun.mode = \"process\"\n";

    /// Each row: what a plan has, and the key that is refused where servers are processes, and the reason; all is taken where
    /// they are simulated.
    #[test]
    fn what_processes_cannot_do_is_refused_by_name() {
        let memory = "cluster.storage = \"memory\"\n";
        let event = |text: &str| format!("[[event]]\nname = \"it\"\n{text}");
        let chaos = |text: &str| format!("[[chaos]]\nevery = \"1s\"\n{text}");
        let own = "process.node = [\"n\", \"{events}\"]\n";
        let upgrade = "\n[[event]]\ndo = \"upgrade\"\ntarget = 1\nnode = [\"n\", \"{events}\"]";
        for (text, key, why) in [
            (
                format!("{own}{}", event("do = \"clock\"\ntarget = \"one\"\nclock.jump = \"1s\"")),
                "event.it.do",
                "machine's clock",
            ),
            (
                format!("{}{upgrade}", chaos("do = \"clock\"\ntarget = \"one\"\nclock.drift = \"+1%\"")),
                "chaos.1.do",
                "machine's clock",
            ),
            (
                format!("{own}{}", event("do = \"disk\"\ntarget = 1\ndisk.fsync = \"error\"")),
                "event.it.do",
                "machine's disks",
            ),
            (
                format!("{memory}{}", chaos("do = \"disk\"\ntarget = 1\ndisk.fsync = \"error\"")),
                "chaos.1.do",
                "storage = \"rocksdb\"",
            ),
            (event("do = \"crash\"\ntarget = 1\ndisk.lose = \"unsynced\""), "event.it.disk.lose", "power"),
            (
                event("do = \"stop\"\ntarget = 1\ndisk.damage = \"old-copy:1s\""),
                "event.it.disk.damage",
                "copies",
            ),
            (chaos("do = \"link\"\nlink.loss = \"5%\"\nonly = [\"vote\"]"), "chaos.1.only", "proxy"),
            (event("do = \"heal\"\nwhen.fsync = \"before\""), "event.it.when.fsync", "held"),
            (
                format!("{memory}{}", event("do = \"crash\"\ntarget = 1")),
                "event.it.do",
                "storage = \"rocksdb\"",
            ),
            (
                format!("{memory}{}", event("do = \"wipe\"\ntarget = 1")),
                "event.it.do",
                "storage = \"rocksdb\"",
            ),
            (
                format!("{memory}{}", chaos("do = \"stop\"\ntarget = 1")),
                "chaos.1.do",
                "storage = \"rocksdb\"",
            ),
            (
                format!("{memory}{}", event("do = \"upgrade\"\ntarget = 1\nnode = [\"n\", \"{events}\"]")),
                "event.it.do",
                "storage = \"rocksdb\"",
            ),
            (event("do = \"upgrade\"\ntarget = 1\nnode = [\"n\"]"), "event.it.node", "add {events}"),
            (
                format!("process.node = [\"n\", \"{{events}}\"]\n{}", event("do = \"wipe\"\ntarget = 1")),
                "event.it.do",
                "life of its disk",
            ),
            ("workload = { kind = \"lab\", test = \"figure-8\" }".to_owned(), "workload.kind", "lab"),
        ] {
            let text = format!("{HEAD}{text}\n");
            let errors = Plan::parse(&text, "plan.toml", &[]).expect_err(&text);
            let [mistake] = errors.mistakes() else { panic!("{errors}") };
            assert_eq!((mistake.key.as_str(), errors.exit_code()), (key, 69), "{errors}");
            assert!(mistake.what.contains(why), "{why:?} is not in {mistake}");
            let simulated = Plan::parse(&text, "plan.toml", &["run.mode=sim".to_owned()]);
            assert_eq!(simulated.is_ok(), !text.contains("upgrade"), "{text}: {simulated:?}");
        }
    }

    /// Each row: what a plan has that processes can do.
    #[test]
    fn what_processes_can_do_is_taken() {
        let memory = "cluster.storage = \"memory\"\n";
        for text in [
            "",
            &format!("{memory}[[event]]\ndo = \"pause\"\ntarget = \"leader\""),
            "[[event]]\ndo = \"crash\"\ntarget = \"leader\"\nwhen.fsync = \"after\"\ndisk.damage = \"delete:wal\"",
            "[[event]]\ndo = \"disk\"\ntarget = \"leader\"\ndisk = { fsync = \"hang\", write = \"enospc\", read = \"bitflip\" }",
            "[[chaos]]\nevery = \"1s\"\ndo = \"clock\"\ntarget = \"one\"\nclock = { drift = \"-1%\", jump = \"1s\" }",
            "[[chaos]]\nevery = \"1s\"\ndo = \"link\"\nlink = { loss = \"5%\", rate = \"1mbit\", reset = \"1%\" }",
        ] {
            let text = format!("{HEAD}{text}\n");
            let plan = Plan::parse(&text, "plan.toml", &[]).unwrap_or_else(|errors| panic!("{errors}"));
            // All of it takes 3 + 30 + 10 s.
            assert_eq!(plan.run.max_wall.as_secs(), 103);
            let again = Plan::parse(&plan.lock(7), "plan.lock.toml", &[]).map(|again| again.run.mode);
            assert_eq!(again, Ok(plan.run.mode));
        }
    }
}
