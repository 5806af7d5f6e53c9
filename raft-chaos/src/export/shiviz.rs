//! The events of nodes with vector clocks, as ShiViz draws them: `host {clock}`, and on the next line the event.
//!
//! What a node does after a message knows all that its sender did up to sending it. `events.jsonl` has no messages, but the events that
//! they cause name who sent them: a vote its candidate, a counted vote its voter, an accepted append its leader, a counted match
//! its follower, a piece of a snapshot its leader.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value as Json;

use crate::history::wrong;

/// By node.
type Clock = BTreeMap<u64, u64>;

/// `events.jsonl` as ShiViz reads it.
///
/// # Errors
///
/// `InvalidData`, naming the line, where it is no event.
pub fn vector_clocks(events: &str) -> io::Result<String> {
    let mut clocks: BTreeMap<u64, Clock> = BTreeMap::new();
    // What may have sent something: the clock then, by the node and what was sent.
    let mut sent: BTreeMap<(u64, String), Clock> = BTreeMap::new();
    let mut text = String::new();
    for (position, line) in events.lines().enumerate() {
        let event: Json =
            serde_json::from_str(line).map_err(|error| wrong(position + 1, &error.to_string()))?;
        let Some(node) = event["node"].as_u64() else { continue };
        let clock = clocks.entry(node).or_default();
        *clock.entry(node).or_default() += 1;
        if let Some((sender, what)) = cause(node, &event)
            && let Some(then) = sent.get(&(sender, what))
        {
            for (&other, &count) in then {
                let known = clock.entry(other).or_default();
                *known = count.max(*known);
            }
        }
        for what in sends(&event) {
            sent.insert((node, what), clock.clone());
        }
        let parts: Vec<_> = clock.iter().map(|(node, count)| format!("\"n{node}\":{count}")).collect();
        text += &format!("n{node} {{{}}}\n{}\n", parts.join(","), told(&event));
    }
    Ok(text)
}

/// Whose message this event follows from, and which.
fn cause(node: u64, event: &Json) -> Option<(u64, String)> {
    let of = |key: &str| event[key].as_u64().filter(|other| *other != node);
    let term = &event["term"];
    match event["event"].as_str()? {
        "voted" => Some((of("candidate")?, format!("asks for votes in {term}"))),
        "pre-vote-granted" => Some((of("candidate")?, format!("asks for pre-votes in {term}"))),
        "vote-counted" => Some((of("voter")?, format!("votes for {node} in {term}"))),
        "pre-vote-counted" => Some((of("voter")?, format!("pre-votes for {node} in {term}"))),
        "append-accepted" => Some((of("leader")?, format!("has {}", event["match_index"]))),
        "match-counted" => Some((of("follower")?, format!("accepted {}", event["match_index"]))),
        "chunk-received" => {
            Some((of("leader")?, format!("sends {} of {}", event["offset"], event["snapshot"])))
        }
        _ => None,
    }
}

/// What this event may be the sending of, or come before it.
fn sends(event: &Json) -> Vec<String> {
    let term = event["term"].as_u64().unwrap_or(0);
    match event["event"].as_str() {
        Some("role") if event["to"] == "candidate" => vec![format!("asks for votes in {term}")],
        // What is asked is whether it would win the next term.
        Some("role") if event["to"] == "pre-candidate" => vec![format!("asks for pre-votes in {}", term + 1)],
        Some("voted") => vec![format!("votes for {} in {term}", event["candidate"])],
        Some("pre-vote-granted") => vec![format!("pre-votes for {} in {term}", event["candidate"])],
        Some("appended") => vec![format!("has {}", event["id"]["index"])],
        Some("append-accepted") => vec![format!("accepted {}", event["match_index"])],
        Some("chunk-sent") => vec![format!("sends {} of {}", event["offset"], event["snapshot"])],
        Some(_) | None => Vec::new(),
    }
}

/// The event on one line: its name, then its parts.
fn told(event: &Json) -> String {
    let name = event["event"].as_str().unwrap_or(if event["life"].is_null() { "gone" } else { "started" });
    let hidden = ["time_ns", "node", "event", "hash"];
    let parts = event.as_object().into_iter().flatten().filter(|(key, _)| !hidden.contains(&key.as_str()));
    let parts: Vec<_> = parts.map(|(key, value)| format!("{key}={value}")).collect();
    format!("{name} {}", parts.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_message_knows_all_that_came_before_it() {
        let events = r#"{"time_ns":0,"phase":"warm-up","hash":"0"}
{"time_ns":1,"node":1,"event":"role","from_term":0,"from":"pre-candidate","term":1,"to":"candidate","leader":null,"hash":"0"}
{"time_ns":2,"node":2,"event":"durable","term":0,"voted_for":null,"index":0,"hash":"0"}
{"time_ns":3,"node":2,"event":"voted","term":1,"candidate":1,"hash":"0"}
{"time_ns":4,"node":1,"event":"vote-counted","term":1,"voter":2,"hash":"0"}
{"time_ns":5,"node":1,"event":"appended","id":{"term":1,"index":1},"checksum":7,"hash":"0"}
{"time_ns":6,"node":2,"event":"append-accepted","leader":1,"match_index":1,"hash":"0"}"#;
        let text = vector_clocks(events).expect("events");
        let clocks: Vec<_> = text.lines().step_by(2).collect();
        assert_eq!(
            clocks,
            [
                r#"n1 {"n1":1}"#,
                r#"n2 {"n2":1}"#,
                r#"n2 {"n1":1,"n2":2}"#,
                r#"n1 {"n1":2,"n2":2}"#,
                r#"n1 {"n1":3,"n2":2}"#,
                r#"n2 {"n1":3,"n2":3}"#,
            ]
        );
        assert_eq!(text.lines().nth(5), Some("voted candidate=1 term=1"));
        assert!(vector_clocks("{").expect_err("no event").to_string().contains("line 1"));
    }
}
