//! `do` and its parameters, for events and chaos alike.

use std::collections::BTreeSet;

use super::clocks;
use super::disks;
use super::events::Context;
use super::links;
use super::mode::command;
use super::targets::{ids, split, target};
use super::walk::{Item, Section};
use super::{Action, Change, Expect, Step, Target, Undo};

/// Everything that can be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Partition,
    Heal,
    Link,
    Crash,
    Stop,
    Pause,
    Clock,
    Disk,
    Wipe,
    Membership,
    Transfer,
    Snapshot,
    IsolateClient,
    Upgrade,
}

/// The words of `do`.
pub(super) const DEEDS: [(&str, Deed); 14] = [
    ("partition", Deed::Partition),
    ("heal", Deed::Heal),
    ("crash", Deed::Crash),
    ("stop", Deed::Stop),
    ("pause", Deed::Pause),
    ("snapshot", Deed::Snapshot),
    ("link", Deed::Link),
    ("clock", Deed::Clock),
    ("disk", Deed::Disk),
    ("wipe", Deed::Wipe),
    ("membership", Deed::Membership),
    ("transfer", Deed::Transfer),
    ("isolate-client", Deed::IsolateClient),
    ("upgrade", Deed::Upgrade),
];

/// Every parameter of any action.
const PARAMETERS: [&str; 14] = [
    "split",
    "target",
    "for",
    "heal",
    "restart_after",
    "link",
    "only",
    "disk",
    "clock",
    "change",
    "via",
    "expect",
    "to",
    "node",
];

/// What the event does; none if it is wrong, which then is noted.
pub(super) fn action(table: &mut Section<'_>, context: &Context) -> Option<Action> {
    let deed_item = table.required("do");
    let deed = deed_item.as_ref().and_then(|item| item.word(&DEEDS));
    let action = deed.and_then(|deed| parameters(table, deed, context));
    for key in PARAMETERS {
        if let Some(item) = table.get_unasked(key)
            && deed.is_some()
        {
            let cure = stray(key, deed);
            let word = deed_item.as_ref().and_then(Item::raw_text).unwrap_or_default();
            item.wrong(&format!("not a parameter of do = {word:?}; {cure}"));
        }
    }
    action
}

/// The cure for a parameter of another action.
fn stray(key: &str, deed: Option<Deed>) -> &'static str {
    match (key, deed) {
        ("for", Some(Deed::Crash | Deed::Stop)) => "write restart_after",
        ("for", Some(Deed::Wipe | Deed::Membership | Deed::Transfer | Deed::Snapshot | Deed::Upgrade)) => {
            "it is never undone, leave it out"
        }
        ("restart_after", Some(Deed::Pause)) => "write for",
        _ => "leave it out",
    }
}

fn parameters(table: &mut Section<'_>, deed: Deed, context: &Context) -> Option<Action> {
    let aim = |table: &mut Section<'_>| table.required("target").and_then(|item| target(&item, context));
    match deed {
        Deed::Heal => Some(Action::Heal),
        Deed::Partition => {
            let split = table.required("split").and_then(|item| split(&item, context));
            let undo = undo(table, "for");
            Some(Action::Partition { split: split?, undo })
        }
        Deed::Crash | Deed::Stop => {
            let target = aim(table);
            let undo = undo(table, "restart_after");
            let (loss, damage) = disks::down(table, deed == Deed::Crash, context.storage);
            let target = target?;
            Some(if deed == Deed::Crash {
                Action::Crash { target, undo, loss, damage }
            } else {
                Action::Stop { target, undo, damage }
            })
        }
        Deed::Pause => {
            let target: Option<Target> = aim(table);
            let undo = undo(table, "for");
            Some(Action::Pause { target: target?, undo })
        }
        Deed::Link => {
            let target = links::target(table, context);
            let fault = links::fault(table);
            let undo = undo(table, "for");
            Some(Action::Link { target: target?, fault: fault?, undo })
        }
        Deed::Membership => membership(table, context),
        Deed::Transfer => {
            let to = table.required("to").and_then(|item| target(&item, context));
            let expect = expect(table);
            Some(Action::Transfer { to: to?, expect })
        }
        Deed::Disk => {
            let target = aim(table);
            let undo = undo(table, "for");
            let fault = disks::faults(table);
            Some(Action::Disk { target: target?, fault: fault?, undo })
        }
        Deed::Clock => {
            let target = aim(table);
            let undo = undo(table, "for");
            let fault = clocks::fault(table);
            Some(Action::Clock { target: target?, fault: fault?, undo })
        }
        Deed::IsolateClient => {
            let target: Option<Target> = aim(table);
            let undo = undo(table, "for");
            Some(Action::IsolateClient { target: target?, undo })
        }
        Deed::Snapshot => aim(table).map(|target| Action::Snapshot { target }),
        Deed::Wipe => {
            let target = aim(table);
            let restart_after = table.read("restart_after", Item::range).unwrap_or_default();
            Some(Action::Wipe { target: target?, restart_after })
        }
        Deed::Upgrade => {
            let target = aim(table);
            let node = table.required("node").and_then(|item| command(&item));
            Some(Action::Upgrade { target: target?, node: node? })
        }
    }
}

