//! The functions of Lua's string library that could take for ever or more memory than there is, with the clock and the limit in mind. The
//! others are Lua's own.

use super::convert::integer;
use super::lua::{Call, Function, Kind, Raised};
use super::pattern::{Capture, Matcher, Trouble};
use crate::cmd::error::shown;

pub const FUNCTIONS: [(&str, Function); 6] = [
    ("find", |call| find(call, true)),
    ("match", |call| find(call, false)),
    ("gmatch", gmatch),
    ("gfind", gmatch),
    ("gsub", gsub),
    ("rep", rep),
];

fn rep(call: &mut Call) -> Result<usize, Raised> {
    let text = call.string_argument(1)?;
    let count = usize::try_from(integer(call.number_argument(2)?)).unwrap_or(0);
    let len = text.len().saturating_mul(count);
    call.room(len.saturating_mul(2))?;
    call.push_bytes(if len == 0 { Vec::new() } else { text.repeat(count) });
    Ok(1)
}

/// Where the search begins, counted from 0.
fn start_of(call: &mut Call, number: usize, len: usize) -> Result<usize, Raised> {
    if call.is_absent(number) {
        return Ok(0);
    }
    let given = integer(call.number_argument(number)?);
    let from_front = if given < 0 { given.saturating_add(len as i64).saturating_add(1) } else { given };
    Ok(usize::try_from(from_front.saturating_sub(1)).unwrap_or(0).min(len))
}

fn find(call: &mut Call, find: bool) -> Result<usize, Raised> {
    let (text, pattern) = (call.string_argument(1)?, call.string_argument(2)?);
    let mut start = start_of(call, 3, text.len())?;
    // What is special behind a NUL was never looked for.
    let is_plain = call.truth(4) || !shown(pattern).iter().any(|byte| b"^$*+?.([%-".contains(byte));
    if find && is_plain {
        return Ok(match memchr::memmem::find(&text[start..], pattern) {
            Some(at) => {
                call.push_number((start + at + 1) as f64);
                call.push_number((start + at + pattern.len()) as f64);
                2
            }
            None => {
                call.push_nil();
                1
            }
        });
    }
    let anchored = pattern.first() == Some(&b'^');
    let pattern = &pattern[usize::from(anchored)..];
    let result = with_matcher(call, text, pattern, |matcher| {
        loop {
            if let Some(end) = matcher.match_at(start)? {
                return Ok(Some((start, end, std::mem::take(&mut matcher.captures))));
            }
            start += 1;
            if start > text.len() || anchored {
                return Ok(None);
            }
        }
    })?;
    let Some((start, end, captures)) = result else {
        call.push_nil();
        return Ok(1);
    };
    if !find {
        return push_captures(call, text, &captures, Some((start, end)));
    }
    call.push_number((start + 1) as f64);
    call.push_number(end as f64);
    Ok(2 + push_captures(call, text, &captures, None)?)
}

/// Runs `work` with a matcher that looks at the clock.
fn with_matcher<'a, T>(
    call: &mut Call<'a>,
    text: &'a [u8],
    pattern: &'a [u8],
    work: impl FnOnce(&mut Matcher<Raised>) -> Result<T, Trouble<Raised>>,
) -> Result<T, Raised> {
    let before = call.run().map_or(0, |run| run.pattern_steps);
    let mut breathe = || call.breathe();
    let mut matcher = Matcher::new(text, pattern, &mut breathe);
    matcher.steps = before;
    let result = work(&mut matcher);
    let steps = matcher.steps;
    if let Some(run) = call.run() {
        run.pattern_steps = steps;
    }
    result.map_err(|trouble| match trouble {
        Trouble::Pattern(text) => call.raise(text),
        Trouble::Ended(raised) => raised,
    })
}

/// Pushes all captures; the whole match where there are none and `whole` is given.
fn push_captures(
    call: &mut Call,
    text: &[u8],
    captures: &[Capture],
    whole: Option<(usize, usize)>,
) -> Result<usize, Raised> {
    if captures.is_empty() {
        let Some((start, end)) = whole else { return Ok(0) };
        call.push_bytes(&text[start..end]);
        return Ok(1);
    }
    for capture in captures {
        push_capture(call, text, *capture)?;
    }
    Ok(captures.len())
}

fn push_capture(call: &mut Call, text: &[u8], capture: Capture) -> Result<(), Raised> {
    match capture {
        Capture::Open(_) => return Err(call.raise("unfinished capture")),
        Capture::Position(at) => call.push_number((at + 1) as f64),
        Capture::Text { start, end } => call.push_bytes(&text[start..end]),
    }
    Ok(())
}

