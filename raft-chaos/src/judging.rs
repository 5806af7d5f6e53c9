//! A history before its judges: who is asked, in which order, and what their answers mean together.

use std::time::Duration;

use crate::data::DataType;
use crate::history::History;
use crate::interrupt::interrupted;
use crate::linearizable::{self, CounterExample, Limits, TookEffect};
use crate::plan::{Engine, Linearizable};
use crate::verdict::Verdict;

/// What the judges said.
#[derive(Clone, Debug)]
pub struct Judged {
    /// `linearizable`, `not-linearizable` or `unknown`.
    pub word: &'static str,
    /// Everything that was found, each with what it makes of a run.
    pub findings: Vec<(Verdict, String)>,
    /// The operations that do not fit, of each judge that found some, in the order of the findings.
    pub examples: Vec<CounterExample>,
}

impl Judged {
    /// What was found without operations that show it.
    pub const fn of(word: &'static str, findings: Vec<(Verdict, String)>) -> Self {
        Self { word, findings, examples: Vec::new() }
    }

    /// These operations do not fit.
    fn finds_wrong(&mut self, why: String, example: CounterExample) {
        self.word = "not-linearizable";
        self.findings.push((Verdict::Safety, why));
        self.examples.push(example);
    }
}

/// Has a history judged as `how` says. The witness first: it is a proof if it passes. If it fails, that is a violation of its own,
/// and the search says whether clients could see it. Then the type's second judge, where it has one, who must agree.
///
/// Without a witness the search alone is asked. `elapsed` tells the time since any fixed moment; it bounds the search, as an
/// interrupt does. `known` hears what was found before that: it may take all the time and the memory that there is.
pub fn judge(
    data: &dyn DataType,
    history: &History,
    witness: Option<&[TookEffect]>,
    how: &Linearizable,
    elapsed: &mut dyn FnMut() -> Duration,
    known: &mut dyn FnMut(&Judged),
) -> Judged {
    let mut judged = first(data, history, witness, how, elapsed, known);
    let anomalies = data.anomalies(history);
    if judged.word == "linearizable" && !anomalies.is_empty() {
        let disagree =
            "the judges disagree: one has an order that explains everything, and the other what follows";
        judged.findings.push((Verdict::Bug, disagree.to_owned()));
    }
    let anomalies = anomalies.into_iter().map(|anomaly| (Verdict::Safety, format!("anomaly {anomaly}")));
    judged.findings.extend(anomalies);
    judged
}

fn first(
    data: &dyn DataType,
    history: &History,
    witness: Option<&[TookEffect]>,
    how: &Linearizable,
    elapsed: &mut dyn FnMut() -> Duration,
    known: &mut dyn FnMut(&Judged),
) -> Judged {
    let judge = data.judge();
    let mut judged = Judged::of("unknown", Vec::new());
    let witness = witness.filter(|_| how.engine != Engine::Wgl);
    if witness.is_none() && how.engine == Engine::Witness {
        let why = "witness: there is none; it lies as witness.jsonl beside the history of a recorded run";
        return Judged::of("unknown", vec![(Verdict::Inconclusive, why.to_owned())]);
    }
    if let Some(witness) = witness {
        match judge.witness(history, witness) {
            linearizable::Verdict::Linearizable => return Judged::of("linearizable", Vec::new()),
            linearizable::Verdict::NotLinearizable(example) => {
                let why = "witness-order: the order of the log does not explain what clients saw";
                judged.finds_wrong(format!("{why}: {example}"), example);
            }
            linearizable::Verdict::Unknown { why } => {
                judged.findings.push((Verdict::Inconclusive, format!("witness: {why}")));
            }
        }
        if how.engine == Engine::Witness {
            return judged;
        }
    }
    known(&judged);
    let until = elapsed() + how.timeout;
    let cache_bytes = usize::try_from(how.memory).unwrap_or(usize::MAX);
    let mut limits =
        Limits { steps: u64::MAX, cache_bytes, expired: &mut || interrupted() || elapsed() > until };
    match judge.search(history, &mut limits) {
        linearizable::Verdict::Linearizable => judged.word = "linearizable",
        linearizable::Verdict::NotLinearizable(example) => {
            judged.finds_wrong(format!("not linearizable: {example}"), example);
        }
        linearizable::Verdict::Unknown { why } => {
            judged.word = "unknown";
            judged.findings.push((Verdict::Inconclusive, format!("linearizability: {why}")));
        }
    }
    judged
}
