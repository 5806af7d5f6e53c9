//! What an operator has to know of a server, to [`tracing`]: a line when it changes, and none for each entry.

use std::fmt;

use tokio::sync::watch;
use tracing::Level;

use super::running::ServerError;
use crate::event::RoleName;
use crate::node::Status;
use crate::types::NodeId;

/// Tells of a server until it ends.
pub(super) async fn tell(mut watch: watch::Receiver<Status>) {
    let mut before = *watch.borrow_and_update();
    let Status { id, current_term, last_log, snapshot_index, .. } = before;
    tracing::info!(server = %id, term = %current_term, %last_log, snapshot = %snapshot_index, "started");
    if before.suspect {
        let what = "the end of the log may be lost: it counts again once a leader has been caught up with";
        tracing::warn!(server = %id, "{what}");
    }
    while watch.changed().await.is_ok() {
        let now = *watch.borrow_and_update();
        for (level, line) in lines(&before, &now) {
            match level {
                Level::WARN => tracing::warn!(server = %id, term = %now.current_term, "{line}"),
                _ => tracing::info!(server = %id, term = %now.current_term, "{line}"),
            }
        }
        before = now;
    }
}

/// Tells how a server ended.
pub(super) fn tell_end(id: NodeId, how: &Result<(), ServerError>) {
    match how {
        Ok(()) => tracing::info!(server = %id, "stopped in order"),
        Err(why) => tracing::error!(server = %id, %why, "ended by itself"),
    }
}

/// What there is to say of a change.
fn lines(before: &Status, now: &Status) -> Vec<(Level, String)> {
    let mut lines = Vec::new();
    let mut say = |level, line: fmt::Arguments<'_>| lines.push((level, line.to_string()));
    let led = before.role == RoleName::Leader && before.current_term == now.current_term;
    match (now.role, now.leader) {
        (RoleName::Leader, _) if !led => say(Level::INFO, format_args!("leads")),
        (RoleName::Leader, _) => {}
        (_, Some(leader)) if before.leader != Some(leader) => {
            say(Level::INFO, format_args!("follows {leader}"))
        }
        (_, None) if before.leader.is_some() => say(Level::WARN, format_args!("knows of no leader")),
        _ => {}
    }
    if now.snapshot_index > before.snapshot_index {
        say(Level::INFO, format_args!("has a snapshot of all up to entry {}", now.snapshot_index));
    }
    if now.damaged > before.damaged {
        say(Level::WARN, format_args!("the disk has lost {} entries of the log", now.damaged));
    } else if now.damaged == 0 && before.damaged > 0 {
        say(Level::INFO, format_args!("all entries that the disk had lost are back"));
    }
    if before.suspect && !now.suspect {
        say(Level::INFO, format_args!("the end of the log counts again"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Incarnation, LogIndex, Term};

    /// Each row: what a server becomes, one after the other, and what is said of it.
    #[test]
    fn a_line_for_each_thing_that_an_operator_must_know_and_no_other() {
        let (me, other) = (NodeId::new(1), NodeId::new(2));
        let mut status = Status {
            id: me,
            incarnation: Incarnation(7),
            current_term: Term::new(1),
            role: RoleName::Follower,
            leader: None,
            commit_index: LogIndex::ZERO,
            last_log: EntryId::default(),
            snapshot_index: LogIndex::ZERO,
            damaged: 0,
            suspect: true,
        };
        type Change = fn(&mut Status);
        let changes: [(Change, &[&str]); 9] = [
            (|status| status.leader = Some(NodeId::new(2)), &["follows n2"]),
            (|status| status.commit_index = LogIndex::new(9), &[]),
            (|status| status.suspect = false, &["the end of the log counts again"]),
            (|status| status.leader = None, &["knows of no leader"]),
            (|status| status.role = RoleName::PreCandidate, &[]),
            (
                |status| {
                    status.role = RoleName::Leader;
                    status.leader = Some(NodeId::new(1));
                    status.current_term = Term::new(2);
                },
                &["leads"],
            ),
            (
                |status| {
                    status.damaged = 3;
                    status.snapshot_index = LogIndex::new(5);
                },
                &["has a snapshot of all up to entry 5", "the disk has lost 3 entries of the log"],
            ),
            (|status| status.damaged = 0, &["all entries that the disk had lost are back"]),
            (
                |status| {
                    status.role = RoleName::Follower;
                    status.leader = Some(NodeId::new(2));
                },
                &["follows n2"],
            ),
        ];
        for (change, expected) in changes {
            let before = status;
            change(&mut status);
            let said: Vec<String> = lines(&before, &status).into_iter().map(|(_, line)| line).collect();
            assert_eq!(said, expected);
        }
        assert_eq!(status.leader, Some(other));
    }
}
