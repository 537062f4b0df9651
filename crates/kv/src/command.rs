//! What a command is: the row of the command table.
//!
//! One row says everything anybody needs to know about a command: how to check it (arity), where
//! its keys are, what it may do (flags, ACL categories), how to describe it (COMMAND DOCS, hints of
//! the prompt, the README), and how to execute it. The rows themselves are in [`crate::table`].

use std::borrow::Cow;
use std::fmt;

use bitflags::bitflags;
use resp::Encoder;

use crate::context::{ReadContext, WriteContext};
use crate::key_spec::KeySpec;

/// The number a command has on disk and between nodes.
///
/// Part of the log format: a number is given once, never reused, never changed, also when a command
/// is withdrawn, because logs of older versions are replayed by newer ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(pub u16);

impl fmt::Display for CommandId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

bitflags! {
    /// What a command may do and where it may run: the flags that Redis lists in COMMAND INFO.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct CommandFlags: u32 {
        /// Changes the data set: goes through the log.
        const WRITE = 1 << 0;
        /// Reads keys and changes nothing.
        const READONLY = 1 << 1;
        /// Makes the data set larger: refused when memory or disk is short.
        const DENYOOM = 1 << 2;
        /// Administers the server.
        const ADMIN = 1 << 3;
        /// Belongs to publish/subscribe.
        const PUBSUB = 1 << 4;
        /// May not be called from a script.
        const NOSCRIPT = 1 << 5;
        /// May block the client.
        const BLOCKING = 1 << 6;
        /// Is served while the data set is being loaded.
        const LOADING = 1 << 7;
        /// Is served by a replica with old data.
        const STALE = 1 << 8;
        /// Is not shown to MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Is not put into the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Is accepted for a slot that is being imported.
        const ASKING = 1 << 11;
        /// Takes constant or logarithmic time.
        const FAST = 1 << 12;
        /// Is served before authentication.
        const NO_AUTH = 1 << 13;
        /// Is not a write by itself but can cause one.
        const MAY_REPLICATE = 1 << 14;
        /// Has keys, and may be called without any.
        const NO_MANDATORY_KEYS = 1 << 15;
        /// Is refused while the data set is replaced.
        const NO_ASYNC_LOADING = 1 << 16;
        /// May not be queued in a transaction.
        const NO_MULTI = 1 << 17;
        /// Has keys whose places depend on other arguments.
        const MOVABLEKEYS = 1 << 18;
        /// Is served while a script has run for too long.
        const ALLOW_BUSY = 1 << 19;
    }
}

impl CommandFlags {
    /// The names that COMMAND INFO replies, in the order in which Redis lists them.
    pub fn redis_names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [(CommandFlags, &str); 20] = [
            (CommandFlags::WRITE, "write"),
            (CommandFlags::READONLY, "readonly"),
            (CommandFlags::DENYOOM, "denyoom"),
            (CommandFlags::ADMIN, "admin"),
            (CommandFlags::PUBSUB, "pubsub"),
            (CommandFlags::NOSCRIPT, "noscript"),
            (CommandFlags::BLOCKING, "blocking"),
            (CommandFlags::LOADING, "loading"),
            (CommandFlags::STALE, "stale"),
            (CommandFlags::SKIP_MONITOR, "skip_monitor"),
            (CommandFlags::SKIP_SLOWLOG, "skip_slowlog"),
            (CommandFlags::ASKING, "asking"),
            (CommandFlags::FAST, "fast"),
            (CommandFlags::NO_AUTH, "no_auth"),
            (CommandFlags::MAY_REPLICATE, "may_replicate"),
            (CommandFlags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
            (CommandFlags::NO_ASYNC_LOADING, "no_async_loading"),
            (CommandFlags::NO_MULTI, "no_multi"),
            (CommandFlags::MOVABLEKEYS, "movablekeys"),
            (CommandFlags::ALLOW_BUSY, "allow_busy"),
        ];
        NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }
}

bitflags! {
    /// The ACL categories of Redis 7.0 (`ACL CAT`), in the order of that reply.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct AclCategories: u32 {
        /// `@keyspace`
        const KEYSPACE = 1 << 0;
        /// `@read`
        const READ = 1 << 1;
        /// `@write`
        const WRITE = 1 << 2;
        /// `@set`
        const SET = 1 << 3;
        /// `@sortedset`
        const SORTEDSET = 1 << 4;
        /// `@list`
        const LIST = 1 << 5;
        /// `@hash`
        const HASH = 1 << 6;
        /// `@string`
        const STRING = 1 << 7;
        /// `@bitmap`
        const BITMAP = 1 << 8;
        /// `@hyperloglog`
        const HYPERLOGLOG = 1 << 9;
        /// `@geo`
        const GEO = 1 << 10;
        /// `@stream`
        const STREAM = 1 << 11;
        /// `@pubsub`
        const PUBSUB = 1 << 12;
        /// `@admin`
        const ADMIN = 1 << 13;
        /// `@fast`
        const FAST = 1 << 14;
        /// `@slow`
        const SLOW = 1 << 15;
        /// `@blocking`
        const BLOCKING = 1 << 16;
        /// `@dangerous`
        const DANGEROUS = 1 << 17;
        /// `@connection`
        const CONNECTION = 1 << 18;
        /// `@transaction`
        const TRANSACTION = 1 << 19;
        /// `@scripting`
        const SCRIPTING = 1 << 20;
    }
}

