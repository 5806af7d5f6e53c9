//! `link`: on which links, and what is done to the messages there. Read, drawn and printed here.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use raft_core::NodeId;

use super::events::Context;
use super::lock::{quoted, range_text};
use super::targets::{self, Shape, Split};
use super::values::{self, print_duration};
use super::walk::{Item, Section};
use super::{Drawn, Range, Share, Target, View};

/// On which links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// All links of these servers, both ways; of several ids just those between them.
    Of(Target),
    /// The link between two running servers at random, both ways.
    RandomPair,
    /// The direction from the first to the second; who is in both is taken out of the second.
    OneWay(Target, Target),
}

/// What is done to each message by itself. What is zero is not done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFault {
    /// How much longer all of them take, drawn evenly for each firing.
    pub delay: Range,
    /// How much longer still, drawn evenly for each message.
    pub jitter: Duration,
    /// How many are lost.
    pub loss: Share,
    /// How many arrive a second time, up to `delay` and `jitter` later, or 10 ms.
    pub duplicate: Share,
    /// How many are overtaken: they come up to `delay` and `jitter` later, or 10 ms.
    pub reorder: Share,
    /// How many arrive with a wrong bit.
    pub corrupt: Share,
    /// How many take their connection with them.
    pub reset: Share,
    /// How many bits a second the link carries.
    pub rate: Option<u64>,
    /// Whether nothing leaves as long as this lasts.
    pub stall: bool,
    /// Which messages; all if empty. They are then delayed apart from others of their connection.
    pub only: Vec<Only>,
}

/// Some messages of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Those that want an answer.
    Requests,
    /// The answers.
    Replies,
    /// Those of one kind.
    Kind(&'static str),
}

/// Messages are held back at least that long, where they are held back at all.
const HELD_AT_LEAST: Duration = Duration::from_millis(10);

const REQUESTS: &str = "requests";
const REPLIES: &str = "replies";
/// The kinds of messages, and whether they are answers.
const KINDS: [(&str, bool); 16] = [
    ("pre-vote", false),
    ("pre-vote-reply", true),
    ("vote", false),
    ("vote-reply", true),
    ("append", false),
    ("append-reply", true),
    ("snapshot", false),
    ("snapshot-reply", true),
    ("confirm", false),
    ("confirm-reply", true),
    ("read-index", false),
    ("read-index-reply", true),
    ("fetch", false),
    ("fetch-reply", true),
    ("timeout-now", false),
    ("not-member", true),
];

impl Only {
    fn meets(self, kind: &str) -> bool {
        let is_reply = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, is_reply)| *is_reply);
        match self {
            Self::Requests => is_reply == Some(false),
            Self::Replies => is_reply == Some(true),
            Self::Kind(only) => only == kind,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Requests => REQUESTS,
            Self::Replies => REPLIES,
            Self::Kind(kind) => kind,
        }
    }
}

impl LinkFault {
    /// Whether messages of this kind are meant.
    pub fn meets(&self, kind: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.meets(kind))
    }

    /// Whether no message gets through, as if the link were cut.
    pub fn carries_nothing(&self) -> bool {
        self.only.is_empty() && (self.stall || self.loss.ppm() == 1_000_000)
    }

    /// The longest that a message is held back, where it is, with this `delay`.
    pub fn held_back(&self, delay: Duration) -> Duration {
        (delay + self.jitter).max(HELD_AT_LEAST)
    }
}

impl LinkTarget {
    /// The directions that this means now; none if there are none.
    pub fn draw(&self, view: &View, below: &mut dyn FnMut(u64) -> u64) -> Option<Drawn> {
        let (target, links) = match self {
            Self::OneWay(from, to) => {
                return Split::Any(vec![Shape::OneWay(from.clone(), to.clone())]).draw(view, below);
            }
            Self::RandomPair => {
                let up = [&view.running, &view.learners, &view.spares].into_iter().flatten().copied();
                let mut rest: Vec<_> = up.collect::<BTreeSet<_>>().into_iter().collect();
                let mut one = || {
                    let count = u64::try_from(rest.len()).ok().filter(|count| *count > 0)?;
                    Some(rest.remove(usize::try_from(below(count)).ok()?))
                };
                let pair = vec![one()?, one()?];
                (pair.clone(), both_ways(&pair, &pair))
            }
            Self::Of(target) => {
                let nodes = target.resolve(view, below)?;
                let several = matches!(target, Target::Ids(ids) if ids.len() > 1);
                let links = both_ways(&nodes, if several { &nodes } else { &view.nodes });
                (nodes, links)
            }
        };
        (!links.is_empty()).then_some(Drawn { target, cut: links })
    }
}

fn both_ways(some: &[NodeId], others: &[NodeId]) -> BTreeSet<(NodeId, NodeId)> {
    let pairs = some.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| a != b).flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}

/// `target` of `link`; every link if it is not written.
pub(super) fn target(table: &mut Section<'_>, context: &Context) -> Option<LinkTarget> {
    let Some(item) = table.get("target") else { return Some(LinkTarget::Of(Target::All)) };
    match item.raw_text() {
        Some("random-pair") => Some(LinkTarget::RandomPair),
        Some(text) if text.starts_with("oneway:") => match targets::shape_word(&item, text, context)? {
            Shape::OneWay(from, to) => Some(LinkTarget::OneWay(from, to)),
            Shape::Majority | Shape::MinorityThird | Shape::Halves | Shape::Ring | Shape::Bridge => None,
        },
        Some(_) | None => targets::target(&item, context).map(LinkTarget::Of),
    }
}

