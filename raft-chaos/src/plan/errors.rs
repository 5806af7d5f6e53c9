//! What is wrong with a plan: every mistake with its place, its key and its cure.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;

/// A place in one of the files that make up a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which of the sources.
    pub(super) source: usize,
    /// Bytes from its beginning.
    pub(super) offset: usize,
}

/// A text that is part of a plan: a file, or a `--set`.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// What was found so far. Shared by all that read one plan.
#[derive(Debug, Default)]
pub(super) struct Notes {
    sources: RefCell<Vec<Source>>,
    notes: RefCell<Vec<(Place, Mistake)>>,
}

impl Notes {
    /// Adds a source and gives the number under which places name it.
    pub(super) fn source(&self, name: &str, text: &str) -> usize {
        let mut sources = self.sources.borrow_mut();
        sources.push(Source { name: name.to_owned(), text: text.to_owned() });
        sources.len() - 1
    }

    /// Notes a mistake (64), or what the language knows and cannot be done here (69).
    pub(super) fn note(&self, place: Place, key: &str, what: String, not_built: bool) {
        let sources = self.sources.borrow();
        let (file, text) =
            sources.get(place.source).map_or(("", ""), |source| (source.name.as_str(), source.text.as_str()));
        let before = text.get(..place.offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let mistake = Mistake {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            source_line: text[line_start..].lines().next().unwrap_or_default().to_owned(),
            key: key.to_owned(),
            what,
            not_built,
        };
        self.notes.borrow_mut().push((place, mistake));
    }

    /// Nothing wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.notes.borrow().is_empty()
    }

    /// All of it, in the order of the text, nothing twice.
    pub(super) fn into_errors(self) -> PlanErrors {
        let mut notes = self.notes.into_inner();
        notes.sort_by_key(|(place, _)| *place);
        notes.dedup();
        PlanErrors { mistakes: notes.into_iter().map(|(_, mistake)| mistake).collect() }
    }
}

/// One thing that keeps a plan from being run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file, as it was named; `--set` for an override.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// That line.
    #[serde(skip)]
    pub source_line: String,
    /// The full key, events by name (`event.depose.for`); empty where the text is no TOML.
    pub key: String,
    /// What is wrong, and the cure.
    pub what: String,
    /// The plan is right, but this version cannot do it yet, or this machine has not what it needs.
    pub not_built: bool,
}

/// Prints one line that says it all, then the line of the plan with a caret under the column.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        let source_line = self.source_line.replace('\t', " ");
        write!(f, "{}\n    {source_line}\n    {:>column$}", self.what, "^", column = self.column)
    }
}

/// All that keeps a plan from being run; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanErrors {
    mistakes: Vec<Mistake>,
}

impl PlanErrors {
    /// Each of them, in the order of the text.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// 64 for a plan that is wrong, 69 for one that is right and asks for what cannot be done here. 64 wins.
    pub fn exit_code(&self) -> u8 {
        if self.mistakes.iter().all(|mistake| mistake.not_built) { 69 } else { 64 }
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, mistake) in self.mistakes.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}
