//! What a disk may hold after the power has gone, given what was done to a directory before.
//!
//! A file that was synced holds what it held then. What was written to it since is there, or not, or in part. A
//! name that was given or taken away since the directory was synced may be as it was before.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, mem};

use bytes::Bytes;

use crate::watch::Operation;

/// The content of a directory, by name.
pub(crate) type Files = BTreeMap<String, Bytes>;

/// A directory, as the operations so far have left it.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    /// The names when the directory was last synced.
    durable_names: BTreeMap<String, usize>,
}

#[derive(Clone, Default)]
struct Content {
    written: Bytes,
    synced: Bytes,
}

impl Content {
    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut written = Vec::from(mem::take(&mut self.written));
        change(&mut written);
        self.written = written.into();
    }
}

impl Recorded {
    /// A directory that holds this, durably.
    pub(crate) fn of(files: &Files) -> Self {
        let contents = files.values().map(|bytes| Content { written: bytes.clone(), synced: bytes.clone() });
        let names: BTreeMap<_, _> = files.keys().cloned().zip(0..).collect();
        Self { files: contents.collect(), durable_names: names.clone(), names }
    }

    pub(crate) fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Open { .. } | Operation::Note(_) => {}
            Operation::Create { name } => {
                // A file that is made empty stays the same file.
                if let Some(content) = self.content(name) {
                    content.written = Bytes::new();
                } else {
                    self.names.insert(name.clone(), self.files.len());
                    self.files.push(Content::default());
                }
            }
            Operation::Write { name, at, data } => {
                if let Some(content) = self.content(name) {
                    content.change(|written| {
                        let end = at + data.len();
                        written.resize(written.len().max(end), 0);
                        written[*at..end].copy_from_slice(data);
                    });
                }
            }
            Operation::Resize { name, bytes } => {
                if let Some(content) = self.content(name) {
                    content.change(|written| written.resize(*bytes, 0));
                }
            }
            Operation::Sync { name } if name.is_empty() => self.durable_names = self.names.clone(),
            Operation::Sync { name } => {
                if let Some(content) = self.content(name) {
                    content.synced = content.written.clone();
                }
            }
            Operation::Rename { from, to } => {
                let file = self.names.remove(from).expect("it was there");
                self.names.insert(to.clone(), file);
            }
            Operation::Remove { name } => drop(self.names.remove(name)),
        }
    }

    fn content(&mut self, name: &str) -> Option<&mut Content> {
        self.names.get(name).map(|file| &mut self.files[*file])
    }

    /// All that was done: what is left when the process is killed.
    pub(crate) fn written(&self) -> Files {
        self.read(&self.names, |_| true)
    }

    /// What may be left when the power goes now: nothing that is not synced; all of it but for one file; the
    /// contents without the names, and the names without the contents; and old names beside the new.
    pub(crate) fn left(&self) -> Vec<Files> {
        let both = self.durable_names.clone().into_iter().chain(self.names.clone()).collect();
        let mut left = Vec::new();
        for names in [&self.names, &self.durable_names, &both] {
            left.push(self.read(names, |_| true));
            left.push(self.read(names, |_| false));
            for lost in names.values().filter(|file| self.files[**file].written != self.files[**file].synced)
            {
                left.push(self.read(names, |file| file != *lost));
            }
        }
        left
    }

    fn read(&self, names: &BTreeMap<String, usize>, is_kept: impl Fn(usize) -> bool) -> Files {
        let content = |file: usize| {
            let Content { written, synced } = &self.files[file];
            if is_kept(file) { written.clone() } else { synced.clone() }
        };
        names.iter().map(|(name, file)| (name.clone(), content(*file))).collect()
    }

    /// What may be left when the power goes during a write: any beginning of it, and as many zeros.
    pub(crate) fn torn(&self, operation: &Operation) -> Vec<Files> {
        let Operation::Write { name, at, data } = operation else { return Vec::new() };
        let every_byte = !name.ends_with(".sst") || nightly();
        let cuts: Vec<usize> = if is_said_of_itself(name) {
            vec![data.len() / 2]
        } else if every_byte && data.len() <= WHOLE_BYTES_MAX {
            (1..data.len()).collect()
        } else {
            let tail = data.len() - 16..data.len();
            (1..64).map(|nth| nth * data.len() / 64).chain(1..16).chain(tail).collect()
        };
        let with = |data: Vec<u8>| {
            let mut torn = self.clone();
            torn.carry_out(&Operation::Write { name: name.clone(), at: *at, data });
            torn.written()
        };
        let zeros = (!is_said_of_itself(name)).then(|| with(vec![0; data.len()]));
        cuts.into_iter().map(|cut| with(data[..cut].to_vec())).chain(zeros).collect()
    }
}

/// Up to this length a write is cut at each of its bytes, and a longer one at 94. Of tables, which nothing names
/// before they are whole, that is so in a nightly run; in others they are all cut at 94.
const WHOLE_BYTES_MAX: usize = 4096;

/// Whether there is time for what is much and finds little.
pub(crate) fn nightly() -> bool {
    std::env::var_os("RAFT_NIGHTLY").is_some()
}

/// What RocksDB writes for people to read, and does not read itself.
pub(crate) fn is_said_of_itself(name: &str) -> bool {
    name.starts_with("LOG") || name.starts_with("OPTIONS")
}

/// What is in a directory.
pub(crate) fn files(directory: &Path) -> Files {
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap().into())
    };
    fs::read_dir(directory).unwrap().map(file).collect()
}

/// Fills a directory that is empty. Of what is never read, the names do.
pub(crate) fn lay_out(directory: &Path, files: &Files) {
    for (name, bytes) in files {
        let bytes = if is_said_of_itself(name) { &Bytes::new() } else { bytes };
        fs::write(directory.join(name), bytes).unwrap();
    }
}
