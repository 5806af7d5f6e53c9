//! `bench`: how fast a cluster is.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::client::Manner;
use super::{Format, USAGE, catch_interrupts};
use crate::bench::{self, CLIENT_CONNECTIONS_MAX, CLIENTS_MAX, Grid, Op, Target, Told};
use crate::plan::{duration, parse_size};
use crate::progress::{Display, Progress};
use crate::report::{note, say};
use crate::runner::interrupted;
use crate::verdict::Verdict;

/// The largest value that is put: far below the longest command, and far above what a log is for.
const VALUE_MAX: u64 = 1 << 20;
/// All keys are filled before anything is measured.
const KEYS_MAX: u64 = 10_000_000;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Where some of the servers listen that are measured; they name the others. Keys bench-0, bench-1 and so on are put
    /// there, and stay [default: three nodes are started on this machine, and all of it is removed again].
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    servers: Vec<String>,
    /// How many clients there are, row by row.
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "1,16,64,256,1024",
        value_parser = clients
    )]
    clients: Vec<usize>,
    /// How many connections they share: as many as an application has, each of which is one client of raft-net's.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = connections)]
    connections: usize,
    /// The sizes of values.
    #[arg(
        long,
        value_name = "SIZE,...",
        value_delimiter = ',',
        default_value = "16B,256B,4KiB",
        value_parser = value
    )]
    value: Vec<usize>,
    /// What clients do: puts of a value under a random key, linearizable gets of one, or one after the other.
    #[arg(long, value_enum, default_value_t = Ops::Both)]
    op: Ops,
    /// How long a row counts. There is a row for each number of clients, size and operation: without flags thirty, which
    /// take about two minutes.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time)]
    time: Duration,
    /// How long clients go on before a row begins to count.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warmup: Duration,
    /// How many keys there are. All of them are filled at first.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX)
    )]
    keys: u64,
    /// Where nodes that it starts have their directories, meanwhile: on the disk that is to be measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    manner: Manner,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
}

/// What clients do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ops {
    /// Puts.
    Write,
    /// Gets.
    Read,
    /// Both.
    Both,
}

impl Ops {
    fn ops(self) -> Vec<Op> {
        match self {
            Self::Write => vec![Op::Write],
            Self::Read => vec![Op::Read],
            Self::Both => vec![Op::Write, Op::Read],
        }
    }
}

fn clients(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=CLIENTS_MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {CLIENTS_MAX}"))
}

fn connections(text: &str) -> Result<usize, String> {
    let most = CLIENT_CONNECTIONS_MAX;
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {most}: a node has no room for more"))
}

fn value(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text)?;
    let fits = Some(bytes).filter(|bytes| (1..=VALUE_MAX).contains(bytes));
    let fits = fits.and_then(|bytes| usize::try_from(bytes).ok());
    fits.ok_or_else(|| "write a size from 1B to 1MiB".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() {
        Err("nothing can be measured in no time; write 1s or so".to_owned())
    } else {
        Ok(time)
    }
}

/// What has been said so far.
struct Teller {
    format: Format,
    display: Display,
    setup: Option<bench::Setup>,
    rows: Vec<bench::Row>,
}

impl Teller {
    fn tell(&mut self, told: Told) {
        match told {
            Told::Now(what) => self.display.rows(self.rows.len(), &what),
            Told::Setup(setup) => {
                self.aloud(|| format!("{}\n\n{}", bench::words(&setup), bench::HEAD));
                self.setup = Some(setup);
            }
            Told::Row(row) => {
                self.aloud(|| bench::line(&row));
                self.rows.push(row);
            }
        }
    }

    /// Says it to people at once: later something may go wrong.
    fn aloud(&self, words: impl FnOnce() -> String) {
        if matches!(self.format, Format::Human) {
            self.display.beside(|| say(&words()));
        }
    }
}

/// Measures, tells what came of it, and returns the exit code.
pub(super) fn bench(args: BenchArgs) -> Result<u8, u8> {
    let grid = Grid {
        ops: args.op.ops(),
        values: args.value,
        clients: args.clients,
        time: args.time,
        warmup: args.warmup,
        keys: args.keys,
        connections: args.connections,
    };
    let target = target(args.servers, args.manner, args.out).map_err(|why| {
        note(format_args!("raft-chaos: {why}"));
        USAGE
    })?;
    catch_interrupts();
    let display = Display::of_rows(args.progress, grid.len());
    let mut teller = Teller { format: args.format, display, setup: None, rows: Vec::new() };
    let ended = bench::run(&grid, &target, &mut |told| teller.tell(told));
    let Teller { setup, rows, display, .. } = teller;
    drop(display);
    let (code, error) = match ended {
        Ok(()) if interrupted() => (Verdict::Interrupted.exit_code(), None),
        Ok(()) => (0, None),
        Err(ended) => (ended.status, Some(ended.why)),
    };
    if matches!(args.format, Format::Json) {
        let mut said = json!({ "schema": bench::SCHEMA, "exit_code": code, "setup": setup, "rows": rows });
        if let Some(error) = &error {
            said["error"] = json!(error);
        }
        say(&said.to_string());
    }
    if let Some(error) = error {
        note(format_args!("raft-chaos: {error}"));
    }
    Ok(code)
}

fn target(servers: Vec<String>, manner: Manner, out: PathBuf) -> Result<Target, String> {
    if servers.is_empty() {
        return Ok(Target::Own { out, timeout: manner.timeout()? });
    }
    manner.way(servers).map(Target::Servers)
}
