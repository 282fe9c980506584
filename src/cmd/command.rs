//! One command's entry: everything there is to know about it, said once.
//!
//! Arity checks, COMMAND and COMMAND DOCS, key extraction, ACL categories, and the rules of MULTI and scripts are computed from these
//! entries. `table` looks them up by name; where the entries are listed is the business of `cmd::GROUPS`.

use super::args::Args;
use super::error::Done;
use super::keyspec::FindKeys;
use crate::db::{Edit, View};
use crate::resp::reply::Reply;
use crate::resp::request::Request;
use crate::server::{Server, SessionId};

/// A command, or a subcommand inside `Run::Parent`.
pub struct Command {
    /// In capitals.
    pub name: &'static str,
    /// Arguments counted with the command's name (and its parent's); negative: at least that many.
    pub arity: i32,
    pub run: Run,
    pub flags: &'static [Flag],
    pub keys: &'static [KeySpec],
    pub channels: Channels,
    pub group: Group,
    pub since: &'static str,
    /// Time complexity, in words.
    pub cost: &'static str,
    /// The syntax behind the name, in the notation of the command pages; COMMAND DOCS parses it.
    pub usage: &'static str,
    pub summary: &'static str,
    /// Categories beyond those that flags and group imply.
    pub categories: &'static [Category],
    /// Hints for clients, as `COMMAND INFO` lists them.
    pub tips: &'static [&'static str],
    /// Finds the keys where the specifications cannot say it all (`keyspec`).
    pub find_keys: Option<FindKeys>,
    /// Index of the argument with the first field or member that it looks for in its one key; 0 where there is none. It is fetched ahead.
    pub element: usize,
    /// Says of an argument's index whether it is a secret, which MONITOR and SLOWLOG must not show.
    pub secret: Option<fn(Request, usize) -> bool>,
    pub deprecated: Option<Deprecated>,
    /// Not meant for applications.
    pub is_internal: bool,
}

/// Since when a command is not to be used any more, and what is to be used instead.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    pub since: &'static str,
    pub instead: &'static str,
}

/// What entries leave at its usual value: `Command { name: …, ..COMMAND }`.
pub const COMMAND: Command = Command {
    name: "",
    arity: 0,
    run: Run::Parent(&[]),
    flags: &[],
    keys: &[],
    channels: Channels::None,
    group: Group::Generic,
    since: "1.0.0",
    cost: "O(1)",
    usage: "",
    summary: "",
    categories: &[],
    tips: &[],
    find_keys: None,
    element: 0,
    secret: None,
    deprecated: None,
    is_internal: false,
};

/// The handler; its type says what it may touch.
pub enum Run {
    /// Reads the keyspace and can do nothing else.
    Read(fn(&View, &mut Args, &mut Reply) -> Done),
    /// Changes the keyspace through an `Edit`, which makes the change known.
    Write(fn(&mut Edit, &mut Args, &mut Reply) -> Done),
    /// Works on the server and on sessions.
    Server(fn(&mut Server, SessionId, &mut Args, &mut Reply) -> Done),
    /// Has subcommands, which do the work.
    Parent(&'static [Command]),
    /// Has subcommands, and does something without one too.
    ParentAndServer(&'static [Command], fn(&mut Server, SessionId, &mut Args, &mut Reply) -> Done),
}

/// Redis's command flags, except READONLY and WRITE, which `Run` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Flag {
    DenyOom,
    Admin,
    Pubsub,
    Noscript,
    Blocking,
    Loading,
    Stale,
    SkipMonitor,
    SkipSlowlog,
    Asking,
    Fast,
    NoAuth,
    MayReplicate,
    NoMandatoryKeys,
    NoAsyncLoading,
    NoMulti,
    MovableKeys,
    AllowBusy,
    /// Closed unless a directive opens it: `enable-debug-command`, `enable-module-command`.
    Protected,
    /// Says WRITE of a `Server` command that changes the keyspace (FLUSHALL and the like).
    Write,
    /// Says READONLY of a `Server` command that reads the keyspace, and of a `Write` one that changes nothing but what it has worked out
    /// and kept (PFCOUNT).
    Readonly,
}

impl Flag {
    /// All flags with the names clients know, in the order in which they are listed. Redis keeps `MayReplicate` and `Protected` to itself.
    pub const NAMES: [(Flag, &'static str); 19] = [
        (Flag::Write, "write"),
        (Flag::Readonly, "readonly"),
        (Flag::DenyOom, "denyoom"),
        (Flag::Admin, "admin"),
        (Flag::Pubsub, "pubsub"),
        (Flag::Noscript, "noscript"),
        (Flag::Blocking, "blocking"),
        (Flag::Loading, "loading"),
        (Flag::Stale, "stale"),
        (Flag::SkipMonitor, "skip_monitor"),
        (Flag::SkipSlowlog, "skip_slowlog"),
        (Flag::Asking, "asking"),
        (Flag::Fast, "fast"),
        (Flag::NoAuth, "no_auth"),
        (Flag::NoMandatoryKeys, "no_mandatory_keys"),
        (Flag::NoAsyncLoading, "no_async_loading"),
        (Flag::NoMulti, "no_multi"),
        (Flag::MovableKeys, "movablekeys"),
        (Flag::AllowBusy, "allow_busy"),
    ];
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Generic,
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Pubsub,
    Transactions,
    Connection,
    Server,
    Scripting,
    Hyperloglog,
    Cluster,
    Geo,
    Stream,
    Bitmap,
}

impl Group {
    /// The name COMMAND DOCS and the README use.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::Hyperloglog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
        }
    }
}

