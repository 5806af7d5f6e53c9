//! One direction of a connection between two servers that goes through somebody else, who does to its frames what links do.

use std::sync::Arc;
use std::time::Duration;

use raft_core::NodeId;
use raft_core::node::Environment;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::counters::Counters;
use crate::error::NetError;
use crate::frame::FrameReader;
use crate::link::Links;
use crate::outbox::Outbox;

/// How long a server may take to read one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Carries frames from the server `from` to the server `to` over a connection that neither of them has made with the other,
/// for a test harness between real processes: `links` decides on each, as it does inside a server.
///
/// Both speak the newest version, as servers of one release do: a conversation in an earlier one is not understood.
///
/// Ends when `from` closes the connection and all that was on its way has arrived. What is on its way when a link is cut arrives.
///
/// # Errors
///
/// What comes in is no frame, one end of the connection failed, or `links` has reset it. Both ends are then to be closed.
pub async fn relay<E: Environment, L: Links>(
    environment: &E,
    links: L,
    (from, to): (NodeId, NodeId),
    reader: impl AsyncRead + Unpin + Send,
    mut writer: impl AsyncWrite + Unpin + Send,
) -> Result<(), NetError> {
    let mut reader = FrameReader::new(reader);
    let mut outbox = Outbox::new(links, Arc::new(Counters::default()), from, to);
    loop {
        let due = outbox.next_due();
        tokio::select! {
            biased;
            frame = reader.next(), if outbox.has_room() => match frame? {
                Some(frame) => outbox.push(&frame, environment.now()),
                None => break,
            },
            () = environment.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
        }
        outbox.flush(environment, &mut writer, WRITE_TIMEOUT).await?;
    }
    outbox.drain(environment, &mut writer, WRITE_TIMEOUT).await?;
    writer.shutdown().await?;
    Ok(())
}
