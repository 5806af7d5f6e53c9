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

/// A directory and those in it, as the operations so far have left them.
#[derive(Clone)]
pub(crate) struct Recorded {
    files: Vec<Content>,
    /// The first one is the directory itself.
    directories: Vec<Names>,
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

/// What is in one directory.
#[derive(Clone, Default)]
struct Names {
    now: BTreeMap<String, Node>,
    /// The names when the directory was last synced.
    durable: BTreeMap<String, Node>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Directory(usize),
}

/// Which names a power cut leaves.
#[derive(Clone, Copy)]
enum Left {
    Now,
    Durable,
    Both,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { files: Vec::new(), directories: vec![Names::default()] }
    }
}

impl Recorded {
    /// A directory that holds this, durably.
    pub(crate) fn of(files: &Files) -> Self {
        let mut recorded = Self::default();
        for (name, bytes) in files {
            for (end, _) in name.match_indices('/') {
                if recorded.node(&name[..end]).is_none() {
                    recorded.make(&name[..end]);
                }
            }
            recorded.put(name, Node::File(recorded.files.len()));
            recorded.files.push(Content { written: bytes.clone(), synced: bytes.clone() });
        }
        recorded.directories.iter_mut().for_each(|names| names.durable = names.now.clone());
        recorded
    }

    pub(crate) fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Open { .. } | Operation::Note(_) => {}
            Operation::Create { name } => {
                // A file that is made empty stays the same file.
                if let Some(content) = self.content(name) {
                    content.written = Bytes::new();
                } else {
                    self.put(name, Node::File(self.files.len()));
                    self.files.push(Content::default());
                }
            }
            Operation::Directory { name } => self.make(name),
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
            Operation::Sync { name } => match self.node(name) {
                Some(Node::Directory(directory)) => {
                    let names = &mut self.directories[directory];
                    names.durable = names.now.clone();
                }
                Some(Node::File(file)) => self.files[file].synced = self.files[file].written.clone(),
                None => {}
            },
            Operation::Rename { from, to } => {
                let node = self.take(from).expect("it was there");
                self.put(to, node);
            }
            Operation::Link { from, to } => {
                let node = self.node(from).expect("it was there");
                self.put(to, node);
            }
            Operation::Remove { name } => drop(self.take(name)),
        }
    }

    fn make(&mut self, name: &str) {
        self.put(name, Node::Directory(self.directories.len()));
        self.directories.push(Names::default());
    }

    fn node(&self, name: &str) -> Option<Node> {
        let mut node = Node::Directory(0);
        for part in name.split('/').filter(|part| !part.is_empty()) {
            let Node::Directory(directory) = node else { return None };
            node = *self.directories[directory].now.get(part)?;
        }
        Some(node)
    }

    /// The directory that a name is in, and the rest of the name.
    fn place<'a>(&mut self, name: &'a str) -> (&mut BTreeMap<String, Node>, &'a str) {
        let (directory, rest) = name.rsplit_once('/').unwrap_or(("", name));
        let Some(Node::Directory(directory)) = self.node(directory) else {
            panic!("{name} is in no directory")
        };
        (&mut self.directories[directory].now, rest)
    }

    fn put(&mut self, name: &str, node: Node) {
        let (names, rest) = self.place(name);
        names.insert(rest.to_owned(), node);
    }

    fn take(&mut self, name: &str) -> Option<Node> {
        let (names, rest) = self.place(name);
        names.remove(rest)
    }

    fn content(&mut self, name: &str) -> Option<&mut Content> {
        match self.node(name)? {
            Node::File(file) => Some(&mut self.files[file]),
            Node::Directory(_) => None,
        }
    }

    /// All that was done: what is left when the process is killed.
    pub(crate) fn written(&self) -> Files {
        self.read(Left::Now, |_| true)
    }

    /// What may be left when the power goes now: nothing that is not synced; all of it but for one file; the
    /// contents without the names, and the names without the contents; and old names beside the new.
    pub(crate) fn left(&self) -> Vec<Files> {
        let mut left = Vec::new();
        for names in [Left::Now, Left::Durable, Left::Both] {
            left.push(self.read(names, |_| true));
            left.push(self.read(names, |_| false));
            for lost in self.named(names).into_values() {
                if self.files[lost].written != self.files[lost].synced {
                    left.push(self.read(names, |file| file != lost));
                }
            }
        }
        left
    }

    fn read(&self, left: Left, is_kept: impl Fn(usize) -> bool) -> Files {
        let content = |file: usize| {
            let Content { written, synced } = &self.files[file];
            if is_kept(file) { written.clone() } else { synced.clone() }
        };
        self.named(left).into_iter().map(|(name, file)| (name, content(file))).collect()
    }

    /// The files by their names.
    fn named(&self, left: Left) -> BTreeMap<String, usize> {
        let mut named = BTreeMap::new();
        let mut waiting = vec![(String::new(), 0)];
        while let Some((before, directory)) = waiting.pop() {
            let Names { now, durable } = &self.directories[directory];
            let names = match left {
                Left::Now => now.clone(),
                Left::Durable => durable.clone(),
                Left::Both => durable.clone().into_iter().chain(now.clone()).collect(),
            };
            for (name, node) in names {
                match node {
                    Node::File(file) => drop(named.insert(format!("{before}{name}"), file)),
                    Node::Directory(directory) => waiting.push((format!("{before}{name}/"), directory)),
                }
            }
        }
        named
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
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("LOG") || name.starts_with("OPTIONS")
}

/// What is in a directory, and in those in it.
pub(crate) fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = files(&entry.path()).into_iter();
            found.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            found.insert(name, fs::read(entry.path()).unwrap().into());
        }
    }
    found
}

/// Fills a directory that is empty. Of what is never read, the names do.
pub(crate) fn lay_out(directory: &Path, files: &Files) {
    for (name, bytes) in files {
        let bytes = if is_said_of_itself(name) { &Bytes::new() } else { bytes };
        let file = directory.join(name);
        fs::create_dir_all(file.parent().expect("it is in a directory")).unwrap();
        fs::write(file, bytes).unwrap();
    }
}
