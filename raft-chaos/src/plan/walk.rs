//! How the tree of a plan is read: a [`Section`] hands out its keys and knows which were asked for, so that
//! what nobody asked for is an unknown key; an [`Item`] is one value, read as what it should be.

use std::time::Duration;

use super::Range;
use super::errors::{Notes, Place};
use super::tree::{Node, Table, Value};
use super::values::{Count, Share, duration};

static NO_KEYS: Table = Table::new();

/// A table of the plan.
pub(super) struct Section<'a> {
    notes: &'a Notes,
    key: String,
    place: Place,
    table: &'a Table,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(notes: &'a Notes, key: String, node: &'a Node) -> Self {
        let table = if let Value::Table(table) = &node.value { table } else { &NO_KEYS };
        Self { notes, key, place: node.place, table, asked: Vec::new() }
    }

    fn full_key(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// The value of `key`, if it is written.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let node = self.table.get(key)?;
        Some(Item { notes: self.notes, key: self.full_key(key), node })
    }

    /// The value of `key`, if it is written and nobody has asked for it.
    pub(super) fn get_unasked(&mut self, key: &'static str) -> Option<Item<'a>> {
        if self.asked.contains(&key) { None } else { self.get(key) }
    }

    /// Whether `key` is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`; that it is missing is a mistake.
    pub(super) fn required(&mut self, key: &'static str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            let what = format!("missing; write {key} = ...");
            self.notes.note(self.place, &self.full_key(key), what, false);
        }
        item
    }

    /// The value of `key` as `read` reads it; none if it is not written or wrong, which then is noted.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(key).and_then(|item| read(&item))
    }

    /// The table under `key`; an empty one if it is not written.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let full_key = self.full_key(key);
        self.read(key, Item::section).unwrap_or(Self {
            notes: self.notes,
            key: full_key,
            place: self.place,
            table: &NO_KEYS,
            asked: Vec::new(),
        })
    }

    /// Notes a mistake of the whole section.
    pub(super) fn wrong(&self, what: &str) {
        self.notes.note(self.place, &self.key, what.to_owned(), false);
    }

    /// What is written and was not asked for is unknown.
    pub(super) fn finish(self) {
        for (key, node) in self.table {
            if !self.asked.contains(&key.as_str()) {
                let cure = did_you_mean(key, &self.asked);
                self.notes.note(node.place, &self.full_key(key), format!("unknown key; {cure}"), false);
            }
        }
    }
}

fn did_you_mean(word: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::damerau_levenshtein(word, known);
    let near = known.iter().min_by_key(distance).filter(|near| distance(near) <= 1 + near.len() / 3);
    match near {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => "leave it out".to_owned(),
        None => format!("known here are {}", known.join(", ")),
    }
}

/// A value of the plan.
pub(super) struct Item<'a> {
    notes: &'a Notes,
    pub(super) key: String,
    pub(super) node: &'a Node,
}

impl<'a> Item<'a> {
    pub(super) fn wrong(&self, what: &str) {
        self.notes.note(self.node.place, &self.key, what.to_owned(), false);
    }

    pub(super) fn not_built(&self, what: &str) {
        self.notes.note(self.node.place, &self.key, what.to_owned(), true);
    }

