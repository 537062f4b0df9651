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
pub(super) const fn keys(first: i32, last: i32, step: i32, flags: &[KeyFlags]) -> KeySpec {
    key_spec(BeginSearch::Index(first), last, step, flags)
}

/// Keys that follow the word `keyword`.
pub(super) const fn keys_after(
    keyword: &'static str,
    start_from: i32,
    last: i32,
    step: i32,
    flags: &[KeyFlags],
) -> KeySpec {
    key_spec(
        BeginSearch::Keyword {
            keyword,
            start_from,
        },
        last,
        step,
        flags,
    )
}

const fn key_spec(begin: BeginSearch, last_key: i32, key_step: i32, flags: &[KeyFlags]) -> KeySpec {
    let mut union = KeyFlags::empty();
    let mut at = 0;
    while at < flags.len() {
        union = union.union(flags[at]);
        at += 1;
    }
    KeySpec {
        flags: union,
        begin,
        find: FindKeys::Range { last_key, key_step },
    }
}

impl CommandSpec {
    pub(super) const fn in_group(mut self, group: Group, since: &'static str) -> Self {
        self.group = group;
        self.since = since;
        self
    }

    /// Sets the flags, and with them the ACL categories that they imply, as `setImplicitACLCategories`
    /// in Redis' `acl.c` does.
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
