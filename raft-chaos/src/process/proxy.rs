//! Between the servers: a listener for each direction, to which the one server connects instead of the other.

use std::io;
use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::{Envelope, NodeId};
use raft_net::{Conversation, Fate, Links, relay};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::sim::SimLinks;

/// How long a proxy rests that cannot take a connection.
const REST: Duration = Duration::from_millis(10);

/// The links of the plan, for messages that come when they come and not when the world is looked at.
#[derive(Clone)]
pub(super) struct RealLinks(pub(super) SimLinks, pub(super) SystemEnvironment);

impl Links for RealLinks {
    fn fate(&self, from: NodeId, to: NodeId, kind: &'static str, bytes: usize) -> Fate {
        self.0.0.set_now(self.1.now());
        self.0.fate(from, to, kind, bytes)
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.is_cut(from, to)
    }

    fn holds(&self, from: NodeId, to: NodeId, kind: &'static str) -> bool {
        self.0.holds(from, to, kind)
    }

    fn sends(&self, envelope: &Envelope) {
        self.0.sends(envelope);
    }
}

/// Where the server `from` finds the server `to`.
pub(super) struct Proxy {
    listener: TcpListener,
    from: NodeId,
    to: NodeId,
    /// Where that one really listens.
    target: String,
}

impl Proxy {
    /// Listens at `address`.
    pub(super) async fn listen(
        address: &str,
        (from, to): (NodeId, NodeId),
        target: String,
    ) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, from, to, target })
    }

    /// Carries frames, and does to them what `links` do, as long as it is not dropped.
    pub(super) async fn run<E: Environment, L: Links>(self, environment: E, links: L) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => {
                    // Out of file descriptors, most likely: some connections have to end first.
                    let Ok((near, _)) = accepted else {
                        environment.sleep_until(environment.now().after(REST)).await;
                        continue;
                    };
                    let (environment, links) = (environment.clone(), links.clone());
                    let (way, target) = ((self.from, self.to), self.target.clone());
                    connections.spawn(async move { carry(environment, links, way, near, &target).await });
                }
            }
        }
    }
}

