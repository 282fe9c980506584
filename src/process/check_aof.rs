//! `--check-aof`: reads an append-only log without a server, says up to where it is whole, and cuts it there if asked to.
//!
//! It takes a manifest, a file of requests, or one that begins with a snapshot, and answers in the shape of redis-check-aof. Only the last
//! file may be cut: what lies behind a cut would not continue it.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use crate::command_line::AofCheck;
use crate::config::Config;
use crate::db::load::limits;
use crate::ds::keytable::Seed;
use crate::persist::aof::Manifest;
use crate::persist::aof::read::{Next, ReadError, Requests};
use crate::persist::disk::{self, Disk, RealDisk};
use crate::persist::rdb;

/// What was found, as text: fine, or not.
pub type Found = Result<String, String>;

type Source = Box<dyn Read + Send>;

/// How far a file is whole.
struct Extent {
    size: u64,
    whole_until: u64,
    /// The line behind it, counted from 1 in the requests.
    line: u64,
    /// What is wrong behind it.
    trouble: Option<String>,
    /// Requests were to be kept only up to a time, and this is where the first later one begins.
    is_late: bool,
}

/// Checks a log, and mends it where `fix` or a time was given.
pub fn log(check: &AofCheck) -> Found {
    let mut said = String::new();
    let is_fine = run(check, &mut said);
    if is_fine { Ok(said) } else { Err(said) }
}

fn run(check: &AofCheck, said: &mut String) -> bool {
    let name = check.file.display();
    if !check.file.exists() {
        said.push_str(&format!("Cannot open file: {name}\n"));
        return false;
    }
    let is_manifest = check.file.extension().is_some_and(|extension| extension == "manifest");
    if is_manifest {
        said.push_str("Start checking Multi Part AOF\n");
        return check_parts(check, said);
    }
    said.push_str("Start checking Old-Style AOF\n");
    check_file(check, &check.file, "AOF", true, said)
}

fn check_parts(check: &AofCheck, said: &mut String) -> bool {
    let manifest = match disk::read_all(&RealDisk, &check.file).map_err(|error| error.to_string()) {
        Ok(text) => Manifest::parse(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => {
            said.push_str(&format!("Invalid AOF manifest file {}: {error}\n", check.file.display()));
            return false;
        }
    };
    let folder = disk::folder_of(&check.file);
    let parts: Vec<_> = manifest.files().collect();
    for (index, part) in parts.iter().enumerate() {
        let is_base = index == 0 && manifest.base.is_some();
        let path = folder.join(&part.name);
        let kind = if is_base { "BASE AOF" } else { "INCR AOF" };
        if is_base {
            let format = if begins_with_snapshot(&path) { "RDB" } else { "RESP" };
            said.push_str(&format!("Start to check BASE AOF ({format} format).\n"));
        } else if index == usize::from(manifest.base.is_some()) {
            said.push_str("Start to check INCR files.\n");
        }
        if !check_file(check, &path, kind, index + 1 == parts.len(), said) {
            return false;
        }
    }
    said.push_str("All AOF files and manifest are valid\n");
    true
}

fn check_file(check: &AofCheck, path: &Path, kind: &str, is_last: bool, said: &mut String) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extent = match extent(path, check.until_unix_seconds, said) {
        Ok(extent) => extent,
        Err(reason) => {
            said.push_str(&format!("{reason}\n{kind} {name} is not valid, and nothing can be cut off to mend it.\n"));
            return false;
        }
    };
    let Extent { size, whole_until, line, .. } = extent;
    let rest = size - whole_until;
    if let Some(trouble) = &extent.trouble {
        said.push_str(&format!("0x{whole_until:16x}: {trouble}\n"));
    }
    said.push_str(&format!(
        "AOF analyzed: filename={name}, size={size}, ok_up_to={whole_until}, ok_up_to_line={line}, diff={rest}\n"
    ));
    if rest == 0 {
        said.push_str(&format!("{kind} {name} is valid\n"));
        return true;
    }
    let to_time = match check.until_unix_seconds {
        Some(until) if extent.is_late => format!(" to timestamp {until}"),
        _ => String::new(),
    };
    if !is_last {
        let why = "because it is not the last file: cutting it would leave a gap before the next";
        match check.fix || extent.is_late {
            true => said.push_str(&format!("Failed to truncate AOF {name}{to_time} {why}.\n")),
            false => said.push_str(&format!("AOF {name} is not valid, and cannot be mended {why}.\n")),
        }
        return false;
    }
    if extent.is_late {
        if whole_until == 0 {
            said.push_str(&format!("AOF {name} has nothing before the timestamp, aborting...\n"));
            return false;
        }
        return cut(path, &name, whole_until, &to_time, said);
    }
    if !check.fix {
        said.push_str(&format!("AOF {name} is not valid. Use the --fix option to try fixing it.\n"));
        return false;
    }
    said.push_str(&format!(
        "This will shrink the AOF {name} from {size} bytes, with {rest} bytes, to {whole_until} bytes\nContinue? [y/N]: "
    ));
    if !is_confirmed(said) {
        said.push_str("Aborting...\n");
        return false;
    }
    cut(path, &name, whole_until, "", said)
}

fn cut(path: &Path, name: &str, whole_until: u64, to_time: &str, said: &mut String) -> bool {
    match RealDisk.truncate(path, whole_until) {
        Ok(()) => {
            said.push_str(&format!("Successfully truncated AOF {name}{to_time}\n"));
            true
        }
        Err(error) => {
            said.push_str(&format!("Failed to truncate AOF {name}{to_time}: {error}\n"));
            false
        }
    }
}

