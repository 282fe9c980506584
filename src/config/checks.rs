//! What some texts must look like: the checks that rows of `table` name.
//!
//! Each is a plain function from the given bytes to Redis's sentence of refusal.

type Check = Result<(), String>;

pub fn anything(_: &[u8]) -> Check {
    Ok(())
}

pub fn file_name(name: &[u8]) -> Check {
    no_slash(name, "dbfilename can't be a path, just a filename")
}

pub fn aof_file_name(name: &[u8]) -> Check {
    not_empty(name, "appendfilename can't be empty")?;
    no_slash(name, "appendfilename can't be a path, just a filename")
}

pub fn aof_folder_name(name: &[u8]) -> Check {
    not_empty(name, "appenddirname can't be empty")?;
    no_slash(name, "appenddirname can't be a path, just a dirname")
}

pub fn host_name(name: &[u8]) -> Check {
    if name.len() >= 256 {
        return Err("Hostnames must be less than 256 characters".into());
    }
    all(
        name,
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'),
        || "Hostnames may only contain alphanumeric characters, hyphens or dots".into(),
    )
}

/// A name goes into lines of words and commas, which it must not break.
pub fn node_name(name: &[u8]) -> Check {
    all(
        name,
        |byte| (b' '..=b'~').contains(&byte) && !b"!\"#$%&()*+/:;<>?@[]^{|}~".contains(&byte),
        || "Announced human node name contained invalid character".into(),
    )
}

pub fn ipv4(address: &[u8]) -> Check {
    parses::<std::net::Ipv4Addr>(address, "Invalid IPv4 address")
}

pub fn ipv6(address: &[u8]) -> Check {
    parses::<std::net::Ipv6Addr>(address, "Invalid IPv6 address")
}

/// Text is ordered by its bytes, so only the locales that do the same, and the environment's, can be told from typos.
pub fn locale(name: &[u8]) -> Check {
    match name {
        b"" | b"C" | b"POSIX" => Ok(()),
        _ if name.contains(&b'_') || name.starts_with(b"C.") => Ok(()),
        _ => Err("Invalid locale name".into()),
    }
}

pub const TITLE_VARIABLES: [&str; 7] =
    ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];

pub fn title_template(template: &[u8]) -> Check {
    let refused = || Err(String::from("template format is invalid or contains unknown variables"));
    let text = String::from_utf8_lossy(template);
    if text.is_empty() {
        return refused();
    }
    for piece in text.split('{').skip(1) {
        let known = piece.split_once('}').is_some_and(|(name, _)| TITLE_VARIABLES.contains(&name));
        if !known {
            return refused();
        }
    }
    Ok(())
}

fn no_slash(name: &[u8], refusal: &str) -> Check {
    if name.contains(&b'/') { Err(refusal.into()) } else { Ok(()) }
}

fn not_empty(name: &[u8], refusal: &str) -> Check {
    if name.is_empty() { Err(refusal.into()) } else { Ok(()) }
}

fn all(name: &[u8], fits: impl Fn(u8) -> bool, refusal: impl Fn() -> String) -> Check {
    if name.iter().all(|byte| fits(*byte)) { Ok(()) } else { Err(refusal()) }
}

fn parses<T: std::str::FromStr>(text: &[u8], refusal: &str) -> Check {
    let fits = text.is_empty() || std::str::from_utf8(text).is_ok_and(|text| text.parse::<T>().is_ok());
    if fits { Ok(()) } else { Err(refusal.into()) }
}
