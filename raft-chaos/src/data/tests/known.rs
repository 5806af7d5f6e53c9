//! Histories known good and known bad by hand, of each kind.

use super::*;

/// Each row: a kind, a history of one key in Jepsen's form, and whether an order explains it. Operations end at once (`f`), or begin
/// (`f...`) and end later (`... ok`).
#[test]
fn good_histories_of_every_kind_are_told_from_bad_ones() {
    let moved = |from: i64, to: i64| {
        let rest: Vec<_> = (2..8).map(|account| format!("{account} 10")).collect();
        format!("{{0 {from}, 1 {to}, {}}}", rest.join(", "))
    };
    let (first, then, torn) = (moved(10, 10), moved(5, 15), moved(5, 10));
    let transfer = "{:from 0, :to 1, :amount 5}";
    let bank = |lines: &[(u64, &str, &str, &str)]| {
        lines.iter().map(|&(p, t, f, v)| line(p, t, f, v)).collect::<String>()
    };
    let rows: Vec<(Kind, &str, String, bool)> = vec![
        (
            Kind::ListAppend,
            "a read has both",
            both(&[(0, "append", "1"), (1, "append", "2"), (2, "read", "[1 2]")]),
            true,
        ),
        (
            Kind::ListAppend,
            "a lost append",
            both(&[(0, "append", "1"), (1, "append", "2"), (2, "read", "[2]")]),
            false,
        ),
        (Kind::ListAppend, "a doubled append", both(&[(0, "append", "1"), (2, "read", "[1 1]")]), false),
        (
            Kind::ListAppend,
            "against real time",
            both(&[(0, "append", "1"), (1, "append", "2"), (2, "read", "[2 1]")]),
            false,
        ),
        (Kind::Set, "a read has all", both(&[(0, "add", "2"), (1, "add", "1"), (2, "read", "#{1 2}")]), true),
        (Kind::Set, "a lost add", both(&[(0, "add", "2"), (1, "add", "1"), (2, "read", "#{1}")]), false),
        (Kind::Set, "an item of nobody", both(&[(0, "add", "2"), (2, "read", "#{2 3}")]), false),
        (Kind::Set, "an item twice", both(&[(0, "add", "2"), (2, "read", "[2 2]")]), false),
        (
            Kind::Set,
            "an item comes and goes",
            both(&[(0, "add", "2"), (1, "read", "[2]"), (2, "read", "[]")]),
            false,
        ),
        (Kind::Counter, "a sum", both(&[(0, "add", "2"), (1, "add", "1"), (2, "read", "3")]), true),
        (Kind::Counter, "an add is lost", both(&[(0, "add", "2"), (1, "add", "1"), (2, "read", "1")]), false),
        (Kind::Counter, "an add is done twice", both(&[(0, "add", "2"), (2, "read", "4")]), false),
        (
            Kind::Counter,
            "an add that nobody saw end may be in it",
            line(0, "invoke", "add", "5")
                + &line(0, "info", "add", "5")
                + &both(&[(1, "read", "0"), (2, "read", "5")]),
            true,
        ),
        (
            Kind::Counter,
            "but not come and go",
            line(0, "invoke", "add", "5")
                + &line(0, "info", "add", "5")
                + &both(&[(1, "read", "5"), (2, "read", "0")]),
            false,
        ),
        (
            Kind::Counter,
            "an add that failed is not in it",
            line(0, "invoke", "add", "5") + &line(0, "fail", "add", "5") + &both(&[(1, "read", "5")]),
            false,
        ),
        (
            Kind::Bank,
            "money moves",
            both(&[(0, "read", &first), (1, "transfer", transfer), (2, "read", &then)]),
            true,
        ),
        (
            Kind::Bank,
            "money is lost on the way",
            both(&[(1, "transfer", transfer), (2, "read", &torn)]),
            false,
        ),
        (Kind::Bank, "it has not moved", both(&[(1, "transfer", transfer), (2, "read", &first)]), false),
        (
            Kind::Bank,
            "a read beside a transfer sees all of it or nothing",
            bank(&[
                (1, "invoke", "transfer", transfer),
                (2, "invoke", "read", "nil"),
                (2, "ok", "read", &torn),
                (1, "ok", "transfer", transfer),
            ]),
            false,
        ),
        (
            Kind::Bank,
            "an overdraft",
            both(&[(1, "transfer", transfer), (1, "transfer", transfer), (1, "transfer", transfer)]),
            false,
        ),
        (
            Kind::Queue,
            "first in, first out",
            both(&[(0, "enqueue", "1"), (0, "enqueue", "2"), (1, "dequeue", "1"), (1, "dequeue", "2")]),
            true,
        ),
        (
            Kind::Queue,
            "last in, first out",
            both(&[(0, "enqueue", "1"), (0, "enqueue", "2"), (1, "dequeue", "2")]),
            false,
        ),
        (
            Kind::Queue,
            "taken out twice",
            both(&[(0, "enqueue", "1"), (1, "dequeue", "1"), (2, "dequeue", "1")]),
            false,
        ),
        (Kind::Queue, "lost", both(&[(0, "enqueue", "1"), (1, "dequeue", "nil")]), false),
        (Kind::Queue, "of nobody", both(&[(1, "dequeue", "7")]), false),
        (
            Kind::Queue,
            "a dequeue that nobody saw end may have taken it",
            both(&[(0, "enqueue", "1")])
                + &line(1, "invoke", "dequeue", "nil")
                + &line(1, "info", "dequeue", "nil")
                + &both(&[(2, "dequeue", "nil")]),
            true,
        ),
    ];
    for (kind, about, text, expected) in rows {
        let history = crate::edn::read(&text).expect("a history");
        assert_eq!(is_good(&searched(kind, &history)), expected, "{kind:?}: {about}");
        if kind == Kind::ListAppend {
            let found = crate::anomalies::find(&history).expect("lists");
            assert_eq!(found.is_empty(), expected, "{about}: the second judge");
        }
    }
}

fn line(process: u64, kind: &str, f: &str, value: &str) -> String {
    format!("{{:process {process}, :type :{kind}, :f :{f}, :key x, :value {value}}}\n")
}

/// Operations that begin and end one after the other.
fn both(operations: &[(u64, &str, &str)]) -> String {
    let whole = |&(process, f, value): &(u64, &str, &str)| {
        let asked = if matches!(f, "read" | "dequeue") { "nil" } else { value };
        line(process, "invoke", f, asked) + &line(process, "ok", f, value)
    };
    operations.iter().map(whole).collect()
}
