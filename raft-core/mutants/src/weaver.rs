//! Weaves all changes of a file into its text, each behind a question for which mutant this process is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::mutant::{Shape, Site};

/// The text of a file with its changes, and where in it each of them is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Woven {
    pub(crate) text: String,
    /// Where what stands instead is.
    mutants: Vec<(Range<usize>, u32)>,
    /// Where the whole place is, with what stood there.
    sites: Vec<(Range<usize>, Vec<u32>)>,
}

impl Woven {
    /// The mutants that are to blame for what the compiler does not like in `range`: the one that is there, or else all
    /// of the smallest place around it.
    pub(crate) fn to_blame(&self, range: &Range<usize>) -> Option<Vec<u32>> {
        let around = |place: &Range<usize>| place.start <= range.start && range.end <= place.end;
        if let Some((_, id)) = self.mutants.iter().find(|(place, _)| around(place)) {
            return Some(vec![*id]);
        }
        let places = self.sites.iter().filter(|(place, _)| around(place));
        places.min_by_key(|(place, _)| place.len()).map(|(_, ids)| ids.clone())
    }
}

/// A file, the places in it that can be changed, and words to leave out.
pub(crate) struct Weaver<'a> {
    text: &'a str,
    sites: BTreeMap<(usize, std::cmp::Reverse<usize>, Shape), Vec<(u32, &'a str)>>,
    dropped: &'a [Range<usize>],
    woven: Woven,
}

impl<'a> Weaver<'a> {
    pub(crate) fn new(
        text: &'a str,
        sites: &'a [Site],
        dropped: &'a [Range<usize>],
        without: &BTreeSet<u32>,
    ) -> Self {
        let place = |site: &'a Site| {
            let stays = |(id, _): &&(u32, String)| !without.contains(id);
            let instead: Vec<_> =
                site.instead.iter().filter(stays).map(|(id, to)| (*id, to.as_str())).collect();
            let Range { start, end } = site.range;
            (!instead.is_empty()).then_some(((start, std::cmp::Reverse(end), site.shape), instead))
        };
        Self { text, sites: sites.iter().filter_map(place).collect(), dropped, woven: Woven::default() }
    }

    pub(crate) fn weave(mut self) -> Woven {
        let sites = std::mem::take(&mut self.sites);
        let sites: Vec<_> =
            sites.iter().map(|(&(start, end, shape), to)| (start..end.0, shape, to.as_slice())).collect();
        self.stretch(0..self.text.len(), &sites);
        self.woven
    }

    /// The text of a range, with the places in it.
    fn stretch(&mut self, range: Range<usize>, sites: &[(Range<usize>, Shape, &[(u32, &str)])]) {
        let (mut at, mut left) = (range.start, sites);
        while let Some(((place, shape, instead), rest)) = left.split_first() {
            self.plain(at..place.start);
            let within = rest
                .iter()
                .take_while(|(inner, ..)| inner.end <= place.end && inner.start < place.end)
                .count();
            let within = if place.is_empty() { 0 } else { within };
            let begin = self.woven.text.len();
            match shape {
                Shape::Body => self.leave_early(instead),
                Shape::Expression => {
                    let (first, last) = (instead[0].0, instead[instead.len() - 1].0);
                    self.say(&format!("(if crate::mutant::outside({first}, {last}) {{ "));
                    self.stretch(place.clone(), &rest[..within]);
                    self.say(" }");
                    self.others(instead);
                    self.say(")");
                }
                Shape::Statement => {
                    let id = instead[0].0;
                    self.say(&format!("if crate::mutant::outside({id}, {id}) {{ "));
                    self.stretch(place.clone(), &rest[..within]);
                    self.say(" }");
                }
            }
            let ids = instead.iter().map(|(id, _)| *id).collect();
            self.woven.sites.push((begin..self.woven.text.len(), ids));
            at = place.end;
            left = &rest[within..];
        }
        self.plain(at..range.end);
    }

    /// The text as it is, but for the words to leave out.
    fn plain(&mut self, range: Range<usize>) {
        let (text, mut at) = (self.text, range.start);
        for word in self.dropped.iter().filter(|word| range.start <= word.start && word.end <= range.end) {
            self.woven.text.push_str(&text[at..word.start]);
            at = word.end;
        }
        self.say(&text[at..range.end]);
    }

    fn leave_early(&mut self, instead: &[(u32, &str)]) {
        for (id, what) in instead {
            self.say(&format!(" if crate::mutant::is({id}) {{ "));
            self.mutant(*id, what);
            self.say("; }");
        }
    }

    /// The branches with what stands there instead; the last one asks nothing.
    fn others(&mut self, instead: &[(u32, &str)]) {
        for (place, (id, what)) in instead.iter().enumerate() {
            if place + 1 < instead.len() {
                self.say(&format!(" else if crate::mutant::is({id})"));
            } else {
                self.say(" else");
            }
            self.say(" { ");
            self.mutant(*id, what);
            self.say(" }");
        }
    }

    fn mutant(&mut self, id: u32, what: &str) {
        let begin = self.woven.text.len();
        self.say(what);
        self.woven.mutants.push((begin..self.woven.text.len(), id));
    }

    fn say(&mut self, words: &str) {
        self.woven.text.push_str(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(range: Range<usize>, shape: Shape, instead: &[(u32, &str)]) -> Site {
        Site { range, shape, instead: instead.iter().map(|&(id, to)| (id, to.to_owned())).collect() }
    }

    #[test]
    fn places_within_places_are_woven_and_what_the_compiler_dislikes_is_blamed_on_one() {
        let text = "const fn f() { a < !b; }";
        let sites = [
            site(15..22, Shape::Statement, &[(1, "")]),
            site(15..21, Shape::Expression, &[(2, "a > !b"), (3, "a == !b")]),
            site(19..21, Shape::Expression, &[(4, "b")]),
        ];
        let weave =
            |without: &[u32]| Weaver::new(text, &sites, &[0..6], &without.iter().copied().collect()).weave();
        let woven = weave(&[]);
        let all = "fn f() { if crate::mutant::outside(1, 1) { (if crate::mutant::outside(2, 3) { a < \
                   (if crate::mutant::outside(4, 4) { !b } else { b }) } \
                   else if crate::mutant::is(2) { a > !b } else { a == !b }); } }";
        assert_eq!(woven.text, all);
        let blamed = |words: &str| {
            let at = woven.text.find(words).unwrap();
            woven.to_blame(&(at..at + words.len()))
        };
        assert_eq!(blamed("a == !b"), Some(vec![3]));
        assert_eq!(blamed("a <"), Some(vec![2, 3]));
        assert_eq!(blamed("fn"), None);
        assert_eq!(
            weave(&[1, 2, 3]).text,
            "fn f() { a < (if crate::mutant::outside(4, 4) { !b } else { b }); }"
        );
    }
}
