//! The list of mutants that change nothing that matters.
//!
//! A mutant's name stands on a line of its own; the indented lines after it say why no test can notice it, or need to. One
//! reason may stand below several names. Lines that begin with `#` are for the reader.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

use crate::Mistake;

/// Names of mutants, each with the reason why it survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survivors(BTreeMap<String, String>);

impl Survivors {
    /// What is in a file; nothing if there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, Mistake> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display()).into()),
        }
    }

    fn parse(text: &str) -> Self {
        let mut all = BTreeMap::new();
        let mut without: Vec<String> = Vec::new();
        let mut reason = String::new();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        for line in lines {
            if line.starts_with(' ') {
                reason = format!("{reason} {}", line.trim());
            } else {
                if !reason.is_empty() {
                    all.extend(without.drain(..).map(|name| (name, reason.trim().to_owned())));
                    reason.clear();
                }
                without.push(line.to_owned());
            }
        }
        all.extend(without.into_iter().map(|name| (name, reason.trim().to_owned())));
        Self(all)
    }

    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(|name| (name.to_owned(), String::new())).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Says what differs from what was found among those that were tried; whether nothing does. Where all were tried, a
    /// name that is no mutant's differs too.
    pub(crate) fn compare(&self, found: &Self, tried: &[&str], all: bool) -> bool {
        let new: Vec<_> = found.0.keys().filter(|name| !self.has(name)).collect();
        let killed: Vec<_> =
            self.0.keys().filter(|name| tried.contains(&name.as_str()) && !found.has(name)).collect();
        let strange: Vec<_> = self.0.keys().filter(|name| all && !tried.contains(&name.as_str())).collect();
        let unexplained: Vec<_> =
            self.0.iter().filter(|(_, why)| why.is_empty()).map(|(name, _)| name).collect();
        for (what, names) in [
            ("survives and is not listed", &new),
            ("is listed and does not survive", &killed),
            ("is listed and is no mutant that compiles", &strange),
            ("is listed without a reason", &unexplained),
        ] {
            for name in names {
                println!("{what}: {name}");
            }
        }
        let explained = found.0.keys().filter(|name| self.has(name)).count();
        println!("{explained} survivors are explained, {} are not", new.len());
        [&new, &killed, &strange, &unexplained].iter().all(|names| names.is_empty())
    }
}

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.keys().try_for_each(|name| writeln!(f, "{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_to_name_what_was_found_and_nothing_else() {
        let listed = Survivors::parse(
            "# A comment.\na => b\nb => c\n    One reason\n    for both.\n\nc => d\n    Another.\n",
        );
        assert_eq!(listed.0["a => b"], "One reason for both.");
        assert_eq!(listed.0["c => d"], "Another.");
        let compare = |found: &[&str], tried: &[&str], all| {
            listed.compare(&Survivors::of(found.iter().copied()), tried, all)
        };
        let all = ["a => b", "b => c", "c => d", "d => e"];
        assert!(compare(&all[..3], &all, true));
        assert!(!compare(&all, &all, true), "one more survives");
        assert!(!compare(&all[..2], &all, true), "one does not");
        assert!(!compare(&all[..2], &all[..2], true), "one is not there any more");
        assert!(compare(&all[..2], &all[..2], false), "one was not tried");
        assert!(!Survivors::parse("a => b\n").compare(
            &Survivors::of(["a => b"].into_iter()),
            &["a => b"],
            true
        ));
    }
}
