//! Users and what each may do.
//!
//! A session holds its user, which never changes: a rule that is given makes another user of the same name, and every session of the old one
//! is handed the new. A user who may do everything costs one flag test for each command (`Session::restricted`). The commands are in
//! `cmd::server::acl`.
//!
//! ```text
//! request ─► admit ─► Server::acl_refusal ─► User::check ─► Permissions::check    root first, then each selector: one must allow all of it
//! EXEC, a client woken, a script ──┘              └─ Denied ─► ACL LOG, INFO, NOPERM
//! ```

mod describe;
pub mod file;
pub mod log;
mod password;
pub mod permissions;
pub mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dispatch::Caller;
use super::pubsub::Topic;
use super::{Closing, Server, SessionId};
use crate::cmd::error::Stop;
use crate::cmd::table::Entry;
use crate::config::{AclPubsubDefault, Config, Text};
use crate::resp::request::Request;
use log::{Context, Log};
use password::Hash;
use permissions::{ChannelPatterns, Permissions};

/// The user of whoever has not said who it is.
pub const DEFAULT: &[u8] = b"default";

/// All users, and what was refused to them.
pub struct Acl {
    users: Users,
    default: Arc<User>,
    pub log: Log,
    pub denials: Denials,
}

/// By name; never without `default`.
pub type Users = BTreeMap<Box<[u8]>, Arc<User>>;

/// How often what was refused since the start, for INFO: CONFIG RESETSTAT leaves it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Denials {
    pub auth: u64,
    pub command: u64,
    pub key: u64,
    pub channel: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Box<[u8]>,
    enabled: bool,
    /// Any password is right.
    nopass: bool,
    /// Payloads of RESTORE are trusted.
    skips_sanitizing: bool,
    passwords: Vec<Hash>,
    root: Permissions,
    selectors: Vec<Permissions>,
}

/// What a user lacks. The later ones come nearer to being allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Command,
    Key,
    Auth,
    Channel,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Auth => "auth",
            Self::Channel => "channel",
        }
    }
}

/// Why a request is refused, and at which of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    pub reason: Reason,
    pub position: usize,
}

impl Denied {
    /// The error's text behind its code. `shows_names` tells which key or channel it was.
    pub fn text(self, user: &User, entry: &Entry, request: Request, shows_names: bool) -> Vec<u8> {
        let user = &*user.name;
        let object = request.arg(self.position);
        match self.reason {
            Reason::Command | Reason::Auth => {
                [b"User ", user, b" has no permissions to run the '", entry.full_name.as_bytes(), b"' command"].concat()
            }
            Reason::Key if shows_names => {
                [b"User ", user, b" has no permissions to access the '", object, b"' key"].concat()
            }
            Reason::Channel if shows_names => {
                [b"User ", user, b" has no permissions to access the '", object, b"' channel"].concat()
            }
            Reason::Key => b"No permissions to access a key".to_vec(),
            Reason::Channel => b"No permissions to access a channel".to_vec(),
        }
    }
}

impl User {
    /// May nothing, and cannot log in.
    pub fn new(name: &[u8], all_channels: bool) -> Self {
        let mut root = Permissions::none();
        root.channels.all = all_channels;
        Self {
            name: name.into(),
            enabled: false,
            nopass: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            root,
            selectors: Vec::new(),
        }
    }

    /// The user `default` before anybody changes it: may everything, without a password.
    fn first() -> Self {
        Self { enabled: true, nopass: true, root: Permissions::all(), ..Self::new(DEFAULT, true) }
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn passwords(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.passwords.iter().map(|hash| &hash.0[..])
    }

    pub fn root(&self) -> &Permissions {
        &self.root
    }

    pub fn selectors(&self) -> &[Permissions] {
        &self.selectors
    }

    pub fn takes_any_password(&self) -> bool {
        self.nopass
    }

    /// Who comes in is not this user before it has said so.
    pub fn asks_for_password(&self) -> bool {
        !self.nopass || !self.enabled
    }

    /// Nothing can be refused to this user.
    pub fn is_unlimited(&self) -> bool {
        self.root.are_unlimited()
    }

    fn lets_in(&self, password: &[u8]) -> bool {
        if !self.enabled || self.nopass {
            return self.enabled;
        }
        let given = Hash::of(password);
        self.passwords.iter().fold(false, |found, known| found | known.is(&given))
    }

    /// Whether a request may run: the root permissions or one selector must allow all of it.
    #[inline]
    pub fn check(&self, entry: &Entry, request: Request) -> Result<(), Denied> {
        let Err(mut denied) = self.root.check(entry, request) else { return Ok(()) };
        for selector in &self.selectors {
            match selector.check(entry, request) {
                Ok(()) => return Ok(()),
                Err(other) => denied = denied.max(other),
            }
        }
        Err(denied)
    }

    /// Whether a command may also read keys that its arguments do not name: SORT's BY and GET.
    pub fn may_read_all_keys(&self, entry: &Entry, request: Request) -> bool {
        let may = |one: &Permissions| one.keys.allow_reading_all() && one.check(entry, request).is_ok();
        std::iter::once(&self.root).chain(&self.selectors).any(may)
    }

    /// Who listens to a channel or pattern now may go on doing so.
    fn may_listen(&self, name: &[u8], is_pattern: bool) -> bool {
        let allows = |channels: &ChannelPatterns| channels.allow(name, is_pattern);
        allows(&self.root.channels) || self.selectors.iter().any(|one| allows(&one.channels))
    }
}

impl Acl {
    /// The user `default` alone, with the password of `requirepass` if there is one.
    pub fn new(config: &Config) -> Self {
        let default = Arc::new(with_password(User::first(), &config.requirepass));
        let users = Users::from([(DEFAULT.into(), Arc::clone(&default))]);
        Self { users, default, log: Log::default(), denials: Denials::default() }
    }

