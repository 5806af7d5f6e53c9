//! The least that a durable put of one client takes on a machine: what three servers cannot do without, and nothing else.
//!
//! ```text
//! TMPDIR=<a folder on the disk in question> cargo bench -p raft-net --bench floor
//! ```
//!
//! A client sends a put to a leader over TCP on loopback. The leader passes it on to two followers. All three append it to a
//! file and sync that; the client hears of it once the leader has, and one of the others. There are no frames, no terms, no log
//! and no state, and each of the four is one thread, which does its own sync: a server that has to hear of its peers while its
//! disk takes its time has two.
//!
//! `raft-chaos bench --clients 1` is what to hold against it.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A put of 256 B, as a client of a node sends it.
const PUT_BYTES: usize = 330;
/// How long it is measured, each time.
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 5;

type Put = [u8; PUT_BYTES];

fn store(file: &mut File, put: &Put) -> io::Result<()> {
    file.write_all(put)?;
    file.sync_data()
}

/// Answers each put with a byte, until there are no more.
fn follow(listener: &TcpListener, mut file: File) -> io::Result<()> {
    let (mut leader, _) = listener.accept()?;
    leader.set_nodelay(true)?;
    let mut put = [0; PUT_BYTES];
    while leader.read_exact(&mut put).is_ok() {
        store(&mut file, &put)?;
        leader.write_all(&[1])?;
    }
    Ok(())
}

/// As a follower does, but that one of two others has to have done it, too.
async fn lead(listener: TcpListener, others: [SocketAddr; 2], mut file: File) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut client, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
    let mut first = tokio::net::TcpStream::connect(others[0]).await?;
    let mut second = tokio::net::TcpStream::connect(others[1]).await?;
    for stream in [&client, &first, &second] {
        stream.set_nodelay(true)?;
    }
    let (mut owed, mut put) = ([0, 0], [0; PUT_BYTES]);
    while client.read_exact(&mut put).await.is_ok() {
        first.write_all(&put).await?;
        second.write_all(&put).await?;
        owed = owed.map(|owed| owed + 1);
        store(&mut file, &put)?;
        let (mut from_first, mut from_second) = ([0; 64], [0; 64]);
        while !owed.contains(&0) {
            tokio::select! {
                biased;
                read = first.read(&mut from_first) => owed[0] -= read?,
                read = second.read(&mut from_second) => owed[1] -= read?,
            }
        }
        client.write_all(&[1]).await?;
    }
    Ok(())
}

/// How many puts there are in a second.
fn turn(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (leader, one, other) = (listen()?, listen()?, listen()?);
    let (address, others) = (leader.local_addr()?, [one.local_addr()?, other.local_addr()?]);
    let mut servers = Vec::new();
    for (nth, listener) in [one, other].into_iter().enumerate() {
        let file = File::create(folder.join(nth.to_string()))?;
        servers.push(thread::spawn(move || follow(&listener, file)));
    }
    let file = File::create(folder.join("leader"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    servers.push(thread::spawn(move || runtime.block_on(lead(leader, others, file))));

    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let (began, mut puts) = (Instant::now(), 0.0);
    while began.elapsed() < TURN {
        client.write_all(&[7; PUT_BYTES])?;
        client.read_exact(&mut [0])?;
        puts += 1.0;
    }
    let rate = puts / began.elapsed().as_secs_f64();
    drop(client);
    for server in servers {
        server.join().map_err(|_| "a server has panicked")??;
    }
    Ok(rate)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut rates = (0..TURNS).map(|_| turn(folder.path())).collect::<Result<Vec<_>, _>>()?;
    rates.sort_by(f64::total_cmp);
    let [least, .., most] = rates[..] else { return Err("no turn was measured".into()) };
    let median = rates[TURNS / 2];
    println!("{median:.0} puts/s ({least:.0}..{most:.0}), {:.0} us each", 1e6 / median);
    Ok(())
}
