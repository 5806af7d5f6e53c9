//! How long operations took that were ok, over time: half of them, and 99 of a hundred, took no longer than that.

use std::collections::BTreeMap;

use maud::html;

use super::{BLUE, INK, LEFT, ORANGE, QUIET, RIGHT, Sheet, WIDTH, round};
use crate::history::{Event, Type};
use crate::picture::Picture;
use crate::picture::recording::Recording;
use crate::verdict::quantile;

const TOP: f64 = 50.0;
const LATENCY: f64 = 180.0;
const RATE: f64 = 80.0;
const COLUMNS: u64 = 150;
/// The least that is told from nothing, in microseconds.
const LEAST: f64 = 500.0;

/// What ended in one column of time.
#[derive(Default)]
struct Column {
    took: Vec<u64>,
    not_ok: usize,
}

pub(super) fn latency(recording: &Recording, picture: &Picture) -> String {
    let sheet = Sheet { from: 0, to: picture.end, origin: picture.origin };
    let wide = picture.end.div_ceil(COLUMNS).max(1);
    let columns = columns(&recording.history.events, wide);
    let most = columns.values().filter_map(|column| column.took.last()).max().copied().unwrap_or(1);
    let scale = (most.max(10_000) as f64 / LEAST).log10();
    let y = |took: u64| {
        round(TOP + LATENCY * (1.0 - (took as f64).max(LEAST).log10() / scale + LEAST.log10() / scale))
    };
    let curve = |percent| {
        let ok = columns.iter().filter(|(_, column)| !column.took.is_empty());
        let point = |(n, column): (&u64, &Column)| {
            format!("{},{}", sheet.x(n * wide + wide / 2), y(quantile(&column.took, percent)))
        };
        ok.map(point).collect::<Vec<_>>().join(" ")
    };
    let ended = columns.values().map(|column| column.took.len() + column.not_ok).max().unwrap_or(1).max(1);
    let base = TOP + LATENCY + 30.0 + RATE;
    let tall = |count: usize| round(count as f64 / ended as f64 * RATE);
    let decades =
        [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|took| *took <= most.max(10_000));
    let body = html! {
        @for took in decades {
            line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y(took)) y2=(y(took)) stroke="#ececec" {}
            text x=(LEFT - 6.0) y=(y(took) + 4.0) text-anchor="end" fill=(QUIET) { (took / 1_000) " ms" }
        }
        polyline points=(curve(50)) fill="none" stroke=(INK) stroke-width="1.8" {}
        polyline points=(curve(99)) fill="none" stroke=(BLUE) stroke-width="1.4" stroke-dasharray="5 3" {}
        text x=(LEFT) y=(base - RATE - 10.0) fill=(QUIET) { "ended in each " (wide / 1_000) " ms: ok, and above it failed or unknown; most " (ended) }
        @for (n, column) in &columns {
            @let (ok, other) = (tall(column.took.len()), tall(column.not_ok));
            @let (x, width) = (sheet.x(n * wide), (sheet.x((n + 1) * wide) - sheet.x(n * wide)).max(1.0));
            rect x=(x) y=(base - ok) width=(width) height=(ok) fill=(BLUE) {}
            rect x=(x) y=(base - ok - other) width=(width) height=(other) fill=(ORANGE) {}
        }
    };
    sheet.page(
        base + 10.0,
        "Latency of operations that were ok: p50 (full), p99 (dashed); and how many ended",
        &body,
    )
}

fn columns(events: &[Event], wide: u64) -> BTreeMap<u64, Column> {
    let (mut began, mut columns) = (BTreeMap::new(), BTreeMap::<u64, Column>::new());
    for event in events {
        let at = event.time_ns / 1_000;
        if event.kind == Type::Invoke {
            began.insert(event.process, at);
            continue;
        }
        let took = at.saturating_sub(began.remove(&event.process).unwrap_or(at));
        let column = columns.entry(at / wide).or_default();
        if event.kind == Type::Ok { column.took.push(took) } else { column.not_ok += 1 }
    }
    columns.values_mut().for_each(|column| column.took.sort_unstable());
    columns
}
