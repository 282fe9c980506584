//! The kinds of value that belong to one or two directives each: save rules, buffer limits, bind addresses,
//! notification classes and the enumerations.
//!
//! Each reads itself with Redis's error sentences and prints itself as Redis normalises it. The kinds shared by
//! many directives are in `value`; which directive has which kind is in `table`.

use super::Facts;
use super::value::{
    Input, Setting, WRONG_ARITY, Words, decimal, keywords, memory_text, not_one_of, only_word, parse_memory,
};

keywords! {
    /// When the append-only file is forced to disk.
    pub enum AppendFsync { EverySecond = "everysec", Always = "always", No = "no" }

    /// The least important message that is logged.
    pub enum LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing" }

    /// Log lines in Redis's form or as JSON. `legacy` is what Valkey calls Redis's form.
    pub enum LogFormat { Text = "text" | "legacy", Json = "json" }

    /// How a log line tells the time.
    pub enum LogTimestamp { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds" }

    /// Which keys go when memory is full.
    pub enum MaxmemoryPolicy {
        VolatileLru = "volatile-lru",
        VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl",
        AllkeysLru = "allkeys-lru",
        AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random",
        NoEviction = "noeviction",
    }

    /// Who may use a dangerous feature: nobody, everybody, or who connects from this machine.
    pub enum Permit { No = "no", Yes = "yes", Local = "local" }

    pub enum TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }

    /// The field of a client certificate that names the user.
    pub enum TlsUserField { CommonName = "CN", Uri = "URI", Off = "off" }

    /// `yes` is `relative` by another name.
    pub enum OomScoreAdjust { No = "no", Yes = "yes", Relative = "relative", Absolute = "absolute" }

    /// Whose payloads are checked to the bottom when RESTORE or a loader reads them.
    pub enum SanitizePayload { No = "no", Yes = "yes", Clients = "clients" }

    pub enum ReplDisklessLoad {
        Disabled = "disabled",
        OnEmptyDb = "on-empty-db",
        SwapDb = "swapdb",
        FlushBeforeLoad = "flush-before-load",
    }

    pub enum Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }

    pub enum SyslogFacility {
        User = "user",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }

    pub enum PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }

    /// The channels a new user may use.
    pub enum AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }

    pub enum EndpointType { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }

    pub enum ClusterSave { Sync = "sync", BestEffort = "best-effort" }

    pub enum RdbVersionCheck { Strict = "strict", Relaxed = "relaxed" }

    /// Whose way of writing what the two servers write differently.
    pub enum RdbDialect { Redis = "redis", Valkey = "valkey" }
}

impl Permit {
    /// Whether a caller may; `local` says that it came over loopback or a Unix socket.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => local,
        }
    }
}

fn joined<T>(items: &[T], print: impl Fn(&T) -> String) -> Vec<u8> {
    items.iter().map(print).collect::<Vec<_>>().join(" ").into_bytes()
}

/// A snapshot is due when `changes` writes have happened and `seconds` have passed since the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SaveRule {
    pub seconds: u64,
    pub changes: u64,
}

/// All `save` rules. The first line of a start replaces the defaults, the following add up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SaveRules(pub Vec<SaveRule>);

impl Setting for SaveRules {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, before: Option<&Self>) -> Result<Self, String> {
        const INVALID: &str = "Invalid save parameters";
        if input.words.is_empty() {
            return Ok(Self::default());
        }
        let mut rules = match before {
            Some(before) if input.repeated => before.clone(),
            _ => Self::default(),
        };
        let (pairs, []) = input.words.as_chunks::<2>() else { return Err(INVALID.into()) };
        for [seconds, changes] in pairs {
            let number = |word| decimal(word).and_then(|number| u64::try_from(number).ok());
            match (number(seconds), number(changes)) {
                (Some(seconds @ 1..), Some(changes)) => rules.0.push(SaveRule { seconds, changes }),
                _ => return Err(INVALID.into()),
            }
        }
        Ok(rules)
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        joined(&self.0, |rule| format!("{} {}", rule.seconds, rule.changes))
    }

    fn lines(&self, _: &Facts) -> Vec<Vec<u8>> {
        if self.0.is_empty() {
            return vec![b"\"\"".to_vec()];
        }
        self.0.iter().map(|rule| format!("{} {}", rule.seconds, rule.changes).into_bytes()).collect()
    }

    fn takes(_: &Facts) -> String {
        "seconds changes ... | \"\"".into()
    }
}

