//! What becomes of a directory when its disk fails it: the power goes at any moment, calls are refused, bytes
//! change. On RocksDB's own files, by standing between RocksDB and the C library.

mod interposer;
mod life;
mod power_cut;
mod recorded;
