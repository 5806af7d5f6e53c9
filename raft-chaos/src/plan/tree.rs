//! The text of a plan as a tree in which every value knows its place; `extends` and `--set` are done here.
//! What the keys mean is not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::errors::{Notes, Place};

/// The largest plan, in bytes.
const PLAN_BYTES_MAX: u64 = 1 << 20;
/// How many plans may stand on each other.
const EXTENDS_MAX: usize = 8;

pub(super) type Table = BTreeMap<String, Node>;

/// A value and its place: that of its key, or its own in a list.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date,
    /// A number that does not fit, as it was written.
    TooLarge(String),
    List(Vec<Node>),
    Table(Table),
}

/// Reads a file of a plan. What keeps it from being read is noted.
pub(super) fn file(notes: &Notes, path: &Path) -> Option<String> {
    let name = path.display().to_string();
    let refuse = |what: String, text: &str, offset: usize| {
        let source = notes.source(&name, text);
        notes.note(Place { source, offset }, "", what, false);
        None
    };
    let mut bytes = Vec::new();
    // What is no file, as a pipe, does not say how long it is.
    let read = File::open(path).and_then(|file| file.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(count) if count as u64 > PLAN_BYTES_MAX => {
            return refuse("the plan is larger than 1 MiB; make it smaller".to_owned(), "", 0);
        }
        Ok(_) => {}
        Err(error) => return refuse(format!("the plan cannot be read ({error}); check the path"), "", 0),
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            refuse("the plan is not UTF-8; save it as UTF-8".to_owned(), &text, offset)
        }
    }
}

/// The tree of `text`, merged onto the plans that it extends.
pub(super) fn parse(notes: &Notes, text: &str, path: &Path) -> Option<Node> {
    parse_on_bases(notes, text, path, &mut Vec::new())
}

fn parse_on_bases(notes: &Notes, text: &str, path: &Path, above: &mut Vec<PathBuf>) -> Option<Node> {
    let source = notes.source(&path.display().to_string(), text);
    let root = parse_toml(notes, source, text)?;
    let Value::Table(mut table) = root.value else { return None };
    above.push(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
    if let Some(extends) = table.remove("extends") {
        let refuse = |what: &str| notes.note(extends.place, "extends", what.to_owned(), false);
        let Value::Text(base) = &extends.value else {
            refuse("not a path; write the base as text, relative to this file");
            return None;
        };
        let base = path.parent().unwrap_or_else(|| Path::new("")).join(base);
        if above.contains(&fs::canonicalize(&base).unwrap_or_else(|_| base.clone())) {
            refuse("the plan extends itself; break the cycle");
            return None;
        }
        if above.len() > EXTENDS_MAX {
            refuse("more than 8 plans stand on each other; put some of them together");
            return None;
        }
        let text = file(notes, &base)?;
        let Value::Table(mut merged) = parse_on_bases(notes, &text, &base, above)?.value else { return None };
        merge(&mut merged, table);
        table = merged;
    }
    Some(Node { place: root.place, value: Value::Table(table) })
}

/// Tables merge key by key, other values replace, `event` and `chaos` append.
fn merge(base: &mut Table, over: Table) {
    for (key, node) in over {
        let appends = key == "event" || key == "chaos";
        match (base.get_mut(&key).map(|node| &mut node.value), node.value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (Some(Value::List(base)), Value::List(over)) if appends => base.extend(over),
            (_, value) => {
                base.insert(key, Node { place: node.place, value });
            }
        }
    }
}

fn parse_toml(notes: &Notes, source: usize, text: &str) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let what = format!("not TOML: {}", error.message().replace('\n', ", "));
        notes.note(Place { source, offset }, "", what, false);
    }
    let place = Place { source, offset: 0 };
    errors.is_empty().then(|| Node { place, value: table_value(source, table.into_inner()) })
}

fn table_value(source: usize, table: DeTable<'_>) -> Value {
    let node = |(key, value): (toml::Spanned<_>, toml::Spanned<DeValue<'_>>)| {
        let place = Place { source, offset: key.span().start };
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Node { place, value: value_of(source, value.into_inner()) })
    };
    Value::Table(table.into_iter().map(node).collect())
}