impl AclCategories {
    /// The names of `ACL CAT`, without the `@`, by bit.
    pub const NAMES: [&'static str; 21] = [
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
    ];

    /// The names of the categories in this set, without the `@`.
    pub fn redis_names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.bits() & (1 << bit) != 0)
            .map(|(_, name)| name)
    }

    /// The category of a name without the `@`, in any case.
    pub fn by_redis_name(name: &[u8]) -> Option<AclCategories> {
        let bit = Self::NAMES
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known.as_bytes()))?;
        Some(AclCategories::from_bits_retain(1 << bit))
    }
}

/// The family of a command, as COMMAND DOCS names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Publish/subscribe.
    PubSub,
    /// MULTI, EXEC, WATCH.
    Transactions,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// Scripts and functions.
    Scripting,
    /// HyperLogLog.
    HyperLogLog,
    /// The cluster.
    Cluster,
    /// Geospatial indexes.
    Geo,
    /// Streams.
    Stream,
    /// Bitmaps.
    Bitmap,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn redis_name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

/// The function of a command that only reads the data set.
pub type ReadHandler = fn(&ReadContext<'_>, &[&[u8]], &mut Encoder<'_>);

/// The function of a command that goes through the log.
pub type WriteHandler = fn(&mut WriteContext<'_>, &[&[u8]], &mut Encoder<'_>);

/// Who executes a command.
///
/// Handlers get the arguments with the name (of the container, then of the subcommand) in front, as
/// they were typed, and rely on arity having been checked.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Executed on the data set at a point of the log that a read index confirmed.
    Read(ReadHandler),
    /// Executed on every replica when its entry is applied.
    Write(WriteHandler),
    /// Executed by the session layer: it concerns the connection, the node or the cluster. Also the
    /// handler of a container, whose subcommands carry their own.
    Session,
}

/// One row of the command table.
#[derive(Debug)]
pub struct CommandSpec {
    /// The name in lower case; of a subcommand the part after the container's name.
    pub name: &'static str,
    /// The name of the container when this is a subcommand, else empty.
    pub container: &'static str,
    /// The number on disk.
    pub id: CommandId,
    /// The exact number of arguments with the name, or minus the least number.
    pub arity: i32,
    /// What the command may do.
    pub flags: CommandFlags,
    /// Where the keys are and what happens to them.
    pub key_specs: &'static [KeySpec],
    /// The place of the first key, 0 when there is none. This and the next two are computed from
    /// `key_specs`, for clients that do not know those.
    pub first_key: i32,
    /// The place of the last key; negative counts from the end.
    pub last_key: i32,
    /// The distance between keys.
    pub key_step: i32,
    /// The family.
    pub group: Group,
    /// The Redis version that brought the command.
    pub since: &'static str,
    /// Since when another command is to be used instead.
    pub deprecation: Option<Deprecation>,
    /// How the cost grows, for COMMAND DOCS.
    pub complexity: &'static str,
    /// What the command does, in one line.
    pub summary: &'static str,
    /// The ACL categories.
    pub acl: AclCategories,
    /// Hints for proxies and cluster clients, as COMMAND INFO lists them.
    pub tips: &'static [&'static str],
    /// The subcommands of a container.
    pub subcommands: &'static [CommandSpec],
    /// The syntax of what follows the name, for hints, such as `key value [NX | XX]`.
    pub arguments: &'static str,
    /// Who executes it.
    pub handler: Handler,
    /// For a command of Redis that makes no sense here: why, and what to do instead. The session
    /// layer answers with [`error_text::refused`](crate::error_text::refused).
    pub refusal: Option<&'static str>,
}

/// What to use instead of a deprecated command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deprecation {
    /// The Redis version that deprecated the command.
    pub since: &'static str,
    /// What replaces it.
    pub instead: &'static str,
}

impl CommandSpec {
    /// The name by which errors, ACLs and COMMAND INFO call it: `get`, `config|set`.
    pub fn full_name(&self) -> Cow<'static, str> {
        match self.container {
            "" => Cow::Borrowed(self.name),
            container => Cow::Owned(format!("{container}|{}", self.name)),
        }
    }

    /// Whether a request with this many arguments, the name (and that of the container, in front of
    /// a subcommand) among them, passes the arity check.
    pub fn accepts_argument_count(&self, argument_count: usize) -> bool {
        let count = i64::try_from(argument_count).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity >= 0 {
            count == arity
        } else {
            count >= -arity
        }
    }

    /// Whether the command goes through the log.
    pub fn is_write(&self) -> bool {
        matches!(self.handler, Handler::Write(_))
    }
}
