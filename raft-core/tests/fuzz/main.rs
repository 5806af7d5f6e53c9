//! Bytes and values that nobody has thought of, made by proptest.
//!
//! The same in each run. `FUZZ_SEED=1 FUZZ_CASES=1000000 cargo test --profile ci -p raft-core --all-features --test fuzz` makes
//! others, and as many (for nights). `raft-core/fuzz` gives the same schedules to a fuzzer that sees what they reach.

mod arbitrary;
#[path = "../world/judges.rs"]
mod judges;
#[path = "../world/machine.rs"]
mod machine;
mod network;
mod values;

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Whoever is silent for so long hangs. A case takes less than a hundredth of a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// A number from the environment.
fn from_env(name: &str, usual: u32) -> u32 {
    std::env::var(name).map_or(usual, |number| number.parse().expect("a number"))
}

/// Tries values until one fails, which is then made as small as it can be.
fn fuzz<S: Strategy>(cases: u32, values: &S, test: impl Fn(S::Value)) {
    let cases = from_env("FUZZ_CASES", cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 10_000, ..Config::default() };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&from_env("FUZZ_SEED", 0).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let result = TestRunner::new_with_rng(config, rng).run(values, |value| {
        test(value);
        Ok(())
    });
    result.unwrap_or_else(|failed| panic!("{failed}"));
}

#[expect(clippy::disallowed_methods, reason = "how long it took is told, and nothing depends on it")]
fn now() -> Instant {
    Instant::now()
}

/// Runs this in a thread that says after each case that it is alive, and ends with what was seen.
fn watched<T: Debug + Send + 'static>(test: impl FnOnce(&dyn Fn()) -> T + Send + 'static) -> T {
    let (alive, listen) = mpsc::channel();
    let began = now();
    let tester = thread::spawn(move || test(&|| alive.send(()).expect("somebody listens")));
    while let Some(()) = match listen.recv_timeout(PATIENCE) {
        Ok(()) => Some(()),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a case hangs"),
    } {}
    let sights = tester.join().unwrap_or_else(|failed| std::panic::resume_unwind(failed));
    println!("{sights:?} in {:?}", began.elapsed());
    sights
}

fn lives(cases: u32, acts_max: usize) -> arbitrary::Sights {
    watched(move |alive| {
        let sights = RefCell::new(arbitrary::Sights::default());
        fuzz(cases, &arbitrary::life(acts_max), |life| {
            life.live(&mut sights.borrow_mut());
            alive();
        });
        sights.into_inner()
    })
}

#[test]
fn no_input_makes_a_server_panic_or_hang_or_hold_more_than_it_may() {
    let sights = lives(4_000, 40);
    assert!(sights.reigns > 0 && sights.violations > 0, "{sights:?}");
}

#[test]
fn no_long_life_does_either() {
    let sights = lives(150, 3_000);
    assert!(sights.reigns > 0 && sights.applied > 0 && sights.restored > 0, "{sights:?}");
    assert!(sights.answered > 0 && sights.held_most > 0 && sights.changes > 0, "{sights:?}");
}

#[test]
fn no_schedule_of_a_network_breaks_an_invariant() {
    let sights = watched(|alive| {
        let sights = RefCell::new(network::Sights::default());
        fuzz(1_500, &vec(any::<u8>(), 0..3_000), |bytes| {
            network::run(&bytes, &mut sights.borrow_mut());
            alive();
        });
        sights.into_inner()
    });
    assert!(sights.elected > 0 && sights.committed > 0 && sights.crashes > 0, "{sights:?}");
    assert!(sights.restored > 0 && sights.loads > 0 && sights.reads > 0, "{sights:?}");
    assert!(sights.changes > 0 && sights.configured > 0 && sights.left > 0, "{sights:?}");
}

/// Each of these breaks a rule that some schedule needs.
#[cfg(feature = "planted-bugs")]
#[test]
fn schedules_find_planted_bugs() {
    use raft_core::{PlantedBug, Rng};
    for bug in [
        PlantedBug::VoteWithoutLogCheck,
        PlantedBug::VoteBeforePersisted,
        PlantedBug::CommitByCounting,
        PlantedBug::ReplyOfOldTerm,
        PlantedBug::VoteCountedTwice,
        PlantedBug::LeaderTwice,
        PlantedBug::AckBeforeSync,
        PlantedBug::ChangeWithoutJoint,
        PlantedBug::ConfigurationOnCommit,
        PlantedBug::JointCountsOldOnly,
    ] {
        let mut rng = Rng::new(1);
        let found = (0..1_000).find_map(|schedule| {
            let bytes: Vec<u8> = (0..rng.below(3_000)).map(|_| rng.next_u64().to_le_bytes()[0]).collect();
            let mut sights = network::Sights::default();
            let wrong = network::drive(&bytes, Some(bug), &mut sights).err()?;
            Some((schedule, wrong.name(), wrong.to_string()))
        });
        let (schedule, name, wrong) = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: schedule {schedule}: {name}: {wrong}");
    }
}
