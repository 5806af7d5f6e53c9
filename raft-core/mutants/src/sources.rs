//! A copy of the workspace, whose rules are woven with their changes.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::mutant::{self, Mutant, Site};
use crate::weaver::{Weaver, Woven};
use crate::{Mistake, finder};

/// The files of `raft-core/src` that hold no rules: what is public and says itself what it is, the judges, what tests
/// plant and measure, and an in-memory disk.
const NO_RULES: [&str; 14] = [
    "event.rs",
    "figure3.rs",
    "fingerprint.rs",
    "footprint.rs",
    "input.rs",
    "lib.rs",
    "message.rs",
    "must_use.rs",
    "planted.rs",
    "property.rs",
    "rng.rs",
    "snapshot.rs",
    "stored.rs",
    "types.rs",
];

/// The module that each place asks which mutant this process is.
const SWITCH: &str = include_str!("switch.txt");

/// A file of rules, as it is and as it is found in the copy.
struct File {
    name: String,
    path: PathBuf,
    text: String,
    sites: Vec<Site>,
    consts: Vec<Range<usize>>,
    woven: Woven,
}

/// The copy.
pub(crate) struct Sources {
    tree: PathBuf,
    files: Vec<File>,
}

impl Sources {
    /// Copies what git knows or would take up. What is there already and has not changed stays as it is, so that nothing
    /// is compiled again for it.
    pub(crate) fn copied(root: &Path, tree: &Path) -> Result<Self, Mistake> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()?;
        let names = String::from_utf8(listed.stdout)?;
        let mut paths = BTreeSet::new();
        let mut files = Vec::new();
        for name in names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()) {
            let (from, to) = (root.join(name), tree.join(name));
            paths.insert(to.clone());
            match name.strip_prefix("raft-core/src/") {
                Some(rules) if !rules.contains('/') && !NO_RULES.contains(&rules) => {
                    let (name, text) = (rules.to_owned(), fs::read_to_string(&from)?);
                    let (sites, consts, woven) = (Vec::new(), Vec::new(), Woven::default());
                    files.push(File { name, path: to, text, sites, consts, woven });
                }
                Some("lib.rs") => {
                    let text = fs::read_to_string(&from)?;
                    write(&to, &format!("{text}\nmod mutant;\n"))?;
                }
                _ => write(&to, fs::read(&from)?)?,
            }
        }
        let switch = tree.join("raft-core/src/mutant.rs");
        write(&switch, SWITCH)?;
        paths.insert(switch);
        remove_others(tree, &paths)?;
        Ok(Self { tree: tree.to_owned(), files })
    }

    /// Looks for what can be changed.
    pub(crate) fn find(&mut self) -> Result<Vec<Mutant>, Mistake> {
        let (mut all, mut next) = (Vec::new(), 1);
        for file in &mut self.files {
            let findings = finder::find(&file.text).map_err(|mistake| format!("{}: {mistake}", file.name))?;
            let (mutants, sites) = mutant::numbered(&file.name, findings.changes, &mut next);
            (file.sites, file.consts) = (sites, findings.consts);
            all.extend(mutants);
        }
        Ok(all)
    }

    /// What tells these rules, as they are, from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.files.iter().for_each(|file| {
            (&file.name, &file.text).hash(&mut hasher);
            file.sites.iter().for_each(|site| site.instead.hash(&mut hasher));
        });
        hasher.finish()
    }

    /// Writes the rules with all changes but some.
    pub(crate) fn weave(&mut self, without: &BTreeSet<u32>) -> Result<(), Mistake> {
        for file in &mut self.files {
            file.woven = Weaver::new(&file.text, &file.sites, &file.consts, without).weave();
            write(&file.path, &file.woven.text)?;
        }
        Ok(())
    }

    /// The mutants to blame for what the compiler does not like in a file of the package.
    pub(crate) fn to_blame(&self, path: &str, range: &Range<usize>) -> Option<Vec<u32>> {
        let file = self.files.iter().find(|file| file.path.ends_with(path))?;
        file.woven.to_blame(range)
    }

    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }
}

/// Writes a file, unless it is like that already.
fn write(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == text.as_ref()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// Removes what earlier copies have left.
fn remove_others(folder: &Path, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, paths)?;
        } else if !paths.contains(&path) && entry.file_name() != "Cargo.lock" {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
