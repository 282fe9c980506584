//! Places on the earth as 52-bit numbers that sort close places together, and the searches that this allows.
//!
//! A geohash interleaves the bits of latitude and longitude; places within a square share their first bits, so a sorted
//! set of geohashes answers "what is near" with at most nine ranges. Numbers, ranges and their order are Redis's, so
//! that replies are. Commands and units' names are in `cmd/geo.rs`.
//!
//! ```text
//!   longitude   1   0   1   1 …          every pair of bits halves the square both ways;
//!   latitude      0   1   1   0 …        26 pairs leave about 0.6 m × 0.3 m
//!   geohash     1 0 0 1 1 1 1 0 …
//! ```

use std::f64::consts::PI;

/// A place in degrees, within what a geohash can say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub longitude: f64,
    pub latitude: f64,
}

/// What a search looks within, in metres, around its centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Circle { radius_m: f64 },
    Rectangle { width_m: f64, height_m: f64 },
}

/// Where a search looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub center: Position,
    pub shape: Shape,
}

pub const LONGITUDE_MAX: f64 = 180.0;
/// Beyond this the square map of the geohash ends (EPSG:3857).
pub const LATITUDE_MAX: f64 = 85.05112878;

/// Metres in a unit, which Redis knows in any case: `m`, `km`, `ft`, `mi`.
pub fn unit_in_metres(name: &[u8]) -> Option<f64> {
    [(&b"m"[..], 1.0), (b"km", 1000.0), (b"ft", 0.3048), (b"mi", 1609.34)]
        .into_iter()
        .find_map(|(unit, metres)| name.eq_ignore_ascii_case(unit).then_some(metres))
}

impl Position {
    /// The place, where it is one.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let within = longitude.abs() <= LONGITUDE_MAX && latitude.abs() <= LATITUDE_MAX;
        within.then_some(Self { longitude, latitude })
    }

    /// The geohash that is the place's score, as a double holds it: at the very edge of the map it has 54 bits.
    pub fn score(self) -> u64 {
        encode(self, STEPS_MAX, LATITUDE_MAX).bits as f64 as u64
    }

    /// The middle of the square that a score stands for.
    pub fn from_score(score: u64) -> Self {
        let square = decode(Cell { bits: score, steps: STEPS_MAX });
        let middle = |(low, high): (f64, f64), limit: f64| ((low + high) / 2.0).clamp(-limit, limit);
        Self { longitude: middle(square.longitude, LONGITUDE_MAX), latitude: middle(square.latitude, LATITUDE_MAX) }
    }

    /// The great-circle distance in metres, by the haversine formula.
    pub fn distance_m(self, other: Self) -> f64 {
        let half_longitude = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if half_longitude == 0.0 {
            return latitude_distance_m(self.latitude, other.latitude);
        }
        let (one, two) = (radians(self.latitude), radians(other.latitude));
        let half_latitude = ((two - one) / 2.0).sin();
        let chord = half_latitude * half_latitude + one.cos() * two.cos() * half_longitude * half_longitude;
        2.0 * EARTH_RADIUS_M * chord.sqrt().asin()
    }
}

/// The standard geohash of a score's place, in 11 characters.
///
/// The standard spans latitudes to ±90°, so the place is encoded anew; of its 52 bits the last character has none.
pub fn geohash_text(score: u64) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = encode(Position::from_score(score), STEPS_MAX, 90.0).bits;
    std::array::from_fn(|index| match index {
        10 => ALPHABET[0],
        _ => ALPHABET[(bits >> (47 - 5 * index)) as usize & 31],
    })
}

/// Appends a distance, which is not negative, as GEODIST prints it: four decimals.
///
/// Redis multiplies before it rounds, which now and then gives another last decimal than rounding the exact value.
pub fn write_distance(out: &mut Vec<u8>, distance: f64) {
    use std::io::Write;
    let scaled = (distance * 10_000.0).round_ties_even() as u64;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}.{:04}", scaled / 10_000, scaled % 10_000);
}

impl Area {
    /// The distance from the centre in metres, where the place lies within.
    pub fn distance_within_m(&self, place: Position) -> Option<f64> {
        let center = self.center;
        match self.shape {
            Shape::Circle { radius_m } => {
                let distance = center.distance_m(place);
                (distance <= radius_m).then_some(distance)
            }
            Shape::Rectangle { width_m, height_m } => {
                if latitude_distance_m(place.latitude, center.latitude) > height_m / 2.0 {
                    return None;
                }
                let abeam = Position { longitude: center.longitude, latitude: place.latitude };
                if place.distance_m(abeam) > width_m / 2.0 {
                    return None;
                }
                Some(center.distance_m(place))
            }
        }
    }

