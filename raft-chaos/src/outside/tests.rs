//! Judges that share no code agree: on histories known good and known bad, and on mutations of good ones.

use super::*;
use crate::data;
use crate::linearizable::{Limits, Verdict};

fn ours(kind: Kind, history: &History) -> bool {
    let mut limits = Limits { steps: 5_000_000, cache_bytes: 1 << 30, expired: &mut || false };
    match data::judge(kind).search(history, &mut limits) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Unknown { why } => panic!("{kind:?}: {why}"),
    }
}

/// Before any of them may say that something is good.
#[test]
fn our_own_judge_is_right_about_every_known_history() {
    for Trial { kind, about, history, good } in trials() {
        assert_eq!(ours(kind, &history), good, "{kind:?}: {about}");
        if kind == Kind::ListAppend {
            assert_eq!(crate::anomalies::find(&history).expect("lists").is_empty(), good, "{about}");
        }
    }
}

#[cfg(feature = "outside-judges")]
mod with_others {
    use raft_core::Rng;

    use super::*;
    use crate::data::mutations::{drawn_side_by_side, mutated};
    use crate::outside::{adya::Adya, porcupine::Porcupine};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn others_are_right_about_every_known_history() {
        for kind in [Kind::Register, Kind::ListAppend, Kind::Set, Kind::Counter, Kind::Bank, Kind::Queue] {
            let known = trials().iter().filter(|trial| trial.kind == kind).count();
            assert_eq!(tried(&Porcupine, kind, LIMIT), Ok(known), "{kind:?}");
        }
        assert_eq!(tried(&Adya, Kind::ListAppend, LIMIT), Ok(9));
        assert_eq!(tried(&Porcupine, Kind::Kv, LIMIT), tried(&Porcupine, Kind::Register, LIMIT));
    }

    fn is_good(opinion: &Opinion) -> bool {
        match opinion {
            Opinion::Good => true,
            Opinion::Bad { .. } => false,
            Opinion::Unknown { why } => panic!("{why}"),
        }
    }

    /// What correct objects did side by side, some of it unseen, and the same with one event changed in some way: all judges say
    /// the same of each.
    #[test]
    fn all_judges_say_the_same_of_good_histories_and_of_their_mutations() {
        for kind in
            [Kind::Register, Kind::Kv, Kind::ListAppend, Kind::Set, Kind::Counter, Kind::Bank, Kind::Queue]
        {
            let mut bad = 0;
            for seed in 0..60 {
                let good = drawn_side_by_side(kind, seed);
                assert!(ours(kind, &good), "{kind:?} {seed}");
                assert!(is_good(&Porcupine.judge(kind, &good, LIMIT)), "{kind:?} {seed}");
                let mutation = mutated(good.clone(), &mut Rng::new(seed));
                let expected = ours(kind, &mutation);
                bad += usize::from(!expected);
                assert_eq!(is_good(&Porcupine.judge(kind, &mutation, LIMIT)), expected, "{kind:?} {seed}");
                if kind == Kind::ListAppend {
                    // Anomalies are for a history as a whole, and each is one of linearizability.
                    for (history, expected) in [(&good, true), (&mutation, expected)] {
                        assert_eq!(is_good(&Adya.judge(kind, history, LIMIT)), expected, "{seed}");
                        let found = crate::anomalies::find(history).expect("lists");
                        assert_eq!(found.is_empty(), expected, "{seed}: {found:?}");
                    }
                }
            }
            assert!((15..60).contains(&bad), "{kind:?}: {bad} mutations are bad");
        }
    }
}
