//! raft-net.