    /// Score ranges `low..high` that together cover the area, in the order in which Redis looks at them.
    ///
    /// The square that has the centre comes first, then those of its eight neighbours that the area reaches.
    pub fn score_ranges(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let mut previous = None;
        self.cells().into_iter().flatten().filter_map(move |cell| {
            // On a map of few squares neighbours on both sides are the same one.
            if previous.replace(cell) == Some(cell) {
                return None;
            }
            let shift = 2 * (STEPS_MAX - cell.steps);
            Some((cell.bits << shift, (cell.bits + 1) << shift))
        })
    }

    fn cells(&self) -> [Option<Cell>; 9] {
        let bounds = self.bounds();
        let mut steps = self.estimated_steps();
        let mut center = encode(self.center, steps, LATITUDE_MAX);
        if steps > 1 && !neighbours_cover(center, &bounds) {
            steps -= 1;
            center = encode(self.center, steps, LATITUDE_MAX);
        }

        let square = decode(center);
        let wanted = |(east, north): (i32, i32)| {
            steps < 2
                || !((north < 0 && square.latitude.0 < bounds.latitude.0)
                    || (north > 0 && square.latitude.1 > bounds.latitude.1)
                    || (east < 0 && square.longitude.0 < bounds.longitude.0)
                    || (east > 0 && square.longitude.1 > bounds.longitude.1))
        };
        const ORDER: [(i32, i32); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        ORDER.map(|(east, north)| wanted((east, north)).then(|| center.moved(east, north)))
    }

    /// How finely to divide the map, so that nine squares cover the area: from the size of the area at the equator,
    /// coarser towards the poles, where the squares are narrower.
    fn estimated_steps(&self) -> u32 {
        let mut reach_m = match self.shape {
            Shape::Circle { radius_m } => radius_m,
            Shape::Rectangle { width_m, height_m } => {
                let (half_width, half_height) = (width_m / 2.0, height_m / 2.0);
                (half_width * half_width + half_height * half_height).sqrt()
            }
        };
        // Not positive, or not a number: the finest squares, as a radius of 0 has in Redis.
        if reach_m.is_nan() || reach_m <= 0.0 {
            return STEPS_MAX;
        }
        let mut steps: i32 = 1;
        while reach_m < HALF_EQUATOR_M {
            reach_m *= 2.0;
            steps += 1;
        }
        let polar = match self.center.latitude.abs() {
            latitude if latitude > 80.0 => 2,
            latitude if latitude > 66.0 => 1,
            _ => 0,
        };
        (steps - 2 - polar).clamp(1, STEPS_MAX as i32) as u32
    }

    /// The degrees that the area spans at most; its side towards the pole decides on the longitudes.
    fn bounds(&self) -> Square {
        let (half_width_m, half_height_m) = match self.shape {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Rectangle { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let Position { longitude, latitude } = self.center;
        let latitude_delta = degrees(half_height_m / EARTH_RADIUS_M);
        let polar = if latitude < 0.0 { latitude - latitude_delta } else { latitude + latitude_delta };
        let longitude_delta = degrees(half_width_m / EARTH_RADIUS_M / radians(polar).cos());
        Square {
            longitude: (longitude - longitude_delta, longitude + longitude_delta),
            latitude: (latitude - latitude_delta, latitude + latitude_delta),
        }
    }
}

const EARTH_RADIUS_M: f64 = 6372797.560856;
/// Half the equator on the geohash's map.
const HALF_EQUATOR_M: f64 = 20037726.37;
/// Pairs of bits in a score.
const STEPS_MAX: u32 = 26;

/// A square of the map: `steps` pairs of bits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// Lowest and highest degrees.
struct Square {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

impl Cell {
    /// The cell so many columns and rows away; the map wraps around.
    fn moved(self, east: i32, north: i32) -> Self {
        let mask = ((1u64 << self.steps) - 1) as u32;
        // A coordinate that does not move keeps the bit it may have beyond the edge of the map.
        let step = |coordinate: u32, by: i32| match by {
            0 => coordinate,
            _ => coordinate.wrapping_add_signed(by) & mask,
        };
        let (latitude, longitude) = (every_second(self.bits), every_second(self.bits >> 1));
        Self { bits: spread(step(latitude, north)) | spread(step(longitude, east)) << 1, steps: self.steps }
    }
}

fn encode(place: Position, steps: u32, latitude_max: f64) -> Cell {
    let cells = (1u64 << steps) as f64;
    let coordinate = |degrees: f64, limit: f64| ((degrees + limit) / (limit + limit) * cells) as u32;
    let latitude = coordinate(place.latitude, latitude_max);
    let longitude = coordinate(place.longitude, LONGITUDE_MAX);
    Cell { bits: spread(latitude) | spread(longitude) << 1, steps }
}

fn decode(cell: Cell) -> Square {
    let cells = (1u64 << cell.steps) as f64;
    let edges = |coordinate: u32, limit: f64| {
        let low = f64::from(coordinate);
        let edge = |place: f64| -limit + place / cells * (limit + limit);
        (edge(low), edge(low + 1.0))
    };
    Square {
        longitude: edges(every_second(cell.bits >> 1), LONGITUDE_MAX),
        latitude: edges(every_second(cell.bits), LATITUDE_MAX),
    }
}

/// Whether the cell's direct neighbours reach as far as the bounds on every side.
fn neighbours_cover(center: Cell, bounds: &Square) -> bool {
    let square = |east: i32, north: i32| decode(center.moved(east, north));
    square(0, 1).latitude.1 >= bounds.latitude.1
        && square(0, -1).latitude.0 <= bounds.latitude.0
        && square(1, 0).longitude.1 >= bounds.longitude.1
        && square(-1, 0).longitude.0 <= bounds.longitude.0
}

/// Each bit at twice its place.
fn spread(bits: u32) -> u64 {
    let mut wide = u64::from(bits);
    wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    wide = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    wide = (wide | wide << 2) & 0x3333_3333_3333_3333;
    (wide | wide << 1) & 0x5555_5555_5555_5555
}

/// The bits at even places, side by side.
fn every_second(bits: u64) -> u32 {
    let mut wide = bits & 0x5555_5555_5555_5555;
    wide = (wide | wide >> 1) & 0x3333_3333_3333_3333;
    wide = (wide | wide >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    wide = (wide | wide >> 4) & 0x00ff_00ff_00ff_00ff;
    wide = (wide | wide >> 8) & 0x0000_ffff_0000_ffff;
    (wide | wide >> 16) as u32
}

fn latitude_distance_m(one: f64, two: f64) -> f64 {
    EARTH_RADIUS_M * (radians(two) - radians(one)).abs()
}

/// Not `f64::to_radians`: the constant must be rounded where Redis rounds it for distances to agree to the last digit.
fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (PI / 180.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(longitude: f64, latitude: f64) -> Position {
        Position::new(longitude, latitude).expect("on the map")
    }

    #[test]
    fn the_places_of_the_documentation() {
        let (palermo, catania) = (at(13.361389, 38.115556).score(), at(15.087269, 37.502669).score());
        assert_eq!((palermo, catania), (3479099956230698, 3479447370796909));
        assert_eq!(&geohash_text(palermo), b"sqc8b49rny0");
        assert_eq!(Position::from_score(palermo), at(13.361389338970184, 38.1155563954963));
        let mut out = Vec::new();
        write_distance(&mut out, Position::from_score(palermo).distance_m(Position::from_score(catania)));
        assert_eq!(out, b"166274.1516");
    }

    #[test]
    fn the_edge_of_the_map() {
        assert_eq!(at(180.0, LATITUDE_MAX).score(), 13510798882111488);
        assert_eq!(at(-180.0, -LATITUDE_MAX).score(), 0);
        assert_eq!(Position::from_score(13510798882111488), at(180.0, LATITUDE_MAX));
        for (longitude, latitude) in [(180.1, 0.0), (0.0, 85.06), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Position::new(longitude, latitude), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn a_score_comes_back_to_itself(longitude in -180.0..180.0, latitude in -85.05..85.05) {
            let score = at(longitude, latitude).score();
            prop_assert_eq!(Position::from_score(score).score(), score);
            prop_assert!(Position::from_score(score).distance_m(at(longitude, latitude)) < 0.6);
        }

        #[test]
        fn no_score_panics(score: u64, other: u64) {
            let (one, two) = (Position::from_score(score), Position::from_score(other));
            prop_assert!(one.distance_m(two) >= 0.0);
            geohash_text(score);
            let area = Area { center: one, shape: Shape::Circle { radius_m: f64::from_bits(other) } };
            area.score_ranges().count();
        }

        #[test]
        fn what_lies_well_within_lies_in_one_of_the_ranges(
            longitude in -170.0..170.0, latitude in -60.0..60.0, radius_m in 1.0..1_000_000.0,
            east in -0.6..0.6, north in -0.6..0.6,
        ) {
            let area = Area { center: at(longitude, latitude), shape: Shape::Circle { radius_m } };
            let bounds = area.bounds();
            let place = Position::new(
                longitude + east * (bounds.longitude.1 - longitude),
                latitude + north * (bounds.latitude.1 - latitude),
            );
            let Some(place) = place else { return Ok(()) };
            prop_assume!(area.distance_within_m(place).is_some());
            let score = place.score();
            prop_assert!(area.score_ranges().any(|(low, high)| (low..high).contains(&score)));
        }
    }
}
