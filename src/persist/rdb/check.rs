//! What redis-check-rdb does: reads a file as a start would and says what is in it, or where and why it breaks off.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::read::{self, Event, Options, Reader, Reason};
use crate::types::value;
use crate::util::io_error;

/// What was found, as lines to print; `Err` where the file is broken.
pub fn check(path: &Path, options: Options) -> Result<String, String> {
    let name = path.display();
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) =
        opened.map_err(|error: io::Error| format!("Cannot open file {name}: {}\n", io_error::reason(&error)))?;
    check_input(file, size, path, options).map(|(text, _)| text)
}

/// As `check`, of an input that may go on behind the snapshot: the reader is given back with what was found.
pub fn check_input<R: Read>(input: R, size: u64, path: &Path, options: Options) -> Result<(String, Reader<R>), String> {
    let mut report = Report { text: String::new() };
    report.line(0, &format!("Checking RDB file {}", path.display()));
    let mut reader = match Reader::new(input, size, options) {
        Ok(reader) => reader,
        Err(error) => return Err(report.broken(error.offset, &error.reason, None, &Counts::default())),
    };
    let mut counts = Counts::default();
    loop {
        let event = reader.next_event();
        // As in Redis, where it ends.
        let offset = reader.offset();
        match event {
            Ok(Event::Aux { name, value }) => {
                let (name, value) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&value));
                report.line(offset, &format!("AUX FIELD {name} = '{value}'"));
            }
            Ok(Event::Database(db)) => report.line(offset, &format!("Selecting DB ID {db}")),
            Ok(Event::Record(record, _)) => {
                counts.keys += 1;
                counts.timed_hashes += u64::from(value::is_timed(&record));
                counts.last_kind = Some(value::kind_of(&record).name());
                if let Some(deadline) = record.deadline() {
                    counts.volatile += 1;
                    counts.lapsed += u64::from(deadline < crate::util::clock::unix_us() / 1000);
                }
            }
            Ok(Event::Function(_)) => {}
            Ok(Event::Module(name)) => report.line(offset, &format!("MODULE AUX for: {name}")),
            Ok(Event::Sizes { .. } | Event::Empty) => {}
            Ok(Event::End) => break,
            Err(error) => {
                let key = reader.key().to_vec();
                return Err(report.broken(error.offset, &error.reason, Some(&key), &counts));
            }
        }
    }
    let offset = reader.offset();
    report.line(
        offset,
        if options.checksums {
            "Checksum OK"
        } else {
            "RDB file was saved with checksum disabled: no check performed."
        },
    );
    report.line(offset, "\\o/ RDB looks OK! \\o/");
    report.counts(&counts);
    Ok((report.text, reader))
}

#[derive(Default)]
struct Counts {
    keys: u64,
    volatile: u64,
    lapsed: u64,
    timed_hashes: u64,
    last_kind: Option<&'static str>,
}

struct Report {
    text: String,
}

impl Report {
    fn line(&mut self, offset: u64, text: &str) {
        self.text.push_str(&format!("[offset {offset}] {text}\n"));
    }

    fn counts(&mut self, counts: &Counts) {
        self.text.push_str(&format!("[info] {} keys read\n", counts.keys));
        self.text.push_str(&format!("[info] {} expires\n", counts.volatile));
        self.text.push_str(&format!("[info] {} already expired\n", counts.lapsed));
        self.text.push_str(&format!("[info] {} subexpires\n", counts.timed_hashes));
    }

    fn broken(mut self, offset: u64, reason: &Reason, key: Option<&[u8]>, counts: &Counts) -> String {
        self.text.push_str("--- RDB ERROR DETECTED ---\n");
        match reason {
            Reason::Malformed(text) if text == read::TOO_SOON => self.line(offset, "Unexpected EOF reading RDB file"),
            _ => self.line(offset, &reason.to_string()),
        }
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            self.text.push_str(&format!("[additional info] Reading key '{}'\n", String::from_utf8_lossy(key)));
        }
        if let Some(kind) = counts.last_kind {
            self.text.push_str(&format!("[additional info] The last key read whole was a {kind}\n"));
        }
        self.counts(counts);
        self.text
    }
}
