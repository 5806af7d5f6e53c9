//! What is said of a backup, and of a directory that was restored, in words or as JSON.

use std::fmt::{self, Write as _};

use raft_core::EntryId;
use serde::Serialize;

use super::{About, Backup, Restored, SCHEMA};
use crate::inspect::plural;
use crate::node::Ended;

#[derive(Serialize)]
struct Report<'a, T> {
    schema: u32,
    exit_code: u8,
    #[serde(flatten)]
    done: &'a T,
}

/// One JSON object.
///
/// # Errors
///
/// It could not be written down.
pub fn json(done: &impl Serialize) -> Result<String, Ended> {
    serde_json::to_string(&Report { schema: SCHEMA, exit_code: 0, done })
        .map_err(|error| Ended::bug(format!("writing JSON: {error}")))
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, backup, bytes, about } = self;
        let members = about.members.as_deref().unwrap_or("those that it began with");
        write!(
            f,
            "directory {directory}\nnode      {}, which keeps data of kind {}, in the life {}\ncluster   {}; its servers \
             are {members}\nlast      {}, committed at least up to {}\nbackup    {backup}: {} in {}",
            about.node,
            about.kind,
            about.incarnation,
            cluster(about),
            about.last,
            about.committed,
            plural(*bytes, "byte", "bytes"),
            plural(about.files.len() as u64, "file", "files"),
        )?;
        f.write_str(&what_may_differ(about))?;
        write!(
            f,
            "\n\nverdict   DONE: every record was read, and is what was written\nto use it raft-chaos restore {backup} \
             DIR --id N"
        )
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backup, of, directory, id, cluster: now, incarnation } = self;
        let kind = if of.kind == "kv" { String::new() } else { format!(" --kind {}", of.kind) };
        let (number, old) = (id.get(), cluster(of));
        write!(
            f,
            "backup    {backup}, of {} in {old}\nlast      {}, committed at least up to {}\ndirectory {directory}, in the \
             life {incarnation}\nbecomes   {now}, in which {id} votes alone",
            of.node, of.last, of.committed,
        )?;
        f.write_str(&what_may_differ(of))?;
        write!(
            f,
            "\n\nverdict   DONE: it is another cluster than {old}, whose servers are strangers to it\nnow       \
             raft-chaos node --id {number} --cluster {} --peers {number}=HOST:PORT --data {directory}{kind}\n          \
             then let others join from empty directories, with --cluster {} --join HOST:PORT and ids that {old} \
             never had\n          give --cluster {} to clients, too",
            now.0, now.0, now.0
        )
    }
}

fn cluster(about: &About) -> String {
    about.cluster.map_or_else(|| "no cluster that it knows".to_owned(), |cluster| cluster.to_string())
}

/// Where what was backed up need not be what the cluster had committed.
fn what_may_differ(about: &About) -> String {
    let About { last, to_be_committed, known_lost, torn_bytes, suspect, .. } = about;
    let mut said = format!(
        "\n\nis not in it\n  whatever the cluster committed after {last}, before the backup or since: nothing here shows \
         how much"
    );
    if let Some(EntryId { index, .. }) = known_lost {
        let from = last.index.next();
        let _infallible =
            write!(said, "\n  for certain all from {from} to {index}, for which a snapshot stands");
    }
    if *torn_bytes > 0 {
        let torn = plural(*torn_bytes, "byte", "bytes");
        let _infallible = write!(said, "\n  the last write, which was interrupted: there are {torn} of it");
    }
    if *suspect {
        let _infallible = write!(
            said,
            "\n  what came after {last} and was torn off: the node may have acknowledged it, and has not caught up with a \
             leader since"
        );
    }
    if let Some((first, last)) = to_be_committed {
        let _infallible = write!(
            said,
            "\nmay be too much\n  {first} to {last}, which are not known to have been committed, and are where it is \
             restored"
        );
    }
    said
}
