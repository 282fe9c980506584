//! Places on the earth in sorted sets: GEOADD, GEOPOS, GEODIST, GEOHASH, and the searches.
//!
//! A place is a member whose score is its geohash (`ds::geohash`). GEOSEARCH and the four GEORADIUS commands before it are one search with
//! different ways to say where.

use super::args::Args;
use super::command::{Access, Begin, COMMAND, Command, Deprecated, Find, Flag, Group, KeyFlag, KeySpec, Run, key};
use super::error::{Done, SYNTAX, Stop, error, error_with};
use super::keyspec;
use super::zset::{limits, range::store};
use crate::db::effect::Class;
use crate::db::{Edit, View};
use crate::ds::geohash::{Area, Position, Shape, geohash_text, unit_in_metres, write_distance};
use crate::ds::item::{Item, ItemText};
use crate::resp::reply::Reply;
use crate::types::zset::{Outcome, Rule, ScoreBound, ScoreRange, Zset};
use crate::util::float::parse_f64;
use crate::util::number::write_i64;
use crate::util::partial_sort::sort_first;

use Flag::DenyOom;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "GEOADD",
        arity: -5,
        run: Run::Write(geoadd),
        flags: &[DenyOom],
        keys: &[key(1, Access::Rw, &[KeyFlag::Update])],
        since: "3.2.0",
        cost: "O(log(N)) for each member, where N is the number of members of the sorted set.",
        usage: "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        summary: "Adds members at places on the earth, making the sorted set where there is none.",
        ..GEO
    },
    Command {
        name: "GEODIST",
        arity: -4,
        run: Run::Read(geodist),
        keys: READ_KEY,
        since: "3.2.0",
        usage: "key member1 member2 [M | KM | FT | MI]",
        summary: "Returns how far two members are from each other.",
        ..GEO
    },
    Command {
        name: "GEOHASH",
        arity: -2,
        run: Run::Read(geohash),
        keys: READ_KEY,
        since: "3.2.0",
        cost: "O(1) for each member.",
        usage: "key [member [member ...]]",
        summary: "Returns the standard geohash strings of members.",
        ..GEO
    },
    Command {
        name: "GEOPOS",
        arity: -2,
        run: Run::Read(geopos),
        keys: READ_KEY,
        since: "3.2.0",
        cost: "O(1) for each member.",
        usage: "key [member [member ...]]",
        summary: "Returns longitude and latitude of members.",
        ..GEO
    },
    Command {
        name: "GEORADIUS",
        arity: -6,
        run: Run::Write(georadius),
        flags: &[DenyOom],
        keys: &[SOURCE, store_key("STORE", 6), store_key("STOREDIST", 6)],
        find_keys: Some(keyspec::georadius),
        since: "3.2.0",
        cost: RADIUS_COST,
        usage: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        summary: "Finds members within a distance of a place, and may store them.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            instead: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        }),
        ..GEO
    },
    Command {
        name: "GEORADIUSBYMEMBER",
        arity: -5,
        run: Run::Write(georadiusbymember),
        flags: &[DenyOom],
        keys: &[SOURCE, store_key("STORE", 5), store_key("STOREDIST", 5)],
        find_keys: Some(keyspec::georadius_by_member),
        since: "3.2.0",
        cost: RADIUS_COST,
        usage: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        summary: "Finds members within a distance of a member, and may store them.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            instead: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        ..GEO
    },
    Command {
        name: "GEORADIUSBYMEMBER_RO",
        arity: -5,
        run: Run::Read(georadiusbymember_ro),
        keys: READ_KEY,
        since: "3.2.10",
        cost: RADIUS_COST,
        usage: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        summary: "Finds members within a distance of a member.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            instead: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        ..GEO
    },
    Command {
        name: "GEORADIUS_RO",
        arity: -6,
        run: Run::Read(georadius_ro),
        keys: READ_KEY,
        since: "3.2.10",
        cost: RADIUS_COST,
        usage: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        summary: "Finds members within a distance of a place.",
        deprecated: Some(Deprecated { since: "6.2.0", instead: "`GEOSEARCH` with the `BYRADIUS` argument" }),
        ..GEO
    },
    Command {
        name: "GEOSEARCH",
        arity: -7,
        run: Run::Read(geosearch),
        keys: READ_KEY,
        since: "6.2.0",
        cost: SEARCH_COST,
        usage: "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | <BYBOX width> height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        summary: "Finds members within a circle or a box.",
        ..GEO
    },
    Command {
        name: "GEOSEARCHSTORE",
        arity: -8,
        run: Run::Write(geosearchstore),
        flags: &[DenyOom],
        keys: &[key(1, Access::Ow, &[KeyFlag::Update]), key(2, Access::Ro, &[KeyFlag::Access])],
        since: "6.2.0",
        cost: SEARCH_COST,
        usage: "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | <BYBOX width> height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        summary: "Stores the members within a circle or a box.",
        ..GEO
    },
];

