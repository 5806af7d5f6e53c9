//! The bytes of requests, answers and tables, frozen: a change here is a new format.

use bytes::Bytes;
use proptest::prelude::*;
use raft_core::LogIndex;
use raft_core::sessions::{Admitted, Answer, ImageError, Limits, Request, SessionId, Table};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A table with two sessions; the second has results of two numbers, and has those below 3.
fn table() -> Table {
    let mut table = Table::default();
    let (one, two) = (SessionId::new(2), SessionId::new(3));
    let command = |session, sequence, first_unanswered, command: &'static str| Request::Command {
        session,
        sequence,
        first_unanswered,
        command: command.into(),
    };
    let log = [
        Request::Limit(Limits::new(5, 6, 0x700).unwrap()),
        Request::Register,
        Request::Register,
        command(two, 1, 1, "gone"),
        command(two, 3, 3, "abc"),
        command(two, 5, 1, ""),
        Request::KeepAlive { session: one, first_unanswered: 9 },
    ];
    for (index, request) in (1..).zip(log) {
        match table.admit(LogIndex::new(index), request) {
            Admitted::Answer(_) | Admitted::Plain { .. } => {}
            Admitted::Apply { command, place } => drop(table.record(place, command)),
        }
    }
    table
}

const TABLE: &str = concat!(
    "73657373",         // sess
    "01000000",         // the format
    "8300000000000000", // 131 bytes
    "5ae3f1c9",         // the checksum
    "0500000000000000", // sessions
    "0600000000000000", // window
    "0007000000000000", // result bytes
    "0200000000000000", // two sessions
    "0200000000000000", // session 2,
    "0700000000000000", // used at 7,
    "0900000000000000", // with nothing below 9 unanswered,
    "0000000000000000", // and no result
    "0300000000000000", // session 3,
    "0600000000000000", // used at 6,
    "0300000000000000", // with nothing below 3 unanswered,
    "0200000000000000", // and two results
    "0300000000000000", // of number 3,
    "0300000000000000", // 3 bytes,
    "616263",
    "0500000000000000", // of number 5,
    "0000000000000000", // none
);

#[test]
fn the_bytes_of_a_table_are_these() {
    assert_eq!(hex(&table().encode()), TABLE);
    assert_eq!(Table::decode(&table().encode()), Ok(table()));
    let none = Table::default().encode();
    assert_eq!((none.len(), Table::decode(&none)), (20 + 32, Ok(Table::default())));
}

/// Each row: a request, and its bytes.
#[test]
fn the_bytes_of_requests_are_these() {
    let session = SessionId::new(0x0102);
    for (request, bytes) in [
        (Request::Register, "0101"),
        (
            Request::Command { session, sequence: 3, first_unanswered: 2, command: "ab".into() },
            "01020201000000000000030000000000000002000000000000006162",
        ),
        (Request::KeepAlive { session, first_unanswered: 4 }, "010302010000000000000400000000000000"),
        (Request::Unregister { session }, "01040201000000000000"),
        (
            Request::Limit(Limits::new(1, 2, 3).unwrap()),
            "0105010000000000000002000000000000000300000000000000",
        ),
        (Request::Plain { command: "ab".into() }, "01066162"),
    ] {
        assert_eq!(hex(&request.encode()), bytes, "{request:?}");
        assert_eq!(Request::decode(request.encode()), Some(request));
    }
}

/// Each row: an answer, and its bytes.
#[test]
fn the_bytes_of_answers_are_these() {
    let session = SessionId::new(0x0102);
    for (answer, bytes) in [
        (Answer::Registered { session, window: 7 }, "010102010000000000000700000000000000"),
        (Answer::Applied("ab".into()), "01026162"),
        (Answer::Repeated("ab".into()), "01036162"),
        (Answer::KeptAlive, "0104"),
        (Answer::Unregistered, "0105"),
        (Answer::Limited, "0106"),
        (Answer::SessionExpired, "0107"),
        (Answer::SequenceForgotten, "0108"),
        (Answer::TooFarAhead, "0109"),
        (Answer::Malformed, "010a"),
    ] {
        assert_eq!(hex(&answer.encode()), bytes, "{answer:?}");
        assert_eq!(Answer::decode(answer.encode()), Some(answer));
    }
}

