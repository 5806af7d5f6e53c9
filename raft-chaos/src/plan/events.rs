//! `[[event]]` and `[[chaos]]`: names, `when`, and what one event knows of another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tree::event_name;
use super::values;
use super::walk::{Item, Section};
use super::{Action, Cluster, Event, Storage, When, actions, moments};

/// What must be known to read the targets of an event.
pub(super) struct Context {
    /// The highest id.
    pub(super) nodes: u64,
    /// The event has a trigger that happens on a server.
    pub(super) has_node: bool,
    /// Where logs are kept.
    pub(super) storage: Storage,
    /// The events after which this one comes.
    pub(super) after: BTreeSet<String>,
}

impl Context {
    fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.nodes().len() as u64;
        Self { nodes, has_node: false, storage: cluster.storage, after: BTreeSet::new() }
    }
}

/// The names of all events, each with the one that its `when` names.
type Chain = BTreeMap<String, Option<String>>;

pub(super) fn events(root: &mut Section<'_>, cluster: &Cluster, duration: Duration) -> Vec<Event> {
    let items = root.read("event", Item::list).unwrap_or_default();
    let mut chain = Chain::new();
    for (position, item) in items.iter().enumerate() {
        let name = event_name(item.node, position);
        let earlier = item.section().and_then(|mut event| earlier_event(&mut event));
        if chain.insert(name.clone(), earlier).is_some() {
            item.wrong(&format!("a second event has the name {name:?}; give it another"));
        }
    }
    let mut events = Vec::new();
    for (position, mut item) in items.into_iter().enumerate() {
        let name = event_name(item.node, position);
        item.key = format!("event.{name}");
        if let Some(table) = item.section() {
            events.extend(event(table, name, &chain, cluster, duration));
        }
    }
    for (position, mut item) in root.read("chaos", Item::list).unwrap_or_default().into_iter().enumerate() {
        item.key = format!("chaos.{}", position + 1);
        item.not_built("[[chaos]] is known but not built yet; leave it out, or write [[event]]");
        if let Some(table) = item.section() {
            chaos(table, cluster);
        }
    }
    events
}

/// The event that `when` names, unjudged.
fn earlier_event(event: &mut Section<'_>) -> Option<String> {
    let super::tree::Value::Table(when) = &event.get("when")?.node.value else { return None };
    if let super::tree::Value::Text(name) = &when.get("event")?.value { Some(name.clone()) } else { None }
}

fn event(
    mut table: Section<'_>,
    name: String,
    chain: &Chain,
    cluster: &Cluster,
    duration: Duration,
) -> Option<Event> {
    table.read("name", |item| item.parsed(values::name, "a name in quotes"));
    let optional = table.read("optional", Item::boolean).unwrap_or(false);
    let mut context = Context::new(cluster);
    let when = if table.has("when") {
        when(table.section("when"), &name, chain, &mut context, duration)
    } else {
        When { at: Some(Duration::ZERO), ..When::default() }
    };
    let action: Option<Action> = actions::action(&mut table, &context);
    table.finish();
    Some(Event { name, when, optional, action: action? })
}

fn chaos(mut table: Section<'_>, cluster: &Cluster) {
    if let Some(item) = table.required("every") {
        item.some_duration();
    }
    table.read("weight", Item::whole);
    actions::action(&mut table, &Context::new(cluster));
    table.finish();
}

fn when(
    mut table: Section<'_>,
    name: &str,
    chain: &Chain,
    context: &mut Context,
    duration: Duration,
) -> When {
    let at = table.read("at", |item| {
        let at = item.duration()?;
        if at > duration {
            let end = values::print_duration(duration);
            return item.expected(&format!("{end}, which is run.duration, or less"));
        }
        Some(at)
    });
    let every = table.read("every", Item::some_duration);
    let times = table.get("times");
    if let Some(item) = times.as_ref().filter(|_| !table.has("every")) {
        item.wrong("only what has `every` repeats; write every = \"...\" too, or leave it out");
    }
    let times = times.and_then(|item| item.integer(1, i64::MAX.unsigned_abs()));
    let event = table.read("event", |item| earlier(item, name, chain, &mut context.after));
    let after = table.read("after", Item::duration);

    let leaders = [("elected", Some(())), ("deposed", None)];
    let mut moments: Vec<&str> = ["every"].into_iter().filter(|key| table.has(key)).collect();
    let mut leader_elected = false;
    if let Some(item) = table.get("leader") {
        if item.raw_text() == Some("deposed") {
            moments.push("leader");
        }
        leader_elected = item.word(&leaders).is_some();
        context.has_node = true;
    }
    let trigger = moments::trigger(&mut table, context, &mut moments);
    states(&mut table, context);
    if let [first, second, ..] = moments[..] {
        table.wrong(&format!("{first} and {second} are both moments and never meet; leave one of them out"));
    }
    table.finish();
    When { at, every, times, event, after, leader_elected, trigger }
}

/// The states of `when` that are not built.
fn states(table: &mut Section<'_>, context: &mut Context) {
    for key in ["term", "commit"] {
        table.unbuilt(key, Item::count);
        context.has_node |= table.has(key);
    }
    table.unbuilt("with", |item| item.parsed(conditions, "conditions, as in \"uncommitted >= 3\""));
    context.has_node |= table.has("with");
}

/// `Q OP n`, joined by `and`.
fn conditions(text: &str) -> Result<(), String> {
    const QUANTITIES: [&str; 6] = ["uncommitted", "unapplied", "unsynced", "lag", "log", "snapshot"];
    for condition in text.split(" and ") {
        let (quantity, count) = condition.trim().split_once(' ').unwrap_or((condition.trim(), ""));
        if !QUANTITIES.contains(&quantity) {
            return Err(format!("{quantity:?} is unknown; known here are {}", QUANTITIES.join(", ")));
        }
        values::Count::parse(count)?;
    }
    Ok(())
}

/// The event that this one waits for; `after` takes all that come before it.
fn earlier(item: &Item<'_>, name: &str, chain: &Chain, after: &mut BTreeSet<String>) -> Option<String> {
    let first = item.text()?;
    if !chain.contains_key(first) {
        let known: Vec<_> = chain.keys().map(|name| (name.as_str(), Some(()))).collect();
        item.word_in(first, &known);
        return None;
    }
    let mut next = Some(first);
    while let Some(before) = next {
        if before == name {
            return item.expected("an event that does not wait for this one");
        }
        if !after.insert(before.to_owned()) {
            break;
        }
        next = chain.get(before).and_then(Option::as_deref);
    }
    Some(first.to_owned())
}