/// ACL categories, in the order in which `ACL CAT` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Category {
    Keyspace,
    Read,
    Write,
    Set,
    SortedSet,
    List,
    Hash,
    String,
    Bitmap,
    Hyperloglog,
    Geo,
    Stream,
    Pubsub,
    Admin,
    Fast,
    Slow,
    Blocking,
    Dangerous,
    Connection,
    Transaction,
    Scripting,
}

impl Category {
    pub const ALL: [Category; 21] = [
        Category::Keyspace,
        Category::Read,
        Category::Write,
        Category::Set,
        Category::SortedSet,
        Category::List,
        Category::Hash,
        Category::String,
        Category::Bitmap,
        Category::Hyperloglog,
        Category::Geo,
        Category::Stream,
        Category::Pubsub,
        Category::Admin,
        Category::Fast,
        Category::Slow,
        Category::Blocking,
        Category::Dangerous,
        Category::Connection,
        Category::Transaction,
        Category::Scripting,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Category::Keyspace => "keyspace",
            Category::Read => "read",
            Category::Write => "write",
            Category::Set => "set",
            Category::SortedSet => "sortedset",
            Category::List => "list",
            Category::Hash => "hash",
            Category::String => "string",
            Category::Bitmap => "bitmap",
            Category::Hyperloglog => "hyperloglog",
            Category::Geo => "geo",
            Category::Stream => "stream",
            Category::Pubsub => "pubsub",
            Category::Admin => "admin",
            Category::Fast => "fast",
            Category::Slow => "slow",
            Category::Blocking => "blocking",
            Category::Dangerous => "dangerous",
            Category::Connection => "connection",
            Category::Transaction => "transaction",
            Category::Scripting => "scripting",
        }
    }
}

/// Which arguments are channels that ACL rules must allow. Who stops listening is not asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    None,
    /// The first.
    First,
    /// All.
    All,
    /// All are patterns of channels.
    Patterns,
}

/// Where some of a command's keys are, and what is done with them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    pub begin: Begin,
    pub find: Find,
    pub access: Access,
    pub flags: &'static [KeyFlag],
    pub notes: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub enum Begin {
    Index(usize),
    Keyword { word: &'static str, from: i32 },
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// From the beginning to `last` (counted from the beginning, or, negative, from the end), every `step`th; with `limit` of 2, 3…
    /// only the first half, third… of what is left.
    Range {
        last: i32,
        step: usize,
        limit: usize,
    },
    /// A count at `count` behind the beginning, the first key at `first`.
    Count {
        count: usize,
        first: usize,
        step: usize,
    },
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads the value.
    Ro,
    /// Reads and changes it.
    Rw,
    /// Overwrites it.
    Ow,
    /// Removes it.
    Rm,
    /// Nothing: it is no key.
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFlag {
    Access,
    Update,
    Insert,
    Delete,
    NotKey,
    Incomplete,
    VariableFlags,
}

impl Access {
    /// How COMMAND INFO names it; a channel that is named like a key has no access to name.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Access::Ro => Some("RO"),
            Access::Rw => Some("RW"),
            Access::Ow => Some("OW"),
            Access::Rm => Some("RM"),
            Access::None => None,
        }
    }
}

