//! Whom an event meets, as the plan writes it: `TARGET` and `split`.

use std::collections::BTreeSet;
use std::fmt;

use raft_core::NodeId;

use super::events::Context;
use super::tree::Value;
use super::walk::Item;

/// Servers, to be found when an event fires. Random ones are among those that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// These.
    Ids(Vec<NodeId>),
    /// The leader of the highest term that has one.
    Leader,
    /// One that believes itself leader in a lower term.
    StaleLeader,
    /// A follower at random.
    Follower,
    /// A candidate at random.
    Candidate,
    /// A learner at random.
    Learner,
    /// A server at random that takes no part.
    Spare,
    /// A running voter at random.
    One,
    /// The most voters that leave a majority, at random.
    Minority,
    /// The fewest voters that are a majority, at random.
    Majority,
    /// A third of the voters, at least one, at random.
    MinorityThird,
    /// Every server.
    All,
    /// The running voter with the most up-to-date log.
    LongestLog,
    /// The server of the event's own trigger.
    EventNode,
    /// What the event of this name acted on.
    EventTarget(String),
}

/// Which links a partition cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// These servers, still linked with each other, from all others.
    Isolate(Target),
    /// Between these groups; servers in none of them are one group more.
    Groups(Vec<Vec<NodeId>>),
    /// Just these links, both ways.
    Cut(Vec<(NodeId, NodeId)>),
    /// One of these, drawn at each firing.
    Any(Vec<Shape>),
}

/// A partition that is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A majority keeps together, the others are cut off.
    Majority,
    /// A third is cut off.
    MinorityThird,
    /// Two halves, the smaller one rounded down.
    Halves,
    /// Each sees a majority, no two the same.
    Ring,
    /// Two halves, and one server that sees both.
    Bridge,
    /// The direction from the first to the second; who is in both is taken out of the second.
    OneWay(Target, Target),
}

/// The words for servers.
pub(super) const WORDS: [(&str, Target); 12] = [
    ("leader", Target::Leader),
    ("stale-leader", Target::StaleLeader),
    ("follower", Target::Follower),
    ("candidate", Target::Candidate),
    ("one", Target::One),
    ("minority", Target::Minority),
    ("majority", Target::Majority),
    ("minority-third", Target::MinorityThird),
    ("all", Target::All),
    ("learner", Target::Learner),
    ("spare", Target::Spare),
    ("longest-log", Target::LongestLog),
];

pub(super) const SHAPES: [(&str, Shape); 5] = [
    ("majority", Shape::Majority),
    ("minority-third", Shape::MinorityThird),
    ("halves", Shape::Halves),
    ("ring", Shape::Ring),
    ("bridge", Shape::Bridge),
];

/// TARGET, but for what only links take.
pub(super) fn target(item: &Item<'_>, context: &Context) -> Option<Target> {
    match &item.node.value {
        Value::Text(text) if text.starts_with("oneway:") => {
            item.expected("servers; a direction is for link, and for split = { any = [\"oneway:A->B\"] }")
        }
        Value::Text(text) if text == "random-pair" => item.expected("servers; random-pair is for link"),
        Value::Text(text) => target_word(item, text, context),
        Value::Integer(_) => id(item, context).map(|id| Target::Ids(vec![id])),
        Value::List(_) => ids(item, context).map(Target::Ids),
        Value::Float(_) | Value::Boolean(_) | Value::Date | Value::TooLarge(_) | Value::Table(_) => {
            item.expected("an id, a list of ids, or a word, as in \"leader\"")
        }
    }
}

fn target_word(item: &Item<'_>, text: &str, context: &Context) -> Option<Target> {
    if text == "event.node" {
        return if context.has_node {
            Some(Target::EventNode)
        } else {
            item.expected("another target; this event's `when` happens on no server")
        };
    }
    let Some(name) = text.strip_prefix("event:") else {
        return item.word_in(text, &WORDS);
    };
    match name.strip_suffix(".target") {
        Some(name) if context.after.contains(name) => Some(Target::EventTarget(name.to_owned())),
        Some(name) => item.expected(&format!("when = {{ event = {name:?} }} too, or another target")),
        None => item.expected("\"event:NAME.target\""),
    }
}

fn id(item: &Item<'_>, context: &Context) -> Option<NodeId> {
    item.integer(1, context.nodes).map(NodeId::new)
}

