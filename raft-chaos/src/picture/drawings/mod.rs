//! Parts of the picture as files of their own, for texts and talks: `timeline.svg`, `latency.svg`, `spacetime.svg`.

mod latency;
mod spacetime;
mod timeline;

use maud::{Markup, html};

use super::Picture;
use super::recording::Recording;
use super::traffic::Flight;

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const INK: &str = "#1b1b1b";
const QUIET: &str = "#5c5c5c";
const RED: &str = "#d55e00";
const BLUE: &str = "#0072b2";
const ORANGE: &str = "#e69f00";

/// Every drawing, with the name of its file.
pub(super) fn drawings(
    recording: &Recording,
    picture: &Picture,
    flights: &[Flight<'_>],
    moment: u64,
) -> Vec<(&'static str, String)> {
    let mut drawings = vec![("timeline.svg", timeline::timeline(picture))];
    if !recording.operations.is_empty() {
        drawings.push(("latency.svg", latency::latency(recording, picture)));
    }
    if !flights.is_empty() {
        drawings.push(("spacetime.svg", spacetime::spacetime(picture, flights, moment)));
    }
    drawings
}

/// A sheet whose width is time.
struct Sheet {
    from: u64,
    to: u64,
    origin: u64,
}

impl Sheet {
    fn x(&self, at: u64) -> f64 {
        let share = (at as f64 - self.from as f64) / (self.to - self.from).max(1) as f64;
        round(LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT))
    }

    fn sees(&self, from: u64, to: u64) -> bool {
        to >= self.from && from <= self.to
    }

    /// As the story counts: from the end of the warm-up.
    fn seconds(&self, at: u64) -> f64 {
        (at as f64 - self.origin as f64) / 1e6
    }

    /// Moments that are round numbers of seconds, with their names.
    fn ticks(&self) -> Vec<(u64, String)> {
        let wanted = (self.to - self.from) / 10;
        let steps = (0..19).flat_map(|power| [1, 2, 5].map(|step| step * 10u64.pow(power)));
        let step = steps.into_iter().find(|step| *step >= wanted).unwrap_or(wanted);
        let digits = (0..6).find(|digits| step.is_multiple_of(10u64.pow(6 - digits))).unwrap_or(6);
        let digits = usize::try_from(digits).unwrap_or(6);
        let past = (self.from % step + step - self.origin % step) % step;
        let first = if past == 0 { self.from } else { self.from + step - past };
        let name = |at: u64| format!("{:.digits$} s", self.seconds(at));
        (0..).map(|n| first + n * step).take_while(|at| *at <= self.to).map(|at| (at, name(at))).collect()
    }

    /// The whole drawing: a title, the axis, and what is on it.
    fn page(&self, height: f64, title: &str, body: &Markup) -> String {
        let page = html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height)
                font-family="system-ui, DejaVu Sans, sans-serif" font-size="12" {
                title { (title) }
                rect width=(WIDTH) height=(height) fill="#ffffff" {}
                text x=(LEFT) y="16" font-weight="bold" fill=(INK) { (title) }
                @for (at, name) in self.ticks() {
                    line x1=(self.x(at)) x2=(self.x(at)) y1="38" y2=(height) stroke="#ececec" {}
                    text x=(self.x(at)) y="34" text-anchor="middle" fill=(QUIET) { (name) }
                }
                (body)
            }
        };
        page.into_string()
    }
}

/// A tenth of a pixel is enough, and short.
fn round(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

/// How tall a role stands in its lane, as a share, and its colour.
fn role(name: &str) -> (f64, &'static str) {
    match name {
        "leader" => (1.0, "#009e73"),
        "candidate" => (0.75, ORANGE),
        "pre-candidate" => (0.75, "#f0e442"),
        "follower" => (0.5, "#a9d8f3"),
        "learner" => (0.5, "#cc79a7"),
        "spare" => (0.25, "#c9c9c9"),
        _ => (0.1, "#9a9a9a"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_seconds_on_it_that_count_from_the_end_of_the_warm_up() {
        let sheet = Sheet { from: 0, to: 20_000_000, origin: 3_000_000 };
        let names: Vec<_> = sheet.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names[..4], ["-2 s", "0 s", "2 s", "4 s"]);
        let sheet = Sheet { from: 3_100_000, to: 3_400_000, origin: 3_000_000 };
        let ticks = sheet.ticks();
        assert_eq!(ticks[0], (3_100_000, "0.10 s".to_owned()), "{ticks:?}");
        assert!((sheet.x(3_400_000) - (WIDTH - RIGHT)).abs() < 0.1);
    }
}
