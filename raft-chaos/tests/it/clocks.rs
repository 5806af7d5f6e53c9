//! Clocks that are off, and clients that are kept from nodes: what a run says of them.

use crate::tool::{Tool, short};

/// Nobody else is asked to lead while clients cannot reach the leader, and nobody commits what it is not asked for: that
/// is no miss.
#[test]
fn clients_that_cannot_reach_a_leader_wait_and_nothing_is_missed() {
    let tool = Tool::new();
    let event = "[[event]]\nwhen = { at = \"100ms\" }\ndo = \"isolate-client\"\ntarget = \"leader\"\n";
    // Followers answer reads.
    let (code, results) = tool.run(&tool.plan(&short(event)), &["--set", "workload.mix={ write = 1 }"]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    assert_eq!(results[0]["elections"], 0);
    let gap = results[0]["ok_gap_ms"].as_u64().unwrap();
    assert!((2_900..3_500).contains(&gap), "nothing is ok from 100 ms on to the end at 3 s: {gap}");
}

/// A clock that runs half as fast is half a second behind after one, wall clock and monotonic one; one that is set is
/// only behind on the wall. Beyond a second progress is not owed.
#[test]
fn clocks_are_off_by_what_the_plan_says() {
    let tool = Tool::new();
    for (clock, wall_us, monotonic_us) in [
        (r#"{ drift = "-50%" }"#, -500_000, -500_000),
        (r#"{ drift = "+10%", jump = "-1m" }"#, -59_900_000, 100_000),
        (r#"{ jump = "+800ms" }"#, 800_000, 0),
    ] {
        let event = format!(
            "[[event]]\nwhen = {{ at = \"500ms\" }}\ndo = \"clock\"\ntarget = 2\nclock = {clock}\nfor = \"1s\"\n"
        );
        let (code, results) = tool.run(&tool.plan(&short(&event)), &[]);
        assert_eq!(code, 0, "{clock}: {}", results[0]["reasons"]);
        let off = &results[0]["faults"][0]["evidence"]["clocks_off"]["2"];
        assert_eq!(off, &serde_json::json!({ "wall_us": wall_us, "monotonic_us": monotonic_us }), "{clock}");
    }
}

/// Two that are in force at once, and end at once, are each known for what it does.
#[test]
fn clocks_are_set_off_twice_and_each_is_told() {
    let tool = Tool::new();
    let event = |at: &str| {
        format!(
            "[[event]]\nwhen = {{ at = \"{at}\" }}\ndo = \"clock\"\ntarget = 1\nclock = {{ jump = \"-800ms\" }}\n"
        )
    };
    let (code, results) = tool.run(&tool.plan(&short(&(event("500ms") + &event("1s")))), &[]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    for fault in results[0]["faults"].as_array().unwrap() {
        assert_eq!(fault["evidence"]["clocks_off"]["1"]["wall_us"], -800_000, "{fault}");
    }
}
