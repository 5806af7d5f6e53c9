//! A run as Perfetto and Chrome's tracing read it: a process for the faults, for each node, and for the clients.
//!
//! The form is the JSON of trace events: `X` is something that lasts, `i` a moment, `C` a number over time, `s` and `f` the two ends of a
//! message, `M` a name.

use std::io;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::Picture;
use super::recording::Recording;
use super::traffic::{self, Flight};
use super::trouble::Trouble;

/// The process of what faults do, and that of the clients; nodes have their own numbers, which are small.
const FAULTS: u64 = 900;
const CLIENTS: u64 = 1_000;

/// The run of a folder, as one JSON object.
///
/// # Errors
///
/// The folder is not one of a recorded run, or cannot be read; the file is named.
pub fn perfetto(folder: &Path) -> io::Result<String> {
    let recording = Recording::read(folder)?;
    let flights = traffic::flights(&recording);
    let picture = Picture::of(&recording, &Trouble::of(&recording), &flights, None);
    let mut events =
        vec![name("process_name", FAULTS, 0, "faults"), name("process_name", CLIENTS, 0, "clients")];
    faults(&picture, &mut events);
    nodes(&picture, &mut events);
    messages(&flights, &mut events);
    clients(&recording, &picture, &mut events);
    Ok(json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string())
}

fn name(what: &str, process: u64, thread: u64, name: &str) -> Json {
    json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": { "name": name } })
}

fn lasting(process: u64, thread: u64, name: &str, (from, to): (u64, u64), more: &Json) -> Json {
    let took = to.saturating_sub(from).max(1);
    json!({ "ph": "X", "name": name, "pid": process, "tid": thread, "ts": from, "dur": took, "args": more })
}

fn faults(picture: &Picture, events: &mut Vec<Json>) {
    for (row, band) in (0u64..).zip(&picture.bands) {
        let until = if band.faulty.is_some() { band.until.unwrap_or(picture.end) } else { band.at };
        // Those of one thread must lie within each other; faults overlap as they like.
        let thread = row % 32;
        let more = json!({ "nodes": band.nodes, "links": band.links });
        events.push(lasting(
            FAULTS,
            thread,
            &format!("{}: {}", band.name, band.does),
            (band.at, until),
            &more,
        ));
    }
    for (at, nodes, what) in &picture.broken {
        events.push(json!({ "ph": "i", "s": "g", "name": what, "pid": FAULTS, "tid": 0, "ts": at, "args": { "nodes": nodes } }));
    }
}

fn nodes(picture: &Picture, events: &mut Vec<Json>) {
    for lane in &picture.lanes {
        let node = lane.node;
        events.push(name("process_name", node, 0, &format!("n{node}")));
        events.push(name("thread_name", node, 0, "role"));
        events.push(name("thread_name", node, 1, "messages"));
        for (place, span) in lane.spans.iter().enumerate() {
            let to = lane.spans.get(place + 1).map_or(picture.end, |next| next.at);
            let called =
                if span.role == "down" { "down".to_owned() } else { format!("{} t{}", span.role, span.term) };
            events.push(lasting(node, 0, &called, (span.at, to), &json!({ "term": span.term })));
        }
        for (at, kind, text) in &lane.marks {
            events.push(json!({ "ph": "i", "s": "p", "name": kind, "pid": node, "tid": 0, "ts": at, "args": { "what": text } }));
        }
        for (what, steps) in [("committed", &lane.committed), ("applied", &lane.applied)] {
            for (at, to) in steps.iter() {
                events
                    .push(json!({ "ph": "C", "name": what, "pid": node, "ts": at, "args": { "index": to } }));
            }
        }
    }
}

/// Each message that came in is an arrow between two short slices; one that did not is the first of them.
fn messages(flights: &[Flight<'_>], events: &mut Vec<Json>) {
    for (number, flight) in flights.iter().enumerate() {
        let says = flight.says;
        let (from, to) = (says.from.get(), says.to.get());
        let called = format!("{} {}", says.kind, says.term);
        let more = json!({ "to": to, "index": says.index, "entries": says.entries, "commit": says.commit, "fate": flight.fate });
        events.push(lasting(from, 1, &called, (flight.at, flight.at), &more));
        let Some(took) = flight.took else { continue };
        let came = flight.at + took;
        events.push(lasting(to, 1, &called, (came, came), &json!({ "from": from })));
        let end = |phase: &str, process: u64, at: u64| json!({ "ph": phase, "bp": "e", "id": number, "name": "message", "cat": "message", "pid": process, "tid": 1, "ts": at });
        events.extend([end("s", from, flight.at), end("f", to, came)]);
    }
}

fn clients(recording: &Recording, picture: &Picture, events: &mut Vec<Json>) {
    for (operation, (client, from, took)) in recording.operations.iter().zip(picture.clients.intervals()) {
        let took = took.unwrap_or(picture.end.saturating_sub(from));
        let more = json!({ "operation": operation.to_string(), "entry": recording.took_effect.get(&operation.invoked) });
        let called = format!("{} {}", operation.f, operation.key);
        events.push(lasting(CLIENTS, client, &called, (from, from + took), &more));
    }
}
