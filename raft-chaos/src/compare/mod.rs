//! `raft-chaos compare A B`: two runs side by side, or many of each; and where one was simulated and the other real, what
//! that does to their numbers.
//!
//! | file | is |
//! | --- | --- |
//! | `side.rs` | what one of them has written |
//! | `words.rs` | both, for people |

mod side;
mod words;

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::coverage::{Cell, Coverage};
use side::{MEASURES, Side};

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 1;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 they are compared, however they differ; 64 there is no such run.";

/// Two runs, or two sets of runs.
#[derive(Clone, Debug)]
pub struct Comparison {
    sides: [Side; 2],
}

/// What two runs have reached of the protocol.
struct Cells {
    both: usize,
    /// Those that only the one has reached, and only the other.
    only: [Vec<String>; 2],
}

impl Comparison {
    /// Reads both, by a `result.json` or `results.jsonl`, or a folder that has one.
    ///
    /// # Errors
    ///
    /// One of them is not there, or is no result of a run of this version.
    pub fn read(one: &Path, two: &Path) -> io::Result<Self> {
        Ok(Self { sides: [Side::read(one)?, Side::read(two)?] })
    }

    /// For people.
    pub fn words(&self) -> String {
        words::words(self)
    }

    /// For programs: one object.
    pub fn json(&self) -> Value {
        let measure = |name: &'static str| {
            let [one, two] = &self.sides;
            json!({ "name": name, "a": one.spread(name), "b": two.spread(name) })
        };
        let mut names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
        names.retain(|name| self.sides.iter().any(|side| side.spread(name).is_some()));
        let mut said = json!({
            "schema": SCHEMA,
            "exit_code": 0,
            "a": self.sides[0],
            "b": self.sides[1],
            "measures": names.into_iter().map(measure).collect::<Vec<_>>(),
            "same_events": self.went_the_same_way(),
            "where_the_simulation_lies": words::lies(self),
        });
        if let Some(Cells { both, only: [a, b] }) = self.cells() {
            said["cells"] = json!({ "both": both, "only_a": a, "only_b": b });
        }
        said
    }

    /// Whether both are the same simulated seed, which went the same way twice; none of anything else.
    fn went_the_same_way(&self) -> Option<bool> {
        let [one, two] = self.sides.each_ref().map(|side| side.simulated_once.as_ref());
        let ((seed, hash), (other, again)) = (one?, two?);
        (seed == other).then_some(hash == again)
    }

    /// Which is the simulated one, where the other one is not.
    fn simulated(&self) -> Option<(&Side, &Side)> {
        let [one, two] = &self.sides;
        match (one.only_mode(), two.only_mode()) {
            (Some("sim"), Some("process")) => Some((one, two)),
            (Some("process"), Some("sim")) => Some((two, one)),
            _ => None,
        }
    }

    /// None where one of them says nothing of it, as a real run, in which nobody looks into nodes.
    fn cells(&self) -> Option<Cells> {
        let [one, two] = self.sides.each_ref().map(|side| side.coverage.filter(|all| all.reached() > 0));
        let (one, two) = (one?, two?);
        let only = |one: Coverage, two: Coverage| {
            let only = Cell::all().filter(|cell| one.has(*cell) && !two.has(*cell));
            only.map(|cell| cell.to_string()).collect()
        };
        let both = Cell::all().filter(|cell| one.has(*cell) && two.has(*cell)).count();
        Some(Cells { both, only: [only(one, two), only(two, one)] })
    }
}
