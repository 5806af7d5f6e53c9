//! `[[event]]` and `[[chaos]]`: what is done, to whom, and when.

use serde_json::{Value, json};

use super::super::actions::{DEEDS, EXPECTS, STEPS};
use super::super::disks::{DAMAGES, OLD_COPY, READS, WRITES};
use super::super::moments::MOMENTS;
use super::super::targets::{SHAPES, WORDS};
use super::super::when::QUANTITIES;
use super::forms::{DURATION, about, any_of, list, refer, table, text, whole, words};

/// The forms of whom and which that have a name.
pub(super) fn forms() -> Vec<(String, Value)> {
    let role = WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join("|");
    let side = format!(r"([0-9]+|{role}|event\.node|event:[a-z0-9-]+\.target)");
    let one_way = text(&format!("^oneway:{side}->{side}$"));
    let target = any_of([
        whole(1, Some(45)),
        refer("ids"),
        words(WORDS.iter().map(|(word, _)| *word).chain(["event.node"])),
        text(r"^event:[a-z0-9-]+\.target$"),
    ]);
    let ids = json!({ "type": "array", "items": whole(1, Some(45)), "minItems": 1, "uniqueItems": true });
    let pair = json!({ "type": "array", "items": whole(1, Some(45)), "minItems": 2, "maxItems": 2, "uniqueItems": true });
    let filled = |item: Value| json!({ "type": "array", "items": item, "minItems": 1 });
    let shape = any_of([words(SHAPES.map(|(word, _)| word)), refer("one-way")]);
    let mut split = table([
        ("isolate", about("These, from all others.", refer("target"))),
        ("groups", about("Between these; who is in none is in one more.", filled(refer("ids")))),
        ("cut", about("Just these links, both ways.", filled(refer("pair")))),
        ("any", about("One of these, drawn.", filled(shape))),
    ]);
    split["minProperties"] = 1.into();
    split["maxProperties"] = 1.into();
    let split = any_of([split, refer("one-way")]);
    let named = [("target", target), ("ids", ids), ("pair", pair), ("one-way", one_way), ("split", split)];
    named.map(|(name, form)| (name.to_owned(), form)).into_iter().collect()
}

/// An `[[event]]`.
pub(super) fn event() -> Value {
    let common = || {
        vec![
            ("name", about("Its name, of which there is one.", refer("name"))),
            ("when", when()),
            ("optional", about("It need not fire.", refer("bool"))),
        ]
    };
    any_of(DEEDS.iter().map(|(word, _)| action(word, common(), &[])))
}

/// A `[[chaos]]`.
pub(super) fn chaos() -> Value {
    let common = || {
        vec![
            ("every", about("The mean time from one to the next.", refer("some-duration"))),
            ("weight", about("The heaviest goes first where several are due.", whole(0, None))),
            ("off", about("Switched off; not to be drawn under run.swarm.", refer("bool"))),
        ]
    };
    any_of(DEEDS.iter().map(|(word, _)| action(word, common(), &["every"])))
}

fn when() -> Value {
    let quantity = QUANTITIES.map(|(word, _)| word).join("|");
    let condition = format!(r"\s*({quantity})\s+\s*(>=|<=|==|>|<)\s*[0-9]+\s*");
    let mut keys = vec![
        ("at", about("From then on, counted from the end of the warm-up.", refer("duration"))),
        ("every", about("At each multiple of it.", refer("some-duration"))),
        ("times", about("With `every`: at most so often.", whole(1, None))),
        ("event", about("Once that event has fired.", json!({ "type": "string" }))),
        ("after", about("That long after `event`, or after the warm-up.", refer("duration"))),
        ("term", about("The highest term.", refer("count"))),
        ("commit", about("The highest commit index.", refer("count"))),
        (
            "with",
            about(
                "Of the server's log: \"uncommitted >= 3 and lag == 0\".",
                text(&format!("^{condition}( and {condition})*$")),
            ),
        ),
        ("chunk", about("Only the piece of this number.", whole(1, None))),
        ("on", about("Only on such a server.", refer("target"))),
        ("nth", about("Only the time of this number that all else holds.", whole(1, None))),
    ];
    for key in ["leader", "vote", "append", "snapshot", "membership", "fsync"] {
        let of = MOMENTS.iter().filter(|(of, ..)| *of == key).map(|(_, word, _)| *word);
        keys.push((key, words(of.chain((key == "leader").then_some("elected")))));
    }
    about("All of it must hold; one moment at most.", table(keys))
}

