//! Where it is shown what a node is.

use tokio::sync::watch;

use super::Status;

pub(super) struct Watched {
    /// Each time that it has changed.
    all: watch::Sender<Status>,
    /// Whenever more than the length of its log has changed.
    turns: watch::Sender<Status>,
}

impl Watched {
    /// With it come those who are shown all, and those who are shown turns.
    pub(super) fn new(status: Status) -> (Self, watch::Receiver<Status>, watch::Receiver<Status>) {
        let ((all, all_watcher), (turns, turns_watcher)) = (watch::channel(status), watch::channel(status));
        (Self { all, turns }, all_watcher, turns_watcher)
    }

    /// Shows what the node is to whoever watches.
    pub(super) fn show(&self, status: Status) {
        self.all.send_if_modified(|shown| std::mem::replace(shown, status) != status);
        self.turns.send_if_modified(|shown| {
            let has_turned = status.has_turned_since(shown);
            if has_turned {
                *shown = status;
            }
            has_turned
        });
    }
}
