//! Which connections CLIENT KILL closes and CLIENT LIST shows: those of which everything holds that the arguments say.
//!
//! Redis's filters, and Valkey's: by name, library, idle time, flags, database and address, several ids at once, and the opposites of most
//! (`NOT-USER …`). A filter given twice counts as it was given last.

use super::super::client_line;
use super::{Kind, kind};
use crate::cmd::args::Args;
use crate::cmd::error::{SYNTAX, Stop, error, error_showing, error_with};
use crate::server::{Server, Session};
use crate::util::number::parse_i64;

#[derive(Default)]
pub(super) struct Filter<'a> {
    conditions: Vec<(Test, Condition<'a>)>,
    pub takes_itself: bool,
}

/// What a condition looks at, and whether it must not hold.
type Test = (What, bool);

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Id,
    Type,
    User,
    Address,
    LocalAddress,
    Ip,
    Name,
    LibraryName,
    LibraryVersion,
    Flags,
    Database,
    Age,
    Idle,
}

enum Condition<'a> {
    Ids(Vec<u64>),
    Type(Kind),
    Text(&'a [u8]),
    Number(u64),
}

const NAMES: [(&str, What); 13] = [
    ("id", What::Id),
    ("type", What::Type),
    ("user", What::User),
    ("addr", What::Address),
    ("laddr", What::LocalAddress),
    ("ip", What::Ip),
    ("name", What::Name),
    ("lib-name", What::LibraryName),
    ("lib-ver", What::LibraryVersion),
    ("flags", What::Flags),
    ("db", What::Database),
    ("maxage", What::Age),
    ("idle", What::Idle),
];

/// True of a word that begins a filter.
pub(super) fn begins(word: &[u8]) -> bool {
    named(word).is_some() || word.eq_ignore_ascii_case(b"skipme")
}

/// The filter that a word names, and whether it is its opposite.
fn named(word: &[u8]) -> Option<Test> {
    let word = word.to_ascii_lowercase();
    let (word, opposite) = match word.strip_prefix(b"not-") {
        Some(word) => (word, true),
        None => (&word[..], false),
    };
    let (_, what) = NAMES.into_iter().find(|(name, _)| name.as_bytes() == word)?;
    // What is young or busy cannot be asked for.
    let has_opposite = !matches!(what, What::Age | What::Idle);
    (has_opposite || !opposite).then_some((what, opposite))
}

impl<'a> Filter<'a> {
    /// The connection at one address, whosever it is.
    pub fn at(address: &'a [u8]) -> Self {
        Self { conditions: vec![((What::Address, false), Condition::Text(address))], takes_itself: true }
    }

    pub fn read(server: &Server, args: &mut Args<'a>, takes_itself: bool) -> Result<Self, Stop> {
        let mut filter = Self { conditions: Vec::new(), takes_itself };
        while !args.is_empty() {
            if args.option_with_value("skipme") {
                filter.takes_itself = match args {
                    _ if args.option("yes") => false,
                    _ if args.option("no") => true,
                    _ => return Err(SYNTAX),
                };
                continue;
            }
            let test = args.peek().and_then(named).filter(|_| args.len() > 1).ok_or(SYNTAX)?;
            args.next()?;
            let condition = condition(server, test.0, args)?;
            filter.conditions.retain(|(given, _)| *given != test);
            filter.conditions.push((test, condition));
        }
        Ok(filter)
    }

    pub fn takes(&self, session: &Session, now_ms: u64) -> bool {
        self.conditions.iter().all(|((what, opposite), condition)| condition.holds(*what, session, now_ms) != *opposite)
    }
}

fn condition<'a>(server: &Server, what: What, args: &mut Args<'a>) -> Result<Condition<'a>, Stop> {
    Ok(match what {
        What::Id => {
            let positive = |id: &i64| *id > 0;
            let first = parse_i64(args.next()?).filter(positive);
            let mut ids = vec![first.ok_or(error("ERR client-id should be greater than 0"))? as u64];
            while let Some(id) = args.peek().and_then(parse_i64).filter(positive) {
                ids.push(id as u64);
                args.next()?;
            }
            Condition::Ids(ids)
        }
        What::Type => Condition::Type(kind(args.next()?)?),
        What::User => {
            let name = args.next()?;
            if server.acl.user(name).is_none() {
                return Err(error_showing("ERR No such user '", name, "'"));
            }
            Condition::Text(name)
        }
        What::Flags => {
            let letters = args.next()?;
            if letters.iter().any(|letter| !client_line::FLAGS.contains(letter)) {
                return Err(error_showing("ERR Unknown flags found in the provided filter: ", letters, ""));
            }
            Condition::Text(letters)
        }
        What::Database => {
            let databases = server.keyspace.databases();
            let db = args.int_or(error("ERR DB is not an integer or out of range"))?;
            let db = u64::try_from(db).ok().filter(|db| *db < databases as u64);
            let last = databases - 1;
            Condition::Number(db.ok_or_else(|| error_with(format!("ERR DB number should be between 0 and {last}")))?)
        }
        What::Age => {
            seconds(args, "ERR maxage is not an integer or out of range", "ERR maxage should be greater than 0")?
        }
        What::Idle => seconds(args, "ERR idle is not an integer or out of range", "ERR idle should be greater than 0")?,
        _ => Condition::Text(args.next()?),
    })
}

fn seconds<'a>(args: &mut Args<'a>, no_number: &'static str, too_low: &'static str) -> Result<Condition<'a>, Stop> {
    let seconds = args.int_or(error(no_number))?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    Ok(Condition::Number(seconds.ok_or(error(too_low))?))
}

impl Condition<'_> {
    fn holds(&self, what: What, session: &Session, now_ms: u64) -> bool {
        match self {
            Condition::Ids(ids) => ids.contains(&session.client_id),
            Condition::Type(kind) => kind.is_of(session),
            Condition::Number(number) => match what {
                What::Age => now_ms.saturating_sub(session.created_ms) / 1000 >= *number,
                What::Idle => now_ms.saturating_sub(session.last_used_ms) / 1000 >= *number,
                _ => session.db as u64 == *number,
            },
            Condition::Text(text) => match what {
                What::User => session.authenticated && *text == session.user.name(),
                What::Address => *text == session.peer.address.as_bytes(),
                What::LocalAddress => *text == session.peer.local_address.as_bytes(),
                What::Ip => {
                    let host = session.peer.address.rsplit_once(':').map_or("", |(host, _)| host);
                    *text == host.trim_start_matches('[').trim_end_matches(']').as_bytes()
                }
                What::Name => *text == session.name,
                What::LibraryName => *text == session.library_name,
                What::LibraryVersion => *text == session.library_version,
                _ => {
                    let flags = client_line::flags(session);
                    text.iter().all(|letter| flags.as_bytes().contains(letter))
                }
            },
        }
    }
}
