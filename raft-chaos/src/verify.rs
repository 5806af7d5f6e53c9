//! `raft-chaos verify RUN --with porcupine,elle,knossos`: asks judges that others have written.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::data;
use crate::judging;
use crate::outside::{self, NAMES, Opinion, Outsider};
use crate::plan::{Engine, Kind, Linearizable, duration as parse_duration};
use crate::recorded::{Recorded, kind_of};
use crate::report;
use crate::verdict::Verdict;

/// A wrong command line, or no history.
const USAGE: u8 = 64;
/// A judge is not here, or cannot judge such a history.
const UNAVAILABLE: u8 = 69;
/// The most memory that our own search may take.
const MEMORY: u64 = 2 << 30;

/// What the help says of the exit codes.
pub const EXIT_CODES: &str = "Exit codes: 0 all say that it is good; 1 one says that it is bad; 2 one does not know, or was wrong \
about a known history; 64 no history, or bad arguments; 69 a judge is not here, or cannot judge such a history.";

/// The command line of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder of a recorded run, or a history by its file.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Whom to ask: porcupine, elle, knossos [default: all that are here and can judge it].
    #[arg(long = "with", value_delimiter = ',', value_name = "JUDGES")]
    judges: Vec<String>,
    /// What the history is of, as `workload.kind` has it [default: told by its operations].
    #[arg(long, value_name = "KIND")]
    model: Option<String>,
    /// The longest that one judge may take.
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", default_value = "60s")]
    timeout: Duration,
}

/// Does what the command line says; the exit code.
pub(crate) fn main(args: &VerifyArgs) -> u8 {
    match prepared(args) {
        Ok((recorded, kind)) => match judges(args, &recorded, kind) {
            Ok(judges) => verify(args, &recorded, kind, &judges).exit_code(),
            Err(cannot) => {
                cannot.iter().for_each(|cannot| report::note(format_args!("raft-chaos: {cannot}")));
                UNAVAILABLE
            }
        },
        Err(error) => {
            report::note(format_args!("raft-chaos: {error}"));
            USAGE
        }
    }
}

fn prepared(args: &VerifyArgs) -> io::Result<(Recorded, Kind)> {
    if let Some(name) = args.judges.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(io::Error::other(format!("--with {name}: unknown; write some of {}", NAMES.join(","))));
    }
    let recorded = Recorded::read(&args.run)?;
    let kind = match &args.model {
        None => kind_of(&recorded.history).map_err(io::Error::other)?,
        Some(name) => Kind::named(name).ok_or_else(|| {
            let names: Vec<_> = Kind::names().collect();
            io::Error::other(format!("--model {name}: unknown; write one of {}", names.join(", ")))
        })?,
    };
    Ok((recorded, kind))
}

/// Those who are asked; or who of those that were named is not here, or cannot judge this.
fn judges(args: &VerifyArgs, recorded: &Recorded, kind: Kind) -> Result<Vec<Box<dyn Outsider>>, Vec<String>> {
    let find = |name: &str| {
        let judge = outside::find(name)?;
        if judge.knows(kind, &recorded.history) {
            Ok(judge)
        } else {
            Err(format!("{name} cannot judge this history, which is of {}", kind.name()))
        }
    };
    let names: Vec<&str> = args.judges.iter().map(String::as_str).collect();
    let (all, named) = if names.is_empty() { (NAMES.to_vec(), false) } else { (names, true) };
    let (found, missing): (Vec<_>, Vec<_>) = all.into_iter().map(find).partition(Result::is_ok);
    let missing: Vec<String> = missing.into_iter().filter_map(Result::err).collect();
    let found: Vec<_> = found.into_iter().filter_map(Result::ok).collect();
    if (named && !missing.is_empty()) || found.is_empty() { Err(missing) } else { Ok(found) }
}

fn verify(args: &VerifyArgs, recorded: &Recorded, kind: Kind, judges: &[Box<dyn Outsider>]) -> Verdict {
    let Recorded { path, history, witness } = recorded;
    let all = history.counts().all;
    report::say(&format!(
        "history   {}: {} ok, {} fail, {} info, of {}",
        path.display(),
        all.ok,
        all.fail,
        all.info,
        kind.name()
    ));
    let began = Instant::now();
    let how = Linearizable { engine: Engine::WitnessAndWgl, timeout: args.timeout, memory: MEMORY };
    let data = data::named(kind, Vec::new());
    let ours =
        judging::judge(&*data, history, witness.as_deref(), &how, &mut || began.elapsed(), &mut |_| {});
    report::say(&format!("ours      {} in {:.3} s", ours.word, began.elapsed().as_secs_f64()));
    let mut reasons = ours.findings;
    for judge in judges {
        let name = judge.name();
        let known = match outside::tried(&**judge, kind, args.timeout) {
            Ok(known) => known,
            Err(why) => {
                report::say(&format!("theirs    {name}: not to be trusted: {why}"));
                reasons.push((Verdict::Inconclusive, why));
                continue;
            }
        };
        let began = Instant::now();
        let opinion = judge.judge(kind, history, args.timeout);
        let took = began.elapsed().as_secs_f64();
        let (word, finding) = match opinion {
            Opinion::Good => ("good", None),
            Opinion::Bad { why } => ("bad", Some((Verdict::Safety, why))),
            Opinion::Unknown { why } => ("unknown", Some((Verdict::Inconclusive, why))),
        };
        report::say(&format!(
            "theirs    {name}: {word} in {took:.3} s, and right about {known} known histories"
        ));
        reasons.extend(finding.map(|(verdict, why)| (verdict, format!("{name}: {why}"))));
    }
    reasons.sort_by_key(|(verdict, _)| *verdict);
    let verdict = reasons.first().map_or(Verdict::Pass, |(verdict, _)| *verdict);
    let reasons: Vec<_> = reasons.into_iter().map(|(_, reason)| reason).collect();
    report::say(&(report::named(verdict) + &report::reasons(&reasons, "all judges say that it is good")));
    verdict
}
