//! raft-core beside raft-rs 0.7: three servers in one thread, from proposal to applied on all three.

mod peer;
#[path = "../three/mod.rs"]
mod three;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ThreadTime;
use criterion::Criterion;
use peer::Peer;
use raft_peer_bench::allocations;
use three::Cluster;

/// A B A B ...
const ROUNDS: usize = 7;

trait Three {
    fn commit(&mut self, payload: &Bytes, batch: usize);
    fn pass_time(&mut self);
    fn applied(&self) -> u64;
    fn messages(&self) -> u64;
}

impl Three for Cluster {
    fn commit(&mut self, payload: &Bytes, batch: usize) {
        Self::commit(self, payload, batch);
    }
    fn pass_time(&mut self) {
        Self::pass_time(self);
    }
    fn applied(&self) -> u64 {
        self.applied_by_each().into_iter().min().unwrap()
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}

impl Three for Peer {
    fn commit(&mut self, payload: &Bytes, batch: usize) {
        Self::commit(self, payload, batch);
    }
    fn pass_time(&mut self) {
        Self::pass_time(self);
    }
    fn applied(&self) -> u64 {
        Self::applied(self)
    }
    fn messages(&self) -> u64 {
        self.messages
    }
}

#[derive(Default)]
struct Measured {
    nanos: Vec<f64>,
    allocations: f64,
    messages: f64,
}

/// Lets so many commands through, and waits until all three have applied them.
fn run(three: &mut dyn Three, payload: &Bytes, batch: usize, entries: u64) -> Duration {
    let goal = three.applied() + entries;
    let began = ThreadTime::now();
    for _ in 0..entries / batch as u64 {
        three.commit(payload, batch);
    }
    while three.applied() < goal {
        three.pass_time();
    }
    began.elapsed()
}

fn measure(
    c: &mut Criterion,
    name: &str,
    three: &mut dyn Three,
    payload: &Bytes,
    batch: usize,
    m: &mut Measured,
) {
    // What is counted need not be timed.
    let entries = 16_384;
    let (a, b) = (allocations(), three.messages());
    run(three, payload, batch, entries);
    m.allocations = (allocations() - a) as f64 / entries as f64;
    m.messages = (three.messages() - b) as f64 / entries as f64;
    let mut best = Vec::new();
    c.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            // Criterion counts in rounds of 256 entries.
            let time = run(black_box(three), payload, batch, iterations * 256);
            best.push(time.as_nanos() as f64 / (iterations * 256) as f64);
            time
        });
    });
    best.sort_by(f64::total_cmp);
    m.nanos.push(best[best.len() / 2]);
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut c = Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(30))
        .measurement_time(Duration::from_millis(150))
        .configure_from_args();
    let mut rows = Vec::new();
    for batch in [1, 64, 256] {
        for bytes in [16, 256, 4096] {
            let payload = Bytes::from(vec![7; bytes]);
            let (mut ours, mut theirs) = (Cluster::new(|_| ()), Peer::new(false));
            let (mut a, mut b) = (Measured::default(), Measured::default());
            for _ in 0..ROUNDS {
                measure(&mut c, &format!("raft-core/{batch}x{bytes}"), &mut ours, &payload, batch, &mut a);
                measure(&mut c, &format!("raft-rs/{batch}x{bytes}"), &mut theirs, &payload, batch, &mut b);
            }
            rows.push((batch, bytes, a, b));
        }
    }
    println!("batch bytes | raft-core ns  allocs  msgs | raft-rs ns  allocs  msgs | ratio");
    for (batch, bytes, a, b) in rows {
        let ratios: Vec<f64> = a.nanos.iter().zip(&b.nanos).map(|(a, b)| a / b).collect();
        println!(
            "{batch:5} {bytes:5} | {:12.1} {:7.2} {:5.2} | {:10.1} {:7.2} {:5.2} | {:.3}",
            median(&a.nanos),
            a.allocations,
            a.messages,
            median(&b.nanos),
            b.allocations,
            b.messages,
            median(&ratios)
        );
    }
}
