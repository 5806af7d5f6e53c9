//! Messages about a moment: lines from where and when they were sent to where and when they came in.

use maud::{Markup, html};

use super::{BLUE, INK, ORANGE, QUIET, RED, Sheet, role};
use crate::picture::Picture;
use crate::picture::traffic::Flight;

const TOP: f64 = 70.0;
const ROW: f64 = 90.0;
/// How long before and after the moment is shown at most, in microseconds.
const REACH: u64 = 1_000_000;
/// As many messages as can be told apart.
const SHOWN: usize = 160;
/// With so many of them there is room to say what each says.
const SAID: usize = 60;

pub(super) fn spacetime(picture: &Picture, flights: &[Flight<'_>], moment: u64) -> String {
    let about = about(flights, moment);
    let from = about.first().map_or(moment, |flight| flight.at).min(moment);
    let ends = about.iter().map(|flight| flight.at + flight.took.unwrap_or(0));
    let to = ends.max().unwrap_or(moment).max(moment).min(from + 2 * REACH).max(from + 1);
    let sheet = Sheet { from, to, origin: picture.origin };
    let row = |node: u64| picture.lanes.iter().position(|lane| lane.node == node).unwrap_or(0);
    let y = |node: u64| TOP + row(node) as f64 * ROW;
    let height = TOP + picture.lanes.len().saturating_sub(1) as f64 * ROW + 40.0;
    let body = html! {
        defs { marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
            path d="M0,0 L8,4 L0,8 z" fill="context-stroke" {}
        } }
        @for lane in &picture.lanes {
            text x="10" y=(y(lane.node) + 4.0) fill=(INK) { "n" (lane.node) }
            @for (place, span) in lane.spans.iter().enumerate() {
                @let until = lane.spans.get(place + 1).map_or(picture.end, |next| next.at);
                @if sheet.sees(span.at, until) {
                    line x1=(sheet.x(span.at)) x2=(sheet.x(until)) y1=(y(lane.node)) y2=(y(lane.node)) stroke=(role(span.role).1)
                        stroke-width=(if span.role == "leader" { 8 } else { 4 }) {
                        title { "n" (lane.node) " " (span.role) " in t" (span.term) }
                    }
                }
            }
        }
        @for flight in &about {
            (message(&sheet, flight, (y(flight.says.from.get()), y(flight.says.to.get())), about.len() <= SAID))
        }
        @if sheet.sees(moment, moment) {
            line x1=(sheet.x(moment)) x2=(sheet.x(moment)) y1="38" y2=(height) stroke=(INK) stroke-dasharray="2 3" {}
        }
        text x="10" y=(height - 8.0) fill=(QUIET) {
            "entries blue, elections orange, heartbeats grey, snapshots purple; replies dashed; a red cross: lost; thick: late or twice"
        }
    };
    sheet.page(height, "Messages between the nodes", &body)
}

/// Those about the moment, as many as can be told apart.
fn about<'a>(flights: &'a [Flight<'a>], moment: u64) -> Vec<&'a Flight<'a>> {
    let middle = flights.partition_point(|flight| flight.at < moment);
    let (from, to) = (middle.saturating_sub(SHOWN / 2), (middle + SHOWN / 2).min(flights.len()));
    flights[from..to].iter().filter(|flight| flight.at.abs_diff(moment) <= REACH).collect()
}

fn message(sheet: &Sheet, flight: &Flight<'_>, (from, to): (f64, f64), is_said: bool) -> Markup {
    let says = flight.says;
    let entries = says.entries.unwrap_or(0);
    let kind = says.kind.as_ref();
    let colour = match kind {
        _ if flight.took.is_none() => RED,
        "append" if entries == 0 => "#a0a0a0",
        "append" | "append-reply" | "fetch" | "fetch-reply" => BLUE,
        "snapshot" | "snapshot-reply" => "#cc79a7",
        "vote" | "vote-reply" | "pre-vote" | "pre-vote-reply" | "timeout-now" | "not-member" => ORANGE,
        _ => "#7f7f7f",
    };
    let sent = (sheet.x(flight.at), from);
    let came = (sheet.x(flight.at + flight.took.unwrap_or(8_000)), to);
    let lost = ((sent.0 + came.0) / 2.0, (sent.1 + came.1) / 2.0);
    let end = if flight.took.is_some() { came } else { lost };
    let dashes = if kind.ends_with("reply") { "5 3" } else { "none" };
    let width = if flight.fate == "deliver" { 1.2 } else { 2.4 };
    let index = says.index.map_or(String::new(), |index| format!(" {index}"));
    let more = if entries > 0 { format!("+{entries}") } else { String::new() };
    let said = format!("{kind} {}{index}{more}", says.term);
    html! {
        g stroke=(colour) fill="none" stroke-width=(width) {
            title { (said) ", " (flight.fate) ", sent at " (sheet.seconds(flight.at)) " s" }
            line x1=(sent.0) y1=(sent.1) x2=(end.0) y2=(end.1) stroke-dasharray=(dashes)
                marker-end=[flight.took.is_some().then_some("url(#head)")] {}
            @if flight.took.is_none() {
                path d=(format!("M{},{} l8,8 m0,-8 l-8,8", end.0 - 4.0, end.1 - 4.0)) stroke-width="2" {}
            }
            @if let Some(again) = flight.again {
                line x1=(sent.0) y1=(sent.1) x2=(sheet.x(flight.at + again)) y2=(to) stroke-dasharray="2 2" marker-end="url(#head)" {}
            }
        }
        @if is_said {
            text x=(sent.0 * 0.7 + end.0 * 0.3 + 3.0) y=(sent.1 * 0.7 + end.1 * 0.3) font-size="10" fill=(INK) { (said) }
        }
    }
}