const GEO: Command = Command { group: Group::Geo, element: 2, ..COMMAND };
const SOURCE: KeySpec = key(1, Access::Ro, &[KeyFlag::Access]);
const READ_KEY: &[KeySpec] = &[SOURCE];
const SEARCH_COST: &str = "O(N+log(M)) where N is the number of members in the squares around the area and M is the number of those within it.";
const RADIUS_COST: &str = "O(N+log(M)) where N is the number of members in the squares around the circle and M is the number of members of the sorted set.";

/// The key behind a word somewhere among the options.
const fn store_key(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word, from },
        find: Find::Range { last: 0, step: 1, limit: 0 },
        access: Access::Ow,
        flags: &[KeyFlag::Update],
        notes: "",
    }
}

fn geoadd(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let key = args.next()?;
    let (mut rule, mut count_updates) = (Rule::default(), false);
    loop {
        match () {
            () if args.option("NX") => rule.only_new = true,
            () if args.option("XX") => rule.only_existing = true,
            () if args.option("CH") => count_updates = true,
            () => break,
        }
    }
    if !args.len().is_multiple_of(3) || (rule.only_new && rule.only_existing) {
        return Err(SYNTAX);
    }
    let mut members = Vec::with_capacity(args.len() / 3);
    while !args.is_empty() {
        let place = position(args)?;
        members.push((place.score() as f64, args.next()?));
    }
    let Some(&(_, first)) = members.first() else { return Err(SYNTAX) };

    let limits = limits(&edit.view());
    let zset = if rule.only_existing {
        edit.get_mut::<Zset>(key)?
    } else {
        Some(edit.get_or_new_with(key, || Zset::new(&limits, members.len(), first.len()))?)
    };
    let (mut new, mut updated) = (0, 0);
    zset.into_iter().for_each(|mut zset| {
        zset.expect(&limits, members.len());
        for (score, member) in &members {
            match zset.add(&limits, member, *score, rule) {
                Outcome::Added(_) => new += 1,
                Outcome::Updated(_) => updated += 1,
                _ => {}
            }
        }
    });
    if new + updated > 0 {
        edit.changed_many(key, Class::Zset, "zadd", new + updated);
        journal_as_zadd(edit, key, rule, count_updates, &members);
    }

    reply.count(if count_updates { new + updated } else { new });
    Ok(())
}

/// The journal carries the scores, so that whoever replays it need not work them out alike.
fn journal_as_zadd(edit: &mut Edit, key: &[u8], rule: Rule, count_updates: bool, members: &[(f64, &[u8])]) {
    if !edit.is_journaling() {
        return;
    }
    let mut request = vec![b"ZADD".to_vec(), key.to_vec()];
    let options = [(rule.only_new, "NX"), (rule.only_existing, "XX"), (count_updates, "CH")];
    request.extend(options.iter().filter(|(given, _)| *given).map(|(_, option)| option.as_bytes().to_vec()));
    for (score, member) in members {
        let mut text = Vec::new();
        write_i64(&mut text, *score as i64);
        request.extend([text, member.to_vec()]);
    }
    edit.journal_instead(request);
}

