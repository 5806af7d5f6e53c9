//! A few operations as intervals, one below the other: what overlaps may have taken effect in either order.

use maud::{Markup, html};

use super::super::trouble::Asked;

const WIDTH: f64 = 560.0;
const ROW: f64 = 30.0;
const LEFT: f64 = 8.0;
/// As much time as is shown before and after, as a share of the whole.
const AROUND: f64 = 0.04;

/// An operation a row, in the order in which they began. One that nobody saw end has no end.
pub(super) fn intervals(operations: &[Asked]) -> Markup {
    let mut rows: Vec<_> = operations.iter().collect();
    rows.sort_by_key(|asked| asked.row);
    let culprit = operations.first().map(|asked| asked.row);
    let from = rows.iter().map(|asked| asked.began).min().unwrap_or(0);
    let to = rows.iter().filter_map(|asked| asked.ended).max().unwrap_or(from).max(from + 1);
    let wide = (to - from) as f64 * (1.0 + 2.0 * AROUND);
    let x = |at: u64| LEFT + ((at as f64 - from as f64) / wide + AROUND) * (WIDTH - 2.0 * LEFT);
    let height = ROW * rows.len() as f64 + 4.0;
    html! {
        svg.intervals viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img"
            aria-label="The operations as intervals of time" {
            @for (place, asked) in rows.iter().enumerate() {
                (row(asked, place, &x, culprit == Some(asked.row)))
            }
        }
    }
}

fn row(asked: &Asked, place: usize, x: &impl Fn(u64) -> f64, is_culprit: bool) -> Markup {
    let top = place as f64 * ROW + 16.0;
    let (from, to) = (x(asked.began), asked.ended.map_or(WIDTH - LEFT, x));
    let class = match (is_culprit, asked.ended) {
        (true, _) => "culprit",
        (false, Some(_)) => "known",
        (false, None) => "unknown",
    };
    let said = if asked.what == "read" {
        format!("process {} read {}", asked.process, asked.answer)
    } else {
        format!("process {} {}: {}", asked.process, asked.what, asked.answer)
    };
    // What begins late is told before its end, so that it stays in the picture.
    let late = from > WIDTH * 0.6;
    html! {
        text x=(if late { to } else { from }) y=(top - 3.0) text-anchor=(if late { "end" } else { "start" }) { (said) }
        rect class=(class) x=(from) y=(top) width=((to - from).max(2.0)) height="9" {}
    }
}
