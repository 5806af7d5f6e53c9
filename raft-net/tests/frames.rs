//! Frames byte by byte: what each kind looks like, and what is refused.

use bytes::{Bytes, BytesMut};
use raft_core::{
    AppendEntries, AppendEntriesReply, Chunk, ClusterId, Configuration, Configured, Confirm, ConfirmReply,
    Entry, EntryId, Envelope, FetchEntries, FetchEntriesReply, GroupId, Incarnation, InstallSnapshot,
    InstallSnapshotReply, Lacking, LogIndex, Message, NodeId, NotMember, Payload, PreVote, PreVoteReply,
    ReadIndexReply, RequestVote, RequestVoteReply, Session, Snapshot, SnapshotId, Term,
};
use raft_net::{
    Ask, FRAME_BYTES_MAX, Frame, FrameReader, Hello, NetError, Outcome, PREFIX_BYTES, Party, Request,
    Response, Versions,
};

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

fn message(message: Message) -> Frame {
    Frame::Message(Envelope {
        cluster: ClusterId(7),
        group: GroupId(2),
        from: NodeId::new(1),
        incarnation: Incarnation(300),
        to: NodeId::new(3),
        term: Term::new(5),
        session: Session(70_000),
        message,
    })
}

fn append() -> Frame {
    message(Message::AppendEntries(AppendEntries {
        prev_log: id(4, 9),
        entries: vec![
            Entry::new(id(5, 10), Payload::Noop),
            Entry::new(id(5, 11), Payload::Command("set x".into())),
            Entry::new(id(5, 12), Payload::Command(Bytes::new())),
            Entry::new(id(5, 13), Payload::Configuration(Configuration::of([NodeId::new(3)]).to_bytes())),
        ]
        .into(),
        leader_commit: LogIndex::new(8),
    }))
}

const SNAPSHOT: SnapshotId =
    SnapshotId { last_included: EntryId::new(Term::new(4), LogIndex::new(9)), made_by: Incarnation(70_000) };

fn install(chunk: Chunk) -> Frame {
    let snapshot = Snapshot {
        id: SNAPSHOT,
        configured: Configured { at: id(3, 5), configuration: Configuration::of([1, 300].map(NodeId::new)) },
    };
    message(Message::InstallSnapshot(Box::new(InstallSnapshot { snapshot, chunk })))
}

fn hello(party: Party, to: Option<NodeId>) -> Frame {
    Frame::Hello(Hello { versions: Versions::OURS, cluster: ClusterId(7), party, to })
}

fn encoded(frame: &Frame) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes).unwrap();
    bytes
}

