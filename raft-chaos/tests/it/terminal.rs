//! What a person sees of `raft-chaos run`: the texts in `terminal/`, but for times of the clock on the wall and places on the disk.
//!
//! `UPDATE=1 cargo test -p raft-chaos --all-features --test it terminal` rewrites those texts; read the diff.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::screen::{Screen, Terminal};
use crate::simulated::shipped;
use crate::tool::{SHORT, Tool, short};

/// Holds what was said against the text of this name.
fn must_be(name: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/terminal").join(name);
    let said = settled(said);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, said).unwrap();
    } else {
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(said, known, "{}: UPDATE=1 rewrites it", path.display());
    }
}

/// Without what is another on every machine and in every second.
fn settled(said: &str) -> String {
    let lines = said.lines().map(|line| {
        let words: Vec<_> =
            line.replace(env!("CARGO_MANIFEST_DIR"), "raft-chaos").split(' ').map(str::to_owned).collect();
        let is_time = |at: usize| {
            let next = |n: usize| words.get(at + n).map_or("", |word| word.trim_end_matches([';', ',']));
            let unit = matches!((next(1), next(2)), ("wall", "s") | ("a", "second"));
            let is_last = next(1) == "s" && words.len() == at + 2;
            // Which of many seeds was the fastest is another each time.
            let is_fastest = at > 0 && words[at - 1] == "--seed" && words.len() == at + 1;
            words[at].parse::<f64>().is_ok() && (unit || is_last || is_fastest)
        };
        let settle = |at: usize| if is_time(at) { "#".to_owned() } else { place(&words[at]) };
        (0..words.len()).map(settle).collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

/// A path without the folder of the test and the second in which the run began.
fn place(word: &str) -> String {
    let is_second = |part: &&str| part.len() >= 10 && part.chars().all(|c| c.is_ascii_digit() || c == '-');
    let parts = word.split('/').map(|part| if is_second(&part) { "RUN" } else { part });
    let path = parts.collect::<Vec<_>>().join("/");
    match (path.find("/plan.toml"), path.starts_with('/')) {
        (Some(at), true) => format!("PLAN{}", &path[at + "/plan.toml".len()..]),
        _ => path,
    }
}

/// What is copied whole, however long it is.
fn is_copied(line: &str) -> bool {
    ["repeat    ", "results   ", "report    ", "summary   "].iter().any(|label| line.starts_with(label))
}

fn must_fit(lines: &[String]) {
    for line in lines.iter().filter(|line| !is_copied(line)) {
        assert!(line.chars().count() < 80, "{line}");
    }
}

/// A plan that misses a threshold, with every seed in the same words.
fn misses() -> String {
    short("[check.limits]\nrestarts = \">= 1\"\n")
}

#[test]
fn a_run_that_passes_is_told_and_progress_does_not_mix_with_it() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let said = tool.call(&["run", &plan]);
    assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
    must_be("quickstart.txt", &said.out);

    let on_terminal = Screen::of(&tool, &["run", &plan], Terminal::Out, &[("NO_COLOR", "1")]);
    assert_eq!((on_terminal.code, &*on_terminal.other), (0, ""));
    assert!(!on_terminal.shown.contains('\x1b'), "{}", on_terminal.shown);
    must_fit(&on_terminal.lines());
    must_be("quickstart-on-a-terminal.txt", &on_terminal.lines().join("\n"));

    let with_bar = Screen::of(&tool, &["run", &plan], Terminal::Err, &[]);
    assert_eq!(settled(&with_bar.other), settled(&said.out), "the story is the same beside a bar");
    // Where lines are asked for there is one as soon as it is known how the run stands.
    let with_lines = tool.call(&["run", &plan, "--progress", "plain"]);
    assert_eq!(settled(&with_lines.out), settled(&said.out), "the story is the same beside lines");
    let is_one = |line: &str| line.starts_with("quickstart: ") && line.contains("/20.0 virtual s, ");
    assert!(!with_lines.err.is_empty() && with_lines.err.lines().all(is_one), "{}", with_lines.err);
    for (arguments, shown) in [
        (&["--progress", "none"][..], &*said.out),
        (&["--quiet"], &said.out[said.out.find("verdict   ").unwrap()..]),
    ] {
        let screen = Screen::of(&tool, &[&["run", &plan][..], arguments].concat(), Terminal::Err, &[]);
        assert_eq!(screen.shown, "", "{arguments:?}");
        assert_eq!(settled(&screen.other), settled(shown), "{arguments:?}");
    }
}

#[test]
fn only_a_terminal_has_colours_and_only_if_they_are_wanted() {
    let tool = Tool::new();
    let plan = tool.plan(SHORT);
    for (variables, has_colours) in
        [(&[][..], true), (&[("NO_COLOR", "")], true), (&[("NO_COLOR", "1")], false)]
    {
        let screen = Screen::of(&tool, &["run", &plan], Terminal::Out, variables);
        assert_eq!(screen.shown.contains("\x1b[1;32mPASS\x1b[0m (seed 3)"), has_colours, "{}", screen.shown);
    }
    assert!(!tool.call(&["run", &plan]).out.contains('\x1b'));
}

/// A follower sleeps nearly all the time, so that this is seen whenever one looks.
#[test]
fn a_bar_shows_how_a_seed_stands_and_changes_nothing() {
    let tool = Tool::new();
    let plan = tool.plan(&short(
        "[[event]]\nname = \"nap\"\nwhen = { at = \"100ms\" }\ndo = \"pause\"\ntarget = \"follower\"\nfor = \"40s\"\n",
    ));
    let arguments = ["run", &plan, "--set", "run.duration=41s", "--set", "sim.recheck=0", "--format", "json"];
    let screen = Screen::of(&tool, &arguments, Terminal::Err, &[]);
    assert_eq!(screen.code, 0, "{}", screen.other);
    let lines = screen.lines();
    must_fit(&lines);
    let stands = |line: &&String| line.starts_with('[') && line.contains("/46.0 virtual s, ");
    let bars: Vec<_> = lines.iter().filter(stands).collect();
    assert!(bars.iter().any(|bar| bar.ends_with(" elections; nap") && bar.contains(" ok, ")), "{lines:?}");

    let hash = |result: &str| serde_json::from_str::<Value>(result).unwrap()["event_hash"].clone();
    assert_eq!(hash(&screen.other), hash(&tool.call(&arguments).out));
}

#[test]
fn a_bar_of_many_seeds_counts_them() {
    let tool = Tool::new();
    let arguments = ["run", &tool.plan(&misses()), "--seeds", "0..3", "--jobs", "1"];
    let screen = Screen::of(&tool, &arguments, Terminal::Err, &[]);
    assert_eq!(screen.code, 3, "{}", screen.other);
    let lines = screen.lines();
    must_fit(&lines);
    assert!(
        lines.iter().any(|line| line.contains(" of 3 seeds, ") && line.contains(" a second, ")),
        "{lines:?}"
    );
    assert_eq!(settled(&screen.other), settled(&tool.call(&arguments).out));
}

#[test]
fn many_seeds_are_told_by_their_failures_and_their_sum() {
    let tool = Tool::new();
    let seeds = ["--seeds", "0..4", "--jobs", "1"];
    let said = tool.call(&[&["run", &tool.plan(SHORT)][..], &seeds].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    must_be("many-pass.txt", &format!("{}\n{}", said.out, said.err));
    let loud = tool.call(&[&["run", &tool.plan(SHORT), "--verbose"][..], &seeds].concat());
    assert_eq!(loud.out.matches("verdict   PASS").count(), 4, "{}", loud.out);
    let said = tool.call(&[&["run", &tool.plan(&misses())][..], &seeds].concat());
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    must_be("many-fail.txt", &format!("{}\n{}", said.out, said.err));
    let silent = tool.call(&[&["run", &tool.plan(SHORT), "--progress", "none"][..], &seeds].concat());
    assert_eq!((silent.code, &*silent.err), (0, ""));
}

#[test]
fn github_is_told_what_failed_beside_the_plan() {
    let tool = Tool::new();
    let run = |plan: &str, more: &[&str]| {
        let said =
            tool.call(&[&["run", &tool.plan(plan), "--format", "github", "--jobs", "1"][..], more].concat());
        let annotations: Vec<_> = said.out.lines().filter(|line| line.starts_with("::")).collect();
        (said.code, annotations.join("\n").replace(&tool.path("").display().to_string(), ""))
    };
    assert_eq!(run(SHORT, &[]), (0, String::new()));
    let (code, one) = run(&misses(), &[]);
    assert_eq!(code, 3);
    let (code, many) = run(&misses(), &["--seeds", "0..3"]);
    assert_eq!(code, 3);
    must_be("github.txt", &format!("{one}\n{many}"));
}

/// Every event of a seed has its number; nothing else is different.
#[test]
fn a_verbose_run_tells_every_event() {
    let tool = Tool::new();
    let said = tool.call(&["run", &tool.plan(SHORT), "-v"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let (usual, loud) = (tool.call(&["run", &tool.plan(SHORT)]).out, said.out.lines().count());
    assert!(loud > 1_000 && usual.lines().count() < 20, "{loud}");
    assert!(
        said.out.contains("      0  -- warm-up") && said.out.contains(r#""event":"pre-vote-counted""#),
        "{}",
        said.out
    );
}

/// Each row: a bug, the plan and the seed that find it, what is said of it, and how much of what must hold and does not.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_run_that_fails_says_what_broke_where_how_to_see_it_again_and_where_it_is() {
    let tool = Tool::new();
    let short = ["cluster.storage=memory", "sim.recheck=0", "run.settle=4s"];
    for (bug, plan, seed, more, duration, broken) in [
        ("unchecked-tail-committed", "crash-loop", "9", "--progress=none", "run.duration=5s", 4),
        ("read-not-confirmed", "stale-reads", "0", "--quiet", "run.duration=10s", 0),
    ] {
        let plan_file = shipped(&format!("{plan}.toml"));
        let mut arguments = vec!["run", &plan_file, "--plant", bug, "--seed", seed, more, "--set", duration];
        short.iter().for_each(|set| arguments.extend(["--set", set]));
        let screen = Screen::of(&tool, &arguments, Terminal::Out, &[("NO_COLOR", "1")]);
        assert_eq!((screen.code, &*screen.other), (1, ""), "{}", screen.shown);
        assert_eq!(screen.shown.matches("BROKEN ").count() - 1, broken, "{}", screen.shown);
        must_fit(&screen.lines());
        must_be(&format!("{plan}-fails.txt"), &screen.lines().join("\n"));
    }
}
