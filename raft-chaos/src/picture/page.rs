//! The page: what a person reads first, as HTML; below it what the script draws.

mod explained;
mod intervals;

use std::io;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value as Json;

use super::columns::packed;
use super::recording::Recording;
use super::{Picture, Trouble};
use crate::verdict::Verdict;

/// How reports look.
const STYLE: &str = include_str!("page/style.css");
/// In the order in which they need each other.
const SCRIPTS: [&str; 8] = [
    include_str!("page/run.js"),
    include_str!("page/view.js"),
    include_str!("page/ink.js"),
    include_str!("page/nodes.js"),
    include_str!("page/clients.js"),
    include_str!("page/messages.js"),
    include_str!("page/details.js"),
    include_str!("page/page.js"),
];
/// The page is all that it needs, and asks nobody for more.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";

/// How many reasons are listed.
const LISTED: usize = 50;

/// The whole page.
pub(super) fn page(recording: &Recording, trouble: &Trouble, picture: &Picture) -> io::Result<String> {
    let result = &recording.result;
    let data = packed(picture)?;
    let title = format!("{}: {}, seed {}", verdict(result).1, text(&result["plan"]), result["seed"]);
    let body = html! {
        (head(recording))
        (explained::trouble(trouble, picture.origin))
        (drawing())
        script #data type="application/octet-stream" { (PreEscaped(data)) }
        @for script in SCRIPTS { script { (PreEscaped(script)) } }
    };
    Ok(document(&title, POLICY, "", &body))
}

