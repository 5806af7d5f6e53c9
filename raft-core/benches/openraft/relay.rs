//! What threads and channels alone allow: three tasks that hand a put on as three servers do, and do nothing else with it.

use std::collections::VecDeque;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::Put;
use crate::runtimes::Runtimes;

/// How much of what waits is taken at once.
const TAKEN_MAX: usize = 4096;

/// What the first of the three hears.
enum Said {
    Put(oneshot::Sender<()>),
    /// One of the others has what it was sent.
    Has(usize),
}

#[derive(Clone)]
pub(crate) struct Relay(mpsc::UnboundedSender<Said>);

impl Relay {
    pub(crate) fn start(runtimes: &Runtimes) -> Self {
        let (inbox, said) = mpsc::unbounded_channel();
        let others = [0, 1].map(|place| {
            let (sender, mut sent) = mpsc::unbounded_channel();
            let first = inbox.clone();
            runtimes.block_on_node(place + 1, async move {
                tokio::spawn(async move {
                    while sent.recv().await.is_some() && first.send(Said::Has(place)).is_ok() {}
                });
            });
            sender
        });
        runtimes.block_on_node(0, async move {
            tokio::spawn(lead(said, others));
        });
        Self(inbox)
    }
}

/// What comes at once goes on at once, and is answered once one of the others has it.
async fn lead(mut inbox: mpsc::UnboundedReceiver<Said>, others: [mpsc::UnboundedSender<()>; 2]) {
    let (mut waiting, mut has, mut answered) = (VecDeque::new(), [0, 0], 0);
    let mut taken = Vec::new();
    while inbox.recv_many(&mut taken, TAKEN_MAX).await > 0 {
        let mut batch = Vec::new();
        for said in taken.drain(..) {
            match said {
                Said::Put(client) => batch.push(client),
                Said::Has(place) => has[place] += 1,
            }
        }
        if !batch.is_empty() {
            waiting.push_back(batch);
            others.iter().for_each(|other| drop(other.send(())));
        }
        while answered < has[0].max(has[1]) {
            answered += 1;
            let batch: Vec<oneshot::Sender<()>> = waiting.pop_front().unwrap_or_default();
            batch.into_iter().for_each(|client| drop(client.send(())));
        }
    }
}

impl Put for Relay {
    async fn put(&self) {
        let (client, answer) = oneshot::channel();
        drop(self.0.send(Said::Put(client)));
        answer.await.unwrap();
    }

    async fn put_all(&self, batch: usize) {
        join_all((0..batch).map(|_| self.put())).await;
    }
}