/// A list of ids, not empty, without repeats.
pub(super) fn ids(item: &Item<'_>, context: &Context) -> Option<Vec<NodeId>> {
    let ids = item.list_of(|item| id(item, context))?;
    let distinct: BTreeSet<_> = ids.iter().collect();
    if ids.is_empty() || distinct.len() < ids.len() {
        return item.expected("at least one id, and each once");
    }
    Some(ids)
}

/// Exactly one of `isolate`, `groups`, `cut`, `any`; or a direction, which is an `any` with one choice.
pub(super) fn split(item: &Item<'_>, context: &Context) -> Option<Split> {
    if let Some(text) = item.raw_text().filter(|text| text.starts_with("oneway:")) {
        return shape_word(item, text, context).map(|shape| Split::Any(vec![shape]));
    }
    let mut table = item.section()?;
    let written = ["isolate", "groups", "cut", "any"].into_iter().filter(|key| table.has(key)).count();
    let isolate = table.read("isolate", |item| target(item, context)).map(Split::Isolate);
    let groups = table.read("groups", |item| groups(item, context)).map(Split::Groups);
    let cut =
        table.read("cut", |item| item.list_of(|item| pair(item, context)).and_then(|cut| filled(item, cut)));
    let any =
        table.read("any", |item| item.list_of(|item| shape(item, context)).and_then(|any| filled(item, any)));
    table.finish();
    if written != 1 {
        return item.expected("exactly one of isolate, groups, cut, any");
    }
    isolate.or(groups).or(cut.map(Split::Cut)).or(any.map(Split::Any))
}

fn filled<T>(item: &Item<'_>, list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { item.expected("at least one") } else { Some(list) }
}

fn groups(item: &Item<'_>, context: &Context) -> Option<Vec<Vec<NodeId>>> {
    let groups = item.list_of(|item| ids(item, context))?;
    let all: BTreeSet<_> = groups.iter().flatten().collect();
    if all.len() < groups.iter().map(Vec::len).sum() {
        return item.expected("each id in one group");
    }
    let one_of_all = groups.len() == 1 && u64::try_from(all.len()) == Ok(context.nodes);
    if groups.is_empty() || one_of_all {
        return item.expected("two groups, or one that does not hold every server");
    }
    Some(groups)
}

fn pair(item: &Item<'_>, context: &Context) -> Option<(NodeId, NodeId)> {
    match ids(item, context)?[..] {
        [a, b] => Some((a, b)),
        _ => item.expected("two ids, as in [1, 3]"),
    }
}

fn shape(item: &Item<'_>, context: &Context) -> Option<Shape> {
    shape_word(item, item.text()?, context)
}

pub(super) fn shape_word(item: &Item<'_>, text: &str, context: &Context) -> Option<Shape> {
    let Some(direction) = text.strip_prefix("oneway:") else {
        return item.word_in(text, &SHAPES);
    };
    let Some((from, to)) = direction.split_once("->") else {
        return item.expected("\"oneway:A->B\", A and B being ids or words for servers");
    };
    let side = |text: &str| match text.parse() {
        Ok(number) if (1..=context.nodes).contains(&number) => Some(Target::Ids(vec![NodeId::new(number)])),
        Ok(_) => item.expected(&format!("ids from 1 to {}", context.nodes)),
        Err(_) => target_word(item, text, context),
    };
    let (from, to) = (side(from), side(to));
    Some(Shape::OneWay(from?, to?))
}

/// Prints as the plan writes it inside quotes; several ids as a list.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(ids) if ids.len() == 1 => write!(f, "{}", ids[0].get()),
            Self::Ids(ids) => write!(f, "{:?}", ids.iter().map(|id| id.get()).collect::<Vec<_>>()),
            Self::EventNode => f.write_str("event.node"),
            Self::EventTarget(name) => write!(f, "event:{name}.target"),
            Self::Leader
            | Self::StaleLeader
            | Self::Follower
            | Self::Candidate
            | Self::Learner
            | Self::Spare
            | Self::One
            | Self::Minority
            | Self::Majority
            | Self::MinorityThird
            | Self::LongestLog
            | Self::All => f.write_str(word_of(&WORDS, self)),
        }
    }
}

/// Prints as the plan writes it inside quotes.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneWay(from, to) => write!(f, "oneway:{from}->{to}"),
            Self::Majority | Self::MinorityThird | Self::Halves | Self::Ring | Self::Bridge => {
                f.write_str(word_of(&SHAPES, self))
            }
        }
    }
}

fn word_of<'a, T: PartialEq>(words: &[(&'a str, T)], value: &T) -> &'a str {
    words.iter().find(|(_, other)| other == value).map_or("", |(word, _)| word)
}
