//! What was reached, in words.

use serde_json::{Value, json};

use super::cell::{KINDS, LOGS, PHASES, ROLES, TERMS};
use super::{CELLS, Cell, Coverage, VERSION};

/// How many cells there are of something, and how many were reached.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    pub(crate) reached: usize,
    pub(crate) of: usize,
}

impl Share {
    fn of(coverage: &Coverage, is_counted: impl Fn(&Cell) -> bool) -> Self {
        let cells = || Cell::all().filter(&is_counted);
        Self { reached: cells().filter(|cell| coverage.has(*cell)).count(), of: cells().count() }
    }

    fn text(self) -> String {
        format!("{}/{}", self.reached, self.of)
    }
}

/// A row for each kind of message, a column for each role, and the cells that were not reached.
pub fn words(coverage: &Coverage, runs: u64) -> String {
    let mut text = format!("cells     {coverage} in {runs} runs\n\n{:<17}", "");
    columns().for_each(|column| text += &format!("{column:>14}"));
    text.push('\n');
    for (name, shares) in rows(coverage) {
        let shares: String = shares.into_iter().map(|share| format!("{:>14}", share.text())).collect();
        text += &format!("{name:<17}{shares}\n");
    }
    let missing = missing(coverage);
    if !missing.is_empty() {
        text += &format!("\nempty     {}\n{missing}", CELLS - coverage.reached());
    }
    text.truncate(text.trim_end().len());
    text
}

/// What [`rows`] counts: each role, and all of them.
pub(crate) fn columns() -> impl Iterator<Item = &'static str> {
    ROLES.into_iter().chain(["all"])
}

/// A row for each kind of message, and one for all of them.
pub(crate) fn rows(coverage: &Coverage) -> Vec<(&'static str, Vec<Share>)> {
    let row = |is_counted: &dyn Fn(&Cell) -> bool| {
        let of_role = |role| Share::of(coverage, |cell| is_counted(cell) && cell.role == role);
        (0..ROLES.len()).map(of_role).chain([Share::of(coverage, is_counted)]).collect()
    };
    let kinds = KINDS.iter().enumerate();
    let kinds = kinds.map(|(kind, (name, _))| (*name, row(&|cell| cell.kind == kind)));
    kinds.chain([("all", row(&|_| true))]).collect()
}

/// A line for each role, kind and term that lacks any.
pub(crate) fn missing(coverage: &Coverage) -> String {
    let mut text = String::new();
    let empty: Vec<_> = Cell::all().filter(|cell| !coverage.has(*cell)).collect();
    for line in empty.chunk_by(|a, b| (a.role, a.kind, a.term) == (b.role, b.kind, b.term)) {
        let Cell { role, kind, term, .. } = line[0];
        let (name, says) = KINDS[kind];
        text += &format!("{:<14}{name:<17}{:<8}", ROLES[role], TERMS[term]);
        for of_log in line.chunk_by(|a, b| a.log == b.log) {
            let phases: Vec<_> = of_log.iter().map(|cell| PHASES[cell.phase]).collect();
            let log = if says { LOGS[of_log[0].log] } else { "" };
            text += &format!(" {log}({})", phases.join(" "));
        }
        text.push('\n');
    }
    text
}

/// The same for programs.
pub fn json(coverage: &Coverage, runs: u64) -> Value {
    let mut table = Vec::new();
    for (role, role_name) in ROLES.iter().enumerate() {
        for (kind, (kind_name, _)) in KINDS.iter().enumerate() {
            let Share { reached, of } = Share::of(coverage, |cell| (cell.role, cell.kind) == (role, kind));
            table.push(json!({ "role": role_name, "kind": kind_name, "reached": reached, "of": of }));
        }
    }
    let empty = Cell::all().filter(|cell| !coverage.has(*cell)).map(|cell| cell.to_string());
    json!({
        "schema": 1,
        "version": VERSION,
        "runs": runs,
        "coverage": coverage,
        "table": table,
        "empty": empty.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_is_counted_and_the_rest_is_named() {
        let mut coverage = Coverage::default();
        Cell::all().skip(2).for_each(|cell| coverage.reach(Some(cell)));
        let text = words(&coverage, 7);
        assert!(text.starts_with("cells     1048 of 1050 in 7 runs\n"), "{text}");
        assert!(text.contains("\npre-vote                  34/36"), "{text}");
        let last = "empty     2\nfollower      pre-vote         lower    behind(stable learners)";
        assert!(text.ends_with(last), "{text}");
        let value = json(&coverage, 7);
        let empty =
            json!(["follower pre-vote lower behind stable", "follower pre-vote lower behind learners"]);
        assert_eq!(value["empty"], empty);
        assert_eq!(
            value["table"][0],
            json!({ "role": "follower", "kind": "pre-vote", "reached": 34, "of": 36 })
        );
        assert_eq!(value["coverage"]["reached"], 1048);
    }
}
