//! What is in a record of the write-ahead log: what was written at once, as RocksDB writes it down.
//!
//! | bytes | what was written at once |
//! | --- | --- |
//! | 8 | its sequence number, little-endian: one more than all that was put before it |
//! | 4 | how much is put, little-endian |
//! | rest | tags: 5 puts, into a column family, a key and a value; 3 says something that nobody keeps |
//!
//! Numbers and lengths after a tag are varints, seven bits a byte.

use crate::format::{group_of_state, is_suspect_mark};

const HEADER: usize = 12;
const REMARK: u8 = 3;
const PUT: u8 = 5;

/// The sequence number, and how many are taken, of a write that is whole and that this crate can have made: nothing
/// but puts, and a state or a mark among them.
pub(crate) fn sequence(payload: &[u8]) -> Option<(u64, u64)> {
    let (sequence, rest) = payload.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let (sequence, count) = (u64::from_le_bytes(*sequence), u64::from(u32::from_le_bytes(*count)));
    let (mut puts, mut has_state) = (0, false);
    while let Some((tag, more)) = rest.split_first() {
        rest = more;
        match *tag {
            PUT => {
                varint(&mut rest)?;
                let key = string(&mut rest)?;
                has_state |= group_of_state(key).is_some() || is_suspect_mark(key);
                string(&mut rest)?;
                puts += 1;
            }
            REMARK => drop(string(&mut rest)?),
            _ => return None,
        }
    }
    (puts == count && (has_state || count == 0)).then_some((sequence, count))
}

/// A write of this length that puts nothing; none if there is none of it.
pub(crate) fn nothing(sequence: u64, bytes: usize) -> Option<Vec<u8>> {
    let remarks = bytes.checked_sub(HEADER)?;
    let mut payload = sequence.to_le_bytes().to_vec();
    payload.resize(HEADER, 0);
    if remarks % 2 == 1 {
        payload.extend([REMARK, 1, 0]);
    }
    while payload.len() < bytes {
        payload.extend([REMARK, 0]);
    }
    (payload.len() == bytes).then_some(payload)
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (string, more) = rest.split_at_checked(length)?;
    *rest = more;
    Some(string)
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use rocksdb::WriteBatch;

    use super::*;

    /// As RocksDB writes it, which gives the number itself.
    pub(crate) fn batch(sequence: u64, puts: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut batch = WriteBatch::default();
        puts.iter().for_each(|(key, value)| batch.put(key, value));
        // Into the column family 300: the tag is another one, and the number of the family comes after it.
        let mut payload = sequence.to_le_bytes().to_vec();
        payload.extend(u32::try_from(puts.len()).unwrap().to_le_bytes());
        let mut rest = &batch.data()[HEADER..];
        while let Some((1, more)) = rest.split_first() {
            payload.extend([PUT, 0xac, 2]);
            let before = more;
            rest = more;
            string(&mut rest).unwrap();
            string(&mut rest).unwrap();
            payload.extend(&before[..before.len() - rest.len()]);
        }
        payload
    }

    #[test]
    fn what_was_written_has_a_number_and_a_count() {
        let long = [7; 20_000];
        let payload = batch(300, &[(b"12345678state", b"s"), (b"key", &long)]);
        assert_eq!(sequence(&payload), Some((300, 2)));
        for cut in 0..payload.len() {
            assert_eq!(sequence(&payload[..cut]), None, "{cut}");
        }
        assert_eq!(sequence(&batch(300, &[(b"key", b"value")])), None, "it has no state");
    }

    #[test]
    fn nothing_is_written_in_any_length_but_one() {
        for bytes in 0..1000 {
            match nothing(9, bytes) {
                Some(payload) => assert_eq!((payload.len(), sequence(&payload)), (bytes, Some((9, 0)))),
                None => assert!(bytes < 12 || bytes == 13, "{bytes}"),
            }
        }
    }
}
