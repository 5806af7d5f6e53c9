//! Plays the conversations of `tests/scripts` and compares what the servers did with what is written
//! under the dashes. `UPDATE=1 cargo test -p raft-core --test script` rewrites it; read the diff.
//!
//! | command | what happens |
//! | --- | --- |
//! | `cluster 3 [option=1 ...]` | n1 to n3 start with empty disks, and with these options |
//! | `disk n1 1 1 4 term=6 vote=n2` | n1 starts again with entries of these terms, that term and vote |
//! | `timeout n1` | its deadline comes |
//! | `deliver n1 [from n2]` | all that is on its way to n1 arrives (only what n2 sent) |
//! | `repeat n1` | all that was ever delivered to n1 arrives once more |
//! | `drop n1 [from n2]` | all that is on its way to n1 is lost |
//! | `persist n1 [1]` | its writes are durable (only the first) |
//! | `propose n1 x` | a client asks n1 to apply x |
//! | `snapshot n1` | it takes a snapshot, in pieces of 4 bytes |
//! | `crash n1 [option=1 ...]` | n1 loses what is not durable and starts again, with these options from now on |
//! | `state n1` | n1 says what it is |
//!
//! In the commands above nothing happens by itself and each server has its own time. Here all go on together:
//!
//! | command | what happens |
//! | --- | --- |
//! | `elapse 500` | 500 ms pass: what is sent arrives, what is written is durable, deadlines come. Told is only who becomes what, and when |
//! | `cut n1>n2 ...` | from now on nothing arrives that n1 sends to n2 |
//! | `isolate n1` | from now on nothing arrives that n1 sends or is sent |
//! | `heal` | nothing is cut any more |
//! | `hang n1`, `mend n1` | from now on no write of n1 becomes durable; they do again |
//!
//! | option | is | usually |
//! | --- | --- | --- |
//! | `bytes` | the most that is sent in one message | 256 KiB |
//! | `trailing` | how many entries are left before a snapshot | 0 |
//! | `cache` | how many bytes of payloads are kept in memory | 64 MiB |
//! | `prevote` | whether there is pre-vote | 1 |
//! | `delay` | milliseconds that a message takes, of the whole cluster | 1 |

mod stage;
mod words;

use std::path::Path;

use stage::Stage;

#[test]
fn scripts_play_as_written() {
    let mut played = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let written = std::fs::read_to_string(&path).unwrap();
        let heard = Stage::default().play(&written);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &heard).unwrap();
        } else {
            assert_eq!(heard, written, "{}: UPDATE=1 rewrites it", path.display());
        }
        played += 1;
    }
    assert!(played > 0, "no scripts were found");
}
