//! What the machine allows is told, with a cure where it does not.

use serde_json::Value;

use crate::tool::Tool;

#[test]
fn a_machine_that_runs_these_tests_is_well_enough() {
    let tool = Tool::new();
    let said = tool.call(&["doctor", "--format", "json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let of = |what: &str| findings.iter().find(|finding| finding["what"] == what).unwrap();
    assert_eq!(of("simulation")["health"], "good", "{found}");
    for what in ["ports", "signals", "disk sync", "disk space", "files", "memory", "cores"] {
        assert_ne!(of(what)["health"], "bad", "{found}");
    }
    let said = tool.call(&["doctor"]);
    assert!(said.out.contains("good  simulation  a seed went the same way twice"), "{}", said.out);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_with_the_cure() {
    let tool = Tool::new();
    let said = tool.call(&["doctor", "--out", "nowhere"]);
    assert_eq!(said.code, 69, "{}{}", said.out, said.err);
    assert!(said.out.contains("BAD   disk sync   No such file or directory"), "{}", said.out);
    assert!(said.out.contains("write to another disk with --out"), "{}", said.out);
}