/// Shows what was said so far and waits for a line.
fn is_confirmed(said: &mut String) -> bool {
    let mut out = std::io::stdout();
    // Whoever does not want to read may answer all the same.
    let _ = out.write_all(said.as_bytes()).and_then(|()| out.flush());
    said.clear();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim_start().to_ascii_lowercase().starts_with('y')
}

fn begins_with_snapshot(path: &PathBuf) -> bool {
    let mut begin = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(6).read_to_end(&mut begin));
    read.is_ok() && (begin.starts_with(b"REDIS") || begin.starts_with(b"VALKEY"))
}

/// Reads a file to the end of what is whole in it. An error where not even its beginning is.
fn extent(path: &Path, until_s: Option<u64>, said: &mut String) -> Result<Extent, String> {
    let size = RealDisk.len(path).map_err(|error| format!("Cannot stat file {}: {error}", path.display()))?;
    let source = RealDisk.open(path).map_err(|error| format!("Cannot open file {}: {error}", path.display()))?;
    let (source, from) = match begins_with_snapshot(&path.to_owned()) {
        true => pass_snapshot(source, size, path, said)?,
        false => (source, 0),
    };
    let mut requests = Requests::new(source, from);
    let mut extent = Extent { size, whole_until: from, line: 1, trouble: None, is_late: false };
    let (mut line, mut in_transaction) = (1, false);
    loop {
        match requests.next() {
            Ok(Next::End) if in_transaction => {
                extent.trouble = Some("Reached EOF before reading EXEC for MULTI".into());
                return Ok(extent);
            }
            Ok(Next::End) => return Ok(extent),
            Ok(Next::Timestamp(seconds)) => {
                line += 1;
                if until_s.is_some_and(|until| seconds as u64 > until) {
                    extent.is_late = true;
                    return Ok(extent);
                }
            }
            Ok(Next::Request(request)) => {
                line += 1 + 2 * request.len() as u64;
                let is = |name: &[u8]| request.arg(0).eq_ignore_ascii_case(name);
                in_transaction = !is(b"EXEC") && (in_transaction || is(b"MULTI"));
            }
            Err(ReadError::Torn) => {
                extent.trouble = Some("The file ends within a request".into());
                return Ok(extent);
            }
            Err(error) => {
                extent.trouble = Some(error.to_string());
                return Ok(extent);
            }
        }
        if !in_transaction {
            (extent.whole_until, extent.line) = (requests.offset(), line);
        }
    }
}

/// Reads the snapshot that a file begins with. What follows it, and where.
fn pass_snapshot(source: Source, size: u64, path: &Path, said: &mut String) -> Result<(Source, u64), String> {
    static SEED: Seed = Seed::new([1, 2]);
    let options = rdb::Options { limits: limits(&Config::default(), &SEED), checksums: true, any_version: false };
    let (found, reader) = rdb::check::check_input(source, size, path, options)
        .map_err(|found| format!("{found}RDB preamble of AOF file is not sane, aborting."))?;
    let offset = reader.offset();
    said.push_str(&found);
    said.push_str("RDB preamble is OK, proceeding with AOF tail...\n");
    let (rest, source) = reader.into_rest();
    Ok((Box::new(Cursor::new(rest).chain(source)), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"#TS:100\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:200\r\n*1\r\n$7\r\nFLUSHDB\r\n";

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("runnel-check-aof-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
            std::fs::write(self.0.join(name), bytes).expect("a file");
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn check(file: PathBuf) -> Found {
        log(&AofCheck { file, fix: false, until_unix_seconds: None })
    }

    #[test]
    fn a_file_is_whole_or_torn_or_spoilt() {
        let folder = Folder::new("single");
        let sound = check(folder.put("a.aof", WHOLE)).expect("a sound file");
        assert!(sound.contains("size=58, ok_up_to=58, ok_up_to_line=11, diff=0"), "{sound}");
        for (tail, text) in [
            (&b"*2\r\n$3\r\nGE"[..], "The file ends within a request"),
            (b"*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nPING\r\n", "before reading EXEC for MULTI"),
            (b"xyz", "Bad file format"),
        ] {
            let said = check(folder.put("b.aof", &[WHOLE, tail].concat())).expect_err("a broken file");
            assert!(said.contains(text) && said.contains("ok_up_to=58") && said.contains("--fix"), "{said}");
        }
        let broken = check(folder.put("c.aof", b"REDIS0011\xff")).expect_err("a broken preamble");
        assert!(broken.contains("RDB preamble of AOF file is not sane"), "{broken}");
    }

    #[test]
    fn a_manifest_names_what_is_checked() {
        let folder = Folder::new("parts");
        folder.put("a.aof", WHOLE);
        folder.put("b.aof", WHOLE);
        let manifest = folder.put("x.manifest", b"file a.aof seq 1 type b\nfile b.aof seq 1 type i\n");
        let said = check(manifest.clone()).expect("a sound log");
        assert!(said.ends_with("INCR AOF b.aof is valid\nAll AOF files and manifest are valid\n"), "{said}");
        folder.put("a.aof", &WHOLE[..WHOLE.len() - 1]);
        assert!(check(manifest).is_err_and(|said| said.contains("it is not the last file")));
    }
}