/// Every kind of frame and of message, and its bytes: the prefix, the header, the payloads. These never
/// change while the version does not.
fn golden() -> Vec<(Frame, &'static str)> {
    let server = Party::Node { id: NodeId::new(1), incarnation: Incarnation(300) };
    let reply = |reply| message(Message::AppendEntriesReply(reply));
    let snapshot_reply = |reply| message(Message::InstallSnapshotReply(reply));
    let response = |outcome| Frame::Response(Response { id: 9, outcome });
    vec![
        (hello(server, Some(NodeId::new(3))), "899502f309000000090000000101 930607039201cd012c "),
        (hello(Party::Client, None), "878d616604000000040000000101 930607c0 "),
        (Frame::HelloRefused { reason: "no".into() }, "9fb9b44d04000000020000000102 9102 6e6f"),
        (Frame::Ping, "e89b2fe300000000000000000103  "),
        (Frame::Pong, "03ffe53700000000000000000104  "),
        (
            message(Message::RequestVote(RequestVote { last_log: id(4, 9), told_by_leader: true })),
            "c9f6d25a13000000130000000105 98070201cd012c0305ce000111700193040901 ",
        ),
        (
            message(Message::PreVote(PreVote { last_log: id(4, 9) })),
            "ab9799cb12000000120000000105 98070201cd012c0305ce0001117009920409 ",
        ),
        (
            message(Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: true })),
            "8127e86d12000000120000000105 98070201cd012c0305ce000111700a920001 ",
        ),
        (message(Message::TimeoutNow), "013dea9b0f0000000f0000000105 98070201cd012c0305ce000111700b "),
        (
            message(Message::Confirm(Confirm { round: 70_000 })),
            "56c592bb15000000150000000105 98070201cd012c0305ce000111700c91ce00011170 ",
        ),
        (
            message(Message::ConfirmReply(ConfirmReply { round: 12 })),
            "e632b83111000000110000000105 98070201cd012c0305ce000111700d910c ",
        ),
        (message(Message::ReadIndex), "1d291bae0f0000000f0000000105 98070201cd012c0305ce000111700e "),
        (
            message(Message::ReadIndexReply(ReadIndexReply { read_index: Some(id(4, 9)) })),
            "d985dc0f12000000120000000105 98070201cd012c0305ce000111700f920409 ",
        ),
        (
            message(Message::ReadIndexReply(ReadIndexReply { read_index: None })),
            "55513d120f0000000f0000000105 98070201cd012c0305ce0001117010 ",
        ),
        (
            message(Message::NotMember(NotMember { configured: id(4, 9) })),
            "7045b9d412000000120000000105 98070201cd012c0305ce0001117011920409 ",
        ),
        (
            message(Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false })),
            "135f657a12000000120000000105 98070201cd012c0305ce0001117002920100 ",
        ),
        (
            append(),
            "0490b53458000000380000000105 98070201cd012c0305ce0001117003940409080494050000ceaa9450cd94050105cede9e14d594050100ce6ba1cb9c9405021bcecd76bea0 7365742078010001000000030000000000000000000000000000000000000000",
        ),
        (
            reply(AppendEntriesReply::Accepted { match_index: LogIndex::new(12) }),
            "5d9ea8ac11000000110000000105 98070201cd012c0305ce0001117004910c ",
        ),
        (
            reply(AppendEntriesReply::Rejected { refused: id(4, 9), hint: id(3, 6) }),
            "88c9165a14000000140000000105 98070201cd012c0305ce00011170059404090306 ",
        ),
        (
            reply(AppendEntriesReply::Lost { from: LogIndex::new(9), session: Session(70_001) }),
            "1c1eca6816000000160000000105 98070201cd012c0305ce00011170129209ce00011171 ",
        ),
        (
            message(Message::FetchEntries(FetchEntries { ids: vec![id(4, 9), id(5, 300)] })),
            "4f24af3119000000190000000105 98070201cd012c0305ce000111701391029204099205cd012c ",
        ),
        (
            message(Message::FetchEntriesReply(Box::new(FetchEntriesReply {
                entries: vec![Entry::new(id(5, 300), Payload::Command("set x".into()))].into(),
                lacking: vec![Lacking { id: id(4, 9), superseded: Some(Term::new(7)) }],
                base: id(3, 2),
            }))),
            "2d941b7b2a000000250000000105 98070201cd012c0305ce0001117014940101030291cd012c94050105cee3e5023993040907 7365742078",
        ),
        (
            install(Chunk::new(70_000, "state".into(), false)),
            "241b644e57000000260000000105 98070201cd012c0305ce00011170069a0409ce00011170ce000111700005ceec40405703052c 01000200000001000000000000000000000000000000002c01000000000000000000000000000000000000007374617465",
        ),
        (
            install(Chunk::new(70_005, Bytes::new(), true)),
            "18331af052000000260000000105 98070201cd012c0305ce00011170069a0409ce00011170ce000111750100ce88e82a6c03052c 01000200000001000000000000000000000000000000002c0100000000000000000000000000000000000000",
        ),
        (
            snapshot_reply(InstallSnapshotReply::Received { snapshot: SNAPSHOT, offset: 70_005 }),
            "2198165c1c0000001c0000000105 98070201cd012c0305ce0001117007940409ce00011170ce00011175 ",
        ),
        (
            snapshot_reply(InstallSnapshotReply::Installed { snapshot: SNAPSHOT }),
            "9cc0a48c17000000170000000105 98070201cd012c0305ce0001117008930409ce00011170 ",
        ),
        (
            Frame::Request(Request { id: 9, ask: Ask::Apply, command: "set x".into() }),
            "5544318a09000000040000000106 93090005 7365742078",
        ),
        (
            Frame::Request(Request { id: 9, ask: Ask::Read, command: "get x".into() }),
            "feb7558d09000000040000000106 93090105 6765742078",
        ),
        (
            Frame::Request(Request { id: 9, ask: Ask::Report, command: Bytes::new() }),
            "0006131c04000000040000000106 93090200 ",
        ),
        (
            Frame::Request(Request { id: 9, ask: Ask::Order, command: "x".into() }),
            "9dbb4d7805000000040000000106 93090301 78",
        ),
        (response(Outcome::Committed("y".into())), "b2e7d7fe06000000050000000107 94090001c0 79"),
        (response(Outcome::Answered("y".into())), "8b6ef59c06000000050000000107 94090301c0 79"),
        (
            response(Outcome::NotApplied { reason: "no".into(), leader_hint: Some(NodeId::new(2)) }),
            "578e2a7d07000000050000000107 9409010202 6e6f",
        ),
        (response(Outcome::Unknown { reason: "no".into() }), "349b343607000000050000000107 94090202c0 6e6f"),
    ]
}