/// A page that is all that it needs: what it may do beyond being read, and how it looks but for what all reports have in
/// common.
pub(crate) fn document(title: &str, policy: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A sign and a name for a verdict, and the class of its colour.
pub(crate) const fn badge(verdict: Verdict) -> (&'static str, &'static str, &'static str) {
    let name = verdict.title();
    match verdict {
        Verdict::Pass => ("✔", name, "good"),
        Verdict::Inconclusive | Verdict::Interrupted => ("?", name, "open"),
        Verdict::Bug | Verdict::Safety | Verdict::Crash | Verdict::Divergence | Verdict::Liveness => {
            ("✖", name, "bad")
        }
    }
}

/// The badge of the verdict in `result.json`.
fn verdict(result: &Json) -> (&'static str, &'static str, &'static str) {
    badge(Verdict::named(text(&result["verdict"])).unwrap_or(Verdict::Bug))
}

fn head(recording: &Recording) -> Markup {
    let result = &recording.result;
    let (sign, name, class) = verdict(result);
    let reasons: Vec<_> = result["reasons"].as_array().into_iter().flatten().map(text).collect();
    html! {
        header {
            h1 {
                span.verdict.(class) { (sign) " " (name) }
                " " (text(&result["plan"])) " "
                small { "seed " (result["seed"]) }
            }
            @if !recording.about.is_empty() { p.about { (recording.about) } }
            @if reasons.is_empty() {
                p { "All that was asked for held." }
            } @else {
                // The first says it; more of them would hide what is below.
                ul.reasons {
                    @for reason in reasons.iter().take(3) { li { (first_line(reason)) } }
                }
                @if reasons.len() > 3 {
                    details {
                        summary { "and " (reasons.len() - 3) " more" }
                        ul.reasons { @for reason in reasons.iter().take(LISTED).skip(3) { li { (first_line(reason)) } } }
                        @if reasons.len() > LISTED { p { "All of them are in result.json." } }
                    }
                }
            }
            (numbers(result))
        }
    }
}

fn numbers(result: &Json) -> Markup {
    let (ops, latency) = (&result["ops"], &result["latency_us"]);
    let millis = |micros: &Json| format!("{:.1} ms", micros.as_f64().unwrap_or(0.0) / 1e3);
    let longest = result["recovery_ms"].as_array().into_iter().flatten();
    let longest = longest.filter_map(|recovery| recovery["commit"].as_u64()).max();
    let mut facts = vec![
        ("operations", format!("{} ok, {} fail, {} info", ops["ok"], ops["fail"], ops["info"])),
        ("latency", format!("p50 {}, p99 {}", millis(&latency["p50"]), millis(&latency["p99"]))),
        ("longest time without an ok", format!("{} ms", result["ok_gap_ms"])),
        ("restarts", result["restarts"].to_string()),
    ];
    // What nobody could know is left out.
    for (name, key) in [("elections", "elections"), ("entries committed", "committed")] {
        facts.extend(result[key].as_u64().map(|number| (name, number.to_string())));
    }
    if let Some(longest) = longest {
        facts.push(("slowest recovery", format!("{longest} ms from a heal to a commit")));
    }
    facts.push(("history", text(&result["checker"]["verdict"]).to_owned()));
    facts.push(("event hash", text(&result["event_hash"]).to_owned()));
    html! { dl.numbers { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// What the script fills.
fn drawing() -> Markup {
    html! {
        main {
            form #controls aria-label="What is shown" {
                label { "key " select #key { option value="" { "all" } } }
                label { "node " select #node { option value="" { "all" } } }
                label { "client " select #client { option value="" { "all" } } }
                label { "messages " select #kind {
                    option value="" { "all" }
                    option value="telling" { "without heartbeats" }
                    option value="votes" { "elections" }
                    option value="entries" { "entries and snapshots" }
                    option value="odd" { "lost, late, twice" }
                } }
                span.buttons {
                    button type="button" #in title="zoom in (+)" { "+" }
                    button type="button" #out title="zoom out (-)" { "−" }
                    button type="button" #all title="the whole run (0)" { "all" }
                    button type="button" #trouble title="what broke (v)" hidden { "what broke" }
                    button type="button" #help title="keys (?)" { "?" }
                }
                output #range {}
            }
            p #keys hidden {
                "Drag moves, Ctrl and wheel or pinch zooms, Shift and drag zooms to what is marked, double click zooms in. "
                "Keys: " kbd { "+" } " " kbd { "-" } " zoom, " kbd { "←" } " " kbd { "→" } " move, " kbd { "0" } " the whole run, "
                kbd { "v" } " what broke, " kbd { "n" } " " kbd { "p" } " next and previous operation, " kbd { "Esc" } " lets go."
            }
            div #stage {
                canvas #overview height="54" aria-hidden="true" {}
                canvas #picture tabindex="0" role="img"
                    aria-label="The run over time: faults, nodes, messages, log, operations. Keys: plus, minus, arrows, 0, n, p." {}
            }
            aside #details aria-live="polite" {}
            div #tip role="tooltip" hidden {}
            (legend())
        }
    }
}

fn legend() -> Markup {
    let roles = ["leader", "candidate", "pre-candidate", "follower", "learner", "spare", "down"];
    html! {
        section #legend aria-label="Legend" {
            h2 { "How to read it" }
            ul.swatches { @for role in roles { li { canvas.swatch data-role=(role) width="44" height="20" {} " " (role) } } }
            ul.swatches {
                li { canvas.swatch data-end="0" width="44" height="20" {} " ok" }
                li { canvas.swatch data-end="1" width="44" height="20" {} " failed: certainly not done" }
                li { canvas.swatch data-end="2" width="44" height="20" {} " info: nobody knows" }
                li { canvas.swatch data-end="accused" width="44" height="20" {} " does not fit" }
                li { canvas.swatch data-fault="cut" width="44" height="20" {} " fault on a node or its links" }
            }
            ul.swatches {
                li { canvas.swatch data-message="append" width="44" height="20" {} " entries" }
                li { canvas.swatch data-message="heartbeat" width="44" height="20" {} " heartbeat" }
                li { canvas.swatch data-message="vote" width="44" height="20" {} " election" }
                li { canvas.swatch data-message="snapshot" width="44" height="20" {} " snapshot" }
                li { canvas.swatch data-message="reply" width="44" height="20" {} " reply (dashed)" }
                li { canvas.swatch data-message="lost" width="44" height="20" {} " lost" }
                li { canvas.swatch data-message="odd" width="44" height="20" {} " late or twice" }
            }
            p {
                "One time axis for all. A fault lies as a band over the lanes of the nodes that it meets. In a node's lane height and colour tell the role, "
                "the number is the term. Click on an operation to follow it through the log; zoom in to see the messages one by one."
            }
        }
    }
}

/// Without what the terminal shows below it, which is a table here.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or("-")
}
