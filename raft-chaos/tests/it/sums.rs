//! Which seeds of plans run, until when, and what they add up to.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tool::{SHORT, Tool, short};

/// The results of the only run of the plan of this name under a folder, by seed.
fn results(tool: &Tool, out: &str) -> (PathBuf, Vec<(u64, String)>) {
    let mut runs: Vec<_> =
        fs::read_dir(tool.path(out).join("short")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let folder = runs.remove(0);
    let text = fs::read_to_string(folder.join("results.jsonl")).unwrap();
    let result = |line: &str| {
        let result: Value = serde_json::from_str(line).unwrap();
        (result["seed"].as_u64().unwrap(), result["verdict"].as_str().unwrap().to_owned())
    };
    let mut results: Vec<_> = text.lines().map(result).collect();
    results.sort_unstable();
    (folder, results)
}

fn seeds(results: &[(u64, String)]) -> Vec<u64> {
    results.iter().map(|(seed, _)| *seed).collect()
}

#[test]
fn shards_run_every_seed_once_and_share_plans_of_one_seed_too() {
    let tool = Tool::new();
    let plan = tool.plan(SHORT);
    for (shard, out, expected) in [("1/2", "one", &[5, 7, 9][..]), ("2/2", "two", &[6, 8])] {
        let said = tool.call(&["run", &plan, "--seeds", "5..10", "--shard", shard, "--out", out]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert_eq!(seeds(&results(&tool, out).1), expected);
    }
    // A shard that one seed is left for is one of many all the same, and so is a range of one.
    for (more, out) in [(&["--seeds", "5..7", "--shard", "1/2"][..], "left"), (&["--seeds", "5..6"], "range")]
    {
        let said = tool.call(&[&["run", &plan, "--out", out], more].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let (folder, results) = results(&tool, out);
        assert_eq!(seeds(&results), [5]);
        assert!(folder.join("junit.xml").exists() && !folder.join("result.json").exists());
    }
    let other = tool.path("other.toml");
    fs::write(&other, SHORT.replace("\"short\"", "\"other\"")).unwrap();
    let both = ["run", &plan, &other.display().to_string(), "--shard", "2/2", "--out", "three"];
    let said = tool.call(&both);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(tool.path("three/other").exists() && !tool.path("three/short").exists());
}

#[test]
fn a_run_ends_early_where_that_is_asked_for() {
    let tool = Tool::new();
    let slow = tool.plan(&short("[check.limits]\np99_us = \"<= 1\"\n"));
    let run = |out: &str, more: &[&str]| {
        let said = tool.call(&[&["run", &slow, "--jobs", "1", "--out", out][..], more].concat());
        assert_eq!(said.code, 3, "{}{}", said.out, said.err);
        (said.out, seeds(&results(&tool, out).1))
    };
    let (said, first) = run("fast", &["--seeds", "0..3", "--fail-fast"]);
    assert!(said.contains("seeds     1 of 3: 1 liveness"), "{said}");
    assert_eq!(first, [0]);
    assert_eq!(run("going", &["--seeds", "0..3", "--fail-fast", "--keep-going"]).1, [0, 1, 2]);

    let over = tool.call(&["run", &slow, "--max-time", "0s", "--junit", "over.xml"]);
    assert_eq!((over.code, &*over.err), (2, "short: no seed of it ran\n"), "{}", over.out);
    assert!(fs::read_to_string(tool.path("over.xml")).unwrap().contains("no seed of it ran"));
    let plan = tool.path("sound.toml");
    fs::write(&plan, SHORT).unwrap();
    let said = tool.call(&[
        "run",
        &plan.display().to_string(),
        "--seeds",
        "0..1000000",
        "--max-time",
        "1s",
        "--out",
        "time",
    ]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains(" of 1000000: "), "{}", said.out);
}

/// What clients wait for at most differs from seed to seed: the first that differs from the first of all is the one that fails.
#[test]
fn seeds_go_on_until_one_fails() {
    let tool = Tool::new();
    let (_, mut several) = tool.run(&tool.plan(SHORT), &["--seeds", "0..9", "--out", "several"]);
    several.sort_by_key(|result| result["seed"].as_u64());
    let gaps: Vec<_> = several.iter().map(|result| result["ok_gap_ms"].as_u64().unwrap()).collect();
    let last = gaps.iter().position(|gap| *gap != gaps[0]).expect("not all seeds are alike") as u64;
    let plan = tool.plan(&short(&format!("[check.limits]\nok_gap_ms = \"== {}\"\n", gaps[0])));
    let said =
        tool.call(&["run", &plan, "--seed", "0", "--until-failure", "--jobs", "1", "--progress", "none"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.out.contains("seeds from 0 on until one fails"), "{}", said.out);
    let (_, results) = results(&tool, "raft-chaos-out");
    assert_eq!(seeds(&results), (0..=last).collect::<Vec<_>>());
    assert!(results.iter().all(|(seed, verdict)| (verdict == "pass") == (*seed < last)), "{results:?}");
}

/// The same facts for people, for browsers and for programs, of one plan and of all.
#[test]
fn what_seeds_add_up_to_is_written_down() {
    let tool = Tool::new();
    let heals = "[check.limits]\np99_us = \"<= 1\"\n[[event]]\nwhen = { at = \"500ms\" }\ndo = \"partition\"\nsplit = { isolate = \"leader\" }\nfor = \"1s\"\n";
    let slow = tool.plan(&short(heals));
    let sound = tool.path("sound.toml");
    fs::write(&sound, SHORT.replace("\"short\"", "\"sound\"")).unwrap();
    let files = ["--junit", "all.xml", "--summary", "all.html", "--seeds", "0..2", "--out", "results"];
    let plans = ["run", &slow, &sound.display().to_string()];
    let said = tool.call(&[&plans[..], &files].concat());
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);

    let (folder, _) = results(&tool, "results");
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let (page, text) = (read(&folder.join("summary.html")), read(&folder.join("summary.md")));
    for fact in ["liveness: limits.p#_us: # is not", "Slowest recoveries", "seed-1/report.html", "2 liveness"]
    {
        assert!(page.contains(fact), "{fact}: {page}");
        assert!(text.contains(fact), "{fact}: {text}");
    }
    assert!(
        folder.join("seed-1/report.html").exists() && page.contains("href=\"seed-1/report.html\""),
        "{page}"
    );
    let all = read(&tool.path("all.html"));
    assert!(all.contains("2 plans") && all.contains(">sound<"), "{all}");
    let inside = folder.strip_prefix(tool.path("")).unwrap().display().to_string();
    assert!(all.contains(&format!("href=\"{inside}/seed-0/report.html\"")), "{inside}: {all}");
    for page in [&page, &all] {
        assert!(
            !page.contains("http://") && !page.contains("https://") && !page.contains("<script"),
            "{page}"
        );
    }
    // Where two plans fail in one way, each has it.
    let other = tool.path("other.toml");
    fs::write(&other, SHORT.replace("\"short\"", "\"other\"")).unwrap();
    let plans = ["run", &sound.display().to_string(), &other.display().to_string()];
    let more = ["--set", "check.limits.restarts=>= 1", "--junit", "both.xml", "--out", "both"];
    assert_eq!(tool.call(&[&plans[..], &more].concat()).code, 3);
    assert_eq!(read(&tool.path("both.xml")).matches("<failure message=\"1 times; ").count(), 2);
    let junit = read(&tool.path("all.xml"));
    assert!(junit.contains("short on memory") && junit.contains("2 of 2 seeds pass"), "{junit}");

    // One seed is summed up where that is asked for.
    let said = tool.call(&["run", &sound.display().to_string(), "--seed", "1", "--summary", "one.md"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(read(&tool.path("one.md")).contains("| sound | memory | 1 | 1 |"));
}

/// Each row: a command line that is refused before anything runs, and what it must say.
#[test]
fn what_cannot_be_summed_up_or_shared_out_is_refused() {
    let tool = Tool::new();
    let plan = tool.plan(SHORT);
    for (more, what) in [
        (&["--shard", "3/2"][..], "2/4 for the second of four"),
        (&["--shard", "2/2"], "none is of shard 2/2"),
        (&["--max-time", "8"], "is no duration"),
        (&["--until-failure", &plan], "raft-chaos soak"),
        (&["--until-failure", "--keep-going"], "--keep-going"),
        (&["--quiet", "--verbose"], "--verbose"),
        (&["--junit", "nowhere/junit.xml"], "nowhere/junit.xml"),
        (&["--summary", "nowhere/summary.md"], "nowhere/summary.md"),
        (&["--format", "gitlab"], "github"),
        (&["--progress", "some"], "plain"),
        (&["--mode", "dream"], "process"),
    ] {
        let said = tool.call(&[&["run", &plan][..], more].concat());
        assert_eq!(said.code, 64, "{more:?}: {}", said.err);
        assert!(said.err.contains(what), "{more:?}: {}", said.err);
        assert!(!tool.path("raft-chaos-out").exists(), "{more:?}");
    }
}

/// Each seed has its record, and with it what is drawn of it if that is asked for.
#[test]
fn all_of_many_seeds_are_kept_where_that_is_asked_for() {
    let tool = Tool::new();
    for (out, more, is_drawn) in
        [("kept", &["--keep", "all"][..], false), ("drawn", &["--keep", "all", "--report"], true)]
    {
        let arguments = ["run", &tool.plan(SHORT), "--seeds", "0..2", "--set", "sim.recheck=1", "--out", out];
        let said = tool.call(&[&arguments[..], more].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let run = fs::read_dir(tool.path(out).join("short")).unwrap().next().unwrap().unwrap().path();
        assert!(run.join("results.jsonl").exists());
        for seed in ["seed-0", "seed-1"] {
            for file in ["result.json", "history.jsonl", "events.jsonl", "schedule.jsonl", "plan.lock.toml"] {
                assert!(run.join(seed).join(file).exists(), "{seed}/{file}");
            }
            assert_eq!(run.join(seed).join("report.html").exists(), is_drawn);
        }
    }
    let said = tool.call(&["run", &tool.plan(SHORT), "--seeds", "0..2", "--out", "not"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let run = fs::read_dir(tool.path("not").join("short")).unwrap().next().unwrap().unwrap().path();
    assert!(!run.join("seed-0").exists());
}

/// The largest seeds are no whole numbers of TOML's.
#[test]
fn the_largest_seed_can_be_asked_for() {
    let tool = Tool::new();
    let (code, results) = tool.run(&tool.plan(SHORT), &["--seed", &u64::MAX.to_string()]);
    assert_eq!((code, &results[0]["seed"]), (0, &u64::MAX.into()), "{results:?}");
}

/// What shards of one run have left adds up to the run that there would have been, the records of failures included.
#[test]
fn shards_of_a_run_are_joined_into_one_sum() {
    let tool = Tool::new();
    let plan = tool.plan(&short("[check.limits]\nrestarts = \">= 1\"\n"));
    let folders = ["1/2", "2/2"].map(|shard| {
        let out = format!("shard-{}", &shard[..1]);
        let said = tool.call(&["run", &plan, "--seeds", "0..3", "--shard", shard, "--out", &out]);
        assert_eq!(said.code, 3, "{}{}", said.out, said.err);
        results(&tool, &out).0.display().to_string()
    });
    let said = tool.call(&["merge", &folders[0], &folders[1]]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    let merged = tool.path("raft-chaos-merged");
    let summary = fs::read_to_string(merged.join("summary.md")).unwrap();
    assert!(summary.contains("| short | memory | 3 | 0 |"), "{summary}");
    assert_eq!(fs::read_dir(merged.join("found/short-memory")).unwrap().count(), 1, "one of a kind");

    for (folder, what) in
        [("nowhere", "nowhere/ledger.jsonl: there is none"), (&*folders[0], "raft-chaos-merged")]
    {
        let said = tool.call(&["merge", folder]);
        assert_eq!(said.code, 64, "{}{}", said.out, said.err);
        assert!(said.err.contains(what), "{}", said.err);
    }
}
