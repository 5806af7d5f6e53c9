//! How fast histories are judged: `cargo bench -p raft-chaos --bench judges`.
//!
//! A hundred thousand operations over 64 keys, by the witness and by the search; and one register against stateright's tester. Each
//! number is the best of a few runs. Bounds are printed beside it, and a number that misses its own ends the bench with 1.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use raft_chaos::history::{F, History, Reply, Type, Value};
use raft_chaos::linearizable::{Judge, KeyValue, Limits, TookEffect, Verdict};
use raft_chaos::recorder::{Outcome, Recorder, Started};
use raft_core::{LogIndex, Rng};
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

/// The tester recurses once an operation.
const STACK: usize = 8 << 30;

fn main() -> ExitCode {
    let mut kept = true;
    let (history, took_effect) = simulated(30, 64, 100_000, 1);
    let by_witness = best(5, || assert_eq!(KeyValue.witness(&history, &took_effect), Verdict::Linearizable));
    println!("100,000 operations of 30 clients over 64 keys");
    println!("  witness     {:>9.3} ms   (bound 1000 ms)", millis(by_witness));
    kept &= by_witness < Duration::from_secs(1);
    println!("  search      {:>9.3} ms", millis(best(3, || assert!(searched(&history)))));
    for (operations, bound) in [(1_000, 0.01), (5_000, 0.002)] {
        let (history, _) = simulated(5, 1, operations, 2);
        let ours = best(5, || assert!(searched(&history)));
        let theirs = with_stack(history.clone());
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{operations} operations of 5 clients on one register");
        println!("  search      {:>9.3} ms", millis(ours));
        println!("  stateright  {:>9.3} ms", millis(theirs));
        println!("  ratio       {ratio:>9.5}      (bound {bound})");
        kept &= ratio <= bound;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn best(runs: u32, mut work: impl FnMut()) -> Duration {
    let mut time = || {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    (0..runs).map(|_| time()).min().unwrap_or_default()
}

fn searched(history: &History) -> bool {
    let mut limits = Limits { steps: u64::MAX, cache_bytes: 4 << 30, expired: &mut || false };
    KeyValue.search(history, &mut limits) == Verdict::Linearizable
}

/// Stateright's tester, from the same history.
fn with_stack(history: History) -> Duration {
    let tester =
        thread::Builder::new().stack_size(STACK).spawn(move || best(2, || assert!(tested(&history))));
    tester.expect("a thread").join().expect("the tester ends")
}

fn tested(history: &History) -> bool {
    let mut tester = LinearizabilityTester::new(Register(Value::Null));
    for event in &history.events {
        let read = event.f == F::READ;
        let told = match event.kind {
            Type::Invoke if read => tester.on_invoke(event.process, RegisterOp::Read),
            Type::Invoke => tester.on_invoke(event.process, RegisterOp::Write(event.value.clone())),
            Type::Ok if read => tester.on_return(event.process, RegisterRet::ReadOk(event.value.clone())),
            Type::Ok => tester.on_return(event.process, RegisterRet::WriteOk),
            Type::Fail | Type::Info => continue,
        };
        told.expect("a history");
    }
    tester.is_consistent()
}

/// An operation on its way: its key, what it writes, and its answer once it took effect.
type Running = (Started, u64, Value, Option<Reply>);

/// What atomic registers did, reads and writes in equal parts, and the order in which they did it.
fn simulated(clients: u64, keys: u64, operations: u64, seed: u64) -> (History, Vec<TookEffect>) {
    let mut rng = Rng::new(seed);
    let mut recorder = Recorder::new(clients);
    let mut running: Vec<Option<Running>> = (0..clients).map(|_| None).collect();
    let mut values = vec![Value::Null; usize::try_from(keys).expect("few")];
    let (mut begun, mut took_effect) = (0, Vec::new());
    while begun < operations || running.iter().any(Option::is_some) {
        let client = usize::try_from(rng.below(clients)).expect("few");
        match running[client].take() {
            None if begun < operations => {
                begun += 1;
                let key = rng.below(keys);
                let (f, value) = if rng.one_in(2) {
                    (F::READ, Value::Null)
                } else {
                    (F::new("write"), Value::text(format!("c{client}-{begun}")))
                };
                let started =
                    recorder.invoke(0, client, f, &format!("k{key}"), value.clone()).expect("a client");
                running[client] = Some((started, key, value, None));
            }
            None => {}
            Some((started, key, value, None)) => {
                let held = &mut values[usize::try_from(key).expect("few")];
                let reply = if value == Value::Null {
                    Reply::value(held.clone())
                } else {
                    *held = value.clone();
                    Reply::DONE
                };
                let index = LogIndex::new(took_effect.len() as u64 + 1);
                let operation = started.invoked() as u64;
                took_effect.push(TookEffect { index, beside: false, operation });
                running[client] = Some((started, key, value, Some(reply)));
            }
            Some((started, .., Some(reply))) => recorder.complete(0, started, Outcome::Ok(reply), None, None),
        }
    }
    (recorder.into_history(), took_effect)
}
