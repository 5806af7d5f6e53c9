//! What an operator does to a cluster in its life, one thing after the other, while clients write. At the end not one
//! write that was acknowledged is missing.
//!
//! What may be asked of those that were acknowledged:
//!
//! - **while a majority is there**: all of them, whoever is killed, started, added, replaced or stopped.
//! - **of a backup**: all before its node was asked to lead, for it was elected after them, and so has them. What the
//!   cluster acknowledged later, it need not have.
//! - **of a survivor of a lost majority**: the same, and all up to the entry that it knew to be committed, which
//!   `recover` prints before it does anything. What others committed after that is lost, as `recover` says.
//!
//! Always: none is there twice, none that was refused is there, and those of one client are in the order in which
//! they were acknowledged. One of which nobody knows may be there or not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use raft_chaos::client::{self, Ask, Way};
use raft_core::ClusterId;

use crate::nodes::{Nodes, until};

/// Two, so that there is always one who waits.
const WRITERS: usize = 2;

/// What one client was told of its writes, which are numbered.
#[derive(Clone, Debug, Default)]
struct Book {
    /// Each with its entry.
    acknowledged: Vec<(u64, u64)>,
    refused: BTreeSet<u64>,
}

/// Clients that append numbers, each under a key of its own, until they are told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    books: Vec<Arc<Mutex<Book>>>,
    threads: Vec<JoinHandle<()>>,
}

fn key(writer: usize) -> String {
    format!("w{writer}")
}

fn write(writer: usize, way: &Way, book: &Mutex<Book>, stop: &AtomicBool) {
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let said = client::run(way, &Ask::Append(key(writer), format!("{number};")));
        let mut book = book.lock().unwrap();
        match said.code {
            0 => book.acknowledged.push((number, said.json["index"].as_u64().unwrap())),
            1 => drop(book.refused.insert(number)),
            2 => {}
            code => panic!("{code}: {}", said.words),
        }
    }
}

impl Writers {
    /// Of whichever of these nodes run.
    fn of(nodes: &mut Nodes, ids: impl Iterator<Item = u64>) -> Self {
        let servers = ids.map(|id| nodes.address(id)).collect();
        let tls = (None, None, None);
        let way = Way { servers, cluster: ClusterId(1), tls, timeout: Duration::from_secs(2) };
        let (stop, mut books, mut threads) = (Arc::new(AtomicBool::new(false)), Vec::new(), Vec::new());
        for writer in 0..WRITERS {
            let book = Arc::new(Mutex::new(Book::default()));
            books.push(Arc::clone(&book));
            let (way, stop) = (way.clone(), Arc::clone(&stop));
            threads.push(thread::spawn(move || write(writer, &way, &book, &stop)));
        }
        Self { stop, books, threads }
    }

    /// What is known by now.
    fn books(&self) -> Vec<Book> {
        self.books.iter().map(|book| book.lock().unwrap().clone()).collect()
    }

    /// Waits until each of them has been acknowledged some more.
    fn go_on(&self) {
        let acknowledged = |book: &Book| book.acknowledged.len();
        let wanted: Vec<_> = self.books().iter().map(|book| acknowledged(book) + 5).collect();
        until("writes are acknowledged", || {
            let now: Vec<_> = self.books().iter().map(acknowledged).collect();
            let is_enough = now.iter().zip(&wanted).all(|(now, wanted)| now >= wanted);
            if is_enough { Ok(()) } else { Err(format!("{now:?} of {wanted:?}")) }
        });
    }

