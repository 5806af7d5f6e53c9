//! Sentences of the paper and of the thesis, each a test with its name: those about elections and reads.

mod bench;
mod leases;
mod paper;
mod reads;
mod thesis;