fn gmatch(call: &mut Call) -> Result<usize, Raised> {
    call.string_argument(1)?;
    call.string_argument(2)?;
    call.set_top(2);
    call.push_number(0.0);
    call.push_function_with(gmatch_next, 3);
    Ok(1)
}

fn gmatch_next(call: &mut Call) -> Result<usize, Raised> {
    call.set_top(0);
    (1..=3).for_each(|number| call.push_upvalue(number));
    let (text, pattern) = (call.string_argument(1)?, call.string_argument(2)?);
    let mut start = call.number_argument(3)? as usize;
    let result = with_matcher(call, text, pattern, |matcher| {
        while start <= text.len() {
            if let Some(end) = matcher.match_at(start)? {
                return Ok(Some((start, end, std::mem::take(&mut matcher.captures))));
            }
            start += 1;
        }
        Ok(None)
    })?;
    let Some((start, end, captures)) = result else { return Ok(0) };
    call.push_number((end + usize::from(end == start)) as f64);
    call.replace_upvalue(3);
    push_captures(call, text, &captures, Some((start, end)))
}

fn gsub(call: &mut Call) -> Result<usize, Raised> {
    let (text, pattern) = (call.string_argument(1)?, call.string_argument(2)?);
    match call.kind(3) {
        Kind::Number | Kind::String => {
            call.string_argument(3)?;
        }
        Kind::Table | Kind::Function => {}
        _ => return Err(call.bad_argument(3, "string/function/table expected")),
    }
    let replacements_max = if call.is_absent(4) {
        text.len() + 1
    } else {
        usize::try_from(integer(call.number_argument(4)?)).unwrap_or(0)
    };
    let anchored = pattern.first() == Some(&b'^');
    let pattern = &pattern[usize::from(anchored)..];
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0);
    while count < replacements_max {
        let found = with_matcher(call, text, pattern, |matcher| {
            Ok(matcher.match_at(at)?.map(|end| (end, std::mem::take(&mut matcher.captures))))
        })?;
        let end = found.as_ref().map(|(end, _)| *end);
        if let Some((end, captures)) = found {
            count += 1;
            replace(call, text, (at, end), &captures, &mut out)?;
            if out.len() > 1 << 20 {
                call.room(out.len() * 2)?;
            }
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => {
                out.push(text[at]);
                at += 1;
            }
            _ => break,
        }
        if anchored {
            break;
        }
        if count % 1024 == 1023 {
            call.breathe()?;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    call.room(out.len())?;
    call.push_bytes(&out);
    call.push_number(count as f64);
    Ok(2)
}

/// Appends what takes the place of one match.
fn replace(
    call: &mut Call,
    text: &[u8],
    (start, end): (usize, usize),
    captures: &[Capture],
    out: &mut Vec<u8>,
) -> Result<(), Raised> {
    let top = call.top();
    match call.kind(3) {
        Kind::Function => {
            call.push_value(3);
            let arguments = push_captures(call, text, captures, Some((start, end)))?;
            call.call(arguments, Some(1))?;
        }
        Kind::Table => {
            push_captures(call, text, &captures[..captures.len().min(1)], Some((start, end)))?;
            call.get(3)?;
        }
        _ => return fill_in(call, text, (start, end), captures, out),
    }
    match call.kind(-1) {
        Kind::Nil => out.extend_from_slice(&text[start..end]),
        Kind::Bool if !call.truth(-1) => out.extend_from_slice(&text[start..end]),
        Kind::String | Kind::Number => {
            let top = call.top();
            out.extend_from_slice(call.string_argument(top)?);
        }
        _ => {
            let kind = call.type_name(-1);
            return Err(call.raise(format!("invalid replacement value (a {kind})")));
        }
    }
    call.set_top(top);
    Ok(())
}

/// A replacement that is text, with `%0` to `%9` filled in.
fn fill_in(
    call: &mut Call,
    text: &[u8],
    (start, end): (usize, usize),
    captures: &[Capture],
    out: &mut Vec<u8>,
) -> Result<(), Raised> {
    let replacement = call.bytes(3).unwrap_or_default();
    let mut rest = replacement.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        match rest.next().copied().unwrap_or(0) {
            b'0' => out.extend_from_slice(&text[start..end]),
            digit @ b'1'..=b'9' => match captures.get(usize::from(digit - b'1')) {
                Some(&Capture::Text { start, end }) => out.extend_from_slice(&text[start..end]),
                Some(&Capture::Position(at)) => out.extend_from_slice((at + 1).to_string().as_bytes()),
                Some(Capture::Open(_)) => return Err(call.raise("unfinished capture")),
                None if digit == b'1' && captures.is_empty() => out.extend_from_slice(&text[start..end]),
                None => return Err(call.raise("invalid capture index")),
            },
            other => out.push(other),
        }
    }
    Ok(())
}
