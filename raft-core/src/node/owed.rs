//! Answers that clients have not been given yet: a server that is stopped in order waits for them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// All answers that a node's clients are owed.
#[derive(Clone, Debug, Default)]
pub(super) struct Debts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    owed: AtomicUsize,
    none_left: Notify,
}

/// An answer that somebody is owed, until this is dropped.
#[derive(Debug)]
#[must_use = "it is owed until this is dropped"]
pub struct Owed(Debts);

impl Debts {
    pub(super) fn owe(&self) -> Owed {
        self.0.owed.fetch_add(1, Ordering::SeqCst);
        Owed(self.clone())
    }

    /// Waits until nothing is owed.
    pub(super) async fn paid(&self) {
        loop {
            let mut none_left = pin!(self.0.none_left.notified());
            // From here on nothing is missed.
            none_left.as_mut().enable();
            if self.0.owed.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let Shared { owed, none_left } = &*self.0.0;
        if owed.fetch_sub(1, Ordering::SeqCst) == 1 {
            none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn debts_are_waited_for_to_the_last() {
        let debts = Debts::default();
        debts.paid().await;
        let (one, other) = (debts.owe(), debts.owe());
        let waits = tokio::spawn({
            let debts = debts.clone();
            async move { debts.paid().await }
        });
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(other);
        waits.await.expect("nobody panicked");
    }
}
