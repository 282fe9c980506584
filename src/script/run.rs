//! One run of a script or function: who asked, what it may do, how long it has been at it; and how a command of it gets to dispatch.

use super::base::Random48;
use super::lua::Place;
use crate::cmd::command::{Flag, Run as CommandRun};
use crate::cmd::table::{self, Entry};
use crate::resp::reply::{Output, Protocol, Reply};
use crate::resp::request::{OwnedRequest, Request, Span};
use crate::server::admit::text_of;
use crate::server::cluster::{Slots, slots_of};
use crate::server::dispatch::Caller;
use crate::server::{Server, SessionId};
use crate::util::clock::{ticks, ticks_to_us};

/// What a script says of itself in its first line, or a function when it is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub no_writes: bool,
    pub allow_oom: bool,
    pub allow_stale: bool,
    pub no_cluster: bool,
    pub allow_cross_slot_keys: bool,
    /// It says nothing: the rules of old hold.
    pub silent: bool,
}

impl Flags {
    /// Names in the order in which they are listed.
    pub const NAMES: [&str; 5] = ["no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

    /// Sets a flag; false where there is none of that name.
    pub fn set(&mut self, name: &[u8]) -> bool {
        let flag = match name {
            b"no-writes" => &mut self.no_writes,
            b"allow-oom" => &mut self.allow_oom,
            b"allow-stale" => &mut self.allow_stale,
            b"no-cluster" => &mut self.no_cluster,
            b"allow-cross-slot-keys" => &mut self.allow_cross_slot_keys,
            _ => return false,
        };
        *flag = true;
        true
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = [self.no_writes, self.allow_oom, self.allow_stale, self.no_cluster, self.allow_cross_slot_keys];
        Self::NAMES.into_iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name)
    }
}

/// The run in progress, as the server sees it.
pub struct Running {
    pub is_function: bool,
    /// A library that is being loaded: it must be quick.
    pub is_loading: bool,
    pub began: u64,
    pub wrote: bool,
    pub killed: bool,
    /// The server ends: what the run has done is not written down.
    pub is_abandoned: bool,
    /// The threshold is over: others hear BUSY, and what it is that runs.
    pub slow: Option<Slow>,
    /// When the process around may look at its sockets again, in ticks.
    attend_at: u64,
}

/// What others may know of a slow run.
pub struct Slow {
    pub name: Vec<u8>,
    pub command: OwnedRequest,
}

impl Running {
    pub fn new(is_function: bool, is_loading: bool) -> Self {
        Self {
            is_function,
            is_loading,
            began: ticks(),
            wrote: false,
            killed: false,
            is_abandoned: false,
            slow: None,
            attend_at: 0,
        }
    }

    pub fn elapsed_us(&self) -> u64 {
        ticks_to_us(ticks().wrapping_sub(self.began))
    }

    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed_us() / 1000
    }
}

/// An error that ended a run, and where.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    pub text: Vec<u8>,
    pub place: Option<Place>,
    /// It was counted when it arose.
    pub counted: bool,
}

/// Buffers for the commands of scripts, kept from run to run.
#[derive(Default)]
pub struct Buffers {
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
    pub output: Output,
}

pub struct Run<'a> {
    pub server: &'a mut Server,
    /// The script's SHA1, or the function's name.
    pub name: &'a [u8],
    /// The command that asked for it.
    pub request: Request<'a>,
    /// Whose commands it runs; a library being loaded runs none.
    pub id: Option<SessionId>,
    pub read_only: bool,
    pub flags: Flags,
    /// The slot of the keys that the run was given, or of the first that it has touched.
    pub slot: Option<u16>,
    /// Memory was short when the run began.
    pub memory_is_short: bool,
    /// How replies come, and what true and false are in the script's own.
    pub protocol: Protocol,
    pub random: Random48,
    pub failure: Option<Failure>,
    pub buffers: Buffers,
    /// Steps of pattern matching since the last look at the clock.
    pub pattern_steps: u32,
    /// The library being loaded.
    pub library: Option<&'a mut super::functions::Loading>,
}

const UNKNOWN: &[u8] = b"ERR Unknown Redis command called from script";
const WRONG_NUMBER: &[u8] = b"ERR Wrong number of args calling Redis command from script";
const KILLED: &str = "Script killed by user with SCRIPT KILL...";
/// A library has so long to register its functions, in milliseconds.
const LOAD_MS_MAX: u64 = 500;
/// The process around looks at its sockets so often while a script is slow, in microseconds.
const ATTEND_EVERY_US: u64 = 10_000;

