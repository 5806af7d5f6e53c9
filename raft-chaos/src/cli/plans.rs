//! `plan lint`, `plan explain`, `plan new`, `plan schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, UNAVAILABLE, USAGE, seeds};
use crate::plan::{Plan, schema};
use crate::{explain, lint, report, scaffold};

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Say all that is wrong with plans, each with its place, its key and its cure. Runs nothing.
    #[command(
        after_help = "Exit codes: 0 all can be run; 64 one is wrong; 69 one asks for what cannot be done here, or for a command \
                      that is not here."
    )]
    Lint(LintArgs),
    /// Say what will happen when, with one seed: which chaos is on, when it is due, and what is drawn.
    Explain(ExplainArgs),
    /// Write a plan to begin with, which can be run.
    New(NewArgs),
    /// Print the JSON Schema of plans, with which editors complete.
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// The plans, each a TOML file.
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// Override a key of the plans, as in `run`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The plan, a TOML file.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The seed [default: the plan's first].
    #[arg(long)]
    seed: Option<u64>,
    /// Override a key of the plan, as in `run`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The file, named as the plan is to be; without one the plan is printed.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Does it, and gives the exit code.
pub(super) fn plans(command: &PlanCommand) -> u8 {
    match command {
        PlanCommand::Lint(args) => lint_all(args),
        PlanCommand::Explain(args) => explain_one(args),
        PlanCommand::New(args) => new(args),
        PlanCommand::Schema => {
            report::say(&format!("{:#}", schema()));
            0
        }
    }
}

fn lint_all(args: &LintArgs) -> u8 {
    let linted: Vec<_> = args.plans.iter().map(|plan| lint::lint(plan, &args.overrides)).collect();
    for linted in &linted {
        match args.format {
            Format::Json => report::say(&serde_json::to_string(linted).unwrap_or_default()),
            Format::Human if linted.exit_code == 0 => report::say(&linted.text),
            Format::Human => report::note(&linted.text),
        }
    }
    // A plan that is wrong comes before one that cannot be done here.
    linted.iter().map(|linted| linted.exit_code).filter(|code| *code > 0).min().unwrap_or(0)
}

fn explain_one(args: &ExplainArgs) -> u8 {
    match Plan::read(&args.plan, &args.overrides) {
        Ok(plan) => {
            let seed = args.seed.or_else(|| seeds(&plan.run.seeds).first().copied()).unwrap_or(0);
            report::say(&explain::explain(&plan, seed, matches!(args.format, Format::Json)));
            0
        }
        Err(errors) => {
            report::note(&errors);
            errors.exit_code()
        }
    }
}

fn new(args: &NewArgs) -> u8 {
    let Some(file) = &args.file else {
        report::say(scaffold::scaffold("new-plan").trim_end());
        return 0;
    };
    match scaffold::write(file) {
        Ok(path) => {
            report::say(&format!("written   {0}\nrun it    raft-chaos run {0}", path.display()));
            0
        }
        Err(error) => {
            report::note(format_args!("raft-chaos: {error}"));
            match error {
                scaffold::NotWritten::NoName(_) => USAGE,
                scaffold::NotWritten::Io(_, error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    USAGE
                }
                scaffold::NotWritten::Io(..) => UNAVAILABLE,
            }
        }
    }
}