    pub fn user(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// All users, by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.users.values()
    }

    fn put(&mut self, user: &Arc<User>) {
        if *user.name == *DEFAULT {
            self.default = Arc::clone(user);
        }
        self.users.insert(user.name.clone(), Arc::clone(user));
    }
}

/// What `requirepass` makes of the user `default`.
fn with_password(mut user: User, password: &[u8]) -> User {
    user.passwords.clear();
    user.nopass = password.is_empty();
    if !user.nopass {
        user.passwords.push(Hash::of(password));
    }
    user
}

/// The user that a `user` line defines, or the word of it that is wrong and why.
pub fn user_of_line(words: &[Text], all_channels: bool) -> Result<User, (Vec<u8>, String)> {
    let Some((name, rules)) = words.split_first() else { return Err((Vec::new(), "Syntax error".into())) };
    if rules::has_space_or_nul(name) {
        return Err((name.to_vec(), "Usernames can't contain spaces or null characters".into()));
    }
    let mut user = User::new(name, all_channels);
    let joined = rules::join_selectors(rules.iter().map(|word| &word[..]));
    let joined = joined.map_err(|open| (open.0.to_vec(), "Unmatched parenthesis in selector definition".into()))?;
    for rule in joined {
        user.apply(&rule, all_channels).map_err(|error| (rule.to_vec(), error.to_string()))?;
    }
    Ok(user)
}

impl Server {
    /// `acl-pubsub-default`.
    pub fn new_users_may_use_all_channels(&self) -> bool {
        self.config.acl_pubsub_default == AclPubsubDefault::AllChannels
    }

    /// The users of the configuration's `user` lines, or of its ACL file. For the start, before there are clients.
    pub fn load_users(&mut self, host: &dyn super::host::Host) -> Result<(), String> {
        let file = self.config.aclfile.path_if_set().map(std::path::Path::to_owned);
        if file.is_some() && !self.config.users.is_empty() {
            return Err(
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup \
                 is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users \
                 directly in your redis.conf, but not both."
                    .into(),
            );
        }
        if let Some(file) = file {
            let users = file::read(&file, host, self.new_users_may_use_all_channels())
                .map_err(|error| format!("Aborting Redis startup because of ACL errors: {error}"))?;
            self.replace_users(users);
            return Ok(());
        }
        for words in self.config.users.clone() {
            let user = user_of_line(&words, self.new_users_may_use_all_channels()).map_err(|(rule, error)| {
                let (rule, name) =
                    (String::from_utf8_lossy(&rule), words.first().map_or("".into(), |name| name.display()));
                format!("Error loading ACL rule '{rule}' for the user named '{name}': {error}")
            })?;
            self.put_user(None, user);
        }
        Ok(())
    }

    /// The user of this name is this one from now on; its clients feel it with their next command. Those that listen to what it may not listen
    /// to any more are cut off. `asking` is the session whose command this is.
    pub fn put_user(&mut self, asking: Option<SessionId>, user: User) {
        let user = Arc::new(user);
        self.acl.put(&user);
        for id in self.sessions_of(user.name()) {
            self.hand_over(asking, id, &user);
        }
    }

    /// Removes users; how many there were. Their clients are cut off.
    pub fn remove_users<'a>(&mut self, asking: SessionId, names: impl Iterator<Item = &'a [u8]>) -> usize {
        let mut removed = 0;
        for name in names {
            if self.acl.users.remove(name).is_none() {
                continue;
            }
            removed += 1;
            for id in self.sessions_of(name) {
                self.cut_off(Some(asking), id);
            }
        }
        removed
    }

