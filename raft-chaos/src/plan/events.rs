//! `[[event]]`: names, and what one event knows of another.

use std::collections::BTreeSet;
use std::time::Duration;

use super::tree::event_name;
use super::values;
use super::walk::{Item, Section};
use super::when::{Chain, when};
use super::{Action, Budget, Cluster, Event, Storage, When, actions};

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
    pub(super) fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.nodes().len() as u64;
        Self { nodes, has_node: false, storage: cluster.storage, after: BTreeSet::new() }
    }
}

pub(super) fn events(
    root: &mut Section<'_>,
    cluster: &Cluster,
    budget: &Budget,
    duration: Duration,
) -> Vec<Event> {
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
        let event = item.section().and_then(|table| event(table, name, &chain, cluster, duration));
        let breaks = event.as_ref().and_then(|event| budget.broken_by(&event.action, cluster, duration));
        if let (Some((key, allowed)), Some(mut table)) = (breaks, item.section()) {
            let whom = table.get("target").or_else(|| table.get("split")).unwrap_or(item);
            whom.wrong(&format!(
                "breaks budget.{key} = {allowed:?} by itself; let it do less, or write a larger budget.{key}"
            ));
        }
        events.extend(event);
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
