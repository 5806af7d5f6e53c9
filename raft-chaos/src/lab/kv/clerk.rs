//! A client of the store, which asks until it is answered.

use std::sync::{Arc, Mutex};

use super::super::cluster::Lab;
use super::super::lock;
use super::super::tester::millis;
use super::model::{Input, Output};
use super::store::{Answer, Ask, decode, encode, serve};
use crate::linearizable::Interval;

/// What all clients of a test saw.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// How many operations have begun or ended.
    events: u64,
    operations: Vec<(String, Interval<Input, Output>)>,
}

impl Seen {
    /// An operation begins; its place.
    fn begins(&self, key: &str, input: Input) -> usize {
        let mut inner = lock(&self.0);
        inner.events += 1;
        let start = inner.events;
        inner.operations.push((key.to_owned(), Interval { input, output: None, start, end: None }));
        inner.operations.len() - 1
    }

    fn ends(&self, place: usize, output: Output) {
        let mut inner = lock(&self.0);
        inner.events += 1;
        let end = inner.events;
        let operation = &mut inner.operations[place].1;
        (operation.output, operation.end) = (Some(output), Some(end));
    }

    /// All operations so far, each with its key, in the order in which they began.
    pub(super) fn operations(&self) -> Vec<(String, Interval<Input, Output>)> {
        lock(&self.0).operations.clone()
    }
}

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was put.
    Ok,
    /// It was not put: the version was another one.
    OtherVersion,
    /// It was not put: there was no value, and the version was not 0.
    NoKey,
    /// It may have been put: another version was there when it was sent again.
    Maybe,
}

/// A client.
pub(super) struct Clerk {
    lab: Lab,
    seen: Seen,
    links: Links,
    /// Whom it asks next.
    next: usize,
}

/// The servers that a client has links to. Clones are the same client's.
#[derive(Clone)]
pub(super) struct Links(Arc<Mutex<Vec<usize>>>);

impl Links {
    /// From now on it has links to these.
    pub(super) fn set(&self, servers: Vec<usize>) {
        *lock(&self.0) = servers;
    }
}

impl Clerk {
    /// A client that has links to all servers.
    pub(super) fn new(lab: &Lab, seen: &Seen) -> Self {
        Self::to(lab, seen, (0..lab.servers()).collect())
    }

    /// A client that has links to these servers.
    pub(super) fn to(lab: &Lab, seen: &Seen, servers: Vec<usize>) -> Self {
        Self { lab: lab.clone(), seen: seen.clone(), links: Links(Arc::new(Mutex::new(servers))), next: 0 }
    }

    /// A handle on the links that it has.
    pub(super) fn links(&self) -> Links {
        self.links.clone()
    }

    /// The value and its version; none if there is none.
    pub(super) async fn get(&mut self, key: &str) -> Option<(String, u64)> {
        let place = self.seen.begins(key, Input::Get);
        let (answer, _) = self.ask(&Ask::Get { key: key.to_owned() }).await;
        let value = match answer {
            Answer::Value { value, version } => Some((value, version)),
            Answer::Put | Answer::OtherVersion | Answer::NoKey | Answer::NotLeader | Answer::Unknown => None,
        };
        self.seen.ends(
            place,
            Output::Value(value.as_ref().map(|(value, version)| (value.as_str().into(), *version))),
        );
        value
    }

    /// Puts a value where this is the version so far.
    pub(super) async fn put(&mut self, key: &str, value: &str, version: u64) -> Put {
        let place = self.seen.begins(key, Input::Put(value.into(), version));
        let (key, value) = (key.to_owned(), value.to_owned());
        let (answer, may_be_done) = self.ask(&Ask::Put { key, value, version }).await;
        let put = match answer {
            Answer::Put => Put::Ok,
            Answer::OtherVersion if may_be_done => Put::Maybe,
            Answer::NoKey => Put::NoKey,
            Answer::OtherVersion | Answer::Value { .. } | Answer::NotLeader | Answer::Unknown => {
                Put::OtherVersion
            }
        };
        self.seen.ends(place, Output::Put(put));
        put
    }

    /// Asks one server after the other until one answers. Whether an earlier question may have been done as well.
    async fn ask(&mut self, ask: &Ask) -> (Answer, bool) {
        let request = encode(ask);
        let mut may_be_done = false;
        let mut refused = 0;
        loop {
            let to = self.next % self.lab.servers();
            let can = lock(&self.links.0).contains(&to);
            let answer = self.lab.shared.network.call(can, to, request.clone(), serve).await;
            match answer.ok().map(|answer| decode(&answer)) {
                Some(Some(Answer::NotLeader)) => {}
                Some(Some(Answer::Unknown) | None) | None => may_be_done = true,
                Some(Some(answer)) => return (answer, may_be_done),
            }
            self.next += 1;
            refused += 1;
            if refused % self.lab.servers() == 0 {
                millis(20).await;
            }
        }
    }
}
