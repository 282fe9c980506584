//! CLIENT TRACKING and its like: a connection says what it caches.
//!
//! Who is told what, and when, is in `server::tracking`.

use std::collections::BTreeSet;

use super::super::client_line::redirect;
use crate::cmd::args::Args;
use crate::cmd::error::{Done, SYNTAX, Stop, error, shown};
use crate::resp::reply::Reply;
use crate::server::tracking::{Choice, ClientRef, Mode};
use crate::server::{Server, SessionId};

pub(super) fn tracking(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let status = args.next()?;
    let options = Options::read(server, args)?;

    if status.eq_ignore_ascii_case(b"off") {
        server.stop_tracking(id);
    } else if status.eq_ignore_ascii_case(b"on") {
        let mode = options.mode(server.sessions.get(id).tracking.as_deref())?;
        server.track(id, mode);
    } else {
        return Err(SYNTAX);
    }

    reply.ok();
    Ok(())
}

pub(super) fn caching(server: &mut Server, id: SessionId, args: &mut Args, reply: &mut Reply) -> Done {
    let mode = server.sessions.get_mut(id).tracking.as_mut();
    let mode = mode.ok_or(error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    ))?;
    let (wanted, otherwise) = if args.option("yes") {
        (Choice::OptIn, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if args.option("no") {
        (Choice::OptOut, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(SYNTAX);
    };
    if mode.choice != wanted {
        return Err(error(otherwise));
    }

    mode.caching = true;

    reply.ok();
    Ok(())
}

pub(super) fn getredir(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    reply.int(redirect(server.sessions.get(id)));
    Ok(())
}

pub(super) fn info(server: &mut Server, id: SessionId, _: &mut Args, reply: &mut Reply) -> Done {
    let session = server.sessions.get(id);
    let flags = flags(session.tracking.as_deref());
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect(session));
    reply.bulk(b"prefixes");
    let prefixes: Vec<_> = session.tracking.iter().flat_map(|mode| &mode.prefixes).collect();
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

fn flags(mode: Option<&Mode>) -> Vec<&'static str> {
    let Some(mode) = mode else { return vec!["off"] };
    let flags = [
        (true, "on"),
        (mode.choice == Choice::Broadcast, "bcast"),
        (mode.choice == Choice::OptIn, "optin"),
        (mode.choice == Choice::OptIn && mode.caching, "caching-yes"),
        (mode.choice == Choice::OptOut, "optout"),
        (mode.choice == Choice::OptOut && mode.caching, "caching-no"),
        (mode.no_loop, "noloop"),
        (mode.redirect_broken, "broken_redirect"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect()
}

/// What CLIENT TRACKING was asked for.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<ClientRef>,
    prefixes: Vec<&'a [u8]>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
}

impl<'a> Options<'a> {
    fn read(server: &Server, args: &mut Args<'a>) -> Result<Self, Stop> {
        let mut options = Options::default();
        while !args.is_empty() {
            if args.option_with_value("redirect") {
                if options.redirect.is_some() {
                    return Err(error("ERR A client can only redirect to a single other client"));
                }
                let client_id = u64::try_from(args.int()?).ok();
                let found = client_id.and_then(|client_id| Some((client_id, server.sessions.by_client_id(client_id)?)));
                let (client_id, session) =
                    found.ok_or(error("ERR The client ID you want redirect to does not exist"))?;
                options.redirect = Some(ClientRef { session, client_id });
            } else if args.option_with_value("prefix") {
                options.prefixes.push(args.next()?);
            } else if args.option("bcast") {
                options.broadcast = true;
            } else if args.option("optin") {
                options.opt_in = true;
            } else if args.option("optout") {
                options.opt_out = true;
            } else if args.option("noloop") {
                options.no_loop = true;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    fn mode(self, before: Option<&Mode>) -> Result<Mode, Stop> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(error("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let choice_before = before.map(|mode| mode.choice);
        if choice_before.is_some_and(|choice| (choice == Choice::Broadcast) != self.broadcast) {
            return Err(error(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
                 different mode.",
            ));
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(error("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.opt_in && self.opt_out {
            return Err(error("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let switches = |from, to| to && choice_before == Some(from);
        if switches(Choice::OptOut, self.opt_in) || switches(Choice::OptIn, self.opt_out) {
            return Err(error(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
                 different mode.",
            ));
        }
        let choice = match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => Choice::Broadcast,
            (_, true, _) => Choice::OptIn,
            (_, _, true) => Choice::OptOut,
            _ => Choice::All,
        };
        let mut prefixes = BTreeSet::new();
        if self.broadcast {
            self.check_prefixes(before)?;
            prefixes.extend(self.prefixes.iter().map(|prefix| Box::from(*prefix)));
            if prefixes.is_empty() {
                prefixes.insert(Box::from(&b""[..]));
            }
        }
        let (no_loop, redirect) = (self.no_loop, self.redirect);
        let caching = before.is_some_and(|mode| mode.caching);
        Ok(Mode { choice, no_loop, redirect, redirect_broken: false, caching, prefixes })
    }

    /// One key must not lie below two prefixes: the client would hear of it twice.
    fn check_prefixes(&self, before: Option<&Mode>) -> Done {
        for (index, prefix) in self.prefixes.iter().enumerate() {
            let existing = before.into_iter().flat_map(|mode| &mode.prefixes);
            if let Some(other) = existing.map(|other| &**other).find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, b"an existing prefix '", other));
            }
            if let Some(other) = self.prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, b"another provided prefix '", other));
            }
        }
        Ok(())
    }
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn overlapping(prefix: &[u8], what: &[u8], other: &[u8]) -> Stop {
    let (prefix, other) = (shown(prefix), shown(other));
    let after = b"'. Prefixes for a single client must not overlap.";
    Stop::Bytes([b"ERR Prefix '", prefix, b"' overlaps with ", what, other, after].concat())
}

#[cfg(test)]
mod tests;
