//! raft-core's node beside openraft 0.10.0-alpha.37, in one process: three servers, logs in memory, calls or channels for a
//! network, empty commands and answers, and clients that each wait for one put at a time, as in openraft's own
//! `benchmarks/minimal`.
//!
//! ```text
//! cd raft-core/benches/openraft && cargo bench
//! ```
//!
//! Both run in turns of 0.6 s, five times each, and the ratio is the median of the five pairs. In "one runtime" all servers
//! and all clients share two threads; in "one each" every server has a thread, and the clients have one. A batch is four puts
//! that are asked for at once (`client_write_many` of openraft). With `runtime-stats` off, a plain mutex
//! around its log and no snapshots kept, openraft does a little less here than in its own benchmark.
//!
//! Beside them goes a relay (`relay.rs`): three tasks that hand a put on as three servers do, and do nothing else with it. Its
//! last column is its rate, and that rate beside openraft's: what threads and channels alone allow.
//!
//! The goal is 8 times openraft's rate with 1 client, 3 times with 64, 2.5 times from 256 on, and 3 times with 4096 in
//! batches of 4; the worse layout counts, and by that all of it is MISSED. With 1 client and with 1024, one thread each, the
//! relay misses it as well: there the wake-ups of threads by themselves take longer than the goal allows. Measured on 1
//! December 2026 on two processors that did nothing else, one run; the ratios have the least and the most of the five pairs.
//! (The day before, where the same machine did less in a second: 3.6, 3.0, 2.3, 2.2, 2.2, 1.6; 2.2, 1.4, 1.7, 1.7, 1.6, 2.1.)
//!
//! | layout | clients x batch | puts/s | CPU s a million | openraft puts/s | CPU s a million | ratio | wanted | CPU ratio | relay puts/s, ratio | others |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | one runtime | 1 x 1 | 83k | 21.91 | 26k | 72.72 | 3.2 (3.0..3.3) | 8 MISSED | 3.3 | 769k, 29.4 | -0.04 |
//! | one runtime | 64 x 1 | 1245k | 1.49 | 460k | 4.15 | 2.7 (2.6..2.8) | 3 MISSED | 2.8 | 2329k, 5.1 | -0.02 |
//! | one runtime | 256 x 1 | 1748k | 1.08 | 732k | 2.53 | 2.3 (2.3..2.5) | 2.5 MISSED | 2.3 | 3425k, 4.7 | -0.02 |
//! | one runtime | 1024 x 1 | 2185k | 0.88 | 868k | 2.20 | 2.5 (2.3..2.6) | 2.5 | 2.5 | 3343k, 3.9 | 0.01 |
//! | one runtime | 4096 x 1 | 2092k | 0.94 | 826k | 2.31 | 2.5 (2.4..2.7) | 2.5 | 2.5 | 3320k, 4.0 | -0.01 |
//! | one runtime | 4096 x 4 | 2153k | 0.88 | 1083k | 1.66 | 2.0 (1.7..2.0) | 3 MISSED | 1.9 | 4264k, 3.9 | -0.00 |
//! | one each | 1 x 1 | 36k | 38.67 | 21k | 74.60 | 1.8 (1.7..2.0) | 8 MISSED | 1.9 | 54k, 2.6 | -0.06 |
//! | one each | 64 x 1 | 992k | 1.84 | 496k | 3.54 | 2.0 (1.8..2.1) | 3 MISSED | 1.9 | 1931k, 3.9 | -0.01 |
//! | one each | 256 x 1 | 1627k | 1.11 | 756k | 2.31 | 2.1 (2.0..2.5) | 2.5 MISSED | 2.1 | 2809k, 3.7 | -0.01 |
//! | one each | 1024 x 1 | 1802k | 0.98 | 1037k | 1.78 | 1.7 (1.7..1.8) | 2.5 MISSED | 1.8 | 1985k, 1.9 | -0.03 |
//! | one each | 4096 x 1 | 1933k | 0.92 | 1070k | 1.71 | 1.9 (1.8..1.9) | 2.5 MISSED | 1.9 | 2877k, 2.7 | -0.01 |
//! | one each | 4096 x 4 | 2477k | 0.77 | 1232k | 1.40 | 2.1 (1.7..2.2) | 3 MISSED | 1.8 | 4326k, 3.5 | 0.01 |
//!
//! Where it goes (perf, some days before, beside other work):
//!
//! - One client: a put is, as the code reads, about fourteen polls of seven tasks, five of them the leader's: the request,
//!   the write that is done, two answers, and what was applied. In one runtime 11 % are five channels that are told once more whom to wake whenever
//!   the node has nothing to do, 9 % are readings of the clock (for each input, for the time that has passed since, for the
//!   timer), 7 % copies of envelopes and effects, 4 % timers that are made and let go. One each, it is six wake-ups of
//!   another thread. A timer that stays would save most of the 4 % and two readings of the clock, and change the order in
//!   which the timers of a simulation fire; it was not tried.
//! - 64 clients, one each: a run's ratio is between 1.6 and 3.6, as four threads share what others leave of two
//!   processors. By itself the node took 0.6 s a million there while others had one processor.
//! - 1024 clients and more: the clients' own tasks are 14 %, oneshot channels and wake-ups 15 %, checksums 4 %.
//! - Batches of 4: four requests come through the door, where openraft takes one. A way in for several commands, which
//!   are answered together, took 0.54 s a million in one runtime instead of 0.68, and 0.57 instead of 0.65 one each (means of
//!   three pairs); it is not part of this.