impl Run<'_> {
    /// Lets others be heard where the run has taken long; an error where it has to end.
    pub fn look_at_the_clock(&mut self) -> Result<(), &'static str> {
        let threshold_ms = u64::try_from(self.server.config.busy_reply_threshold).unwrap_or(0);
        let Some(running) = &mut self.server.scripts.running else { return Ok(()) };
        if running.killed {
            return Err(KILLED);
        }
        let now = ticks();
        if now < running.attend_at {
            return Ok(());
        }
        let elapsed_ms = running.elapsed_ms();
        if running.is_loading {
            return if elapsed_ms < LOAD_MS_MAX { Ok(()) } else { Err("ERR FUNCTION LOAD timeout") };
        }
        if elapsed_ms < threshold_ms {
            return Ok(());
        }
        if running.slow.is_none() {
            running.slow = Some(Slow { name: self.name.to_vec(), command: self.request.to_owned() });
            tracing::warn!(
                "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the script using \
                 the {} command. Script name is: {}.",
                if running.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" },
                String::from_utf8_lossy(self.name)
            );
        }
        self.server.attend_to_others();
        let Some(running) = &mut self.server.scripts.running else { return Ok(()) };
        running.attend_at = ticks().wrapping_add(crate::util::clock::us_to_ticks(ATTEND_EVERY_US));
        if running.killed { Err(KILLED) } else { Ok(()) }
    }

    /// Runs the command in `buffers` and leaves its reply there; an error where a script may not run it.
    pub fn command(&mut self) -> Result<(), Vec<u8>> {
        let Some(id) = self.id else { return Err(b"ERR a library being loaded runs no commands".to_vec()) };
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.output.clear();
        let request = Request::new(&buffers.bytes, &buffers.spans);
        let result = self.admitted(id, request).map(|entry| {
            let mut reply = Reply::new(&mut buffers.output, self.protocol);
            self.server.call_inside(Caller::Script, id, entry, request, &mut reply);
        });
        self.buffers = buffers;
        result
    }

    /// The command's entry, where a script may run it.
    fn admitted(&mut self, id: SessionId, request: Request) -> Result<&'static Entry, Vec<u8>> {
        let entry = self.named(request)?;
        let result = whole(entry, request).and_then(|entry| self.check(id, entry, request));
        if result.is_err() {
            self.server.stats.count_rejected(entry.id);
        }
        result.map(|()| entry)
    }

    fn check(&mut self, id: SessionId, entry: &'static Entry, request: Request) -> Result<(), Vec<u8>> {
        if entry.has(Flag::Noscript) && !self.server.scripts.may_run_all {
            return Err(b"ERR This Redis command is not allowed from script".to_vec());
        }
        if let Some(stop) = self.server.acl_refusal(Caller::Script, id, entry, request) {
            return Err(text_of(&stop).into_owned());
        }
        // PFCOUNT calls itself a reader, but keeps what it has worked out.
        let writes = entry.flags & (Flag::Write.mask() | Flag::MayReplicate.mask()) != 0
            || matches!(entry.command.run, CommandRun::Write(_));
        if writes && self.read_only {
            return Err(b"ERR Write commands are not allowed from read-only scripts.".to_vec());
        }
        if !entry.has(Flag::Stale) && self.server.is_stale() {
            return Err(b"ERR Can not execute the command on a stale replica".to_vec());
        }
        let wrote = self.server.scripts.running.as_ref().is_some_and(|running| running.wrote);
        // What has begun to write may end.
        if entry.has(Flag::Write)
            && !wrote
            && let Some(stop) = self.server.refusal_for_writes()
        {
            return Err(text_of(&stop).into_owned());
        }
        if entry.has(Flag::DenyOom) && self.memory_is_short && !self.flags.allow_oom && !wrote {
            return Err(b"OOM command not allowed when used memory > 'maxmemory'.".to_vec());
        }
        self.stays_in_its_slot(entry, request)?;
        if entry.has(Flag::Write) && self.server.is_replica() {
            self.server.note_own_keys(id, entry, request);
        }
        if entry.has(Flag::Write)
            && let Some(running) = &mut self.server.scripts.running
        {
            running.wrote = true;
        }
        Ok(())
    }

    /// In a cluster a command's keys share a slot, and so do those of all commands, unless the script is an old one or has a flag.
    fn stays_in_its_slot(&mut self, entry: &Entry, request: Request) -> Result<(), Vec<u8>> {
        if self.server.cluster.is_none() {
            return Ok(());
        }
        let slot = match slots_of(entry, request) {
            Slots::None => return Ok(()),
            Slots::One(slot) => slot,
            Slots::Many => {
                let name = &entry.full_name;
                let text =
                    format!("ERR Command '{name}' in script attempted to access keys that don't hash to the same slot");
                return Err(text.into_bytes());
            }
        };
        if self.flags.silent || self.flags.allow_cross_slot_keys || *self.slot.get_or_insert(slot) == slot {
            return Ok(());
        }
        Err(b"ERR Script attempted to access keys that do not hash to the same slot".to_vec())
    }

    /// The entry of a command that there is; a parent's where its name stands alone.
    pub fn named(&self, request: Request) -> Result<&'static Entry, Vec<u8>> {
        let entry = self.server.names.find(request.arg(0)).ok_or(UNKNOWN)?;
        if !table::is_parent(entry, request.len()) || request.len() < 2 {
            return Ok(entry);
        }
        Ok(entry.subcommand(request.arg(1)).ok_or(UNKNOWN)?)
    }
}

/// The entry, where it is no mere parent and takes that number of arguments.
fn whole(entry: &'static Entry, request: Request) -> Result<&'static Entry, Vec<u8>> {
    // Of a parent there is nothing to run.
    let is_whole = !matches!(entry.command.run, CommandRun::Parent(_));
    if is_whole && entry.command.takes(request.len()) { Ok(entry) } else { Err(WRONG_NUMBER.to_vec()) }
}
