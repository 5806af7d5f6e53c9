//! Three servers in one process, with logs in memory: raft-core beside openraft, turn by turn, with the clients of openraft's
//! `benchmarks/minimal`: each awaits one empty command after the other, or several at once.
//!
//! `cargo bench`, or `cargo bench -- 10` for a tenth of the commands.

mod ours;
mod theirs;

use std::env;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use raft_openraft_bench::{Layout, runtime};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::ours::Ours;
use crate::theirs::Theirs;

/// Clients, how many commands each has under way, how many there are in all, and by how much raft-core is to be faster.
const CASES: [(u64, u64, u64, f64); 6] = [
    (1, 1, 40_000, 8.0),
    (64, 1, 600_000, 3.0),
    (256, 1, 1_000_000, 2.5),
    (1024, 1, 1_000_000, 2.5),
    (4096, 1, 1_000_000, 2.5),
    (4096, 4, 2_000_000, 3.0),
];
/// How often each has its turn, in each case; the first time does not count.
const TURNS: usize = 6;

/// What a turn took.
#[derive(Clone, Copy)]
struct Turn {
    commands: u64,
    time: Duration,
    cpu: Duration,
    refused: u64,
}

impl Turn {
    fn rate(self) -> f64 {
        self.commands as f64 / self.time.as_secs_f64()
    }

    fn cpu_seconds_a_million(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.commands as f64
    }
}

/// Runs so many clients to their end.
fn turn<C>(
    clients: &Runtime,
    (count, batch, commands): (u64, u64, u64),
    client: impl Fn(u64, u64) -> C,
) -> Turn
where
    C: Future<Output = u64> + Send + 'static,
{
    let each = (commands / count / batch).max(1) * batch;
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    let refused = clients.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..count {
            running.spawn(client(each, batch));
        }
        running.join_all().await.into_iter().sum()
    });
    Turn { commands: each * count, time: began.elapsed(), cpu: cpu.elapsed(), refused }
}

/// The one in the middle, by rate.
fn median(mut turns: Vec<Turn>) -> Turn {
    turns.remove(0);
    turns.sort_by(|one, other| one.rate().total_cmp(&other.rate()));
    turns[turns.len() / 2]
}

fn main() {
    let part = env::args().find_map(|word| word.parse::<u64>().ok()).unwrap_or(1);
    println!(
        "clients batch  layout          ours/s    theirs/s  ratio  goal  CPU-s/million ours theirs  refused"
    );
    for (count, batch, commands, goal) in CASES {
        let mut worse = f64::INFINITY;
        for layout in [Layout::One, Layout::OnePerServer] {
            let (ours, theirs, clients) = (Ours::start(layout), Theirs::start(layout), runtime(1));
            let case = (count, batch, commands / part);
            let (mut our_turns, mut their_turns) = (Vec::new(), Vec::new());
            for _ in 0..TURNS {
                our_turns.push(turn(&clients, case, |commands, batch| ours.client(commands, batch)));
                their_turns.push(turn(&clients, case, |commands, batch| theirs.client(commands, batch)));
            }
            let (us, them) = (median(our_turns), median(their_turns));
            let ratio = us.rate() / them.rate();
            worse = worse.min(ratio);
            println!(
                "{count:7} {batch:5}  {layout:14} {:9.0}  {:9.0}  {ratio:5.2}  {goal:4.1}  {:18.2} {:6.2}  {:7}",
                us.rate(),
                them.rate(),
                us.cpu_seconds_a_million(),
                them.cpu_seconds_a_million(),
                us.refused,
            );
        }
        let verdict = if worse >= goal { "reached" } else { "MISSED" };
        println!("{count:7} {batch:5}  the worse is {worse:.2}, of {goal}: {verdict}");
    }
}