fn hex(frame: &Frame, bytes: &[u8]) -> String {
    let header = PREFIX_BYTES + usize::from(bytes[8]);
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(header <= bytes.len(), "{frame:?}");
    format!(
        "{} {} {}",
        digits(&bytes[..PREFIX_BYTES]),
        digits(&bytes[PREFIX_BYTES..header]),
        digits(&bytes[header..])
    )
}

#[test]
fn every_frame_has_its_golden_bytes() {
    for (frame, golden) in golden() {
        let mut bytes = encoded(&frame);
        assert_eq!(hex(&frame, &bytes), golden, "{frame:?}");
        assert_eq!(Frame::decode(&mut bytes).unwrap(), Some(frame));
        assert!(bytes.is_empty());
    }
}

/// A frame that is not all there yet is waited for, wherever it was cut.
#[test]
fn a_short_frame_is_no_frame_yet() {
    for (frame, _) in golden() {
        let whole = encoded(&frame);
        for cut in 0..whole.len() {
            let mut short = BytesMut::from(&whole[..cut]);
            assert_eq!(Frame::decode(&mut short).unwrap(), None, "{frame:?} cut at {cut}");
            assert_eq!(short.len(), cut);
        }
    }
}

/// One flipped bit anywhere is never read as a frame, and never a panic.
#[test]
fn a_flipped_bit_is_refused() {
    for (frame, _) in golden() {
        let whole = encoded(&frame);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = Frame::decode(&mut damaged);
            assert!(matches!(read, Err(_) | Ok(None)), "{frame:?} with bit {bit} flipped is {read:?}");
        }
    }
}

/// Puts the right length and checksum to bytes that say what they should not.
fn forged(kind: u8, header: &[u8], payloads: &[u8]) -> BytesMut {
    let mut rest = Vec::new();
    rest.extend_from_slice(&u32::try_from(header.len() + payloads.len()).unwrap().to_le_bytes());
    rest.extend_from_slice(&u32::try_from(header.len()).unwrap().to_le_bytes());
    rest.extend_from_slice(&[1, kind]);
    rest.extend_from_slice(header);
    rest.extend_from_slice(payloads);
    let mut frame = BytesMut::from(&crc32c::crc32c(&rest).to_le_bytes()[..]);
    frame.extend_from_slice(&rest);
    frame
}