/// `link` and `only`.
pub(super) fn fault(table: &mut Section<'_>) -> Option<LinkFault> {
    let only = table.read("only", |item| item.list_of(only)).unwrap_or_default();
    let item = table.required("link")?;
    let mut link = Reading { table: item.section()?, sound: true };
    let fault = LinkFault {
        delay: link.read("delay", Item::range),
        jitter: link.read("jitter", Item::duration),
        loss: link.read("loss", share),
        duplicate: link.read("duplicate", share),
        reorder: link.read("reorder", share),
        corrupt: link.read("corrupt", share),
        reset: link.read("reset", share),
        rate: link.read("rate", rate),
        stall: link.read("stall", Item::boolean),
        only: Vec::new(),
    };
    link.table.finish();
    if fault == LinkFault::default() && link.sound {
        item.wrong("all of it is zero and does nothing; write some loss, delay or other fault");
    }
    Some(LinkFault { only, ..fault })
}

/// A table that knows whether all that was read of it was right.
struct Reading<'a> {
    table: Section<'a>,
    sound: bool,
}

impl<'a> Reading<'a> {
    fn read<T: Default>(&mut self, key: &'static str, read: impl FnOnce(&Item<'a>) -> Option<T>) -> T {
        let value = self.table.read(key, read);
        self.sound &= value.is_some() || !self.table.has(key);
        value.unwrap_or_default()
    }
}

fn share(item: &Item<'_>) -> Option<Share> {
    item.parsed(values::percent, "a percentage, as in \"5%\"")
}

fn rate(item: &Item<'_>) -> Option<Option<u64>> {
    match item.parsed(values::speed, "a speed, as in \"1mbit\"")? {
        0 => item.expected("more than 0bit; a link that carries nothing is stall = true"),
        rate => Some(Some(rate)),
    }
}

fn only(item: &Item<'_>) -> Option<Only> {
    let kinds = KINDS.iter().map(|(kind, _)| (*kind, Only::Kind(kind)));
    let all = [(REQUESTS, Only::Requests), (REPLIES, Only::Replies)];
    item.word(&all.into_iter().chain(kinds).collect::<Vec<_>>())
}

/// As a plan writes it, inside quotes where it needs them.
pub(super) fn target_text(target: &LinkTarget) -> String {
    match target {
        LinkTarget::Of(target) => super::lock::target_text(target),
        LinkTarget::RandomPair => quoted("random-pair"),
        LinkTarget::OneWay(from, to) => quoted(&Shape::OneWay(from.clone(), to.clone()).to_string()),
    }
}

/// As a plan writes it; none where it is left out.
pub(super) fn only_text(fault: &LinkFault) -> Option<String> {
    let only = fault.only.iter().map(|only| quoted(only.name())).collect::<Vec<_>>().join(", ");
    (!only.is_empty()).then(|| format!("[{only}]"))
}

/// Prints what is written under `link`.
impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.delay != Range::default() {
            parts.push(format!("delay = {}", range_text(self.delay)));
        }
        if !self.jitter.is_zero() {
            parts.push(format!("jitter = {}", quoted(&print_duration(self.jitter))));
        }
        let shares = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("reset", self.reset),
        ];
        let written = shares.into_iter().filter(|(_, share)| *share != Share::default());
        parts.extend(written.map(|(key, share)| format!("{key} = {}", quoted(&share.print_percent()))));
        parts.extend(self.rate.map(|rate| format!("rate = {}", quoted(&format!("{rate}bit")))));
        parts.extend(self.stall.then(|| "stall = true".to_owned()));
        write!(f, "{{ {} }}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    /// Each row: which links of four servers, of which 4 learns, whom that names, and how many directions it has.
    #[test]
    fn a_pair_is_a_pair_and_one_server_has_all_its_links() {
        let view = View {
            nodes: ids(&[1, 2, 3, 4]),
            voters: ids(&[1, 2, 3]),
            running: ids(&[2, 3]),
            learners: ids(&[4]),
            leader: Some(NodeId::new(2)),
            ..View::default()
        };
        for (target, named, directions) in [
            (LinkTarget::Of(Target::All), ids(&[1, 2, 3, 4]), 12),
            (LinkTarget::Of(Target::Ids(ids(&[1, 3]))), ids(&[1, 3]), 2),
            (LinkTarget::Of(Target::Ids(ids(&[1, 3, 4]))), ids(&[1, 3, 4]), 6),
            (LinkTarget::Of(Target::Ids(ids(&[3]))), ids(&[3]), 6),
            (LinkTarget::Of(Target::Leader), ids(&[2]), 6),
            (LinkTarget::RandomPair, ids(&[2, 3]), 2),
            (LinkTarget::OneWay(Target::Leader, Target::All), ids(&[2]), 3),
        ] {
            let drawn = target.draw(&view, &mut |_| 0).expect("there are such links");
            assert_eq!((&drawn.target, drawn.cut.len()), (&named, directions), "{target:?}");
        }
        let last = LinkTarget::RandomPair.draw(&view, &mut |count| count - 1).expect("three run");
        assert_eq!(last.target, ids(&[4, 3]));
        assert_eq!(LinkTarget::Of(Target::StaleLeader).draw(&view, &mut |_| 0), None);
    }

    /// Each row: which messages are meant, and whether appends and their answers are.
    #[test]
    fn only_some_messages_are_met() {
        for (only, append, reply) in [
            (vec![], true, true),
            (vec![Only::Requests], true, false),
            (vec![Only::Replies], false, true),
            (vec![Only::Kind("vote"), Only::Kind("append-reply")], false, true),
        ] {
            let fault = LinkFault { only, ..LinkFault::default() };
            assert_eq!([fault.meets("append"), fault.meets("append-reply")], [append, reply], "{fault:?}");
        }
    }
}
