//! The numbers and payloads of a frame, one after the other.

use std::io;

use bytes::Bytes;
use raft_core::{EntryId, LogIndex, Term};
use rmp_serde::decode::ReadReader;
use rmp_serde::{Deserializer, Serializer};
use serde::{Deserialize, Serialize};

use crate::error::NetError;

/// Terms, indexes and offsets from here on are refused, so that nobody who adds to one has to think of overflow.
const NUMBER_LIMIT: u64 = 1 << 63;

/// A header that is being written.
pub(crate) struct Writer<W>(Serializer<W>);

impl<W: io::Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self(Serializer::new(out))
    }

    /// Appends an array.
    pub(crate) fn put(&mut self, numbers: impl Serialize) -> Result<(), NetError> {
        let why = "its numbers cannot be written";
        numbers.serialize(&mut self.0).map_err(|_| NetError::Malformed { frame: "header", why })
    }
}

/// What is left of a frame.
pub(crate) struct Reader<'a> {
    frame: &'static str,
    numbers: Deserializer<ReadReader<&'a [u8]>>,
    payloads: Bytes,
}

impl<'a> Reader<'a> {
    /// `frame` is the name of its kind.
    pub(crate) fn new(frame: &'static str, header: &'a [u8], payloads: Bytes) -> Self {
        Self { frame, numbers: Deserializer::new(header), payloads }
    }

    pub(crate) const fn malformed(&self, why: &'static str) -> NetError {
        NetError::Malformed { frame: self.frame, why }
    }

    /// The next array of the header.
    pub(crate) fn take<T: Deserialize<'a>>(&mut self) -> Result<T, NetError> {
        T::deserialize(&mut self.numbers)
            .map_err(|_| self.malformed("a number is missing, too large or none"))
    }

    /// How much of the header is left.
    pub(crate) fn header_bytes(&self) -> usize {
        self.numbers.get_ref().len()
    }

    /// A term, an index or an offset that can be added to.
    pub(crate) fn check(&self, number: u64) -> Result<u64, NetError> {
        if number < NUMBER_LIMIT {
            Ok(number)
        } else {
            Err(self.malformed("a term, index or offset is out of range"))
        }
    }

    pub(crate) fn entry_id(&self, term: u64, index: u64) -> Result<EntryId, NetError> {
        Ok(EntryId::new(Term::new(self.check(term)?), LogIndex::new(self.check(index)?)))
    }

    /// Yes or no; `why` says what is wrong with anything else.
    pub(crate) const fn flag(&self, number: u8, why: &'static str) -> Result<bool, NetError> {
        match number {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed(why)),
        }
    }

    /// The next payload.
    pub(crate) fn payload(&mut self, bytes: usize) -> Result<Bytes, NetError> {
        if bytes > self.payloads.len() {
            return Err(self.malformed("a payload is longer than the frame"));
        }
        Ok(self.payloads.split_to(bytes))
    }

    pub(crate) fn text(&mut self, bytes: usize) -> Result<String, NetError> {
        let text = self.payload(bytes)?;
        String::from_utf8(text.into()).map_err(|_| self.malformed("a text is not UTF-8"))
    }

    /// Nothing may be left over.
    pub(crate) fn finish(&self) -> Result<(), NetError> {
        if self.header_bytes() > 0 || !self.payloads.is_empty() {
            return Err(self.malformed("bytes are left over"));
        }
        Ok(())
    }
}