/// `for` or `restart_after`, and `heal`.
fn undo(table: &mut Section<'_>, key: &'static str) -> Undo {
    let range = table.read(key, Item::range);
    let heal = table.get("heal");
    let heals = heal.as_ref().and_then(Item::boolean).unwrap_or(true);
    if let Some(item) = heal
        && !heals
        && table.has(key)
    {
        item.wrong(&format!("an effect that is for ever has no {key}; leave one of them out"));
    }
    if heals { range.map_or(Undo::AtEnd, Undo::After) } else { Undo::Never }
}

/// The words of `expect`.
pub(super) const EXPECTS: [(&str, Expect); 3] =
    [("ok", Expect::Ok), ("refused", Expect::Refused), ("any", Expect::Any)];

/// The words of `change`.
pub(super) const STEPS: [(&str, Step); 5] = [
    ("add-learner", Step::AddLearner),
    ("promote-learner", Step::PromoteLearner),
    ("replace-voter", Step::ReplaceVoter),
    ("remove", Step::Remove),
    ("remove-leader", Step::RemoveLeader),
];

fn expect(table: &mut Section<'_>) -> Option<Expect> {
    table.read("expect", |item| item.word(&EXPECTS))
}

fn membership(table: &mut Section<'_>, context: &Context) -> Option<Action> {
    let change = table.required("change").and_then(|item| change(&item, context));
    let target_of = |table: &mut Section<'_>, key| table.read(key, |item| target(item, context));
    let names = matches!(&change, Some(Change::Any(steps)) if steps.contains(&Step::Remove));
    let target = target_of(table, "target");
    if names && !table.has("target") {
        table.required("target");
    }
    let via = target_of(table, "via").unwrap_or(Target::Leader);
    let expect = expect(table);
    Some(Action::Membership { change: change?, target, via, expect })
}

/// A word, several words, or two lists of voters.
fn change(item: &Item<'_>, context: &Context) -> Option<Change> {
    let step = |item: &Item<'_>| item.word(&STEPS);
    if item.raw_text().is_some() {
        return step(item).map(|step| Change::Any(vec![step]));
    }
    let items = item.list()?;
    if items.first().is_some_and(|first| first.raw_text().is_some()) {
        return items.iter().map(step).collect::<Option<Vec<_>>>().map(Change::Any);
    }
    let voters = |item: &Item<'_>| ids(item, context);
    match items.iter().map(voters).collect::<Option<Vec<_>>>()?.as_slice() {
        [from, to] => {
            let [from, to] =
                [from, to].map(|ids| BTreeSet::from_iter(ids.iter().copied()).into_iter().collect());
            Some(Change::Voters { from, to })
        }
        _ => item.expected(
            "a word, as in \"replace-voter\", or the voters before and after, as in [[1, 2], [2, 3]]",
        ),
    }
}
