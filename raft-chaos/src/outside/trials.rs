//! Histories known good and known bad, made by hand: a judge that is wrong about one of them is not to be trusted.

use crate::history::History;
use crate::plan::Kind;

/// A history of which all is known.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it is of.
    pub kind: Kind,
    /// What it shows, in words.
    pub about: &'static str,
    /// The history.
    pub history: History,
    /// Whether an order explains it.
    pub good: bool,
}

/// Each row: of what, what it shows, whether it is good, and the operations: by whom, which, and with what; `!` begins one that ends
/// later, with `ok`, `fail` or `info`.
const TRIALS: [(Kind, &str, bool, &str); 34] = [
    (Kind::Register, "a read of what was written", true, "0 write 1; 1 read 1"),
    (Kind::Register, "a read of nothing", true, "1 read nil; 0 write 1"),
    (Kind::Register, "a read beside a write", true, "!0 write 1; 1 read 1; 2 read 1; 0 ok"),
    (
        Kind::Register,
        "a write that nobody saw end, done late",
        true,
        "!0 write 1; 0 info; 1 read nil; 1 read 1",
    ),
    (Kind::Register, "a compare-and-set", true, "0 write 1; 1 cas [1 2]; 2 read 2"),
    (Kind::Register, "a stale read", false, "0 write 1; 0 write 2; 1 read 1"),
    (Kind::Register, "a lost write", false, "0 write 1; 1 read nil"),
    (Kind::Register, "a read of what nobody wrote", false, "0 write 1; 1 read 7"),
    (Kind::Register, "a write that comes and goes", false, "!0 write 1; 1 read 1; 2 read nil; 0 ok"),
    (Kind::Register, "a write that failed is read", false, "!0 write 1; 0 fail; 1 read 1"),
    (
        Kind::Register,
        "two winners of one compare-and-set",
        false,
        "0 write 1; !0 cas [1 2]; !1 cas [1 3]; 0 ok; 1 ok; 2 read 3",
    ),
    (
        Kind::Register,
        "two readers see two orders",
        false,
        "!0 write 1; !1 write 2; 2 read 1; 3 read 2; 2 read 1; 0 ok; 1 ok",
    ),
    (Kind::ListAppend, "appends in a row", true, "0 append 1; 1 append 2; 2 read [1 2]"),
    (Kind::ListAppend, "appends side by side", true, "!0 append 1; !1 append 2; 0 ok; 1 ok; 2 read [2 1]"),
    (
        Kind::ListAppend,
        "an append that nobody saw end",
        true,
        "!0 append 1; 0 info; 1 append 2; 2 read [2]; 2 read [2 1]",
    ),
    (
        Kind::ListAppend,
        "a lost append",
        false,
        "0 append 1; 1 append 2; 2 read [1 2]; 0 append 3; 1 append 4; 2 read [1 2 4]",
    ),
    (Kind::ListAppend, "a stale read", false, "0 append 1; 1 read [1]; 0 append 2; 1 read [1 2]; 2 read [1]"),
    (Kind::ListAppend, "a doubled append", false, "0 append 1; 1 read [1 1]"),
    (
        Kind::ListAppend,
        "two orders",
        false,
        "!0 append 1; !1 append 2; 2 read [1 2]; 3 read [2 1]; 0 ok; 1 ok",
    ),
    (
        Kind::ListAppend,
        "an append that failed is read",
        false,
        "!0 append 1; 0 fail; 1 append 2; 2 read [1 2]",
    ),
    (Kind::ListAppend, "appends against real time", false, "0 append 1; 1 append 2; 2 read [2 1]"),
    (Kind::Set, "adds in a row", true, "0 add 2; 1 add 1; 2 read [1 2]"),
    (Kind::Set, "a lost add", false, "0 add 2; 1 add 1; 2 read [1]"),
    (Kind::Set, "an item of nobody", false, "0 add 2; 2 read [2 3]"),
    (Kind::Counter, "a sum", true, "0 add 2; 1 add 1; 2 read 3"),
    (Kind::Counter, "an add that nobody saw end", true, "!0 add 2; 0 info; 2 read 0; 2 read 2"),
    (Kind::Counter, "an add done twice", false, "0 add 2; 2 read 4"),
    (Kind::Counter, "an add that is lost", false, "0 add 2; 1 read 2; 2 read 0"),
    (
        Kind::Bank,
        "money moves",
        true,
        "0 transfer {:from 0, :to 1, :amount 5}; 1 read {0 5, 1 15, 2 10, 3 10, 4 10, 5 10, 6 10, 7 10}",
    ),
    (
        Kind::Bank,
        "money is lost",
        false,
        "0 transfer {:from 0, :to 1, :amount 5}; 1 read {0 5, 1 10, 2 10, 3 10, 4 10, 5 10, 6 10, 7 10}",
    ),
    (
        Kind::Queue,
        "first in, first out",
        true,
        "0 enqueue 1; 0 enqueue 2; 1 dequeue 1; 2 dequeue 2; 1 dequeue nil",
    ),
    (Kind::Queue, "last in, first out", false, "0 enqueue 1; 0 enqueue 2; 1 dequeue 2"),
    (Kind::Queue, "taken out twice", false, "0 enqueue 1; 1 dequeue 1; 2 dequeue 1"),
    (Kind::Queue, "lost", false, "0 enqueue 1; 1 dequeue nil"),
];

/// All of them.
///
/// # Panics
///
/// Never: they are part of this tool, and its tests read them.
pub fn trials() -> Vec<Trial> {
    let trial = |&(kind, about, good, script)| {
        let history = crate::edn::read(&edn(script)).expect("the trials are histories");
        Trial { kind, about, history, good }
    };
    TRIALS.iter().map(trial).collect()
}

fn edn(script: &str) -> String {
    let mut text = String::new();
    let mut open: Vec<(&str, &str, &str)> = Vec::new();
    for step in script.split("; ") {
        let begins_only = step.strip_prefix('!');
        let mut words = begins_only.unwrap_or(step).splitn(3, ' ');
        let mut word = || words.next().unwrap_or("");
        let (process, f, value) = (word(), word(), word());
        let mut say = |kind: &str, f: &str, value: &str| {
            text += &format!("{{:process {process}, :type :{kind}, :f :{f}, :key x, :value {value}}}\n");
        };
        if let "ok" | "fail" | "info" = f {
            if let Some(place) = open.iter().position(|(other, ..)| *other == process) {
                let (_, begun, value) = open.remove(place);
                say(f, begun, value);
            }
            continue;
        }
        say("invoke", f, if matches!(f, "read" | "dequeue") { "nil" } else { value });
        if begins_only.is_some() {
            open.push((process, f, value));
        } else {
            say("ok", f, value);
        }
    }
    text
}
