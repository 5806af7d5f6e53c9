//! A tester that does not do what it says that it does is found out, whatever it does not do.

use crate::tool::Tool;

/// A run in which every action can have effect. Nothing is elected or snapshotted by itself once it is warm.
const SHORT: &str = r#"
schema = 1
name = "idle"
[run]
seeds = 3
warmup = "1s"
duration = "3s"
settle = "4s"
[cluster]
spares = 1
storage = "memory"
snapshot_every = 0
[workload]
rate = 200
op_timeout = "300ms"
[check.liveness]
commit_within = "2s"
"#;

/// Each row: what a broken tester does not do, and the event that says that it does.
#[test]
fn a_fault_that_is_not_done_is_no_evidence() {
    let cut = "do = \"partition\"\nsplit = { isolate = 1 }\nfor = \"2s\"\n";
    let rows = [
        ("partition", cut.to_owned()),
        ("heal", format!("do = \"heal\"\n[[event]]\nname = \"cut\"\nwhen = {{ at = \"500ms\" }}\n{cut}")),
        ("link", "do = \"link\"\nlink = { loss = \"10%\" }\nfor = \"1s\"\n".to_owned()),
        ("crash", "do = \"crash\"\ntarget = 1\nrestart_after = \"500ms\"\n".to_owned()),
        (
            "crash",
            "do = \"crash\"\ntarget = 1\nrestart_after = \"500ms\"\ndisk = { lose = \"unsynced\" }\n"
                .to_owned(),
        ),
        (
            "damage",
            "do = \"crash\"\ntarget = 1\nrestart_after = \"500ms\"\ndisk = { damage = \"flip-log\" }\n"
                .to_owned(),
        ),
        ("stop", "do = \"stop\"\ntarget = 1\nrestart_after = \"500ms\"\n".to_owned()),
        ("pause", "do = \"pause\"\ntarget = \"leader\"\nfor = \"1s\"\n".to_owned()),
        ("clock", "do = \"clock\"\ntarget = 1\nclock = { drift = \"+2%\" }\nfor = \"1s\"\n".to_owned()),
        ("clock", "do = \"clock\"\ntarget = 1\nclock = { jump = \"-800ms\" }\nfor = \"1s\"\n".to_owned()),
        (
            "disk",
            "do = \"disk\"\ntarget = \"leader\"\ndisk = { fsync = \"slow:20ms\" }\nfor = \"1s\"\n".to_owned(),
        ),
        ("wipe", "do = \"wipe\"\ntarget = 4\n".to_owned()),
        ("membership", "do = \"membership\"\nchange = \"add-learner\"\n".to_owned()),
        ("transfer", "do = \"transfer\"\nto = \"follower\"\n".to_owned()),
        ("snapshot", "do = \"snapshot\"\ntarget = 1\n".to_owned()),
        ("isolate-client", "do = \"isolate-client\"\ntarget = \"leader\"\nfor = \"1s\"\n".to_owned()),
    ];
    for (idle, event) in rows {
        let tool = Tool::new();
        let plan = tool.plan(&format!("{SHORT}[[event]]\nname = \"it\"\nwhen = {{ at = \"1s\" }}\n{event}"));
        let (code, done) = tool.run(&plan, &[]);
        assert_eq!(code, 0, "{event}: {}", done[0]["reasons"]);
        let (code, undone) = tool.run(&plan, &["--plant", &format!("idle-{idle}")]);
        let reasons = undone[0]["reasons"].to_string();
        assert_eq!(code, 2, "{event}: {reasons}");
        assert!(reasons.contains("event it fired at 2s and did nothing"), "{event}: {reasons}");
    }
}