    /// These are all users from now on.
    pub fn replace_users(&mut self, users: Users) {
        self.acl.default = users.get(DEFAULT).map_or_else(|| Arc::new(User::first()), Arc::clone);
        self.acl.users = users;
        self.acl.put(&Arc::clone(&self.acl.default));
        let sessions: Vec<_> = self.sessions.iter().map(|(id, _)| id).collect();
        for id in sessions {
            match self.acl.user(self.sessions.get(id).user.name()).cloned() {
                Some(user) => self.hand_over(None, id, &user),
                None => self.cut_off(None, id),
            }
        }
    }

    /// `requirepass` has got another value.
    pub fn follow_requirepass(&mut self) {
        let user = with_password(User::clone(&self.acl.default), &self.config.requirepass);
        self.put_user(None, user);
    }

    fn sessions_of(&self, name: &[u8]) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, session)| session.user.name() == name).map(|(id, _)| id).collect()
    }

    fn hand_over(&mut self, asking: Option<SessionId>, id: SessionId, user: &Arc<User>) {
        let session = self.sessions.get_mut(id);
        session.set_user(user);
        let listens_on = |topic| {
            let is_pattern = topic == Topic::Pattern;
            session.topics(topic).iter().all(|name| user.may_listen(name, is_pattern))
        };
        if ![Topic::Channel, Topic::Pattern, Topic::Shard].into_iter().all(listens_on) {
            self.cut_off(asking, id);
        }
    }

    fn cut_off(&mut self, asking: Option<SessionId>, id: SessionId) {
        let default = Arc::clone(&self.acl.default);
        let session = self.sessions.get_mut(id);
        session.set_user(&default);
        session.authenticated = false;
        // The one that asked is told before it goes.
        self.close(id, if asking == Some(id) { Closing::AfterOutput } else { Closing::AtOnce });
    }

    /// Makes a session that of the user `default`, as when it came in.
    pub fn log_out(&mut self, id: SessionId) {
        let user = self.acl.default_user();
        let session = self.sessions.get_mut(id);
        session.set_user(user);
        session.authenticated = !user.asks_for_password();
    }

    /// Makes a session that of a user, if the password is right. A wrong one is noted in ACL LOG.
    pub fn authenticate(&mut self, id: SessionId, name: &[u8], password: &[u8], request: Request) -> bool {
        let Some(user) = self.acl.user(name).filter(|user| user.lets_in(password)).cloned() else {
            let context = if self.is_inside_another() { Context::Multi } else { self.acl_context(id) };
            self.log_denial(id, Reason::Auth, context, name, request.arg(0));
            return false;
        };
        let session = self.sessions.get_mut(id);
        session.set_user(&user);
        session.authenticated = true;
        true
    }

    fn acl_context(&self, id: SessionId) -> Context {
        if self.sessions.get(id).transaction.is_some() { Context::Multi } else { Context::Toplevel }
    }

    /// Why the session's user may not run a request; `None` where it may. Nothing is noted.
    #[inline]
    pub fn acl_denial(&self, id: SessionId, entry: &Entry, request: Request) -> Option<Denied> {
        let session = self.sessions.get(id);
        if !session.restricted || session.internal { None } else { session.user.check(entry, request).err() }
    }

    /// The error for a request that the session's user may not run, noted in ACL LOG and INFO; `None` where it may run. Asked before every
    /// command, whoever the caller is: a script's gets another text from here.
    #[inline]
    pub fn acl_refusal(&mut self, caller: Caller, id: SessionId, entry: &Entry, request: Request) -> Option<Stop> {
        let denied = self.acl_denial(id, entry, request)?;
        Some(self.refused_by_acl(caller, id, entry, request, denied))
    }

    #[cold]
    fn refused_by_acl(
        &mut self,
        caller: Caller,
        id: SessionId,
        entry: &Entry,
        request: Request,
        denied: Denied,
    ) -> Stop {
        let context = match caller {
            Caller::Exec => Context::Multi,
            Caller::Script => Context::Script,
            Caller::Client | Caller::Resumed | Caller::Replay | Caller::Primary => self.acl_context(id),
        };
        let object = match denied.reason {
            Reason::Command => entry.full_name.as_bytes(),
            _ => request.arg(denied.position),
        };
        let user = Arc::clone(&self.sessions.get(id).user);
        self.log_denial(id, denied.reason, context, &user.name, object);
        let text = denied.text(&user, entry, request, false);
        Stop::Bytes(match caller {
            Caller::Script => [b"ERR ACL failure in script: ", &*text].concat(),
            Caller::Exec => [REFUSED_AT_EXEC, reason_at_exec(denied.reason)].concat().into_bytes(),
            _ => [b"NOPERM ", &*text].concat(),
        })
    }
}

const REFUSED_AT_EXEC: &str = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
                               This command is no longer allowed for the following reason: ";

fn reason_at_exec(reason: Reason) -> &'static str {
    match reason {
        Reason::Command => "no permission to execute the command or subcommand",
        Reason::Key => "no permission to touch the specified keys",
        Reason::Channel => "no permission to access one of the channels used as arguments",
        Reason::Auth => "no permission",
    }
}
