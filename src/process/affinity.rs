//! Binding threads to processors by lists such as `0,2-5` or `0-7:2`, as `taskset` takes them.

use std::io;

/// Binds the calling thread, and those it starts from now on, to the processors of `list`. An empty list binds to none.
pub fn bind_to(list: &str) {
    if list.is_empty() {
        return;
    }
    let result = match processors(list) {
        Some(numbers) => bind(&numbers),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a list of processors")),
    };
    if let Err(error) = result {
        tracing::warn!("Could not bind to the processors '{list}': {error}");
    }
}

/// One range of a list: first, last and step.
fn processors(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let step: usize = step.trim().parse().ok().filter(|step| *step > 0)?;
        if first > last || last >= PROCESSORS_MAX {
            return None;
        }
        numbers.extend((first..=last).step_by(step));
    }
    Some(numbers)
}

const PROCESSORS_MAX: usize = libc::CPU_SETSIZE as usize;

fn bind(numbers: &[usize]) -> io::Result<()> {
    // SAFETY: all zeros are an empty set; every number is below the set's size; 0 is the calling thread.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        numbers.iter().for_each(|number| libc::CPU_SET(*number, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::processors;

    #[test]
    fn lists_are_numbers_ranges_and_steps() {
        assert_eq!(processors("0"), Some(vec![0]));
        assert_eq!(processors("1,3-5"), Some(vec![1, 3, 4, 5]));
        assert_eq!(processors("0-7:2"), Some(vec![0, 2, 4, 6]));
        for wrong in ["", "a", "3-1", "0-7:0", "1,,2", "99999", "-1"] {
            assert_eq!(processors(wrong), None, "{wrong}");
        }
    }
}