/// When a client that reads too slowly is closed; 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimit {
    pub hard_bytes: u64,
    /// Closed when above this for longer than `soft_seconds`.
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`: a line or a CONFIG SET names only the classes it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    pub replica: OutputLimit,
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    fn class(&mut self, word: &[u8]) -> Option<&mut OutputLimit> {
        match word.to_ascii_lowercase().as_slice() {
            b"normal" => Some(&mut self.normal),
            // GET shows the old word, a rewritten file the new one.
            b"replica" | b"slave" => Some(&mut self.replica),
            b"pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

impl Setting for OutputLimits {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, before: Option<&Self>) -> Result<Self, String> {
        let mut limits = before.copied().unwrap_or_default();
        let (quads, []) = input.words.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        };
        for [class, hard, soft, seconds] in quads {
            let limit = limits.class(class).ok_or("Invalid client class specified in buffer limit configuration.")?;
            let seconds = decimal(seconds).and_then(|seconds| u64::try_from(seconds).ok());
            match (parse_memory(hard), parse_memory(soft), seconds) {
                (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) => {
                    *limit = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
                }
                _ => return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into()),
            }
        }
        Ok(limits)
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        joined(&[("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)], |(class, limit)| {
            format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        })
    }

    fn lines(&self, _: &Facts) -> Vec<Vec<u8>> {
        let memory = |bytes| String::from_utf8_lossy(&memory_text(i128::from(bytes))).into_owned();
        [("normal", self.normal), ("replica", self.replica), ("pubsub", self.pubsub)]
            .map(|(class, limit)| {
                format!("{class} {} {} {}", memory(limit.hard_bytes), memory(limit.soft_bytes), limit.soft_seconds)
                    .into_bytes()
            })
            .to_vec()
    }

    fn takes(_: &Facts) -> String {
        "normal|replica|pubsub hard soft soft-seconds ...".into()
    }
}

/// One address to listen on; `*` and `::*` are every address of a family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindAddress {
    pub host: String,
    /// Written with `-` in front: no error where the machine lacks the address.
    pub optional: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bind(pub Vec<BindAddress>);

impl Bind {
    const ADDRESSES_MAX: usize = 16;

    fn words(&self) -> Vec<u8> {
        joined(&self.0, |address| format!("{}{}", if address.optional { "-" } else { "" }, address.host))
    }
}

impl Setting for Bind {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        if input.words.is_empty() {
            return Ok(Self::default());
        }
        if input.words.len() > Self::ADDRESSES_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        let addresses = input.words.iter().map(|word| {
            let text = String::from_utf8_lossy(word);
            match text.strip_prefix('-') {
                Some(host) => BindAddress { host: host.into(), optional: true },
                None => BindAddress { host: text.into_owned(), optional: false },
            }
        });
        Ok(Self(addresses.collect()))
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        self.words()
    }

    fn lines(&self, _: &Facts) -> Vec<Vec<u8>> {
        vec![if self.0.is_empty() { b"\"\"".to_vec() } else { self.words() }]
    }

    fn takes(_: &Facts) -> String {
        "[-]address ...".into()
    }
}

/// What SIGTERM or SIGINT does besides SHUTDOWN's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShutdownOn {
    pub save: bool,
    pub nosave: bool,
    pub now: bool,
    pub force: bool,
}

impl ShutdownOn {
    const WORDS: [&str; 5] = ["default", "save", "nosave", "now", "force"];
}

impl Setting for ShutdownOn {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        let mut flags = Self::default();
        let refused = || not_one_of(Self::WORDS.into_iter());
        if input.words.is_empty() {
            return Err(refused());
        }
        for word in input.words {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => flags.save = true,
                b"nosave" => flags.nosave = true,
                b"now" => flags.now = true,
                b"force" => flags.force = true,
                _ => return Err(refused()),
            }
        }
        if flags.save && flags.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(flags)
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        let set = [self.save, self.nosave, self.now, self.force];
        let words: Vec<&str> =
            Self::WORDS[1..].iter().zip(set).filter(|(_, set)| *set).map(|(word, _)| *word).collect();
        if words.is_empty() { b"default".to_vec() } else { words.join(" ").into_bytes() }
    }

    fn takes(_: &Facts) -> String {
        Self::WORDS.join(" | ")
    }
}

/// The classes of keyspace events that are published, as a set of bits.
///
/// `A` stands for every class of events but the rare `m` (key misses), `n` (new keys), `o` (overwritten) and `c` (of another type).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NotifyFlags(u32);

impl NotifyFlags {
    pub const KEYSPACE: Self = Self(1); // K
    pub const KEYEVENT: Self = Self(1 << 1); // E
    pub const GENERIC: Self = Self(1 << 2); // g
    pub const STRING: Self = Self(1 << 3); // $
    pub const LIST: Self = Self(1 << 4); // l
    pub const SET: Self = Self(1 << 5); // s
    pub const HASH: Self = Self(1 << 6); // h
    pub const ZSET: Self = Self(1 << 7); // z
    pub const EXPIRED: Self = Self(1 << 8); // x
    pub const EVICTED: Self = Self(1 << 9); // e
    pub const STREAM: Self = Self(1 << 10); // t
    pub const KEY_MISS: Self = Self(1 << 11); // m
    pub const MODULE: Self = Self(1 << 12); // d
    pub const NEW: Self = Self(1 << 13); // n
    pub const OVERWRITTEN: Self = Self(1 << 14); // o
    pub const TYPE_CHANGED: Self = Self(1 << 15); // c
    /// What `A` means.
    pub const ALL: Self = Self(0b1_0111_1111_1100);

    /// In the order in which Redis prints them.
    const LETTERS: [(u8, Self); 16] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'n', Self::NEW),
        (b'o', Self::OVERWRITTEN),
        (b'c', Self::TYPE_CHANGED),
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
    ];

    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `flags` is on.
    #[inline]
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Reads a string such as `KEA`; `None` at an unknown letter.
    pub fn from_letters(letters: &[u8]) -> Option<Self> {
        let mut flags = Self(0);
        for &letter in letters {
            flags.0 |= match letter {
                b'A' => Self::ALL.0,
                _ => Self::LETTERS.iter().find(|(known, _)| *known == letter)?.1.0,
            };
        }
        Some(flags)
    }

    /// The normalised string.
    pub fn letters(self) -> String {
        let all = self.contains(Self::ALL);
        let mut text = String::from(if all { "A" } else { "" });
        for (letter, flag) in Self::LETTERS {
            let said_by_all = all && Self::ALL.contains(flag);
            if self.contains(flag) && !said_by_all {
                text.push(char::from(letter));
            }
        }
        text
    }
}

impl Setting for NotifyFlags {
    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        Self::from_letters(only_word(input)?)
            .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into())
    }

    /// CONFIG GET leaves out the rare classes beside `A`, as Redis does; a rewritten file has them all.
    fn print(&self, _: &Facts) -> Vec<u8> {
        let mut letters = self.letters();
        if self.contains(Self::ALL) {
            letters.retain(|letter| !"noc".contains(letter));
        }
        letters.into_bytes()
    }

    fn lines(&self, _: &Facts) -> Vec<Vec<u8>> {
        vec![format!("\"{}\"", self.letters()).into_bytes()]
    }

    fn takes(_: &Facts) -> String {
        "letters of Ag$lshzxeKEtmdn".into()
    }
}

/// What is added to the kernel's out-of-memory score of a primary, a replica and a background child.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OomScores(pub [i32; 3]);

impl Setting for OomScores {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        let [primary, replica, child] = input.words else { return Err(WRONG_ARITY.into()) };
        let mut scores = [0; 3];
        for (score, word) in scores.iter_mut().zip([primary, replica, child]) {
            *score = decimal(word)
                .filter(|number| (-2000..=2000).contains(number))
                .and_then(|number| i32::try_from(number).ok())
                .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        }
        Ok(Self(scores))
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        joined(&self.0, i32::to_string)
    }

    fn takes(_: &Facts) -> String {
        "three integers -2000..2000".into()
    }
}

/// The percentiles of INFO latencystats.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Percentiles(pub Vec<f64>);

impl Setting for Percentiles {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        if input.words.is_empty() {
            return Ok(Self::default());
        }
        let number = |word: &Vec<u8>| {
            let number: f64 = std::str::from_utf8(word)
                .ok()
                .and_then(|text| text.parse().ok())
                .filter(|number: &f64| !number.is_nan())
                .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if !(0.0..=100.0).contains(&number) {
                return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
            }
            Ok(number)
        };
        Ok(Self(input.words.iter().map(number).collect::<Result<_, String>>()?))
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        joined(&self.0, |number| {
            let text = format!("{number:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        })
    }

    fn lines(&self, facts: &Facts) -> Vec<Vec<u8>> {
        vec![if self.0.is_empty() { b"\"\"".to_vec() } else { self.print(facts) }]
    }

    fn takes(_: &Facts) -> String {
        "numbers 0..100 ...".into()
    }
}

/// The primary that this server copies, if any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaOf(pub Option<(String, u16)>);

impl Setting for ReplicaOf {
    const WORDS: Words = Words::Many;

    fn parse(input: &Input, before: Option<&Self>) -> Result<Self, String> {
        let [host, port] = input.words else {
            // Nothing but the default is made without a value before.
            return if before.is_none() { Ok(Self::default()) } else { Err(WRONG_ARITY.into()) };
        };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(Self(None));
        }
        let port = decimal(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
        Ok(Self(Some((String::from_utf8_lossy(host).into_owned(), port))))
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        match &self.0 {
            Some((host, port)) => format!("{host} {port}").into_bytes(),
            None => Vec::new(),
        }
    }

    fn lines(&self, facts: &Facts) -> Vec<Vec<u8>> {
        if self.0.is_some() { vec![self.print(facts)] } else { Vec::new() }
    }

    fn takes(_: &Facts) -> String {
        "host port".into()
    }
}

/// `maxmemory-clients`: bytes, or a part of `maxmemory`; 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientsLimit {
    Bytes(u64),
    Percent(u8),
}

impl ClientsLimit {
    /// The limit in bytes, or `None` where there is none (a percentage of no `maxmemory` is none too).
    pub fn bytes(self, maxmemory: u64) -> Option<u64> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => u64::try_from(u128::from(maxmemory) * u128::from(percent) / 100).ok()?,
        };
        (bytes != 0).then_some(bytes)
    }
}

impl Setting for ClientsLimit {
    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        const TOO_MUCH: &str = "percentage argument must be less or equal to 100";
        const NEITHER: &str = "argument must be a memory or percent value";
        let word = only_word(input)?;
        let Some(percent) = word.strip_suffix(b"%") else {
            return match parse_memory(word) {
                // Redis keeps percentages as negative numbers, and so takes too large ones for percentages.
                Some(bytes) if bytes > i64::MAX as u64 => Err(TOO_MUCH.into()),
                Some(bytes) => Ok(Self::Bytes(bytes)),
                None => Err(NEITHER.into()),
            };
        };
        match decimal(percent) {
            Some(0) => Ok(Self::Bytes(0)),
            Some(percent @ 1..=100) => Ok(Self::Percent(percent as u8)),
            Some(101..) => Err(TOO_MUCH.into()),
            _ => Err(NEITHER.into()),
        }
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_string().into_bytes(),
            Self::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }

    fn lines(&self, facts: &Facts) -> Vec<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => vec![memory_text(i128::from(*bytes))],
            Self::Percent(_) => vec![self.print(facts)],
        }
    }

    fn takes(_: &Facts) -> String {
        "memory | percent%".into()
    }
}

/// The Redis version that this server says it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CompatVersion(pub u8, pub u8, pub u8);

impl std::fmt::Display for CompatVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Setting for CompatVersion {
    fn parse(input: &Input, _: Option<&Self>) -> Result<Self, String> {
        let word = only_word(input)?;
        let part = |part: &[u8]| decimal(part).and_then(|number| u8::try_from(number).ok());
        let parts: Option<Vec<u8>> = word.split(|byte| *byte == b'.').map(part).collect();
        match parts.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self(major, minor, patch)),
            _ => Err("argument must be a version such as 8.2.0".into()),
        }
    }

    fn print(&self, _: &Facts) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn takes(_: &Facts) -> String {
        "major.minor.patch".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notification_letters_are_normalised() {
        let normal = |letters: &str| NotifyFlags::from_letters(letters.as_bytes()).map(NotifyFlags::letters);
        for (given, printed) in [
            ("KEA", "AKE"),
            ("Kgg", "gK"),
            ("KEg$lshzxedtmn", "AnKEm"),
            ("nmKE", "nKEm"),
            ("", ""),
            ("g$lshzxetd", "A"),
        ] {
            assert_eq!(normal(given).as_deref(), Some(printed), "{given}");
        }
        assert_eq!(normal("KEq"), None);
    }

    #[test]
    fn a_percentage_of_clients_memory_follows_maxmemory() {
        assert_eq!(ClientsLimit::Percent(5).bytes(1000), Some(50));
        assert_eq!(ClientsLimit::Percent(5).bytes(0), None);
        assert_eq!(ClientsLimit::Percent(100).bytes(u64::MAX), Some(u64::MAX));
        assert_eq!(ClientsLimit::Bytes(0).bytes(1000), None);
    }
}