/// No bit of a table can be changed, no byte be missing or too many, without it being said.
#[test]
fn a_damaged_table_is_refused() {
    let image = table().encode();
    for bit in 0..image.len() * 8 {
        let mut damaged = image.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let said = match bit / 8 {
            0..4 => ImageError::NotATable,
            4..8 => {
                let format = damaged[4..8].try_into().map(u32::from_le_bytes).unwrap();
                ImageError::Format { format }
            }
            _ => ImageError::Damaged,
        };
        assert_eq!(Table::decode(&damaged.into()), Err(said), "bit {bit}");
    }
    for len in 0..image.len() {
        assert_eq!(Table::decode(&image.slice(..len)), Err(ImageError::Damaged), "{len} bytes");
    }
    let more = Bytes::from([&image[..], &[0]].concat());
    assert_eq!(Table::decode(&more), Err(ImageError::Damaged));
}

/// A table that no server could have written is refused, though its checksum is right. Each row: where in the table, what is
/// put there, and why that cannot be.
#[test]
fn a_table_that_cannot_be_is_refused() {
    let image = table().encode();
    for (at, number, why) in [
        (0, 0_u64, "no session may be"),
        (0, 1, "more sessions than may be"),
        (8, 0, "no window"),
        (16, 130, "more bytes of results than may be"),
        (24, 3, "more sessions than there are"),
        (24, 1, "fewer sessions than there are"),
        (24, u64::MAX, "as many as can be told"),
        (32, 3, "a session twice"),
        (32, 4, "sessions in no order"),
        (88, 3, "more results than there are"),
        (80, 4, "a result below the lowest unanswered"),
        (96, 5, "results in no order"),
        (104, 999, "more bytes of a result than there are"),
    ] {
        let mut table = image[20..].to_vec();
        table[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let mut forged = image[..16].to_vec();
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&forged), &table);
        forged.extend_from_slice(&checksum.to_le_bytes());
        forged.extend_from_slice(&table);
        assert_eq!(Table::decode(&forged.into()), Err(ImageError::Damaged), "{why}");
    }
}

#[test]
fn what_is_no_request_and_no_answer_is_refused() {
    let requests = [
        Request::Register,
        Request::KeepAlive { session: SessionId::new(1), first_unanswered: 1 },
        Request::Unregister { session: SessionId::new(1) },
        Request::Limit(Limits::INITIAL),
    ];
    let fixed = requests.map(|request| request.encode());
    for bytes in &fixed {
        for len in 0..bytes.len() {
            assert_eq!(Request::decode(bytes.slice(..len)), None);
        }
        assert_eq!(Request::decode([bytes, &b"x"[..]].concat().into()), None);
    }
    for bytes in [&b""[..], b"\x00\x01", b"\x02\x01", b"\x01\x00", b"\x01\x07", b"\x01\x02short"] {
        assert_eq!(Request::decode(Bytes::from_static(bytes)), None, "{bytes:?}");
    }
    for bytes in [&b""[..], b"\x00\x02", b"\x01", b"\x01\x00", b"\x01\x0b", b"\x01\x04x", b"\x01\x01short"] {
        assert_eq!(Answer::decode(Bytes::from_static(bytes)), None, "{bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes of any kind, those that begin well above all: what is read is what would be written.
    #[test]
    fn nothing_is_read_that_is_not_written_so(kind in 0_u8..12, rest in prop::collection::vec(any::<u8>(), 0..60)) {
        let bytes = Bytes::from([&[1, kind][..], &rest].concat());
        for bytes in [bytes, rest.into()] {
            if let Some(request) = Request::decode(bytes.clone()) {
                prop_assert_eq!(request.encode(), &bytes);
            }
            if let Some(answer) = Answer::decode(bytes.clone()) {
                prop_assert_eq!(answer.encode(), &bytes);
            }
            prop_assert!(Table::decode(&bytes).is_err());
        }
    }
}
