//! Sentences of the paper and of the thesis, each a test with its name: those about elections.

mod bench;
mod paper;
mod thesis;
