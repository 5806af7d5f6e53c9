//! The sums as a page, that needs nothing but a browser, in the style of a run's report.

use std::path::Path;

use maud::{Markup, html};

use super::{EntryName, Finding, Kept, Slow, Summary, Sums, or_dash};
use crate::coverage::{columns, missing, rows};
use crate::picture::{badge, document};
use crate::verdict::Verdict;

/// What is of this page alone.
const STYLE_OF_SUMS: &str = include_str!("page.css");
/// The page is all that it needs, and asks nobody for more.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What is to stand in this file.
pub(super) fn page(summary: &Summary, file: &Path) -> String {
    let all = summary.all();
    let title = format!("{}: {} seeds", badge(summary.worst()).1, all.seeds());
    let body = html! {
        (head(summary, &all))
        (verdicts(summary, &all))
        (failures(summary, file))
        (recoveries(summary))
        (coverage(&all))
        (kept(summary, file))
    };
    document(&title, POLICY, STYLE_OF_SUMS, &body)
}

fn head(summary: &Summary, all: &Sums) -> Markup {
    let plans: Vec<_> = summary.rows.keys().map(|name| &*name.plan).collect();
    let facts = [
        ("passed", format!("{} of {}", all.passed(), all.seeds())),
        ("virtual time", format!("{:.2} h", all.counts.virtual_s / 3600.0)),
        ("time of processes", format!("{:.2} h", all.counts.wall_s / 3600.0)),
        ("elections", or_dash(all.counts.elections)),
        ("restarts", all.counts.restarts.to_string()),
        ("entries committed", or_dash(all.counts.committed)),
        ("operations that were ok", all.counts.ops_ok.to_string()),
        ("cells of the protocol", all.coverage.to_string()),
        ("most memory of a seed", format!("{} MB", all.counts.rss_mb)),
    ];
    html! {
        header {
            h1 {
                (sign(summary.worst())) " "
                @if let [plan] = plans[..] { (plan) } @else { (plans.len()) " plans" }
                " " small { (all.seeds()) " seeds" }
            }
            @if summary.worst() == Verdict::Pass { p { "All that was asked for held." } }
            @if !summary.lacks.is_empty() {
                ul.reasons { @for lack in &summary.lacks { li { (lack.plan) ": " (lack.what) } } }
            }
            dl.numbers { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        }
    }
}

fn verdicts(summary: &Summary, all: &Sums) -> Markup {
    let row = |name: &str, store: &str, sums: &Sums| {
        html! {
            th scope="row" { (name) } td { (store) }
            td.number { (sums.seeds()) } td.number { (sums.passed()) } td { (sums.others()) }
            td { (share(sums)) }
            td.number { (or_dash(sums.counts.elections)) } td.number { (sums.counts.restarts) } td.number { (or_dash(sums.counts.committed)) }
        }
    };
    html! {
        section #verdicts {
            h2 { "Verdicts" }
            table.sums {
                thead { tr {
                    @for name in ["plan", "store", "seeds", "passed", "others", "", "elections", "restarts", "committed"] {
                        th scope="col" { (name) }
                    }
                } }
                tbody {
                    @for (EntryName { plan, store }, sums) in &summary.rows { tr { (row(plan, store, sums)) } }
                    @if summary.rows.len() > 1 { tr.all { (row("all", "", all)) } }
                }
            }
        }
    }
}

/// How many of the seeds ended how, as a bar; the numbers stand beside it.
fn share(sums: &Sums) -> Markup {
    let (mut from, seeds) = (0.0, sums.seeds().max(1) as f64);
    let mut part = |verdict: &Verdict, count: u64| {
        let (at, width) = (from, count as f64 / seeds * 120.0);
        from += width;
        html! {
            rect class=(badge(*verdict).2) x=(format!("{at:.1}")) y="0" width=(format!("{width:.1}")) height="12" {
                title { (count) " " (verdict.name()) }
            }
        }
    };
    html! {
        svg.share width="120" height="12" role="img" aria-label=(format!("{} of {} passed", sums.passed(), sums.seeds())) {
            @for (verdict, count) in sums.verdicts.iter().rev() { (part(verdict, *count)) }
        }
    }
}

fn failures(summary: &Summary, file: &Path) -> Markup {
    let failures = summary.failures();
    let runs = |signature: &String| {
        let of_kind = |kept: &&Kept| kept.line.signature.as_ref() == Some(signature);
        let runs: Vec<_> = summary.kept().into_iter().filter(of_kind).collect();
        html! {
            @if !runs.is_empty() {
                p { "Kept: " @for kept in runs { a href=(kept.link(file)) { (kept.line.plan) " " (kept.line.seed) } " " } }
            }
        }
    };
    html! {
        @if !failures.is_empty() {
            section #failures {
                h2 { "Kinds of failure" }
                @for (signature, Finding { fastest, count, .. }) in failures {
                    article {
                        h3 { (sign(fastest.verdict)) " " (count) @if *count == 1 { " seed" } @else { " seeds" } }
                        p.signature { (signature) }
                        p { "The fastest, " (fastest.plan) " on " (fastest.store) " with seed " (fastest.seed) ":" }
                        pre { (fastest.reason.as_deref().unwrap_or_default()) "\n\n" (fastest.command) }
                        (runs(signature))
                    }
                }
            }
        }
    }
}

fn recoveries(summary: &Summary) -> Markup {
    html! {
        @if !summary.slowest.is_empty() {
            section #recoveries {
                h2 { "Slowest recoveries" }
                p.note { "From a heal to the next commit, the longest of each seed." }
                table.sums {
                    thead { tr { @for name in ["ms", "plan", "store", "seed", "again"] { th scope="col" { (name) } } } }
                    tbody {
                        @for Slow { millis, line } in &summary.slowest {
                            tr {
                                td.number { (millis) } td { (line.plan) } td { (line.store) } td.number { (line.seed) }
                                td { code { (line.command) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row for each kind of message, and what was not reached.
fn coverage(all: &Sums) -> Markup {
    let missing = missing(&all.coverage);
    html! {
        section #coverage {
            h2 { "What of the protocol was reached" }
            p.note {
                "Which messages met servers in which role, by the term and the log that they speak of and by what the servers \
                 took part in; so many of so many cells."
            }
            table.sums {
                thead { tr { th scope="col" { "message" } @for column in columns() { th scope="col" { (column) } } } }
                tbody {
                    @for (name, shares) in rows(&all.coverage) {
                        tr {
                            th scope="row" { (name) }
                            @for share in shares { td.number { (share.reached) " of " (share.of) } }
                        }
                    }
                }
            }
            @if !missing.is_empty() { details { summary { "Empty cells" } pre { (missing) } } }
        }
    }
}

fn kept(summary: &Summary, file: &Path) -> Markup {
    html! {
        @if !summary.kept.is_empty() {
            section #kept {
                h2 { "Runs that are kept" }
                table.sums {
                    thead { tr { @for name in ["plan", "store", "seed", "verdict", "report"] { th scope="col" { (name) } } } }
                    tbody {
                        @for kept in summary.kept() {
                            tr {
                                td { (kept.line.plan) } td { (kept.line.store) } td.number { (kept.line.seed) }
                                td { (sign(kept.line.verdict)) }
                                td { a href=(kept.link(file)) { (kept.line.reason.as_deref().unwrap_or("open")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A verdict as the report of a run shows it.
fn sign(verdict: Verdict) -> Markup {
    let (sign, name, class) = badge(verdict);
    html! { span.verdict.(class) { (sign) " " (name) } }
}
