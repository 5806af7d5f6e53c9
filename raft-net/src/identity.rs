//! Who is at the other end of a connection, as far as the network proves it, and what that allows.
//!
//! A certificate says it by a name: `raft://CLUSTER/node/ID` for a server, `raft://CLUSTER/client/ROLE` for a client,
//! where ROLE is `read`, `write` or `admin`; CLUSTER and ID are the numbers.

use std::error::Error;
use std::fmt;

use raft_core::{ClusterId, NodeId};

use crate::client::Ask;

/// What a network proves of one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nothing: whoever says who he is, is believed.
    Unproved,
    /// A server.
    Node {
        /// Of which cluster.
        cluster: ClusterId,
        /// Which.
        id: NodeId,
    },
    /// A client.
    Client {
        /// Of which cluster.
        cluster: ClusterId,
        /// What it may ask.
        role: Role,
    },
    /// Nobody of a cluster.
    Nobody {
        /// Why, in words.
        why: String,
    },
}

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// To read, and how servers are.
    Read,
    /// To read and to propose.
    Write,
    /// All that clients can.
    Admin,
}

impl Identity {
    /// What a name says, if it is one of ours.
    #[cfg(any(feature = "tls", test))]
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix("raft://")?.split('/');
        let cluster = ClusterId(words.next()?.parse().ok()?);
        let identity = match (words.next()?, words.next()?) {
            ("node", id) => Self::Node { cluster, id: NodeId::new(id.parse().ok()?) },
            ("client", "read") => Self::Client { cluster, role: Role::Read },
            ("client", "write") => Self::Client { cluster, role: Role::Write },
            ("client", "admin") => Self::Client { cluster, role: Role::Admin },
            _ => return None,
        };
        words.next().is_none().then_some(identity)
    }

    /// Why this is not the server `node` of that cluster, or not a client of it where no server is named: a server that
    /// joins asks others as a client, before it is one of them.
    pub(crate) fn refusal(&self, cluster: ClusterId, node: Option<NodeId>) -> Option<String> {
        let fits = match self {
            Self::Unproved => true,
            Self::Node { cluster: of, id } => *of == cluster && node.is_none_or(|node| node == *id),
            Self::Client { cluster: of, .. } => (*of, None) == (cluster, node),
            Self::Nobody { .. } => false,
        };
        let wanted = match node {
            Some(id) => format!("{id} of {cluster}"),
            None => format!("a client of {cluster}"),
        };
        (!fits).then(|| format!("the certificate is that of {self}, not of {wanted}"))
    }

    /// Why this may not ask that.
    pub(crate) fn may_not(&self, ask: Ask) -> Option<String> {
        match (self, ask) {
            (Self::Client { role: Role::Read, .. }, Ask::Apply) => {
                Some(format!("{self} may not write: its role is only to read"))
            }
            (Self::Client { role: role @ (Role::Read | Role::Write), .. }, Ask::Order) => {
                Some(format!("{self} may not give orders: its role is only to {role}"))
            }
            (Self::Node { .. }, Ask::Apply | Ask::Read | Ask::Order) => {
                Some(format!("{self} may only ask how servers are: take the certificate of a client"))
            }
            _ => None,
        }
    }

    /// Why this may not send a command that only an operator may.
    pub(crate) fn is_no_admin(&self) -> Option<String> {
        let may_not = || {
            Some(format!(
                "{self} may not send this command, which is for all: that takes the role {}",
                Role::Admin
            ))
        };
        match self {
            Self::Client { role: Role::Read | Role::Write, .. } => may_not(),
            Self::Client { role: Role::Admin, .. } | Self::Unproved => None,
            Self::Node { .. } | Self::Nobody { .. } => may_not(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproved => write!(f, "anybody"),
            Self::Node { cluster, id } => write!(f, "{id} of {cluster}"),
            Self::Client { cluster, role } => write!(f, "a client of {cluster} with the role {role}"),
            Self::Nobody { why } => write!(f, "nobody: {why}"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// Why a stream could not be secured: inside of the error that it fails with.
#[derive(Clone, Debug)]
pub(crate) struct Insecure(pub(crate) String);

impl fmt::Display for Insecure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Insecure {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: a name, and what it says.
    #[test]
    fn names_say_who_somebody_is() {
        let cluster = ClusterId(7);
        for (name, identity) in [
            ("raft://7/node/3", Some(Identity::Node { cluster, id: NodeId::new(3) })),
            ("raft://7/client/read", Some(Identity::Client { cluster, role: Role::Read })),
            ("raft://7/client/admin", Some(Identity::Client { cluster, role: Role::Admin })),
            ("raft://7/client/root", None),
            ("raft://7/node/3/4", None),
            ("raft://7/node", None),
            ("raft://seven/node/3", None),
            ("https://7/node/3", None),
        ] {
            assert_eq!(Identity::named(name), identity, "{name}");
        }
    }

    #[test]
    fn who_may_be_whom_and_ask_what() {
        let (cluster, other) = (ClusterId(7), ClusterId(8));
        let node = Identity::Node { cluster, id: NodeId::new(3) };
        let client = Identity::Client { cluster, role: Role::Read };
        let nobody = Identity::Nobody { why: "no name".into() };
        for (identity, cluster, party, fits) in [
            (&node, cluster, Some(NodeId::new(3)), true),
            (&node, cluster, Some(NodeId::new(4)), false),
            (&node, other, Some(NodeId::new(3)), false),
            (&node, cluster, None, true),
            (&node, other, None, false),
            (&client, cluster, None, true),
            (&client, other, None, false),
            (&client, cluster, Some(NodeId::new(3)), false),
            (&nobody, cluster, None, false),
            (&Identity::Unproved, cluster, None, true),
        ] {
            assert_eq!(identity.refusal(cluster, party).is_none(), fits, "{identity}, {cluster}, {party:?}");
        }
        let (write, admin) = (Role::Write, Role::Admin);
        for (identity, may) in [
            (&client, [true, false, true, false]),
            (&Identity::Client { cluster, role: write }, [true, true, true, false]),
            (&Identity::Client { cluster, role: admin }, [true; 4]),
            (&node, [false, false, true, false]),
            (&Identity::Unproved, [true; 4]),
        ] {
            let asked = [Ask::Read, Ask::Apply, Ask::Report, Ask::Order];
            assert_eq!(asked.map(|ask| identity.may_not(ask).is_none()), may, "{identity}");
        }
    }

    #[test]
    fn only_an_admin_sends_the_commands_of_an_operator() {
        let cluster = ClusterId(7);
        let client = |role| Identity::Client { cluster, role };
        for (identity, may) in [
            (client(Role::Read), false),
            (client(Role::Write), false),
            (client(Role::Admin), true),
            (Identity::Node { cluster, id: NodeId::new(3) }, false),
            (Identity::Nobody { why: "no name".into() }, false),
            (Identity::Unproved, true),
        ] {
            assert_eq!(identity.is_no_admin().is_none(), may, "{identity}");
        }
    }
}
