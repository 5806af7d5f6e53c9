//! raft-storage.