/// Each row: a frame whose checksum is right and whose content is not, and what is said about it.
#[test]
fn what_makes_no_sense_is_refused_in_words() {
    // cluster 1, group 0, from 1, incarnation 1, to 2, term 1, session 1, and then the message.
    let envelope = |number: u8, body: &[u8]| {
        let mut header = vec![0x98, 1, 0, 1, 1, 2, 1, 1, number];
        header.extend_from_slice(body);
        header
    };
    const TOO_LARGE: [u8; 9] = [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0];
    const OUT_OF_RANGE: &str = "a term, index or offset is out of range";
    // Of the piece "x" at offset 1, of a snapshot of entry 1 of term 1.
    let checksum = Chunk::new(1, "x".into(), false).checksum.to_be_bytes();
    let piece = |done: u8, bytes: u8, configuration: &[u8]| {
        [&[0x9a, 1, 1, 1, 1, done, bytes, 0xce][..], &checksum, &[1, 1], configuration].concat()
    };
    // The configuration comes first.
    let configuration = Configuration::of([NodeId::new(1)]).to_bytes();
    let [x, y] = [b"x", b"y"].map(|data| [&configuration[..], data].concat());
    const LENGTH: &[u8] = &[27];
    for (kind, header, payloads, words) in [
        (0, vec![], &b""[..], "frame: there is no kind 0"),
        (8, vec![], b"", "frame: there is no kind 8"),
        (3, vec![], b"x", "ping makes no sense: bytes are left over"),
        (3, vec![0x90], b"", "ping makes no sense: bytes are left over"),
        (1, vec![], b"", "hello makes no sense: a number is missing"),
        (1, vec![0x93, 1, 1], b"", "hello makes no sense: a number is missing"),
        (1, vec![0x93, 1, 0xa1, b'x', 1], b"", "hello makes no sense: a number is missing"),
        (1, vec![0x93, 1, 0xff, 1], b"", "hello makes no sense: a number is missing"),
        (1, vec![0x94, 5, 7, 0xc0, 6], b"", "hello makes no sense: the oldest version is newer"),
        (2, vec![0x91, 3], b"no", "a payload is longer than the frame"),
        (2, vec![0x91, 2], b"\xff\xfe", "a text is not UTF-8"),
        (6, vec![0x93, 1, 0, 2], b"abc", "request makes no sense: bytes are left over"),
        (6, vec![0x93, 1, 4, 2], b"ab", "nobody knows what is to be done with a command"),
        (7, vec![0x94, 1, 4, 0, 0xc0], b"", "there is no outcome of this number"),
        (7, vec![0x94, 1, 0, 0, 2], b"", "there is no outcome of this number"),
        (5, envelope(0, &[]), b"", "there is no message of this number"),
        (5, envelope(21, &[]), b"", "there is no message of this number"),
        (5, envelope(17, &[&[0x92, 1][..], &TOO_LARGE].concat()), b"", OUT_OF_RANGE),
        (5, envelope(2, &[0x92, 2, 0]), b"", "a vote is neither granted nor refused"),
        (5, envelope(2, &[0x92, 1, 2]), b"", "a voter is neither suspect nor not"),
        (5, envelope(18, &[&[0x92][..], &TOO_LARGE, &[1]].concat()), b"", OUT_OF_RANGE),
        (5, envelope(19, &[0x91, 9]), b"", "more names of entries are announced"),
        (5, envelope(20, &[0x94, 200, 0, 0, 0]), b"", "a number is missing"),
        (5, envelope(20, &[0x94, 99, 0, 0, 0]), b"", "more entries are announced"),
        (5, envelope(20, &[0x94, 0, 99, 0, 0]), b"", "more entries are lacking"),
        (
            5,
            envelope(20, &[0x94, 1, 0, 0, 0, 0x91, 7, 0x94, 1, 1, 1, 0]),
            b"x",
            "entry 7: the bytes do not match",
        ),
        (5, envelope(4, &[&[0x91][..], &TOO_LARGE].concat()), b"", OUT_OF_RANGE),
        (5, envelope(1, &[&[0x93][..], &TOO_LARGE, &[1, 0]].concat()), b"", OUT_OF_RANGE),
        (5, envelope(1, &[0x93, 1, 1, 2]), b"", "a candidate was neither told to stand nor not"),
        (5, envelope(9, &[&[0x92][..], &TOO_LARGE, &[1]].concat()), b"", OUT_OF_RANGE),
        (5, envelope(10, &[0x92, 2, 0]), b"", "a vote is neither granted nor refused"),
        (5, envelope(11, &[0x90]), b"", "bytes are left over"),
        (5, envelope(12, &[0x91, 0xc0]), b"", "a number is missing"),
        (5, envelope(13, &[0x90]), b"", "a number is missing"),
        (5, envelope(14, &[0x90]), b"", "bytes are left over"),
        (5, envelope(15, &[&[0x92, 1][..], &TOO_LARGE].concat()), b"", OUT_OF_RANGE),
        (5, envelope(16, &[0x92, 1, 1]), b"", "bytes are left over"),
        (5, envelope(3, &[0x94, 0, 0, 0, 0xce, 0xff, 0xff, 0xff, 0xff]), b"", "more entries are announced"),
        (
            5,
            envelope(3, &[0x94, 0, 0, 0, 1, 0x94, 1, 0, 1, 0]),
            b"x",
            "neither a no-op, a command nor a configuration",
        ),
        (
            5,
            envelope(3, &[0x94, 0, 0, 0, 1, 0x94, 1, 3, 1, 0]),
            b"x",
            "neither a no-op, a command nor a configuration",
        ),
        (5, envelope(3, &[0x94, 0, 0, 0, 1, 0x94, 1, 1, 2, 0]), b"x", "a payload is longer than the frame"),
        (5, envelope(3, &[0x94, 0, 0, 0, 1, 0x94, 1, 1, 1, 0]), b"x", "entry 1: the bytes do not match"),
        (5, envelope(6, &piece(0, 1, LENGTH)), &y, "snapshot piece at byte 1: the bytes do not match"),
        (5, envelope(6, &piece(1, 1, LENGTH)), &x, "snapshot piece at byte 1: the bytes do not match"),
        (5, envelope(6, &piece(2, 1, LENGTH)), &x, "a piece is neither the last one nor not"),
        (5, envelope(6, &piece(0, 2, LENGTH)), &x, "a payload is longer than the frame"),
        (5, envelope(6, &piece(0, 0, LENGTH)), &x, "snapshot piece at byte 1: the bytes do not match"),
        (5, envelope(6, &piece(0, 1, &[0])), &x, "the configuration of a snapshot is none"),
        (5, envelope(6, &piece(0, 1, &[26])), &x, "the configuration of a snapshot is none"),
        (
            5,
            envelope(6, &piece(0, 1, &[0xce, 0xff, 0xff, 0xff, 0xff])),
            &x,
            "a payload is longer than the frame",
        ),
        (5, envelope(6, &piece(0, 1, &[])), &x, "a number is missing"),
        (5, envelope(6, &piece(0, 1, &[27, 1])), &x, "bytes are left over"),
        (5, envelope(6, &[&[0x9a, 1, 1, 1][..], &TOO_LARGE, &[0; 6]].concat()), b"", OUT_OF_RANGE),
        (
            5,
            envelope(6, &[&[0x9a, 1][..], &TOO_LARGE, &[1, 1, 0, 0, 0, 0, 0, 0]].concat()),
            b"",
            OUT_OF_RANGE,
        ),
        (5, envelope(7, &[&[0x94, 1, 1, 1][..], &TOO_LARGE].concat()), b"", OUT_OF_RANGE),
        (5, envelope(8, &[&[0x93][..], &TOO_LARGE, &[1, 1]].concat()), b"", OUT_OF_RANGE),
    ] {
        let error = Frame::decode(&mut forged(kind, &header, payloads)).unwrap_err().to_string();
        assert!(error.contains(words), "{header:x?} is refused with {error:?}, not {words:?}");
    }
}