/// One action with its parameters.
fn action(word: &'static str, common: Vec<(&'static str, Value)>, required: &[&str]) -> Value {
    let (parameters, needs) = parameters(word);
    let mut form = table(common.into_iter().chain([("do", json!({ "const": word }))]).chain(parameters));
    let required: Vec<_> =
        ["do"].into_iter().chain(required.iter().copied()).chain(needs.iter().copied()).collect();
    form["required"] = json!(required);
    if word == "membership" {
        let removes = json!({ "anyOf": [{ "const": "remove" }, { "type": "array", "contains": { "const": "remove" } }] });
        form["if"] = json!({ "properties": { "change": removes } });
        form["then"] = json!({ "required": ["target"] });
    }
    form
}

/// The parameters of an action, and those of them that it needs.
fn parameters(word: &str) -> (Vec<(&'static str, Value)>, &'static [&'static str]) {
    let target = || ("target", about("Whom it meets.", refer("target")));
    let lasts = |key| {
        let length = about("That long, or drawn between two.", refer("range"));
        [(key, length), ("heal", about("false: for ever.", refer("bool")))]
    };
    let and = |first: (&'static str, Value), more: [(&'static str, Value); 2]| {
        [first].into_iter().chain(more).collect::<Vec<_>>()
    };
    let expect = || ("expect", words(EXPECTS.map(|(word, _)| word)));
    match word {
        "partition" => (and(("split", refer("split")), lasts("for")), &["split"]),
        "crash" | "stop" => {
            let mut keys = and(target(), lasts("restart_after"));
            keys.push(("disk", down(word == "crash")));
            (keys, &["target"])
        }
        "disk" => {
            let mut keys = and(target(), lasts("for"));
            keys.push(("disk", faults()));
            (keys, &["target", "disk"])
        }
        "pause" | "isolate-client" => (and(target(), lasts("for")), &["target"]),
        "clock" => {
            let clock = table([("drift", refer("signed-percent")), ("jump", refer("signed-duration"))]);
            let mut keys = and(target(), lasts("for"));
            keys.push(("clock", clock));
            (keys, &["target", "clock"])
        }
        "link" => (link(and(("target", links()), lasts("for"))), &["link"]),
        "snapshot" => (vec![target()], &["target"]),
        "wipe" => (vec![target(), ("restart_after", refer("range"))], &["target"]),
        "membership" => {
            let step = || words(STEPS.map(|(word, _)| word));
            let voters = json!({ "type": "array", "items": refer("ids"), "minItems": 2, "maxItems": 2 });
            let change = any_of([step(), list(step()), voters]);
            (vec![("change", change), target(), ("via", refer("target")), expect()], &["change"])
        }
        "transfer" => (vec![("to", refer("target")), expect()], &["to"]),
        "upgrade" => (
            vec![target(), ("node", about("What starts it from then on.", refer("command")))],
            &["target", "node"],
        ),
        _ => (Vec::new(), &[]),
    }
}

fn links() -> Value {
    any_of([refer("target"), json!({ "const": "random-pair" }), refer("one-way")])
}

fn link(mut keys: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    let share = |key| (key, refer("percent"));
    let faults = [
        ("delay", refer("range")),
        ("jitter", refer("duration")),
        share("loss"),
        share("duplicate"),
        share("reorder"),
        share("corrupt"),
        share("reset"),
        ("rate", refer("speed")),
        ("stall", refer("bool")),
    ];
    keys.push(("link", table(faults)));
    keys.push(("only", about("requests, replies, or kinds of messages.", list(json!({ "type": "string" })))));
    keys
}

/// `disk` of what takes a server down.
fn down(crashes: bool) -> Value {
    let damages = DAMAGES.iter().map(|(word, ..)| *word);
    let damage = any_of([words(damages), text(&format!("^{OLD_COPY}{DURATION}$"))]);
    let mut keys = vec![("damage", about("Done to the disk while the server is down.", damage))];
    if crashes {
        keys.push(("lose", about("unsynced: the power goes.", words(["none", "unsynced"]))));
        keys.push(("torn", about("How often a part of it is left.", refer("share"))));
    }
    table(keys)
}

/// `disk` of a faulty disk.
fn faults() -> Value {
    let sync = any_of([words(["error", "hang"]), text(&format!("^slow:{DURATION}$"))]);
    let mut disk = table([
        ("fsync", sync),
        ("write", words(WRITES.map(|(word, _)| word))),
        ("read", words(READS.map(|(word, _)| word))),
        ("calls", about("Only the first n calls.", whole(1, None))),
    ]);
    disk["anyOf"] = json!([{ "required": ["fsync"] }, { "required": ["write"] }, { "required": ["read"] }]);
    disk
}