impl KeyFlag {
    pub const fn name(self) -> &'static str {
        match self {
            KeyFlag::Access => "access",
            KeyFlag::Update => "update",
            KeyFlag::Insert => "insert",
            KeyFlag::Delete => "delete",
            KeyFlag::NotKey => "not_key",
            KeyFlag::Incomplete => "incomplete",
            KeyFlag::VariableFlags => "variable_flags",
        }
    }
}

/// One key at `index`.
pub const fn key(index: usize, access: Access, flags: &'static [KeyFlag]) -> KeySpec {
    keys(index, 0, 1, access, flags)
}

/// Keys from `index` to `last` (negative: counted from the end), every `step`th.
pub const fn keys(index: usize, last: i32, step: usize, access: Access, flags: &'static [KeyFlag]) -> KeySpec {
    KeySpec { begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, access, flags, notes: "" }
}

/// A number of keys at `index`, then the keys.
pub const fn counted_keys(index: usize, access: Access, flags: &'static [KeyFlag]) -> KeySpec {
    KeySpec { begin: Begin::Index(index), find: Find::Count { count: 0, first: 1, step: 1 }, access, flags, notes: "" }
}

impl Command {
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    pub fn is_write(&self) -> bool {
        (matches!(self.run, Run::Write(_)) && !self.has(Flag::Readonly)) || self.has(Flag::Write)
    }

    pub fn is_read(&self) -> bool {
        matches!(self.run, Run::Read(_)) || self.has(Flag::Readonly)
    }

    pub fn subcommands(&self) -> &'static [Command] {
        match self.run {
            Run::Parent(subcommands) | Run::ParentAndServer(subcommands, _) => subcommands,
            _ => &[],
        }
    }

    pub fn takes(&self, arguments: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= arity } else { arguments == arity }
    }

    /// All ACL categories: those given, and those that flags, kind and group imply.
    pub fn all_categories(&self) -> impl Iterator<Item = Category> + '_ {
        Category::ALL.into_iter().filter(|&category| self.categories.contains(&category) || self.implies(category))
    }

    fn implies(&self, category: Category) -> bool {
        // A parent does nothing itself.
        if matches!(self.run, Run::Parent(_)) {
            return category == Category::Slow;
        }
        match category {
            Category::Write => self.is_write(),
            Category::Read => self.is_read() && self.group != Group::Scripting,
            Category::Admin => self.has(Flag::Admin),
            Category::Dangerous => self.has(Flag::Admin),
            Category::Pubsub => self.has(Flag::Pubsub),
            Category::Fast => self.has(Flag::Fast),
            Category::Slow => !self.has(Flag::Fast),
            Category::Blocking => self.has(Flag::Blocking),
            // SORT, generic as it is, works on what is in collections and counts among theirs alone.
            // WAIT is about the connection's changes.
            Category::Keyspace => {
                let elsewhere = [Category::List, Category::Connection];
                self.group == Group::Generic && !self.categories.iter().any(|category| elsewhere.contains(category))
            }
            Category::String => self.group == Group::String,
            Category::List => self.group == Group::List,
            Category::Set => self.group == Group::Set,
            Category::SortedSet => self.group == Group::SortedSet,
            Category::Hash => self.group == Group::Hash,
            Category::Bitmap => self.group == Group::Bitmap,
            Category::Hyperloglog => self.group == Group::Hyperloglog,
            Category::Geo => self.group == Group::Geo,
            Category::Stream => self.group == Group::Stream,
            // Of a parent only the subcommands are in the category of their group.
            Category::Connection => self.group == Group::Connection && self.subcommands().is_empty(),
            Category::Transaction => self.group == Group::Transactions,
            Category::Scripting => self.group == Group::Scripting,
        }
    }
}