/// The prefix is judged before a byte of the rest is waited for.
#[test]
fn a_false_prefix_is_refused_at_once() {
    let prefix = |length: u32, header: u32, version: u8| {
        let mut bytes = BytesMut::from(&[0; 4][..]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&header.to_le_bytes());
        bytes.extend_from_slice(&[version, 3]);
        bytes
    };
    assert!(matches!(Frame::decode(&mut prefix(0, 0, 2)), Err(NetError::Version { found: 2 })));
    assert!(matches!(Frame::decode(&mut prefix(u32::MAX, 0, 1)), Err(NetError::FrameTooLong { .. })));
    assert!(matches!(Frame::decode(&mut prefix(0, 0, 1)), Err(NetError::ChecksumMismatch)));
    let mut header_beyond = forged(3, &[], &[]);
    header_beyond[8] = 1;
    let checksum = crc32c::crc32c(&header_beyond[4..]);
    header_beyond[..4].copy_from_slice(&checksum.to_le_bytes());
    assert!(matches!(Frame::decode(&mut header_beyond), Err(NetError::Malformed { frame: "prefix", .. })));
}

/// A frame too long to be sent leaves what is before it in the buffer as it was.
#[test]
fn a_frame_that_is_too_long_is_not_written() {
    let mut out = encoded(&Frame::Ping);
    let command = Bytes::from(vec![0; FRAME_BYTES_MAX]);
    let refused = Frame::Request(Request { id: 1, ask: Ask::Apply, command }).encode(&mut out);
    assert!(matches!(refused, Err(NetError::FrameTooLong { .. })));
    assert_eq!(out, encoded(&Frame::Ping));
}

