//! How the rows of the table are written: a builder that runs at compile time.

use crate::command::{
    AclCategories, CommandFlags, CommandId, CommandSpec, Deprecation, Group, Handler, ReadHandler,
    WriteHandler,
};
use crate::key_spec::{BeginSearch, FindKeys, KeyFlags, KeySpec, legacy_range};

/// Begins the row of a command.
pub(super) const fn command(id: u16, name: &'static str, arity: i32) -> CommandSpec {
    subcommand(id, "", name, arity)
}

/// Begins the row of a subcommand. The arity counts the container's name, too.
pub(super) const fn subcommand(
    id: u16,
    container: &'static str,
    name: &'static str,
    arity: i32,
) -> CommandSpec {
    CommandSpec {
        name,
        container,
        id: CommandId(id),
        arity,
        flags: CommandFlags::empty(),
        key_specs: &[],
        first_key: 0,
        last_key: 0,
        key_step: 0,
        group: Group::Generic,
        since: "",
        deprecation: None,
        complexity: "",
        summary: "",
        acl: AclCategories::SLOW,
        tips: &[],
        subcommands: &[],
        arguments: "",
        handler: Handler::Session,
        refusal: None,
    }
}

/// Keys that begin at `first`; `last` is counted from there, or from the end when negative.
pub(super) const fn keys(first: i32, last: i32, step: i32, flags: KeyFlags) -> KeySpec {
    KeySpec {
        flags,
        notes: None,
        begin: BeginSearch::Index(first),
        find: FindKeys::Range {
            last_key: last,
            key_step: step,
        },
    }
}

/// The same keys with a note for people.
pub(super) const fn noted(mut key_spec: KeySpec, notes: &'static str) -> KeySpec {
    key_spec.notes = Some(notes);
    key_spec
}

/// Keys that follow the word `keyword`, which is looked for from `start_from` on.
pub(super) const fn keys_after(
    keyword: &'static str,
    start_from: i32,
    last: i32,
    step: i32,
    flags: KeyFlags,
) -> KeySpec {
    KeySpec {
        flags,
        notes: None,
        begin: BeginSearch::Keyword {
            keyword,
            start_from,
        },
        find: FindKeys::Range {
            last_key: last,
            key_step: step,
        },
    }
}

/// The flags under short names, so that a row stays readable.
pub(super) mod flag {
    use crate::command::CommandFlags;

    pub(in crate::table) const WRITE: CommandFlags = CommandFlags::WRITE;
    pub(in crate::table) const READONLY: CommandFlags = CommandFlags::READONLY;
    pub(in crate::table) const DENYOOM: CommandFlags = CommandFlags::DENYOOM;
    pub(in crate::table) const ADMIN: CommandFlags = CommandFlags::ADMIN;
    pub(in crate::table) const PUBSUB: CommandFlags = CommandFlags::PUBSUB;
    pub(in crate::table) const NOSCRIPT: CommandFlags = CommandFlags::NOSCRIPT;
    pub(in crate::table) const LOADING: CommandFlags = CommandFlags::LOADING;
    pub(in crate::table) const STALE: CommandFlags = CommandFlags::STALE;
    pub(in crate::table) const SKIP_SLOWLOG: CommandFlags = CommandFlags::SKIP_SLOWLOG;
    pub(in crate::table) const FAST: CommandFlags = CommandFlags::FAST;
    pub(in crate::table) const NO_AUTH: CommandFlags = CommandFlags::NO_AUTH;
    pub(in crate::table) const NO_ASYNC_LOADING: CommandFlags = CommandFlags::NO_ASYNC_LOADING;
    pub(in crate::table) const NO_MULTI: CommandFlags = CommandFlags::NO_MULTI;
    pub(in crate::table) const MOVABLEKEYS: CommandFlags = CommandFlags::MOVABLEKEYS;
    pub(in crate::table) const ALLOW_BUSY: CommandFlags = CommandFlags::ALLOW_BUSY;
}

/// The ACL categories that no flag implies.
pub(super) mod category {
    use crate::command::AclCategories;

    pub(in crate::table) const KEYSPACE: AclCategories = AclCategories::KEYSPACE;
    pub(in crate::table) const STRING: AclCategories = AclCategories::STRING;
    pub(in crate::table) const CONNECTION: AclCategories = AclCategories::CONNECTION;
    pub(in crate::table) const TRANSACTION: AclCategories = AclCategories::TRANSACTION;
    pub(in crate::table) const SCRIPTING: AclCategories = AclCategories::SCRIPTING;
    pub(in crate::table) const DANGEROUS: AclCategories = AclCategories::DANGEROUS;
    pub(in crate::table) const ADMIN: AclCategories = AclCategories::ADMIN;
}

