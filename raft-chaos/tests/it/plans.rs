//! Every plan that ships is green over its first five seeds, on both stores, and one of them takes the same way twice.

use std::fs;
use std::path::Path;

use raft_chaos::plan::{Mode, Plan};

use crate::simulated::shipped;
use crate::tool::Tool;

/// Those that are simulated.
fn plans() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let plans = fs::read_dir(folder).unwrap().map(|plan| plan.unwrap().path());
    let simulated = plans.filter(|plan| Plan::read(plan, &[]).unwrap().run.mode != Mode::Process);
    let mut names: Vec<_> =
        simulated.map(|plan| plan.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

fn green(storage: &str) {
    let plans = plans();
    assert!(plans.len() >= 2, "{plans:?}");
    for plan in plans {
        let tool = Tool::new();
        let storage = format!("cluster.storage={storage}");
        let path = shipped(&plan);
        let mut call = vec!["run", &path, "--seeds", "0..5"];
        // A test of the lab brings its own store.
        if !plan.starts_with("lab-") {
            call.extend(["--set", &storage]);
        }
        let said = tool.call(&call);
        assert_eq!(said.code, 0, "{plan}: {}{}", said.out, said.err);
        assert!(said.out.contains("seeds     5: 5 pass"), "{plan}: {}", said.out);
    }
}

#[test]
fn plans_are_green_on_rocksdb() {
    green("rocksdb");
}

#[test]
fn plans_are_green_in_memory() {
    green("memory");
}

#[test]
fn five_seeds_go_the_same_way_in_two_processes() {
    for seed in 0..5 {
        let hash = || {
            let tool = Tool::new();
            let mixed =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mixed-faults.toml").display().to_string();
            let (code, results) = tool.run(&mixed, &["--seed", &seed.to_string(), "--set", "sim.recheck=0"]);
            assert_eq!(code, 0, "seed {seed}: {}", results[0]["reasons"]);
            results[0]["event_hash"].clone()
        };
        let (first, second) = (hash(), hash());
        assert!(first.is_string());
        assert_eq!(first, second, "seed {seed}");
    }
}
