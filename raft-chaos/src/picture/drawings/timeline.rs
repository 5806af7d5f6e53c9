//! The whole run: faults, and what every node was when.

use maud::html;

use super::{INK, LEFT, QUIET, RED, Sheet, WIDTH, role};
use crate::picture::Picture;

const LANE: f64 = 30.0;
const GAP: f64 = 10.0;
const TOP: f64 = 66.0;

pub(super) fn timeline(picture: &Picture) -> String {
    let sheet = Sheet { from: 0, to: picture.end, origin: picture.origin };
    let height = TOP + picture.lanes.len() as f64 * (LANE + GAP) + 10.0;
    let lane = |node: u64| picture.lanes.iter().position(|lane| lane.node == node);
    let top = |row: usize| TOP + row as f64 * (LANE + GAP);
    let body = html! {
        defs { pattern id="fault" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
            line x1="0" y1="0" x2="0" y2="7" stroke=(RED) stroke-width="1.6" {}
        } }
        @for (at, name) in &picture.phases {
            line x1=(sheet.x(*at)) x2=(sheet.x(*at)) y1="38" y2=(height) stroke=(INK) stroke-dasharray="1 3" {}
            text x=(sheet.x(*at) + 3.0) y="50" fill=(QUIET) { (name) }
        }
        @for (row, lane) in picture.lanes.iter().enumerate() {
            text x="10" y=(top(row) + LANE / 2.0 + 4.0) fill=(INK) { "n" (lane.node) }
            @for (place, span) in lane.spans.iter().enumerate() {
                @let to = lane.spans.get(place + 1).map_or(picture.end, |next| next.at);
                @let (share, colour) = role(span.role);
                @let width = (sheet.x(to) - sheet.x(span.at)).max(0.5);
                rect x=(sheet.x(span.at)) y=(top(row) + LANE * (1.0 - share)) width=(width) height=(LANE * share) fill=(colour) {
                    title { (span.role) " in t" (span.term) ", " (sheet.seconds(span.at)) " s to " (sheet.seconds(to)) " s" }
                }
                @if width > 30.0 && span.role != "down" {
                    text x=(sheet.x(span.at) + 3.0) y=(top(row) + LANE - 4.0) fill=(INK) { "t" (span.term) }
                }
            }
        }
        @for band in picture.bands.iter().filter(|band| band.faulty.is_some()) {
            @let width = (sheet.x(band.until.unwrap_or(picture.end)) - sheet.x(band.at)).max(1.5);
            @for row in band.hits().into_iter().filter_map(lane) {
                rect x=(sheet.x(band.at)) y=(top(row) - GAP / 2.0) width=(width) height=(LANE + GAP - 2.0) fill="url(#fault)" opacity="0.5" {
                    title { (band.name) ": " (band.does) }
                }
            }
        }
        @for (at, _, what) in picture.broken.iter().take(1) {
            line x1=(sheet.x(*at)) x2=(sheet.x(*at)) y1="38" y2=(height) stroke=(RED) stroke-width="2" { title { (what) } }
        }
        line x1=(LEFT) x2=(WIDTH) y1=(height - 1.0) y2=(height - 1.0) stroke=(QUIET) {}
    };
    sheet.page(height, "Nodes and faults: height and colour tell the role, the number is the term", &body)
}