/// What commands do with their keys: the combinations of flags that occur.
pub(super) mod access {
    use crate::key_spec::KeyFlags;

    /// Looks at the key, and not at the data in it.
    pub(in crate::table) const INSPECT: KeyFlags = KeyFlags::RO;
    /// Shows data to the client.
    pub(in crate::table) const READ: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
    /// Changes data, and shows some of it.
    pub(in crate::table) const MODIFY: KeyFlags =
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
    /// SET: anything from overwriting to comparing, depending on the options.
    pub(in crate::table) const SET: KeyFlags = MODIFY.union(KeyFlags::VARIABLE_FLAGS);
    /// Changes data, and shows none of it.
    pub(in crate::table) const ALTER: KeyFlags = KeyFlags::RW.union(KeyFlags::UPDATE);
    /// Adds data to what is there.
    pub(in crate::table) const EXTEND: KeyFlags = KeyFlags::RW.union(KeyFlags::INSERT);
    /// Replaces whatever is there.
    pub(in crate::table) const OVERWRITE: KeyFlags = KeyFlags::OW.union(KeyFlags::UPDATE);
    /// Creates the key, and leaves one that exists alone.
    pub(in crate::table) const CREATE: KeyFlags = KeyFlags::OW.union(KeyFlags::INSERT);
    /// Deletes the key unseen.
    pub(in crate::table) const REMOVE: KeyFlags = KeyFlags::RM.union(KeyFlags::DELETE);
    /// Shows the data, and deletes the key.
    pub(in crate::table) const TAKE: KeyFlags =
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
    /// Like [`TAKE`], of some of the keys.
    pub(in crate::table) const TAKE_SOME: KeyFlags = TAKE.union(KeyFlags::INCOMPLETE);
    /// Is a shard channel, routed like a key.
    pub(in crate::table) const CHANNEL: KeyFlags = KeyFlags::NOT_KEY;
}

impl CommandSpec {
    pub(super) const fn in_group(mut self, group: Group, since: &'static str) -> Self {
        self.group = group;
        self.since = since;
        self
    }

    /// Sets the flags, and with them the ACL categories that they imply, as Redis'
    /// `setImplicitACLCategories` does.
    pub(super) const fn flags(mut self, flags: &[CommandFlags]) -> Self {
        let mut at = 0;
        while at < flags.len() {
            self.flags = self.flags.union(flags[at]);
            at += 1;
        }
        if self.flags.contains(CommandFlags::WRITE) {
            self.acl = self.acl.union(AclCategories::WRITE);
        }
        if self.flags.contains(CommandFlags::READONLY) {
            self.acl = self.acl.union(AclCategories::READ);
        }
        if self.flags.contains(CommandFlags::ADMIN) {
            self.acl = self
                .acl
                .union(AclCategories::ADMIN)
                .union(AclCategories::DANGEROUS);
        }
        if self.flags.contains(CommandFlags::PUBSUB) {
            self.acl = self.acl.union(AclCategories::PUBSUB);
        }
        if self.flags.contains(CommandFlags::FAST) {
            self.acl = self
                .acl
                .union(AclCategories::FAST)
                .difference(AclCategories::SLOW);
        }
        if self.flags.contains(CommandFlags::BLOCKING) {
            self.acl = self.acl.union(AclCategories::BLOCKING);
        }
        self
    }

    /// Adds the ACL categories that the flags do not imply.
    pub(super) const fn categories(mut self, categories: &[AclCategories]) -> Self {
        let mut at = 0;
        while at < categories.len() {
            self.acl = self.acl.union(categories[at]);
            at += 1;
        }
        self
    }

    pub(super) const fn keys(mut self, key_specs: &'static [KeySpec]) -> Self {
        (self.first_key, self.last_key, self.key_step) = legacy_range(key_specs);
        self.key_specs = key_specs;
        self
    }

    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(super) const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Self {
        self.deprecation = Some(Deprecation { since, instead });
        self
    }

    pub(super) const fn docs(
        mut self,
        summary: &'static str,
        complexity: &'static str,
        arguments: &'static str,
    ) -> Self {
        self.summary = summary;
        self.complexity = complexity;
        self.arguments = arguments;
        self
    }

    pub(super) const fn reads(mut self, handler: ReadHandler) -> Self {
        self.handler = Handler::Read(handler);
        self
    }

    pub(super) const fn writes(mut self, handler: WriteHandler) -> Self {
        self.handler = Handler::Write(handler);
        self
    }

    /// Marks a command of Redis that makes no sense here. `reason` says why and what to do instead.
    pub(super) const fn refused(mut self, reason: &'static str) -> Self {
        self.refusal = Some(reason);
        self
    }

    pub(super) const fn subcommands(mut self, subcommands: &'static [CommandSpec]) -> Self {
        self.subcommands = subcommands;
        self
    }
}
