//! What broke, as tables.

use maud::{Markup, html};

use super::super::trouble::{Asked, OfClients, OfNodes, Trouble};
use super::intervals::intervals;

/// Nothing, where nothing broke.
pub(super) fn trouble(trouble: &Trouble, origin: u64) -> Markup {
    html! {
        @if !trouble.is_none() {
            section #explained aria-label="What broke" {
                h2 { "What broke" }
                @if let Some(of_nodes) = &trouble.of_nodes { (nodes(of_nodes, origin)) }
                @if let Some(of_clients) = &trouble.of_clients { (clients(of_clients, origin)) }
            }
        }
    }
}

fn clients(of: &OfClients, origin: u64) -> Markup {
    html! {
        p.what { "On key " b { (of.key) } ": " (of.explanation) "." }
        h3 { "The operations that do not fit together" }
        div.beside {
            (table(&of.operations, origin))
            (intervals(&of.operations))
        }
        @if !of.log.is_empty() {
            h3 { "The log about them: what took effect on this key, in this order" }
            (table(&of.log, origin))
        }
    }
}

fn table(operations: &[Asked], origin: u64) -> Markup {
    html! {
        table.operations {
            thead { tr { th { "entry" } th { "process" } th { "asked" } th { "answered" } th { "from" } th { "to" } } }
            tbody {
                @for asked in operations {
                    tr.accused[asked.accused] data-row=(asked.row) tabindex="0" {
                        td { (effect(asked)) }
                        td { (asked.process) }
                        td { code { (asked.what) } }
                        td { code { (asked.answer) } }
                        td.number { (seconds(asked.began, origin)) }
                        td.number { @match asked.ended { Some(ended) => { (seconds(ended, origin)) } None => { "never seen" } } }
                    }
                }
            }
        }
    }
}

fn effect(asked: &Asked) -> String {
    let Some(effect) = asked.effect else { return "none".to_owned() };
    let term = effect.term.map_or(String::new(), |term| format!(" (t{term})"));
    if effect.beside {
        format!("read after {}{term}", effect.index)
    } else {
        format!("{}{term}", effect.index)
    }
}

fn nodes(of: &OfNodes, origin: u64) -> Markup {
    let named: Vec<_> = of.nodes.iter().map(|node| format!("n{node}")).collect();
    html! {
        p.what { "At " b.number { (seconds(of.at, origin)) } ": " (of.sentence) "." }
        @if let Some(index) = of.index {
            p { "The logs of " (if named.len() > 1 { named.join(" and ") } else { "the nodes".into() }) " differ at index " b { (index) } "." }
        }
        h3 { "The logs at that moment" }
        table.logs {
            thead { tr { th { "node" } @for index in of.logs.from..=of.logs.to { th.split[of.logs.is_split(index)] { (index) } } } }
            tbody {
                @for (node, log) in &of.logs.nodes {
                    tr.accused[of.nodes.contains(node)] {
                        th { "n" (node) }
                        @for index in of.logs.from..=of.logs.to {
                            td.split[of.logs.is_split(index)] { (log.cell(index)) }
                        }
                    }
                }
            }
        }
        p.note { "The term of each entry; * known there to be committed, ~ not on its disk yet, snap: in its snapshot." }
        h3 { "What led there" }
        ol.story { @for (at, text) in &of.led_there {
            li data-at=(at) tabindex="0" { span.number { (seconds(*at, origin)) } " " (text) }
        } }
    }
}

/// As the story counts: from the end of the warm-up.
fn seconds(at: u64, origin: u64) -> String {
    format!("{:.3} s", (at as f64 - origin as f64) / 1e6)
}
