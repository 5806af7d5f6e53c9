//! Faults: from when to when, what they did, and whom they met.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::recording::Recording;
use crate::sim::trace::Happening;

/// A fault. One that goes on has an end, unless the run ended before it did.
#[derive(Debug, Serialize)]
pub(super) struct Band {
    pub(super) at: u64,
    pub(super) until: Option<u64>,
    pub(super) name: String,
    pub(super) does: String,
    /// What is faulty, see [`Scope`](crate::sim::trace::Scope); of what is over at once nothing is.
    pub(super) faulty: Option<String>,
    pub(super) nodes: Vec<u64>,
    pub(super) links: Vec<(u64, u64)>,
}

impl Band {
    /// The nodes that it meets: themselves, or by their links.
    pub(super) fn hits(&self) -> Vec<u64> {
        if !self.nodes.is_empty() {
            return self.nodes.clone();
        }
        let ends: BTreeSet<_> = self.links.iter().flat_map(|(from, to)| [*from, *to]).collect();
        ends.into_iter().collect()
    }
}

/// All faults, in the order in which they began.
pub(super) fn bands(recording: &Recording) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut open: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, happening) in recording.happenings() {
        let Happening::Fault { fault, does, scope } = happening else { continue };
        for place in scope.ends.iter().filter_map(|ended| open.remove(ended)) {
            bands[place].until = Some(at);
        }
        if !scope.ends.is_empty() && scope.begins.is_none() && scope.nodes.is_empty() {
            continue;
        }
        if let Some(begins) = scope.begins {
            open.insert(begins, bands.len());
        }
        bands.push(Band {
            at,
            until: None,
            name: fault.clone(),
            does: does.clone(),
            faulty: scope.faulty.as_ref().map(|faulty| faulty.to_string()),
            nodes: scope.nodes.iter().map(|node| node.get()).collect(),
            links: scope.links.iter().map(|(from, to)| (from.get(), to.get())).collect(),
        });
    }
    bands
}