/// Carries one connection until either end of it closes or fails; then both ends are closed. It is not there where nobody
/// listens.
async fn carry<E: Environment, L: Links>(
    environment: E,
    links: L,
    (from, to): (NodeId, NodeId),
    near: TcpStream,
    target: &str,
) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    for stream in [&near, &far] {
        // Without it frames are a little late.
        drop(stream.set_nodelay(true));
    }
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    let conversation = Conversation::default();
    // Whichever ends first ends the other, and the servers dial again.
    tokio::select! {
        biased;
        _ = relay(&environment, links.clone(), (from, to), &conversation, near_reader, far_writer) => {}
        _ = relay(&environment, links.clone(), (to, from), &conversation, far_reader, near_writer) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::BytesMut;
    use raft_net::{Frame, FrameReader};
    use tokio::io::AsyncWriteExt;
    use tokio::time::{Instant, timeout};

    use super::*;

    const NEAR: NodeId = NodeId::new(1);
    const FAR: NodeId = NodeId::new(2);
    /// So long nothing comes where nothing is to come.
    const NOTHING: Duration = Duration::from_millis(150);
    const FINE: Fate = Fate::Deliver { delay: Duration::ZERO };

    /// Links that do one thing to all in one direction.
    #[derive(Clone)]
    struct Does(Arc<Mutex<(NodeId, Fate)>>);

    impl Does {
        fn what(&self) -> (NodeId, Fate) {
            *self.0.lock().unwrap()
        }
    }

    impl Links for Does {
        fn fate(&self, from: NodeId, _: NodeId, _: &'static str, _: usize) -> Fate {
            let (met, fate) = self.what();
            if from == met { fate } else { FINE }
        }

        fn is_cut(&self, _: NodeId, _: NodeId) -> bool {
            false
        }

        fn holds(&self, from: NodeId, _: NodeId, _: &'static str) -> bool {
            self.what() == (from, Fate::Held)
        }
    }

    /// Two ends of a connection through a proxy.
    struct Ends {
        links: Does,
        near: FrameReader<TcpStream>,
        far: FrameReader<TcpStream>,
        proxy: tokio::task::JoinHandle<()>,
    }

    impl Ends {
        async fn meet() -> Self {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = server.local_addr().unwrap().to_string();
            let proxy = Proxy::listen("127.0.0.1:0", (NEAR, FAR), target).await.unwrap();
            let address = proxy.listener.local_addr().unwrap();
            let links = Does(Arc::new(Mutex::new((NEAR, FINE))));
            let proxy = tokio::spawn(proxy.run(SystemEnvironment::new(), links.clone()));
            let near = TcpStream::connect(address).await.unwrap();
            let (far, _) = server.accept().await.unwrap();
            Self { links, near: FrameReader::new(near), far: FrameReader::new(far), proxy }
        }

        /// From now on this is done to what comes from that end.
        fn does(&self, from: NodeId, fate: Fate) {
            *self.links.0.lock().unwrap() = (from, fate);
        }

        /// Sends a frame from this end to the other; whether it arrives within this time.
        async fn arrives(&mut self, from: NodeId, frame: Frame, within: Duration) -> bool {
            let Self { near, far, .. } = self;
            let (sender, receiver) = if from == NEAR { (near, far) } else { (far, near) };
            let mut bytes = BytesMut::new();
            frame.encode(&mut bytes).unwrap();
            sender.stream_mut().write_all(&bytes).await.unwrap();
            match timeout(within, receiver.next()).await {
                Ok(arrived) => arrived.is_ok_and(|arrived| arrived == Some(frame)),
                Err(_) => false,
            }
        }

        async fn there(&mut self, within: Duration) -> bool {
            self.arrives(NEAR, Frame::Ping, within).await
        }

        async fn back(&mut self, within: Duration) -> bool {
            self.arrives(FAR, Frame::Pong, within).await
        }
    }

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_cut_of_one_direction_leaves_the_other_and_the_connection() {
        let mut ends = Ends::meet().await;
        assert!(ends.there(SOON).await && ends.back(SOON).await);
        for cut in [NEAR, FAR] {
            ends.does(cut, Fate::Drop);
            assert_eq!(ends.there(if cut == NEAR { NOTHING } else { SOON }).await, cut == FAR);
            assert_eq!(ends.back(if cut == FAR { NOTHING } else { SOON }).await, cut == NEAR);
            ends.does(cut, FINE);
            assert!(ends.there(SOON).await && ends.back(SOON).await, "it is whole again");
        }
    }

    #[tokio::test]
    async fn a_delay_is_kept_to() {
        let mut ends = Ends::meet().await;
        let delay = Duration::from_millis(120);
        ends.does(NEAR, Fate::Deliver { delay });
        let began = Instant::now();
        assert!(ends.there(SOON).await);
        assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_is_held_comes_when_it_is_let_go() {
        let mut ends = Ends::meet().await;
        ends.does(NEAR, Fate::Held);
        assert!(!ends.there(NOTHING).await);
        ends.does(NEAR, FINE);
        let arrived = timeout(SOON, ends.far.next()).await.unwrap().unwrap();
        assert_eq!(arrived, Some(Frame::Ping));
    }

    /// A reset, an end that closes, and one that is not there: the other end hears of it.
    #[tokio::test]
    async fn both_ends_are_closed_together() {
        let mut ends = Ends::meet().await;
        ends.does(NEAR, Fate::Reset);
        assert!(!ends.there(SOON).await, "the frame is lost with its connection");
        assert!(matches!(timeout(SOON, ends.near.next()).await.unwrap(), Ok(None) | Err(_)));

        let Ends { near, mut far, proxy, .. } = Ends::meet().await;
        drop(near);
        assert_eq!(timeout(SOON, far.next()).await.unwrap().unwrap(), None);
        proxy.abort();

        let proxy = Proxy::listen("127.0.0.1:0", (NEAR, FAR), "127.0.0.1:1".to_owned()).await.unwrap();
        let address = proxy.listener.local_addr().unwrap();
        let links = Does(Arc::new(Mutex::new((NEAR, FINE))));
        tokio::spawn(proxy.run(SystemEnvironment::new(), links));
        let mut near = FrameReader::new(TcpStream::connect(address).await.unwrap());
        assert!(matches!(timeout(SOON, near.next()).await.unwrap(), Ok(None) | Err(_)));
    }
}
