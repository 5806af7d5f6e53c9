//! Mutation testing of raft-core: each rule is changed in every way that a slip of the pen could change it, and a test
//! has to fail. A change that none notices is a survivor; `survivors.txt` says of each why it changes nothing that
//! matters. The status is 1 if a survivor is not listed, or one is listed that is none.
//!
//! ```text
//! cargo run --locked --manifest-path raft-core/mutants/Cargo.toml              all
//! cargo run --locked --manifest-path raft-core/mutants/Cargo.toml -- lease.rs  those with this in their name
//! cargo run --locked --manifest-path raft-core/mutants/Cargo.toml -- --again   those that survived last time
//! ```
//!
//! All mutants are in one build (mutant schemata): a copy of the workspace in which each place that can be changed asks
//! which mutant this process is, and one environment variable says so. What does not compile is found by the compiler and
//! left out.

mod compiler;
mod constant;
mod finder;
mod mutant;
mod parts;
mod sources;
mod suites;
mod survivors;
mod trial;
mod weaver;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use mutant::Mutant;
use sources::Sources;
use suites::Programs;
use survivors::Survivors;

/// Anything that keeps the tool from coming to a result.
type Mistake = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(mistake) => {
            eprintln!("{mistake}");
            ExitCode::from(2)
        }
    }
}

/// Whether all that survives is listed, and nothing else.
fn run(words: &[String]) -> Result<bool, Mistake> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2).ok_or("this package is not in its place in the repository")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let work = target.join("mutants");
    let last = work.join("survivors.txt");
    let listed = Survivors::read(&package.join("survivors.txt"))?;
    let is_asked_for = asked_for(words, &last)?;

    let mut sources = Sources::copied(root, &work.join("tree"))?;
    let mutants = sources.find()?;
    println!("{} mutants in {} files", mutants.len(), sources.files());
    let unbuildable = compiler::leave_out(&mut sources, &target)?;
    println!("{} of them do not compile", unbuildable.len());
    let chosen: Vec<&Mutant> =
        mutants.iter().filter(|mutant| !unbuildable.contains(&mutant.id) && is_asked_for(mutant)).collect();
    let programs = Programs::built(&sources, &target)?;
    println!("{} of the others are tried", chosen.len());

    let (mut left, mut found) = (chosen.clone(), Survivors::default());
    for commands in [suites::QUICK, suites::SLOW, suites::LONG] {
        left = trial::of_all(&left, &programs.suites(commands)?)?;
        found = Survivors::of(left.iter().map(|mutant| mutant.name()));
        fs::write(&last, found.to_string())?;
    }
    let tried: Vec<_> = chosen.iter().map(|mutant| mutant.name()).collect();
    Ok(listed.compare(&found, &tried, words.is_empty()))
}

/// What the command line asks for.
fn asked_for<'a>(words: &'a [String], last: &Path) -> Result<Box<dyn Fn(&Mutant) -> bool + 'a>, Mistake> {
    match words {
        [] => Ok(Box::new(|_| true)),
        [word] if word == "--again" => {
            let before = Survivors::read(last)?;
            Ok(Box::new(move |mutant| before.has(mutant.name())))
        }
        words if words.iter().any(|word| word.starts_with('-')) => {
            Err("usage: raft-core-mutants [--again | PART OF A NAME...]".into())
        }
        words => Ok(Box::new(|mutant| words.iter().any(|word| mutant.name().contains(word.as_str())))),
    }
}
