//! What commands see of the store, and what they change in it.

use std::fmt;

use rocksdb::{ColumnFamily, DBRawIterator, WriteBatch};

use super::data::Data;
use crate::error::StorageError;

/// The keys and values as the commands before this one have left them.
pub struct View<'a> {
    data: &'a Data,
}

impl<'a> View<'a> {
    pub(super) const fn new(data: &'a Data) -> Self {
        Self { data }
    }

    /// The value of a key; none if it has none.
    ///
    /// # Errors
    ///
    /// The disk refused, or what it holds is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.data.get(key)
    }

    /// The keys from `first` on, in order, with their values.
    ///
    /// # Errors
    ///
    /// The store is damaged; what is wrong with a record comes when it is read.
    pub fn from(&self, first: &[u8]) -> Result<Range<'a>, StorageError> {
        let mut found = self.data.iterator()?;
        found.seek(first);
        Ok(Range { data: self.data, found: Some(found) })
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// Keys in order, with their values. After an error nothing more comes.
pub struct Range<'a> {
    data: &'a Data,
    /// None behind the last one, or an error.
    found: Option<DBRawIterator<'a>>,
}

impl Iterator for Range<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.found.as_mut()?;
        if let Some((key, value)) = found.item() {
            let item = (key.to_vec(), value.to_vec());
            found.next();
            return Some(Ok(item));
        }
        let ended = self.found.take()?;
        ended.status().map_err(self.data.unread("reading a state machine")).err().map(Err)
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

/// What one command changes. A later change of the same key counts.
pub struct Changes<'a> {
    family: &'a ColumnFamily,
    batch: &'a mut WriteBatch,
}

impl<'a> Changes<'a> {
    pub(super) fn new(data: &'a Data, batch: &'a mut WriteBatch) -> Result<Self, StorageError> {
        Ok(Self { family: data.data()?, batch })
    }

    /// The key has this value from now on.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.family, key, value);
    }

    /// The key has no value from now on.
    pub fn delete(&mut self, key: &[u8]) {
        self.batch.delete_cf(self.family, key);
    }
}

impl fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("bytes", &self.batch.size_in_bytes()).finish_non_exhaustive()
    }
}
