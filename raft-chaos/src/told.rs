//! What the process of a seed tells the one that started it, where that one draws a bar: a JSON line each on its standard output, so
//! that the story and the bar do not write over each other.

use serde::{Deserialize, Serialize};

use crate::report;
use crate::sim::Pulse;

/// A line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    /// One line of the story, so many seconds after the warm-up.
    Story(f64, String),
    /// How the run stands.
    Pulse(Pulse),
}

impl Told {
    /// Tells it.
    pub(crate) fn tell(&self) {
        // A number, a text and a list of texts are always JSON.
        if let Ok(line) = serde_json::to_string(self) {
            report::say(&line);
        }
    }

    /// What a line tells; none if somebody else wrote it.
    pub(crate) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_what_others_write_is_not() {
        let pulse = Pulse { virtual_s: 1.5, ok: 7, elections: Some(1), faults: vec!["depose".to_owned()] };
        for told in [Told::Story(-0.25, "n1 leads in t1".to_owned()), Told::Pulse(pulse)] {
            let line = serde_json::to_string(&told).unwrap();
            assert_eq!(Told::read(&line), Some(told));
        }
        assert_eq!(Told::read("n1 leads in t1"), None);
    }
}
