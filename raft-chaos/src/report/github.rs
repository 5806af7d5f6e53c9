//! What failed, as GitHub's runners read it from standard output: it appears beside the plan in what was changed.

use std::path::Path;

use super::say;
use crate::soak::{Finding, Summary};
use crate::verdict::Verdict;

/// An annotation of the plan for each kind of failure of its seeds, and for what they have not shown together.
pub(crate) fn annotate(plan: &Path, name: &str, summary: &Summary) {
    let seeds = summary.all().seeds();
    for (_, Finding { fastest, count, .. }) in summary.failures() {
        let of =
            if seeds == 1 { format!("seed {}", fastest.seed) } else { format!("{count} of {seeds} seeds") };
        let title = format!("{name}: {}, {of}", fastest.verdict.title());
        let reason = fastest.reason.as_deref().unwrap_or_default();
        say(&annotation(fastest.verdict, plan, &title, &format!("{reason}\nrepeat: {}", fastest.command)));
    }
    for (_, what) in summary.lacking() {
        let title = format!("{name}: {}, all seeds together", Verdict::Inconclusive.title());
        say(&annotation(Verdict::Inconclusive, plan, &title, what));
    }
}

/// Nothing is proved to be wrong by what only warns.
fn annotation(verdict: Verdict, plan: &Path, title: &str, message: &str) -> String {
    let level = match verdict {
        Verdict::Inconclusive | Verdict::Interrupted | Verdict::Pass => "warning",
        Verdict::Bug | Verdict::Safety | Verdict::Crash | Verdict::Divergence | Verdict::Liveness => "error",
    };
    let file = property(&plan.display().to_string());
    format!("::{level} file={file},title={}::{}", property(title), escaped(message))
}

/// As the runner wants what stands after the title.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As it wants what stands in front.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_part_of_an_annotation_is_escaped() {
        let said = annotation(Verdict::Safety, Path::new("a,b.toml"), "x: 5%", "one: 5%\r\ntwo, three");
        assert_eq!(said, "::error file=a%2Cb.toml,title=x%3A 5%25::one: 5%25%0D%0Atwo, three");
    }
}