    /// Notes that the value is not `expected`, and gives none.
    pub(super) fn expected<T>(&self, expected: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Date => "a date".to_owned(),
            Value::TooLarge(number) => number.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        };
        self.wrong(&format!("{found} does not fit; write {expected}"));
        None
    }

    fn kept<T>(&self, read: Result<T, String>) -> Option<T> {
        read.map_err(|what| self.wrong(&what)).ok()
    }

    pub(super) fn raw_text(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value { Some(text) } else { None }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.raw_text().or_else(|| self.expected("a text in quotes"))
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(&self, parse: fn(&str) -> Result<T, String>, like: &str) -> Option<T> {
        let text = self.raw_text().or_else(|| self.expected(like))?;
        self.kept(parse(text))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        if let Value::Boolean(value) = self.node.value { Some(value) } else { self.expected("true or false") }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn integer(&self, min: u64, max: u64) -> Option<u64> {
        let number =
            if let Value::Integer(number) = self.node.value { u64::try_from(number).ok() } else { None };
        number.filter(|number| (min..=max).contains(number)).or_else(|| {
            if max >= i64::MAX.unsigned_abs() {
                return self.expected(&format!("a whole number, {min} or more"));
            }
            self.expected(&format!("a whole number from {min} to {max}"))
        })
    }

    pub(super) fn whole(&self) -> Option<u64> {
        self.integer(0, i64::MAX.unsigned_abs())
    }

    pub(super) fn share(&self) -> Option<Share> {
        let share = match self.node.value {
            Value::Float(value) => Share::from_float(value),
            Value::Integer(0) => Share::from_ppm(0),
            Value::Integer(1) => Share::from_ppm(1_000_000),
            Value::Integer(_)
            | Value::Text(_)
            | Value::Boolean(_)
            | Value::Date
            | Value::TooLarge(_)
            | Value::List(_)
            | Value::Table(_) => None,
        };
        share.or_else(|| self.expected("a number from 0.0 to 1.0"))
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.parsed(duration, "a duration, as in \"1500ms\"")
    }

    /// A duration that is more than nothing.
    pub(super) fn some_duration(&self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() { self.expected("more than 0s") } else { Some(duration) }
    }

    /// A RANGE with two ends.
    pub(super) fn two_ends(&self) -> Option<Range> {
        let like = "two durations, the shorter one first, as in [\"150ms\", \"300ms\"]";
        let Value::List(items) = &self.node.value else { return self.expected(like) };
        let [min, max] = items.as_slice() else { return self.expected(like) };
        let end = |node| Item { notes: self.notes, key: self.key.clone(), node }.duration();
        let (min, max) = (end(min)?, end(max)?);
        if min > max { self.expected(like) } else { Some((min, max)) }
    }

    /// A RANGE.
    pub(super) fn range(&self) -> Option<Range> {
        match &self.node.value {
            Value::List(_) => self.two_ends(),
            Value::Text(_) => self.duration().map(|both| (both, both)),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Date
            | Value::TooLarge(_)
            | Value::Table(_) => self.expected("a duration, as in \"2s\", or two, as in [\"1s\", \"3s\"]"),
        }
    }

    /// A COUNT.
    pub(super) fn count(&self) -> Option<Count> {
        if let Value::Integer(_) = self.node.value {
            return self.whole().map(Count::at_least);
        }
        self.parsed(Count::parse, "a count, as in 3 or \">= 3\"")
    }

    pub(super) fn section(&self) -> Option<Section<'a>> {
        self.raw_section().or_else(|| self.expected("a table, as in { key = value }"))
    }

    /// The table that it is, unjudged.
    pub(super) fn raw_section(&self) -> Option<Section<'a>> {
        let is_table = matches!(self.node.value, Value::Table(_));
        is_table.then(|| Section::new(self.notes, self.key.clone(), self.node))
    }

    /// The list that it is, unjudged.
    pub(super) fn raw_list(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else { return None };
        let item = |node| Self { notes: self.notes, key: self.key.clone(), node };
        Some(items.iter().map(item).collect())
    }

    pub(super) fn list(&self) -> Option<Vec<Self>> {
        self.raw_list().or_else(|| self.expected("a list, as in [...]"))
    }

    /// A list in which every item is as `read` reads it.
    pub(super) fn list_of<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<Vec<T>> {
        // Every item is read before the first that is wrong ends it, so that all mistakes are told.
        let items: Vec<_> = self.list()?.iter().map(read).collect();
        items.into_iter().collect()
    }

    /// One of `words`.
    pub(super) fn word<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        self.word_in(self.text()?, words)
    }

    /// As [`Self::word`], for a part of the text.
    pub(super) fn word_in<T: Clone>(&self, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(&format!("{text:?} is unknown; {}", did_you_mean(text, &known)));
        }
        found
    }
}
