//! A command's arguments, read from the front, with Redis's errors for what they are not.
//!
//! `Args` begins behind the command's name (and its subcommand's). Options are matched without regard to case.

use super::error::{Done, NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX, Stop, error};
use crate::resp::request::Request;
use crate::util::float::parse_f64;
use crate::util::long_double::LongDouble;
use crate::util::number::parse_i64;

#[derive(Clone)]
pub struct Args<'a> {
    request: Request<'a>,
    position: usize,
}

impl<'a> Args<'a> {
    /// The arguments of `request` from `position` on.
    pub fn new(request: Request<'a>, position: usize) -> Self {
        Self { request, position }
    }

    /// Arguments not read yet.
    #[inline]
    pub fn len(&self) -> usize {
        self.request.len() - self.position
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole request, the command's name included.
    pub fn request(&self) -> Request<'a> {
        self.request
    }

    /// Index of the next argument in the whole request.
    pub fn position(&self) -> usize {
        self.position
    }

    #[inline]
    pub fn peek(&self) -> Option<&'a [u8]> {
        (!self.is_empty()).then(|| self.request.arg(self.position))
    }

    /// The next argument; a syntax error where there is none.
    #[expect(clippy::should_implement_trait, reason = "handlers read `args.next()?`: the end is an error, not a None")]
    #[inline]
    pub fn next(&mut self) -> Result<&'a [u8], Stop> {
        let arg = self.peek().ok_or(SYNTAX)?;
        self.position += 1;
        Ok(arg)
    }

    #[inline]
    pub fn try_next(&mut self) -> Option<&'a [u8]> {
        self.next().ok()
    }

    /// Everything left, which is read by this.
    pub fn rest(&mut self) -> Rest<'a> {
        let rest = Rest { request: self.request, position: self.position, end: self.request.len() };
        self.position = self.request.len();
        rest
    }

    /// The next `count` arguments; a syntax error where there are fewer.
    pub fn take(&mut self, count: usize) -> Result<Rest<'a>, Stop> {
        if self.len() < count {
            return Err(SYNTAX);
        }
        let rest = Rest { request: self.request, position: self.position, end: self.position + count };
        self.position += count;
        Ok(rest)
    }

    /// Reads the next argument if it is this option.
    #[inline]
    pub fn option(&mut self, name: &str) -> bool {
        let found = self.peek().is_some_and(|arg| arg.eq_ignore_ascii_case(name.as_bytes()));
        self.position += usize::from(found);
        found
    }

    /// Reads the next argument if it is this option and has at least one argument behind it.
    pub fn option_with_value(&mut self, name: &str) -> bool {
        self.len() >= 2 && self.option(name)
    }

    /// A signed integer.
    #[inline]
    pub fn int(&mut self) -> Result<i64, Stop> {
        self.int_or(NOT_AN_INTEGER)
    }

    pub fn int_or(&mut self, otherwise: Stop) -> Result<i64, Stop> {
        parse_i64(self.next()?).ok_or(otherwise)
    }

    /// An integer within bounds, with an error text of its own for everything else.
    pub fn int_in(&mut self, bounds: std::ops::RangeInclusive<i64>, otherwise: &'static str) -> Result<i64, Stop> {
        parse_i64(self.next()?).filter(|value| bounds.contains(value)).ok_or(error(otherwise))
    }

    pub fn float(&mut self) -> Result<f64, Stop> {
        parse_f64(self.next()?).ok_or(NOT_A_FLOAT)
    }

    /// How long a blocking command waits: seconds, as the moment (Unix milliseconds) when they are over; `None` for ever.
    pub fn deadline(&mut self, now: u64) -> Result<Option<u64>, Stop> {
        let seconds = LongDouble::parse(self.next()?).ok_or(error("ERR timeout is not a float or out of range"))?;
        match seconds.times_rounded_up(1000) {
            ..0 => Err(error("ERR timeout is negative")),
            0 => Ok(None),
            ms => match now.checked_add_signed(ms).filter(|deadline| i64::try_from(*deadline).is_ok()) {
                Some(deadline) => Ok(Some(deadline)),
                None => Err(error("ERR timeout is out of range")),
            },
        }
    }

    /// The end of the arguments; a syntax error where something is left.
    pub fn end(&self) -> Done {
        if self.is_empty() { Ok(()) } else { Err(SYNTAX) }
    }
}

/// A run of arguments.
#[derive(Clone)]
pub struct Rest<'a> {
    request: Request<'a>,
    position: usize,
    end: usize,
}

impl<'a> Rest<'a> {
    /// Two at a time; an odd one at the end is left out (callers check the count first, as Redis does).
    pub fn pairs(self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        let Rest { request, position, end } = self;
        (0..(end - position) / 2)
            .map(move |pair| (request.arg(position + 2 * pair), request.arg(position + 2 * pair + 1)))
    }
}

impl<'a> Iterator for Rest<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.position == self.end {
            return None;
        }
        let arg = self.request.arg(self.position);
        self.position += 1;
        Some(arg)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.position, Some(self.end - self.position))
    }
}

impl ExactSizeIterator for Rest<'_> {}

impl DoubleEndedIterator for Rest<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.position == self.end {
            return None;
        }
        self.end -= 1;
        Some(self.request.arg(self.end))
    }
}