/// Reads a longitude and a latitude.
fn position(args: &mut Args) -> Result<Position, Stop> {
    let (longitude, latitude) = (args.float()?, args.float()?);
    Position::new(longitude, latitude)
        .ok_or_else(|| error_with(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// The metres in a unit.
fn unit(args: &mut Args) -> Result<f64, Stop> {
    unit_in_metres(args.next()?).ok_or(error("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

fn place_of(zset: Option<&Zset>, member: &[u8]) -> Option<Position> {
    zset.and_then(|zset| zset.score(member)).map(place_at)
}

/// The place a score stands for; one that no GEOADD gave stands for some place too.
fn place_at(score: f64) -> Position {
    Position::from_score(bits_of(score))
}

/// The bits of a score, as a processor converts what no integer holds.
fn bits_of(score: f64) -> u64 {
    const TOP: f64 = (1u64 << 63) as f64;
    match score {
        _ if score >= 2.0 * TOP => 0,
        _ if score >= TOP => score as u64,
        _ if score < -TOP => 1 << 63,
        _ => score as i64 as u64,
    }
}

fn geodist(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let (key, one, other) = (args.next()?, args.next()?, args.next()?);
    let metres = match args.len() {
        0 => 1.0,
        1 => unit(args)?,
        _ => return Err(SYNTAX),
    };
    let zset = view.get::<Zset>(key)?;

    match (place_of(zset, one), place_of(zset, other)) {
        (Some(one), Some(other)) => reply_distance(reply, one.distance_m(other) / metres),
        _ => reply.null(),
    }
    Ok(())
}

fn geohash(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let zset = view.get::<Zset>(args.next()?)?;

    reply.array(args.len());
    for member in args.rest() {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply.bulk(&geohash_text(bits_of(score))),
            None => reply.null(),
        }
    }
    Ok(())
}

fn geopos(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let zset = view.get::<Zset>(args.next()?)?;

    reply.array(args.len());
    for member in args.rest() {
        match place_of(zset, member) {
            Some(place) => reply_place(reply, place),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn reply_distance(reply: &mut Reply, distance: f64) {
    let mut text = Vec::with_capacity(24);
    write_distance(&mut text, distance);
    reply.bulk(&text);
}

fn reply_place(reply: &mut Reply, place: Position) {
    reply.array(2);
    reply.double(place.longitude);
    reply.double(place.latitude);
}

fn georadius(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_may_store(Form::RADIUS, edit, args, reply)
}

fn georadiusbymember(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_may_store(Form::RADIUS_BY_MEMBER, edit, args, reply)
}

fn geosearchstore(edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_may_store(Form::SEARCH_STORE, edit, args, reply)
}

fn georadius_ro(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_show(Form { may_store: false, ..Form::RADIUS }, view, args, reply)
}

fn georadiusbymember_ro(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_show(Form { may_store: false, ..Form::RADIUS_BY_MEMBER }, view, args, reply)
}

fn geosearch(view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    search_and_show(Form::SEARCH, view, args, reply)
}

/// How a command says where to look.
#[derive(Clone, Copy)]
struct Form {
    name: &'static str,
    /// Where the centre and the radius stand, where they have fixed places.
    fixed: Option<Center>,
    /// STORE and STOREDIST with a key are among the options.
    may_store: bool,
    /// The first key is where the result goes.
    stores: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Center {
    Place,
    Member,
}

impl Form {
    const RADIUS: Form =
        Form { name: "STORE option in GEORADIUS", fixed: Some(Center::Place), may_store: true, stores: false };
    const RADIUS_BY_MEMBER: Form = Form { fixed: Some(Center::Member), ..Form::RADIUS };
    const SEARCH: Form = Form { name: "GEOSEARCH", fixed: None, may_store: false, stores: false };
    const SEARCH_STORE: Form = Form { name: "GEOSEARCHSTORE", stores: true, ..Form::SEARCH };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AsFound,
    Nearest,
    Farthest,
}

/// What a search is to do.
struct Wanted<'a> {
    /// `None` where the key is missing, so that no member could be the centre.
    center: Option<Position>,
    shape: Shape,
    /// Metres in the unit in which distances are told.
    metres: f64,
    order: Order,
    /// 0: all.
    count: usize,
    /// The first that are found will do.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    destination: Option<&'a [u8]>,
    store_distance: bool,
}

impl<'a> Wanted<'a> {
    fn read(
        form: Form,
        zset: Option<&Zset>,
        mut destination: Option<&'a [u8]>,
        args: &mut Args<'a>,
    ) -> Result<Self, Stop> {
        let (mut center, mut shape) = match form.fixed {
            None => (None, None),
            Some(Center::Place) => (Some(Some(position(args)?)), Some(circle(args)?)),
            // Around a member of nothing there is nothing, whatever the radius says.
            Some(Center::Member) if zset.is_none() => {
                args.take(3)?;
                (Some(None), Some((Shape::Circle { radius_m: 0.0 }, 1.0)))
            }
            Some(Center::Member) => (Some(member_place(zset, args.next()?)?), Some(circle(args)?)),
        };
        let searches = form.fixed.is_none();
        let (mut order, mut count, mut any, mut store_distance) = (Order::AsFound, 0, false, false);
        let (mut with_distance, mut with_hash, mut with_place) = (false, false, false);
        while !args.is_empty() {
            match () {
                () if args.option("WITHDIST") => with_distance = true,
                () if args.option("WITHHASH") => with_hash = true,
                () if args.option("WITHCOORD") => with_place = true,
                () if args.option("ANY") => any = true,
                () if args.option("ASC") => order = Order::Nearest,
                () if args.option("DESC") => order = Order::Farthest,
                () if args.option_with_value("COUNT") => {
                    count = args.int()?;
                    if count <= 0 {
                        return Err(error("ERR COUNT must be > 0"));
                    }
                }
                () if form.may_store && args.option_with_value("STORE") => {
                    destination = Some(args.next()?);
                    store_distance = false;
                }
                () if form.may_store && args.option_with_value("STOREDIST") => {
                    destination = Some(args.next()?);
                    store_distance = true;
                }
                () if searches && center.is_none() && args.option_with_value("FROMMEMBER") => {
                    center = Some(member_place(zset, args.next()?)?);
                }
                () if searches && center.is_none() && args.len() > 2 && args.option("FROMLONLAT") => {
                    center = Some(Some(position(args)?));
                }
                () if searches && shape.is_none() && args.len() > 2 && args.option("BYRADIUS") => {
                    shape = Some(circle(args)?);
                }
                () if searches && shape.is_none() && args.len() > 3 && args.option("BYBOX") => {
                    shape = Some(rectangle(args)?);
                }
                () if form.stores && args.option("STOREDIST") => store_distance = true,
                () => return Err(SYNTAX),
            }
        }
        if destination.is_some() && (with_distance || with_hash || with_place) {
            let text = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(error_with(format!("ERR {} {text}", form.name)));
        }
        let Some(center) = center else { return Err(exactly_one("FROMMEMBER or FROMLONLAT", form)) };
        let Some((shape, metres)) = shape else { return Err(exactly_one("BYRADIUS and BYBOX", form)) };
        if any && count == 0 {
            return Err(error("ERR the ANY argument requires COUNT argument"));
        }
        if count > 0 && order == Order::AsFound && !any {
            // Which ones are left out is to depend on something.
            order = Order::Nearest;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self {
            center,
            shape,
            metres,
            order,
            count,
            any,
            with_distance,
            with_hash,
            with_place,
            destination,
            store_distance,
        })
    }

    /// Looks through the squares that the area reaches.
    fn search<'z>(&self, zset: &'z Zset) -> Vec<Found<'z>> {
        let Some(center) = self.center else { return Vec::new() };
        let area = Area { center, shape: self.shape };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        for (low, high) in area.score_ranges() {
            let range = ScoreRange {
                min: ScoreBound { value: low as f64, exclusive: false },
                max: ScoreBound { value: high as f64, exclusive: true },
            };
            for entry in zset.entries(zset.ranks_by_score(&range), false) {
                let place = place_at(entry.score);
                if let Some(distance_m) = area.distance_within_m(place) {
                    let distance = distance_m / self.metres;
                    found.push(Found { member: entry.member, score: entry.score, place, distance });
                    if found.len() >= enough {
                        return self.sorted(found);
                    }
                }
            }
        }
        self.sorted(found)
    }

    fn sorted<'z>(&self, mut found: Vec<Found<'z>>) -> Vec<Found<'z>> {
        let by_distance = |one: &Found, other: &Found| one.distance.total_cmp(&other.distance);
        let count = if self.count > 0 { self.count.min(found.len()) } else { found.len() };
        let is_part = count < found.len();
        match self.order {
            Order::AsFound => {}
            Order::Nearest if is_part => sort_first(&mut found, count, by_distance),
            Order::Farthest if is_part => sort_first(&mut found, count, |one, other| by_distance(other, one)),
            Order::Nearest => found.sort_by(by_distance),
            Order::Farthest => found.sort_by(|one, other| by_distance(other, one)),
        }
        found.truncate(count);
        found
    }
}

struct Found<'z> {
    member: Item<'z>,
    score: f64,
    place: Position,
    /// In the client's unit.
    distance: f64,
}

fn exactly_one(of: &str, form: Form) -> Stop {
    error_with(format!("ERR exactly one of {of} can be specified for {}", form.name))
}

/// The place of a member that is to be the centre. Where there is no key at all there is nothing to find, and it does not matter.
fn member_place(zset: Option<&Zset>, member: &[u8]) -> Result<Option<Position>, Stop> {
    match (zset, place_of(zset, member)) {
        (None, _) => Ok(None),
        (_, Some(place)) => Ok(Some(place)),
        (_, None) => Err(error("ERR could not decode requested zset member")),
    }
}

fn length(args: &mut Args, otherwise: Stop) -> Result<f64, Stop> {
    parse_f64(args.next()?).ok_or(otherwise)
}

/// Reads a radius and its unit.
fn circle(args: &mut Args) -> Result<(Shape, f64), Stop> {
    let radius = length(args, error("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(error("ERR radius cannot be negative"));
    }
    let metres = unit(args)?;
    Ok((Shape::Circle { radius_m: radius * metres }, metres))
}

/// Reads a width, a height and their unit.
fn rectangle(args: &mut Args) -> Result<(Shape, f64), Stop> {
    let width = length(args, error("ERR need numeric width"))?;
    let height = length(args, error("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(error("ERR height or width cannot be negative"));
    }
    let metres = unit(args)?;
    Ok((Shape::Rectangle { width_m: width * metres, height_m: height * metres }, metres))
}

fn search_and_show(form: Form, view: &View, args: &mut Args, reply: &mut Reply) -> Done {
    let zset = view.get::<Zset>(args.next()?)?;
    let wanted = Wanted::read(form, zset, None, args)?;

    show(&wanted, zset, reply);
    Ok(())
}

fn search_and_may_store(form: Form, edit: &mut Edit, args: &mut Args, reply: &mut Reply) -> Done {
    let destination = if form.stores { Some(args.next()?) } else { None };
    let view = edit.view();
    let zset = view.get::<Zset>(args.next()?)?;
    let wanted = Wanted::read(form, zset, destination, args)?;
    let Some(destination) = wanted.destination else {
        show(&wanted, zset, reply);
        return Ok(());
    };

    let limits = limits(&view);
    let found = zset.map(|zset| wanted.search(zset)).unwrap_or_default();
    let count = found.len();
    let mut scratches = (ItemText::default(), ItemText::default());
    let longest = found.iter().map(|found| found.member.text(&mut scratches.0).len()).max().unwrap_or(0);
    let mut result = Zset::new(&limits, count, longest);
    for found in &found {
        let score = if wanted.store_distance { found.distance } else { found.score };
        result.add(&limits, found.member.text(&mut scratches.1), score, Rule::default());
    }

    let event = if form.stores { "geosearchstore" } else { "georadiusstore" };
    store(edit, destination, Some(result), event);

    reply.count(count);
    Ok(())
}

fn show(wanted: &Wanted, zset: Option<&Zset>, reply: &mut Reply) {
    let found = zset.map(|zset| wanted.search(zset)).unwrap_or_default();
    let details = [wanted.with_distance, wanted.with_hash, wanted.with_place].iter().filter(|wanted| **wanted).count();
    reply.array(found.len());
    for found in found {
        if details > 0 {
            reply.array(1 + details);
        }
        reply.item(found.member);
        if wanted.with_distance {
            reply_distance(reply, found.distance);
        }
        if wanted.with_hash {
            reply.int(found.score as i64);
        }
        if wanted.with_place {
            reply_place(reply, found.place);
        }
    }
}

#[cfg(test)]
mod tests;