fn value_of(source: usize, value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::TooLarge(number.to_string()), Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map_or_else(|| Value::TooLarge(number.to_string()), Value::Float),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| Node {
                    place: Place { source, offset: item.span().start },
                    value: value_of(source, item.into_inner()),
                })
                .collect(),
        ),
        DeValue::Table(table) => table_value(source, table),
    }
}

/// Puts the value of a `--set key=value` into the tree: TOML if it reads as such, else text.
pub(super) fn set(notes: &Notes, root: &mut Node, assignment: &str) {
    let source = notes.source("--set", assignment);
    let place = Place { source, offset: 0 };
    let Some((key, text)) = assignment.split_once('=') else {
        notes.note(place, assignment, "not key=value; write --set run.seeds=1..10".to_owned(), false);
        return;
    };
    let (key, text) = (key.trim(), text.trim());
    let parsed = format!("v={text}");
    let (table, errors) = DeTable::parse_recoverable(&parsed);
    let only = if errors.is_empty() && table.get_ref().len() == 1 {
        table.into_inner().into_iter().next()
    } else {
        None
    };
    let value =
        only.map_or_else(|| Value::Text(text.to_owned()), |(_, value)| value_of(source, value.into_inner()));
    let mut node = Node { place, value };
    put_at(place, &mut node);
    let refuse = |what: &str| notes.note(place, key, what.to_owned(), false);
    if key == "extends" {
        refuse("cannot be set; write it into the plan");
        return;
    }
    match find(root, key, place) {
        Ok(target) => *target = node,
        Err(what) => refuse(&what),
    }
}

/// Gives a whole tree one place: that of the `--set` it came from.
fn put_at(place: Place, node: &mut Node) {
    node.place = place;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| put_at(place, item)),
        Value::Table(table) => table.values_mut().for_each(|item| put_at(place, item)),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Date
        | Value::TooLarge(_) => {}
    }
}

/// The node under a full key, made where it is missing; an event is found by its name, chaos by its number from 1.
fn find<'a>(root: &'a mut Node, key: &str, place: Place) -> Result<&'a mut Node, String> {
    let mut node = root;
    let mut before = "";
    for part in key.split('.') {
        if part.is_empty() {
            return Err("not a key; write its parts with one dot between them".to_owned());
        }
        node = match &mut node.value {
            Value::Table(table) => table
                .entry(part.to_owned())
                .or_insert_with(|| Node { place, value: Value::Table(Table::new()) }),
            Value::List(items) => {
                let is_chaos = before == "chaos";
                let name = |items: &[Node], position: usize| {
                    if is_chaos { (position + 1).to_string() } else { event_name(&items[position], position) }
                };
                let found = (0..items.len()).find(|position| name(items, *position) == part);
                let known = || {
                    let what = if is_chaos { "no chaos has the number" } else { "no event has the name" };
                    let names: Vec<_> = (0..items.len()).map(|position| name(items, position)).collect();
                    format!("{what} {part:?}; they are {}", names.join(", "))
                };
                let position = found.ok_or_else(known)?;
                &mut items[position]
            }
            Value::Text(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Date
            | Value::TooLarge(_) => {
                return Err(format!("there is no table to hold {part:?}; shorten the key"));
            }
        };
        before = part;
    }
    Ok(node)
}

/// The name of an event, or its default.
pub(super) fn event_name(event: &Node, position: usize) -> String {
    let named = if let Value::Table(table) = &event.value { table.get("name") } else { None };
    match named.map(|node| &node.value) {
        Some(Value::Text(name)) => name.clone(),
        Some(_) | None => format!("event-{}", position + 1),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Write as _, pipe};
    use std::os::fd::AsRawFd as _;
    use std::thread;

    use super::*;

    #[test]
    fn no_more_is_read_of_a_pipe_than_a_plan_may_be_long() {
        let (reader, mut writer) = pipe().unwrap();
        // Whoever has no end of what to write ends when nobody reads any more.
        let writing = thread::spawn(move || while writer.write_all(&[b'#'; 1 << 16]).is_ok() {});
        let (notes, path) = (Notes::default(), format!("/proc/self/fd/{}", reader.as_raw_fd()));
        assert_eq!(file(&notes, Path::new(&path)), None);
        drop(reader);
        writing.join().unwrap();
        assert!(notes.into_errors().to_string().contains("the plan is larger than 1 MiB"));
    }
}
