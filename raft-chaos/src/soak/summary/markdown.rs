//! The sums as Markdown.

use std::path::Path;

use super::{EntryName, Finding, Kept, Slow, Summary, Sums, or_dash};

const HEAD: &str = "| plan | store | seeds | passed | others | virtual h | process h | elections | restarts | committed | ok | MB | cells |\n\
                    | --- | --- | --: | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n";

/// What is to stand in this file.
pub(super) fn markdown(summary: &Summary, file: &Path) -> String {
    let row =
        |(name, sums): (&EntryName, &Sums)| format!("| {} | {} | {} |\n", name.plan, name.store, of(sums));
    let mut text = HEAD.to_owned();
    text.extend(summary.rows.iter().map(row));
    text += &format!("| all | | {} |\n", of(&summary.all()));
    for lack in &summary.lacks {
        text += &format!("\n**{}**: {}\n", lack.plan, lack.what);
    }
    text.extend(summary.failures().into_iter().map(failure));
    if !summary.slowest.is_empty() {
        text += "\nSlowest recoveries, from a heal to a commit:\n\n| ms | plan | store | seed |\n| --: | --- | --- | --: |\n";
        let row = |Slow { millis, line }: &Slow| {
            format!("| {millis} | {} | {} | {} |\n", line.plan, line.store, line.seed)
        };
        text.extend(summary.slowest.iter().map(row));
    }
    if !summary.kept.is_empty() {
        text += "\nRuns that are kept:\n\n";
        let row = |kept: &Kept| {
            let (line, link) = (&kept.line, kept.link(file));
            format!(
                "- [{} on {}, seed {}]({link}): {}\n",
                line.plan,
                line.store,
                line.seed,
                line.verdict.name()
            )
        };
        text.extend(summary.kept().into_iter().map(row));
    }
    text
}

fn of(sums: &Sums) -> String {
    format!(
        "{} | {} | {} | {:.2} | {:.2} | {} | {} | {} | {} | {} | {}",
        sums.seeds(),
        sums.passed(),
        sums.others(),
        sums.counts.virtual_s / 3600.0,
        sums.counts.wall_s / 3600.0,
        or_dash(sums.counts.elections),
        sums.counts.restarts,
        or_dash(sums.counts.committed),
        sums.counts.ops_ok,
        sums.counts.rss_mb,
        sums.coverage
    )
}

fn failure((signature, found): (&String, &Finding)) -> String {
    let Finding { fastest, count, .. } = found;
    let reason = fastest.reason.as_deref().unwrap_or_default().replace('\n', " ");
    format!("\n**{count} times** `{signature}`, the fastest:\n\n    {}\n    {reason}\n", fastest.command)
}