/// The commands and pieces that are decoded lie in the buffer that their frame came in.
#[test]
fn payloads_are_slices_of_the_receive_buffer() {
    for (frame, expected) in [(append(), "set x"), (install(Chunk::new(0, "state".into(), false)), "state")] {
        let mut buffer = encoded(&frame);
        let received = buffer.as_ptr_range();
        let decoded = Frame::decode(&mut buffer).unwrap();
        let payload = match &decoded {
            Some(Frame::Message(Envelope { message: Message::AppendEntries(append), .. })) => {
                append.entries[1].payload.bytes()
            }
            Some(Frame::Message(Envelope { message: Message::InstallSnapshot(install), .. })) => {
                &install.chunk.data[..]
            }
            other => panic!("{other:?} came in"),
        };
        assert_eq!(payload, expected.as_bytes());
        assert!(received.contains(&payload.as_ptr()), "{expected} was copied");
    }
}

/// All frames in one stream come off it one by one, however the stream is cut into pieces, and its end
/// is told from a torn frame.
#[tokio::test]
async fn a_reader_takes_whole_frames_off_a_stream() {
    let mut stream = BytesMut::new();
    for (frame, _) in golden() {
        frame.encode(&mut stream).unwrap();
    }
    for piece in [1, 7, 1000] {
        let (near, mut far) = tokio::io::duplex(piece);
        let bytes = stream.clone();
        let writer = async move { tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await.unwrap() };
        let mut reader = FrameReader::new(near);
        let reading = async {
            for (frame, _) in golden() {
                assert_eq!(reader.next().await.unwrap(), Some(frame));
            }
            assert_eq!(reader.next().await.unwrap(), None);
        };
        tokio::join!(writer, reading);
    }
    let mut torn = FrameReader::new(&stream[..PREFIX_BYTES + 3]);
    assert!(matches!(torn.next().await, Err(NetError::Torn { bytes: 17 })));
}