    /// Ends them, and says what all of them know.
    fn end(&mut self) -> Vec<Book> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        self.books()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is wrong with what is under the key of a writer: numbers, each with a semicolon behind it.
fn wrong(text: &str, acknowledged: &[u64], refused: &BTreeSet<u64>) -> Option<String> {
    let found: Vec<u64> = text.split_terminator(';').map(|number| number.parse().unwrap()).collect();
    let once: BTreeSet<_> = found.iter().copied().collect();
    let told: BTreeSet<_> = acknowledged.iter().copied().collect();
    let there: Vec<_> = found.iter().copied().filter(|number| told.contains(number)).collect();
    if let Some(lost) = acknowledged.iter().find(|number| !once.contains(number)) {
        Some(format!("{lost} is lost"))
    } else if once.len() != found.len() {
        Some("one is there twice".to_owned())
    } else if let Some(number) = once.intersection(refused).next() {
        Some(format!("{number} was refused and is there"))
    } else if there != acknowledged {
        Some("they are in another order".to_owned())
    } else {
        None
    }
}

/// Each row: what is there, where 1 and 3 were acknowledged, nobody knows of 2, and 4 was refused; and what is wrong.
#[test]
fn what_is_wrong_is_noticed() {
    for (text, told) in [
        ("1;3;", None),
        ("1;2;3;", None),
        ("1;3;2;", None),
        ("", Some("1 is lost")),
        ("1;2;", Some("3 is lost")),
        ("1;3;3;", Some("one is there twice")),
        ("1;2;3;2;", Some("one is there twice")),
        ("1;3;4;", Some("4 was refused and is there")),
        ("3;1;", Some("they are in another order")),
    ] {
        assert_eq!(wrong(text, &[1, 3], &BTreeSet::from([4])).as_deref(), told, "{text}");
    }
}

/// That all that was acknowledged is there, and nothing of what was refused by now.
fn assert_all_there(nodes: &mut Nodes, at: u64, cluster: &str, acknowledged: &[Book], by_now: &[Book]) {
    for (writer, book) in acknowledged.iter().enumerate() {
        let text = nodes.done(&[at], &["get", &key(writer), "--cluster", cluster]);
        let numbers: Vec<_> = book.acknowledged.iter().map(|(number, _)| *number).collect();
        let wrong = wrong(&text, &numbers, &by_now[writer].refused);
        assert_eq!(wrong, None, "{text} of {:?}", by_now[writer]);
    }
}

/// The same of all that is known by now, in the cluster that clients write to.
fn assert_nothing_lost(nodes: &mut Nodes, at: u64, writers: &Writers) {
    let acknowledged = writers.books();
    assert_all_there(nodes, at, "1", &acknowledged, &acknowledged);
}

#[test]
fn not_one_acknowledged_write_is_missing() {
    let mut nodes = Nodes::new();
    nodes.begin(3);
    let mut writers = Writers::of(&mut nodes, 1..=5);
    writers.go_on();
    kill_the_leader_and_start_it_again(&mut nodes, &writers);
    add_a_fourth(&mut nodes, &writers);
    replace_one_that_is_gone_and_remove_another(&mut nodes, &writers);
    restart_one_by_one(&mut nodes, &writers);
    back_up_and_restore(&mut nodes, &writers);
    recover_from_the_loss_of_the_majority(&mut nodes, &mut writers);
}

fn kill_the_leader_and_start_it_again(nodes: &mut Nodes, writers: &Writers) {
    let leader = nodes.leader(&[1, 2, 3]);
    nodes.kill(leader);
    writers.go_on();
    let peers = nodes.peers(3);
    nodes.start(leader, &["--peers", &peers]);
    nodes.is_ready(leader);
    assert_nothing_lost(nodes, leader, writers);
}

fn add_a_fourth(nodes: &mut Nodes, writers: &Writers) {
    join(nodes, 4, 1, "1");
    writers.go_on();
    have_lead(nodes, 4, &[1, 2, 3, 4], "1");
    writers.go_on();
    assert_nothing_lost(nodes, 4, writers);
}

/// A node with an empty directory becomes a voter.
fn join(nodes: &mut Nodes, new: u64, known: u64, cluster: &str) {
    let (there, here, id) = (nodes.address(known), nodes.address(new), new.to_string());
    nodes.start(new, &["--cluster", cluster, "--join", &there]);
    nodes.lives(new);
    nodes.done(&[known], &["add-learner", &id, &here, "--cluster", cluster]);
    nodes.done(&[known], &["promote", &id, "--cluster", cluster]);
}

/// Asks until it leads: one that lacks something cannot be handed over to.
fn have_lead(nodes: &mut Nodes, id: u64, through: &[u64], cluster: &str) {
    until(&format!("n{id} leads"), || {
        let said = nodes.ask(through, &["transfer", &id.to_string(), "--cluster", cluster]);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
}

fn replace_one_that_is_gone_and_remove_another(nodes: &mut Nodes, writers: &Writers) {
    nodes.kill(2);
    let (there, here) = (nodes.address(1), nodes.address(5));
    nodes.start(5, &["--join", &there]);
    nodes.lives(5);
    nodes.done(&[1, 3, 4], &["replace", "2", "5", &here]);
    writers.go_on();
    nodes.done(&[3, 4, 5], &["remove", "1"]);
    assert_eq!(nodes.stop(1).code(), Some(0), "{}", nodes.log(1));
    writers.go_on();
    assert_nothing_lost(nodes, 5, writers);
}

fn restart_one_by_one(nodes: &mut Nodes, writers: &Writers) {
    let peers = nodes.peers(3);
    for id in [3, 4, 5] {
        assert_eq!(nodes.stop(id).code(), Some(0), "{}", nodes.log(id));
        writers.go_on();
        // Where the others are, one that joined has kept.
        let told = if id == 3 { vec!["--peers", peers.as_str()] } else { Vec::new() };
        nodes.start(id, &told);
        nodes.is_ready(id);
        assert_nothing_lost(nodes, id, writers);
    }
}

fn back_up_and_restore(nodes: &mut Nodes, writers: &Writers) {
    let acknowledged = writers.books();
    have_lead(nodes, 4, &[3, 4, 5], "1");
    assert_eq!(nodes.stop(4).code(), Some(0), "{}", nodes.log(4));
    let said = nodes.tool.call(&["backup", "n4", "n4.backup"]);
    assert_eq!(said.code, 0, "{}", said.err);
    nodes.start(4, &[]);
    nodes.is_ready(4);
    writers.go_on();

    let said = nodes.tool.call(&["restore", "n4.backup", "n6", "--id", "6", "--cluster", "60"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let peers = format!("6={}", nodes.address(6));
    nodes.start(6, &["--cluster", "60", "--peers", &peers]);
    nodes.is_ready(6);
    join(nodes, 7, 6, "60");
    have_lead(nodes, 7, &[6, 7], "60");
    assert_all_there(nodes, 7, "60", &acknowledged, &writers.books());
    // They go on each for itself.
    nodes.done(&[6], &["put", "here", "only", "--cluster", "60"]);
    assert_eq!(nodes.ask(&[3, 4, 5], &["get", "here"]).code, 1);
    assert_nothing_lost(nodes, 4, writers);
}

fn recover_from_the_loss_of_the_majority(nodes: &mut Nodes, writers: &mut Writers) {
    let mut acknowledged = writers.books();
    have_lead(nodes, 5, &[3, 4, 5], "1");
    writers.go_on();
    nodes.kill(3);
    nodes.kill(4);
    let known = writers.end();
    assert_eq!(nodes.stop(5).code(), Some(0), "{}", nodes.log(5));

    let said = nodes.tool.call(&["recover", "n5", "--id", "5", "--format", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let plan: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let committed = plan["groups"][0]["before"]["commit_bound"].as_u64().unwrap();
    let cluster = plan["cluster"].as_u64().unwrap().to_string();
    for (book, known) in acknowledged.iter_mut().zip(&known) {
        let before = book.acknowledged.len();
        let later = &known.acknowledged[before..];
        book.acknowledged.extend(later.iter().filter(|(_, index)| *index <= committed));
    }
    let said = nodes.tool.call(&["recover", "n5", "--id", "5", "--cluster", &cluster, "--yes"]);
    assert_eq!(said.code, 0, "{}", said.err);
    nodes.start(5, &["--cluster", &cluster]);
    nodes.is_ready(5);
    join(nodes, 8, 5, &cluster);
    have_lead(nodes, 8, &[5, 8], &cluster);
    assert_all_there(nodes, 8, &cluster, &acknowledged, &known);
}
