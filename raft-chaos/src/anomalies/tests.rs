//! Histories known good and known bad, one for each anomaly.

use super::*;
use crate::edn;

/// Each row: a history in Jepsen's form, and the names of what is found in it.
#[test]
fn every_anomaly_is_found_by_its_name_and_none_where_there_is_none() {
    for (about, script, expected) in [
        ("nothing", "", &[][..]),
        ("appends and reads, one after the other", "0 a1 ok, 0 r1 ok, 1 a2 ok, 1 r1.2 ok", &[]),
        ("a read beside an append has it", "0 a1, 1 r1 ok, 0 ok", &[]),
        ("a read beside an append lacks it", "0 a1, 1 r ok, 0 ok", &[]),
        ("an append that nobody saw end is read", "0 a1, 0 info, 1 r1 ok", &[]),
        ("an append that nobody saw end is not read", "0 a1, 0 info, 1 r ok, 1 r1 ok", &[]),
        ("an append that failed is not read", "0 a1, 0 fail, 1 r ok", &[]),
        ("what nobody reads is at the end", "0 a1 ok, 1 r1 ok, 0 a2 ok, 0 a3 ok", &[]),
        ("an item of nobody", "0 a1 ok, 1 r1.7 ok", &["garbage-read"]),
        ("a dirty read", "0 a1, 0 fail, 1 r1 ok", &["G1a"]),
        ("a doubled append", "0 a1 ok, 1 r1.1 ok", &["duplicate-elements"]),
        ("two orders", "0 a1, 1 a2, 2 r1.2 ok, 3 r2.1 ok, 0 ok, 1 ok", &["incompatible-order"]),
        ("a lost append", "0 a1 ok, 1 a2 ok, 2 r2 ok", &["G0-realtime"]),
        ("an append lost at the end", "0 a1 ok, 1 a2 ok, 2 r1 ok", &["G-single-realtime"]),
        ("a stale read", "0 a1 ok, 1 r1 ok, 2 r ok", &["G-single-realtime"]),
        ("a stale read after one beside the append", "0 a1, 1 r1 ok, 2 r ok, 0 ok", &["G-single-realtime"]),
        ("appends against real time", "0 a1 ok, 1 a2 ok, 2 r2.1 ok", &["G0-realtime"]),
        ("a read of what began later", "1 r1 ok, 0 a1 ok", &["G1c-realtime"]),
        ("a truncated list", "0 a1 ok, 0 a2 ok, 1 r1.2 ok, 1 r ok, 1 r1.2 ok", &["G-single-realtime"]),
    ] {
        let found = find(&lists(script)).expect("a history of lists");
        let names: Vec<_> = found.iter().map(|anomaly| anomaly.name.as_str()).collect();
        assert_eq!(names, expected, "{about}: {found:?}");
    }
}

/// Each row: transactions, each whole, in Jepsen's EDN, and the names of what is found.
#[test]
fn anomalies_of_transactions_are_found_by_their_names() {
    for (about, transactions, expected) in [
        ("none", &["[:append x 1] [:r x [1]]", "[:r x [1]] [:append x 2]"][..], &[][..]),
        ("it does not see its own append", &["[:append x 1] [:r x []]"], &["internal"]),
        (
            "it reads otherwise the second time",
            &["[:r x []] [:r x [1]]", "[:append x 1]"],
            &["internal", "G-single"],
        ),
        ("in the middle", &["[:append x 1] [:append x 2]", "[:r x [1]]"], &["G1b", "G-single"]),
        (
            "appends in a circle",
            &["[:append x 1] [:append y 1]", "[:append x 2] [:append y 2]", "[:r x [1 2]] [:r y [2 1]]"],
            &["G0"],
        ),
        ("each has the other's", &["[:append x 1] [:r y [1]]", "[:append y 1] [:r x [1]]"], &["G1c"]),
        ("one sees half", &["[:append x 1] [:append y 1]", "[:r x [1]] [:r y []]"], &["G-single"]),
        (
            "write skew",
            &["[:r x []] [:append y 1]", "[:r y []] [:append x 1]", "[:r x [1]] [:r y [1]]"],
            &["G2"],
        ),
    ] {
        // All at the same time.
        let mut text = String::new();
        for kind in ["invoke", "ok"] {
            for (process, steps) in transactions.iter().enumerate() {
                let steps = steps.replace("x", ":x").replace("y", ":y");
                text += &format!("{{:process {process}, :type :{kind}, :f :txn, :value [{steps}]}}\n");
            }
        }
        let found = find(&edn::read(&text).expect("EDN")).expect("a history of lists");
        let names: Vec<_> = found.iter().map(|anomaly| anomaly.name.as_str()).collect();
        assert_eq!(names, expected, "{about}: {found:?}");
    }
}

#[test]
fn a_circle_is_told_step_by_step() {
    let found = find(&lists("0 a1 ok, 1 a2 ok, 2 r1 ok")).expect("a history of lists");
    assert_eq!(
        found[0].to_string(),
        "G-single-realtime: a circle:\n    \
         process 1's append 2 to x (events 2 to 3) had ended before process 2's read [1] of x (events 4 to 5) began,\n    \
         process 2's read [1] of x (events 4 to 5) is before process 1's append 2 to x (events 2 to 3), which it has not"
    );
}

/// Each row: what cannot be judged, and why.
#[test]
fn what_is_no_history_of_lists_is_refused() {
    let write = "{:process 0, :type :invoke, :f :write, :key :x, :value 1}";
    let twice = "{:process 0, :type :invoke, :f :append, :key :x, :value 1}\n\
                 {:process 1, :type :invoke, :f :append, :key :x, :value 1}";
    for (text, expected) in [(write, "event 0 is no append"), (twice, "1 is appended to x twice")] {
        let why = find(&edn::read(text).expect("EDN")).expect_err("not to be judged");
        assert!(why.contains(expected), "{why}");
    }
}

/// A history of list `x` from words: `0 a1` begins an append of 1 by process 0, `1 r1.2` a read that will end with 1 and 2; `ok` behind
/// it ends it at once, and `0 ok`, `0 fail`, `0 info` end it later.
fn lists(script: &str) -> History {
    let mut text = String::new();
    let mut open: BTreeMap<&str, (String, String)> = BTreeMap::new();
    for line in script.split(", ").filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split(' ').collect();
        let (process, mut end) = (words[0], words[1]);
        if let Some(item) = words[1].strip_prefix('a') {
            open.insert(process, (format!(":append, :value {item}"), format!(":append, :value {item}")));
        } else if let Some(items) = words[1].strip_prefix('r') {
            let items = items.replace('.', " ");
            open.insert(process, (":read, :value nil".to_owned(), format!(":read, :value [{items}]")));
        }
        let mut say = |kind: &str, what: &str| {
            text += &format!("{{:process {process}, :type :{kind}, :key x, :f {what}}}\n");
        };
        if words[1].starts_with(['a', 'r']) {
            say("invoke", &open[process].0);
            end = words.get(2).copied().unwrap_or("");
        }
        if !end.is_empty() {
            let (asked, answered) = &open[process];
            say(end, if end == "ok" { answered } else { asked });
        }
    }
    edn::read(&text).expect("EDN")
}
