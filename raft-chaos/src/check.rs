//! `raft-chaos check HISTORY`: judges a history again, offline.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::anomalies;
use crate::cli::Format;
use crate::data;
use crate::judging::{self, Judged};
use crate::plan::{Engine, Kind, Linearizable, duration as parse_duration, parse_size};
use crate::recorded::{Recorded, kind_of};
use crate::report;
use crate::verdict::Verdict;

/// What the help says of the exit codes.
pub const EXIT_CODES: &str = "Exit codes: 0 an order explains the history; 1 none does; 2 the judges gave up; \
64 no history, or bad arguments.";

/// The command line of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A history.jsonl of a run, the folder of a run, or a history of Jepsen's in EDN.
    #[arg(value_name = "HISTORY")]
    history: PathBuf,
    /// What the history is of, as `workload.kind` has it [default: told by its operations].
    #[arg(long, value_parser = model, value_name = "KIND")]
    model: Option<Kind>,
    /// Who judges: witness+wgl, witness or wgl; for lists also anomalies alone.
    #[arg(long, value_parser = engine, value_name = "ENGINE", default_value = "witness+wgl")]
    engine: By,
    /// The longest that the search may take.
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", default_value = "60s")]
    timeout: Duration,
    /// The most memory that the search may take.
    #[arg(long, value_parser = parse_size, value_name = "SIZE", default_value = "2GiB")]
    memory: u64,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Who judges.
#[derive(Clone, Copy, Debug)]
enum By {
    Engine(Engine),
    Anomalies,
}

fn model(name: &str) -> Result<Kind, String> {
    let names: Vec<_> = Kind::names().collect();
    Kind::named(name).ok_or_else(|| format!("{name:?} is unknown; write one of {}", names.join(", ")))
}

fn engine(name: &str) -> Result<By, String> {
    let named = Engine::named(name).map(By::Engine).or((name == "anomalies").then_some(By::Anomalies));
    named.ok_or_else(|| format!("{name:?} is unknown; write witness+wgl, witness, wgl or anomalies"))
}

/// Does what the command line says; the exit code.
pub(crate) fn main(args: &CheckArgs) -> u8 {
    match check(args) {
        Ok((said, code)) => {
            report::say(&said);
            code
        }
        Err(error) => {
            report::note(format_args!("raft-chaos: {error}"));
            64
        }
    }
}

fn check(args: &CheckArgs) -> io::Result<(String, u8)> {
    let Recorded { path, history, witness } = Recorded::read(&args.history)?;
    let kind = args.model.map_or_else(|| kind_of(&history), Ok).map_err(io::Error::other)?;
    let began = Instant::now();
    let in_transactions = history.events.iter().any(|event| event.f.name() == "txn");
    let (engine, judged) = match args.engine {
        // Of several steps there is no model.
        By::Engine(_) if kind == Kind::ListAppend && in_transactions => ("anomalies", by_anomalies(&history)),
        By::Anomalies if kind == Kind::ListAppend => ("anomalies", by_anomalies(&history)),
        By::Anomalies => {
            return Err(io::Error::other("--engine anomalies: only lists have them; choose another"));
        }
        By::Engine(engine) => {
            let how = Linearizable { engine, timeout: args.timeout, memory: args.memory };
            let data = data::named(kind, Vec::new());
            let judged = judging::judge(
                &*data,
                &history,
                witness.as_deref(),
                &how,
                &mut || began.elapsed(),
                &mut |_| {},
            );
            let asked =
                if witness.is_none() && engine == Engine::WitnessAndWgl { Engine::Wgl } else { engine };
            (asked.name(), judged)
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let Judged { word, mut findings, .. } = judged;
    findings.sort_by_key(|(verdict, _)| *verdict);
    let verdict = findings.first().map_or(Verdict::Pass, |(verdict, _)| *verdict);
    let reasons: Vec<_> = findings.into_iter().map(|(_, reason)| reason).collect();
    let counts = history.counts();
    let code = verdict.exit_code();
    if matches!(args.format, Format::Json) {
        let said = json!({
            "schema": 1, "history": path, "model": kind.name(), "engine": engine, "verdict": word,
            "exit_code": code, "reasons": reasons, "ops": counts, "seconds": seconds,
        });
        return Ok((said.to_string(), code));
    }
    let all = counts.all;
    let mut said = format!(
        "history   {}: {} ok, {} fail, {} info\njudged    {word} as {} by {engine} in {seconds:.3} s\n",
        path.display(),
        all.ok,
        all.fail,
        all.info,
        kind.name(),
    );
    said += &report::named(verdict);
    said += &report::reasons(&reasons, "an order explains what clients saw");
    Ok((said, code))
}

fn by_anomalies(history: &crate::history::History) -> Judged {
    match anomalies::find(history) {
        Ok(found) if found.is_empty() => Judged::of("no-anomalies", Vec::new()),
        Ok(found) => {
            let finding = |anomaly: &anomalies::Anomaly| (Verdict::Safety, format!("anomaly {anomaly}"));
            Judged::of("anomalies", found.iter().map(finding).collect())
        }
        Err(why) => Judged::of("unknown", vec![(Verdict::Inconclusive, why)]),
    }
}
