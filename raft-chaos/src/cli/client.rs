//! `client`: what a person asks of running nodes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use raft_core::{ClusterId, NodeId};

use super::{Format, USAGE};
use crate::client::{self, Ask, Way};
use crate::plan::duration;
use crate::report;

#[derive(Debug, Args)]
#[command(after_help = client::EXIT_CODES)]
pub(super) struct ClientArgs {
    /// Where some of the servers listen; they name the others.
    #[arg(
        long,
        env = "RAFT_CLIENT_SERVERS",
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        global = true
    )]
    servers: Vec<String>,
    #[command(flatten)]
    manner: Manner,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    format: Format,
    #[command(subcommand)]
    ask: AskCommand,
}

/// How servers are asked.
#[derive(Debug, Args)]
pub(super) struct Manner {
    /// The number of their cluster.
    #[arg(long, env = "RAFT_CLIENT_CLUSTER", value_name = "N", default_value_t = 1, global = true)]
    cluster: u64,
    /// The certificate of the authority that made those of the cluster, as PEM.
    #[arg(long, env = "RAFT_CLIENT_TLS_CA", value_name = "FILE", global = true)]
    tls_ca: Option<PathBuf>,
    /// A client's certificate, with the name raft://CLUSTER/client/ROLE, as PEM.
    #[arg(long, env = "RAFT_CLIENT_TLS_CERT", value_name = "FILE", global = true)]
    tls_cert: Option<PathBuf>,
    /// Its key, as PEM.
    #[arg(long, env = "RAFT_CLIENT_TLS_KEY", value_name = "FILE", global = true)]
    tls_key: Option<PathBuf>,
    /// How long it may take.
    #[arg(long, value_name = "TIME", default_value = "5s", global = true)]
    timeout: String,
}

impl Manner {
    /// How long it may take.
    pub(super) fn timeout(&self) -> Result<Duration, String> {
        duration(&self.timeout).map_err(|why| format!("timeout: {why}"))
    }

    /// The way to these servers.
    pub(super) fn way(self, servers: Vec<String>) -> Result<Way, String> {
        let timeout = self.timeout()?;
        let tls = (self.tls_ca, self.tls_cert, self.tls_key);
        Ok(Way { servers, cluster: ClusterId(self.cluster), tls, timeout })
    }
}

#[derive(Debug, Subcommand)]
enum AskCommand {
    /// Print what is under a key.
    Get { key: String },
    /// Put a value under a key.
    Put { key: String, value: String },
    /// Put NEW under a key if OLD is there; with --absent, if nothing is.
    Cas {
        key: String,
        #[arg(value_name = "OLD> <NEW", num_args = 1..=2, required = true)]
        values: Vec<String>,
        /// Only if there is nothing: OLD is left out.
        #[arg(long)]
        absent: bool,
    },
    /// Put a value behind what is under a key.
    Append { key: String, value: String },
    /// Take away what is under a key.
    Delete { key: String },
    /// Say how all servers are.
    Status,
    /// Say who takes part, and where they listen.
    Members,
    /// Have a server that runs be sent the log. It does not vote.
    AddLearner { id: u64, address: String },
    /// Have a learner vote, as soon as it has caught up.
    Promote { id: u64 },
    /// Have a server take part no more. It may be stopped then.
    Remove { id: u64 },
    /// Have a server that runs vote in place of another one.
    Replace { old: u64, new: u64, address: String },
    /// Hand leadership over.
    Transfer { id: u64 },
    /// Have a server take a snapshot, and wait until it is there.
    Snapshot {
        /// Which [default: the leader].
        id: Option<u64>,
    },
}

impl AskCommand {
    fn ask(self) -> Result<Ask, String> {
        let id = NodeId::new;
        Ok(match self {
            Self::Get { key } => Ask::Get(key),
            Self::Put { key, value } => Ask::Put(key, value),
            Self::Cas { key, values, absent } => match (values.as_slice(), absent) {
                ([new], true) => Ask::Cas(key, None, new.clone()),
                ([old, new], false) => Ask::Cas(key, Some(old.clone()), new.clone()),
                (_, true) => return Err("cas: with --absent give only what is to be there".to_owned()),
                (_, false) => {
                    return Err("cas: give what is there and what is to be there, or --absent".to_owned());
                }
            },
            Self::Append { key, value } => Ask::Append(key, value),
            Self::Delete { key } => Ask::Delete(key),
            Self::Status => Ask::Status,
            Self::Members => Ask::Members,
            Self::AddLearner { id: new, address } => Ask::AddLearner(id(new), address),
            Self::Promote { id: learner } => Ask::Promote(id(learner)),
            Self::Remove { id: member } => Ask::Remove(id(member)),
            Self::Replace { old, new, address } => Ask::Replace(id(old), id(new), address),
            Self::Transfer { id: to } => Ask::Transfer(id(to)),
            Self::Snapshot { id: of } => Ask::Snapshot(of.map(id)),
        })
    }
}

/// Asks, says what came of it, and returns the exit code.
pub(super) fn client(args: ClientArgs) -> u8 {
    let json = matches!(args.format, Format::Json);
    let (way, ask) = match meant(args) {
        Ok(meant) => meant,
        Err(why) => {
            report::note(format_args!("raft-chaos: {why}"));
            return USAGE;
        }
    };
    let said = client::run(&way, &ask);
    if json {
        report::say(&said.json.to_string());
    } else if said.code == 0 {
        report::say(&said.words);
    } else {
        report::note(format_args!("raft-chaos: {}", said.words));
    }
    said.code
}

fn meant(args: ClientArgs) -> Result<(Way, Ask), String> {
    let ClientArgs { servers, manner, ask, .. } = args;
    if servers.is_empty() {
        return Err("servers: not given; give --servers HOST:PORT,... or RAFT_CLIENT_SERVERS".to_owned());
    }
    Ok((manner.way(servers)?, ask.ask()?))
}
