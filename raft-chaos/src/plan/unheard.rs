//! What a plan may not ask for where its servers do not tell what happens in them: `process.node` without `{events}`. Who
//! leads, what is in logs and what was committed nobody knows there.

use super::moments::MOMENTS;
use super::real::steps;
use super::walk::{Item, Section};

/// Keys of `when` that are no moments and take to hear of servers.
const STATES: [&str; 4] = ["leader", "term", "commit", "with"];
/// Words for servers that name what these do.
const ROLES: [&str; 7] =
    ["leader", "stale-leader", "follower", "candidate", "learner", "spare", "longest-log"];
/// Actions of which it would not be known what came of them.
const DEEDS: [&str; 3] = ["membership", "transfer", "snapshot"];
/// What a proxy does between frames only.
const OF_FRAMES: [&str; 4] = ["loss", "duplicate", "reorder", "corrupt"];
/// Numbers of the result that are not counted.
const LIMITS: [&str; 4] = ["elections", "terms", "recovery_ms", "append_rejections"];
const EVIDENCE: [&str; 5] =
    ["elections", "snapshots_installed", "commands_repeated", "sessions_expired", "entries_repaired"];

/// Notes all of it.
pub(super) fn refuse(root: &mut Section<'_>) {
    for step in steps(root) {
        if let Some(table) = step.raw_section() {
            refuse_in(table);
        }
    }
    let Some(mut check) = root.get("check").as_ref().and_then(Item::raw_section) else { return };
    for (key, keys) in [("limits", &LIMITS[..]), ("evidence", &EVIDENCE)] {
        refuse_keys(&mut check, key, keys, "it is not counted");
    }
    let how = check.get("linearizable").as_ref().and_then(Item::raw_section);
    let engine = how.and_then(|mut how| how.get("engine"));
    if let Some(engine) = engine.filter(|engine| engine.raw_text() == Some("witness")) {
        refused(&engine, "there is no witness");
    }
}

fn refuse_in(mut table: Section<'_>) {
    if let Some(deed) =
        table.get("do").filter(|deed| deed.raw_text().is_some_and(|word| DEEDS.contains(&word)))
    {
        refused(&deed, "what comes of it is not known");
    }
    let moments = MOMENTS.iter().map(|(key, ..)| *key).filter(|key| !STATES.contains(key));
    let mut keys: Vec<_> = STATES.into_iter().chain(moments).collect();
    keys.dedup();
    refuse_keys(&mut table, "when", &keys, "when that is nobody knows");
    refuse_keys(&mut table, "link", &OF_FRAMES, "where a message begins and ends is not known");
    let mut whom: Vec<_> =
        ["target", "via", "to", "split"].into_iter().filter_map(|key| table.get(key)).collect();
    if let Some(mut split) = whom.last().and_then(Item::raw_section) {
        whom.extend(split.get("isolate"));
        whom.extend(split.get("any").as_ref().and_then(Item::raw_list).unwrap_or_default());
    }
    for item in whom {
        let word = item.raw_text().unwrap_or_default();
        let sides = word.strip_prefix("oneway:").unwrap_or(word).split("->");
        if sides.into_iter().any(|side| ROLES.contains(&side)) {
            refused(&item, "who that is nobody knows");
        }
    }
}

fn refuse_keys(table: &mut Section<'_>, key: &'static str, keys: &[&'static str], why: &str) {
    let Some(mut inner) = table.get(key).as_ref().and_then(Item::raw_section) else { return };
    for item in keys.iter().filter_map(|key| inner.get(key)).collect::<Vec<_>>() {
        refused(&item, why);
    }
}

fn refused(item: &Item<'_>, why: &str) {
    item.not_built(&format!("{why}; add {{events}} to process.node, or leave it out"));
}

#[cfg(test)]
mod tests {
    use super::super::Plan;

    const HEAD: &str = "schema = 1\nname = \"p\"\nrun.mode = \"process\"\n";
    const NODE: &str = "process.node = [\"node\", \"{id}\", \"{addr}\", \"{peers}\", \"{data_dir}\"";

    /// Each row: what a plan has, and the keys that are refused where nothing is heard of servers; all is taken where it is.
    #[test]
    fn what_has_to_be_heard_of_is_refused_by_name() {
        let event = |text: &str| format!("[[event]]\nname = \"it\"\n{text}\n");
        for (text, keys) in [
            (event("do = \"crash\"\ntarget = \"leader\""), &["event.it.target"][..]),
            (event("do = \"snapshot\"\ntarget = 1"), &["event.it.do"]),
            (event("do = \"transfer\"\nto = \"follower\""), &["event.it.do", "event.it.to"]),
            (event("do = \"heal\"\nwhen = { leader = \"elected\" }"), &["event.it.when.leader"]),
            (event("do = \"heal\"\nwhen = { vote = \"granted\" }"), &["event.it.when.vote"]),
            (event("do = \"heal\"\nwhen = { commit = 9 }"), &["event.it.when.commit"]),
            (event("do = \"partition\"\nsplit = { isolate = \"longest-log\" }"), &["event.it.split.isolate"]),
            (event("do = \"partition\"\nsplit = \"oneway:leader->1\""), &["event.it.split"]),
            (event("do = \"link\"\nlink = { loss = \"5%\", delay = \"1ms\" }"), &["event.it.link.loss"]),
            (
                "[[chaos]]\nevery = \"1s\"\ndo = \"pause\"\ntarget = \"follower\"".to_owned(),
                &["chaos.1.target"],
            ),
            ("check.linearizable = { engine = \"witness\" }".to_owned(), &["check.linearizable.engine"]),
            ("check.limits.terms = 1".to_owned(), &["check.limits.terms"]),
            ("check.evidence.elections = 1".to_owned(), &["check.evidence.elections"]),
            (
                event("do = \"crash\"\ntarget = \"one\"\nwhen = { at = \"1s\", every = \"2s\", times = 3 }"),
                &[],
            ),
            (event("do = \"partition\"\nsplit = { any = [\"halves\", \"oneway:1->minority\"] }"), &[]),
            (event("do = \"link\"\nlink = { rate = \"1mbit\", stall = true }"), &[]),
        ] {
            let plan = |more: &str| Plan::parse(&format!("{HEAD}{NODE}{more}]\n{text}\n"), "plan.toml", &[]);
            let told = plan("").err();
            let mistakes = told.as_ref().map_or(&[][..], |told| told.mistakes());
            assert_eq!(mistakes.iter().map(|mistake| &mistake.key).collect::<Vec<_>>(), keys, "{text}");
            assert!(told.is_none_or(|told| told.exit_code() == 69));
            assert!(plan(", \"{events}\"").is_ok(), "{text}: {:?}", plan(", \"{events}\""));
        }
    }
}
