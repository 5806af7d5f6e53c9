//! One direction of a connection between two servers that goes through somebody else, who does to its frames what links do.

use std::sync::Arc;
use std::time::Duration;

use raft_core::NodeId;
use raft_core::node::Environment;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::counters::Counters;
use crate::error::NetError;
use crate::frame::{Frame, FrameReader};
use crate::link::Links;
use crate::outbox::Outbox;
use crate::version::{Version, Versions};

/// How long a server may take to read one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection between two servers, as those know it who carry its two directions: which versions the one and the other speak.
/// Clones are the same connection.
#[derive(Clone, Debug, Default)]
pub struct Conversation(Arc<watch::Sender<Vec<Versions>>>);

impl Conversation {
    /// One of the ends says which it speaks.
    fn hears(&self, versions: Versions) {
        self.0.send_modify(|said| said.push(versions));
    }
}

/// What is spoken once both ends have said what they speak.
fn agreed(said: &mut watch::Receiver<Vec<Versions>>) -> Option<Version> {
    match said.borrow_and_update()[..] {
        [one, other] => one.common(other),
        _ => None,
    }
}

/// Carries frames from the server `from` to the server `to` over a connection that neither of them has made with the other,
/// for a test harness between real processes: `links` decides on each, as it does inside a server.
///
/// The other direction is carried at the same time, with the same `conversation`.
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
    conversation: &Conversation,
    reader: impl AsyncRead + Unpin + Send,
    mut writer: impl AsyncWrite + Unpin + Send,
) -> Result<(), NetError> {
    let mut reader = FrameReader::new(reader);
    let mut outbox = Outbox::new(links, Arc::new(Counters::default()), from, to);
    let mut said = conversation.0.subscribe();
    loop {
        let due = outbox.next_due();
        tokio::select! {
            biased;
            // Before any frame that comes after both hellos.
            Ok(()) = said.changed() => {
                if let Some(version) = agreed(&mut said) {
                    reader.speak(version);
                    outbox.speak(version);
                }
            }
            frame = reader.next(), if outbox.has_room() => match frame? {
                Some(frame) => {
                    if let Frame::Hello(hello) = &frame {
                        conversation.hears(hello.versions);
                    }
                    outbox.push(&frame, environment.now());
                }
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
