//! Bare turmoil at a tick of 1 ms: five hosts that say as much to each other as a quiet cluster does, perhaps one more that
//! asks the first of them something each second, and nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

const FOLLOWERS: usize = 4;
const PORT: u16 = 4_000;
const REQUEST: [u8; 64] = [0; 64];
const REPLY: [u8; 24] = [0; 24];

/// That many simulated seconds. Returns how many replies the one host had from the others.
pub(crate) fn run(seconds: u64, with_client: bool) -> u64 {
    let mut sim = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(seconds + 10))
        .rng_seed(7)
        .build();
    for follower in 0..FOLLOWERS {
        sim.host(format!("h{follower}"), || async { Ok(answer_one().await?) });
    }
    let replies = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&replies);
    sim.client("leader", async move {
        if with_client {
            tokio::spawn(answer_one());
        }
        for follower in 0..FOLLOWERS {
            let (mut from, mut to) = TcpStream::connect((format!("h{follower}"), PORT)).await?.into_split();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut reply = REPLY;
                while from.read_exact(&mut reply).await.is_ok() {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            });
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if to.write_all(&REQUEST).await.is_err() {
                        return;
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    });
    if with_client {
        sim.client("client", async move {
            let mut stream = TcpStream::connect(("leader", PORT)).await?;
            let mut reply = REPLY;
            for _ in 1..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stream.write_all(&REQUEST).await?;
                stream.read_exact(&mut reply).await?;
            }
            Ok(())
        });
    }
    sim.run().expect("nothing goes wrong in bare turmoil");
    replies.load(Ordering::Relaxed)
}

/// Answers what comes in over one connection.
async fn answer_one() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (mut stream, _) = listener.accept().await?;
    let mut request = REQUEST;
    while stream.read_exact(&mut request).await.is_ok() {
        stream.write_all(&REPLY).await?;
    }
    Ok(())
}