#[path = "../peer/load.rs"]
mod load;
mod ours;
mod relay;
mod runtimes;
mod theirs;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use load::Load;
use ours::Ours;
use relay::Relay;
use runtimes::{Layout, Runtimes};
use theirs::Theirs;

/// A B A B ...
const ROUNDS: usize = 5;
/// How long each is measured in its turn.
const TURN: Duration = Duration::from_millis(600);
/// How long each runs before it is measured for the first time.
const WARM_UP: Duration = Duration::from_millis(200);

/// What a client does.
trait Put: Clone + Send + 'static {
    /// Puts one, and waits for its answer.
    fn put(&self) -> impl Future<Output = ()> + Send;
    /// Puts so many at once, and waits for all answers.
    fn put_all(&self, batch: usize) -> impl Future<Output = ()> + Send;
}

/// What is measured of either.
#[derive(Default)]
struct Measured {
    /// Puts a second.
    rates: Vec<f64>,
    /// Processor seconds of a million puts.
    seconds: Vec<f64>,
}

/// One row of the table.
struct Row {
    layout: Layout,
    clients: usize,
    batch: usize,
    /// What the ratio is to be.
    goal: f64,
}

/// So many clients put, each one thing at a time, for a while. How many puts that were.
fn put(runtimes: &Runtimes, client: &impl Put, row: &Row, time: Duration) -> u64 {
    let over = Arc::new(AtomicBool::new(false));
    let clients = (0..row.clients).map(|_| {
        let (client, over, batch) = (client.clone(), Arc::clone(&over), row.batch);
        async move {
            let mut puts = 0;
            while !over.load(Ordering::Relaxed) {
                match batch {
                    1 => client.put().await,
                    _ => client.put_all(batch).await,
                }
                puts += batch as u64;
            }
            puts
        }
    });
    runtimes.block_on_clients(async {
        let clients: Vec<_> = clients.map(tokio::spawn).collect();
        tokio::time::sleep(time).await;
        over.store(true, Ordering::Relaxed);
        let mut puts = 0;
        for client in clients {
            puts += client.await.unwrap();
        }
        puts
    })
}

fn measure(runtimes: &Runtimes, client: &impl Put, row: &Row, into: &mut Measured) {
    let (began, had) = (Instant::now(), ProcessTime::now());
    let puts = put(runtimes, client, row, TURN) as f64;
    into.rates.push(puts / began.elapsed().as_secs_f64());
    into.seconds.push(had.elapsed().as_secs_f64() / puts * 1e6);
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run(row: &Row) {
    let runtimes = [(); 3].map(|()| Runtimes::new(row.layout));
    let (ours, theirs) = (Ours::start(&runtimes[0]), Theirs::start(&runtimes[1]));
    let (client, their_client, relay) = (ours.client(), theirs.client(), Relay::start(&runtimes[2]));
    put(&runtimes[0], &client, row, WARM_UP);
    put(&runtimes[1], &their_client, row, WARM_UP);
    put(&runtimes[2], &relay, row, WARM_UP);
    let load = Load::now();
    let mut all = <[Measured; 3]>::default();
    for _ in 0..ROUNDS {
        measure(&runtimes[0], &client, row, &mut all[0]);
        measure(&runtimes[1], &their_client, row, &mut all[1]);
        measure(&runtimes[2], &relay, row, &mut all[2]);
    }
    print(row, &all, load.foreign());
    for runtime in runtimes {
        runtime.end();
    }
}

fn print(row: &Row, [a, b, relay]: &[Measured; 3], foreign: f64) {
    let ratios: Vec<f64> = a.rates.iter().zip(&b.rates).map(|(a, b)| a / b).collect();
    let (low, high) =
        ratios.iter().fold((f64::MAX, 0f64), |(low, high), &ratio| (low.min(ratio), high.max(ratio)));
    let [rate, their_rate, relayed, seconds, their_seconds] =
        [&a.rates, &b.rates, &relay.rates, &a.seconds, &b.seconds].map(|turns| median(turns.iter().copied()));
    let ratio = median(ratios.iter().copied());
    let missed = if ratio < row.goal { " MISSED" } else { "" };
    println!(
        "| {} | {} x {} | {:.0}k | {seconds:.2} | {:.0}k | {their_seconds:.2} | {ratio:.1} ({low:.1}..{high:.1}) | {}{missed} | {:.1} | {:.0}k, {:.1} | {foreign:.2} |",
        row.layout,
        row.clients,
        row.batch,
        rate / 1e3,
        their_rate / 1e3,
        row.goal,
        their_seconds / seconds,
        relayed / 1e3,
        relayed / their_rate,
    );
}

fn main() {
    let rows: [(usize, usize, f64); 6] =
        [(1, 1, 8.0), (64, 1, 3.0), (256, 1, 2.5), (1024, 1, 2.5), (4096, 1, 2.5), (4096, 4, 3.0)];
    println!(
        "| layout | clients x batch | puts/s | CPU s a million | openraft puts/s | CPU s a million | ratio | wanted | CPU ratio | relay puts/s, ratio | others |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for layout in [Layout::One, Layout::OneEach] {
        for (clients, batch, goal) in rows {
            run(&Row { layout, clients, batch, goal });
        }
    }
}
