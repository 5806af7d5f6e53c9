//! Commands, queries and answers as values, and as the bytes that are replicated.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use rmp_serde::decode::Error::InvalidMarkerRead;
use rmp_serde::{Deserializer, Serializer};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};

/// Room for most commands and answers, so that few are moved while they are written.
const ROOM: usize = 128;

/// A value that is replicated as bytes. Whatever serde can write and read is one: as MessagePack, with the names of
/// fields, so that a later version may add one that has a default. Whoever has bytes of their own takes [`Raw`].
pub trait Coded: Sized + Send + 'static {
    /// As bytes.
    ///
    /// # Errors
    ///
    /// The value cannot be written so.
    fn encode(&self) -> Result<Bytes, CodecError>;

    /// From bytes.
    ///
    /// # Errors
    ///
    /// No value is written so.
    fn decode(bytes: Bytes) -> Result<Self, CodecError>;
}

/// Bytes that go as they are, and are not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Bytes);

/// Why a value and its bytes do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The type of the value.
    value: &'static str,
    why: String,
}

impl CodecError {
    fn new<T>(why: impl fmt::Display) -> Self {
        Self { value: std::any::type_name::<T>(), why: why.to_string() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.value, self.why)
    }
}

impl Error for CodecError {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Coded for T {
    fn encode(&self) -> Result<Bytes, CodecError> {
        let mut bytes = Vec::with_capacity(ROOM);
        self.serialize(&mut Serializer::new(&mut bytes).with_struct_map()).map_err(CodecError::new::<T>)?;
        Ok(bytes.into())
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let mut reader = Deserializer::from_read_ref(&bytes[..]);
        let value = T::deserialize(&mut reader).map_err(CodecError::new::<T>)?;
        // Whatever follows begins with a byte.
        match u8::deserialize(&mut reader) {
            Err(InvalidMarkerRead(_)) => Ok(value),
            Ok(_) | Err(_) => Err(CodecError::new::<T>("something is left over")),
        }
    }
}

impl Coded for Raw {
    fn encode(&self) -> Result<Bytes, CodecError> {
        Ok(self.0.clone())
    }

    fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Before {
        Put { key: String },
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum After {
        Put {
            key: String,
            #[serde(default)]
            value: u32,
        },
        Delete,
    }

    /// An entry of an earlier version is read by a later one, not the other way round where it says more.
    #[test]
    fn a_field_with_a_default_can_be_added() {
        let before = Before::Put { key: "k".into() }.encode().unwrap();
        assert_eq!(After::decode(before), Ok(After::Put { key: "k".into(), value: 0 }));
        assert!(Before::decode(After::Delete.encode().unwrap()).is_err());
    }

    #[test]
    fn every_byte_belongs_to_the_value() {
        let bytes = 7_u32.encode().unwrap();
        assert_eq!(u32::decode(bytes.clone()), Ok(7));
        for left in 0..=u8::MAX {
            let error = u32::decode([&bytes[..], &[left]].concat().into()).unwrap_err();
            assert_eq!(error.to_string(), "u32: something is left over", "{left:#x}");
        }
        assert!(u32::decode(Bytes::new()).is_err());
        assert_eq!(Raw::decode("as it is".into()).unwrap().encode().unwrap(), "as it is");
    }
}
