//! What a connection says and how it answers: one behaviour for each role of `loads.rs`. A behaviour sees bytes and
//! the link to send on; sockets and waiting are `client.rs`'s.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::client::{Link, Shared};
use super::loads::{Load, Party, Role};
use super::resp::{self, Element, Scanner};
use super::template::{self, Batch};

pub trait Behaviour {
    fn start(&mut self, link: &mut Link, shared: &mut Shared) -> io::Result<()>;

    fn receive(&mut self, data: &[u8], link: &mut Link, shared: &mut Shared) -> io::Result<()>;

    /// Whether `act` is to be called once a turn.
    fn acts_unasked(&self) -> bool {
        false
    }

    fn act(&mut self, _link: &mut Link, _shared: &mut Shared) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that come next and that nobody wants to see.
    fn body_bytes_missing(&self) -> usize {
        0
    }

    fn skipped(&mut self, _bytes: usize) {}
}

/// The behaviours of all connections of a load, party by party.
pub fn of_load(load: &Load, rate: Option<u64>) -> Vec<Box<dyn Behaviour>> {
    let connections_cycling: usize = load.parties.iter().map(|party| party.connections).sum();
    let subscribers: usize = load
        .parties
        .iter()
        .map(|party| if matches!(party.role, Role::Subscriber { .. }) { party.connections } else { 0 })
        .sum();
    let mut all: Vec<Box<dyn Behaviour>> = Vec::new();
    for party in &load.parties {
        let batches = Rc::new(RefCell::new(batches(load, party, rate)));
        for number in 0..party.connections {
            let batches = batches.clone();
            all.push(match &party.role {
                Role::Cycle(_) => match rate {
                    None => Box::new(Cycle::new(batches, number)),
                    Some(rate) => Box::new(Paced::new(batches, number, connections_cycling, rate)),
                },
                Role::Publisher { channels, subscribers_each, outstanding_max } => Box::new(Sender {
                    batches,
                    number: number % channels,
                    deliveries_each: *subscribers_each as u64,
                    outstanding_max: *outstanding_max,
                    subscribers_awaited: subscribers,
                    replies_missing: 0,
                    scanner: Scanner::default(),
                }),
                Role::Producer { outstanding_max } => Box::new(Sender {
                    batches,
                    number,
                    deliveries_each: 1,
                    outstanding_max: *outstanding_max,
                    subscribers_awaited: 0,
                    replies_missing: 0,
                    scanner: Scanner::default(),
                }),
                Role::Subscriber { channels } => Box::new(Subscriber {
                    channel: number % channels,
                    is_timed: number < *channels,
                    is_subscribed: false,
                    replies: Replies::default(),
                }),
                Role::Consumer { count, block } => Box::new(Consumer::new(number, *count, *block, party.pipeline)),
            });
        }
    }
    all
}

type Batches = Rc<RefCell<Vec<Batch>>>;

/// The requests of a party, a pipeline at a time. Where the lines do not fit evenly into a pipeline there is one
/// batch for each line to begin with.
fn batches(load: &Load, party: &Party, rate: Option<u64>) -> Vec<Batch> {
    let pipeline = if rate.is_some() { 1 } else { party.pipeline };
    let lines: Vec<String> = match &party.role {
        Role::Cycle(lines) => lines.clone(),
        Role::Publisher { .. } => vec!["PUBLISH channel:{c} {t}{v}".into()],
        Role::Producer { .. } => vec!["XADD stream MAXLEN ~ 100000 * time {t}".into()],
        Role::Subscriber { .. } | Role::Consumer { .. } => return Vec::new(),
    };
    let time_bytes = if matches!(party.role, Role::Publisher { .. }) { template::DIGITS } else { 0 };
    let value = vec![b'x'; load.value_bytes.saturating_sub(time_bytes)];
    let count = if pipeline % lines.len() == 0 { 1 } else { lines.len() };
    (0..count)
        .map(|index| {
            let mut batch = Batch::default();
            for place in 0..pipeline {
                batch.push(&lines[(index * pipeline + place) % lines.len()], &value, load.keys);
            }
            batch
        })
        .collect()
}

fn malformed(_: resp::Malformed) -> io::Error {
    io::Error::other("the server sent what is not RESP")
}

/// Counts the replies in `data` and notes errors among them.
fn count_replies(scanner: &mut Scanner, data: &[u8], shared: &mut Shared) -> io::Result<u32> {
    let mut count = 0;
    let mut begin = 0;
    let counted = scanner.feed(data, |kind, end| {
        count += 1;
        if kind == b'-' {
            shared.note_error(&data[begin..end]);
        }
        begin = end;
    });
    counted.map_err(malformed)?;
    Ok(count)
}

/// Sends a batch, waits for all its replies, sends the next.
struct Cycle {
    batches: Batches,
    number: usize,
    next: usize,
    missing: u32,
    sent_ns: u64,
    scanner: Scanner,
}

impl Cycle {
    fn new(batches: Batches, number: usize) -> Self {
        Cycle { batches, number, next: 0, missing: 0, sent_ns: 0, scanner: Scanner::default() }
    }

    fn send(&mut self, now_ns: u64, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let mut batches = self.batches.borrow_mut();
        let batch = &mut batches[self.next];
        self.missing = batch.requests();
        self.sent_ns = now_ns;
        link.send(batch.fill(&mut shared.numbers, self.number as u64))?;
        self.next = (self.next + 1) % batches.len();
        Ok(())
    }
}

impl Behaviour for Cycle {
    fn start(&mut self, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        self.send(shared.now_ns(), link, shared)
    }

    fn receive(&mut self, data: &[u8], link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let replies = count_replies(&mut self.scanner, data, shared)?;
        if replies == 0 {
            return Ok(());
        }
        let now_ns = shared.now_ns();
        shared.latency.record(now_ns - self.sent_ns, u64::from(replies));
        shared.counted += u64::from(replies);
        self.missing =
            self.missing.checked_sub(replies).ok_or_else(|| io::Error::other("a reply that nobody asked for"))?;
        if self.missing == 0 { self.send(now_ns, link, shared) } else { Ok(()) }
    }

    fn body_bytes_missing(&self) -> usize {
        self.scanner.body_bytes_missing()
    }

    fn skipped(&mut self, bytes: usize) {
        self.scanner.skipped(bytes);
    }
}

/// Sends a request whenever its time has come. Latency counts from that time, not from when the socket took it:
/// a server that stalls is charged for all requests that should have been served meanwhile.
struct Paced {
    batches: Batches,
    number: usize,
    next: usize,
    due_ns: u64,
    period_ns: u64,
    due_of_missing_ns: VecDeque<u64>,
    scanner: Scanner,
}

impl Paced {
    fn new(batches: Batches, number: usize, connections: usize, rate: u64) -> Self {
        let step_ns = 1_000_000_000 / rate.max(1);
        Paced {
            batches,
            number,
            next: 0,
            due_ns: step_ns * number as u64,
            period_ns: step_ns * connections as u64,
            due_of_missing_ns: VecDeque::new(),
            scanner: Scanner::default(),
        }
    }
}

impl Behaviour for Paced {
    fn start(&mut self, _link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        self.due_ns += shared.now_ns();
        Ok(())
    }

    fn acts_unasked(&self) -> bool {
        true
    }

    fn act(&mut self, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let now_ns = shared.now_ns();
        while self.due_ns <= now_ns {
            let mut batches = self.batches.borrow_mut();
            link.send(batches[self.next].fill(&mut shared.numbers, self.number as u64))?;
            self.next = (self.next + 1) % batches.len();
            self.due_of_missing_ns.push_back(self.due_ns);
            self.due_ns += self.period_ns;
        }
        Ok(())
    }

    fn receive(&mut self, data: &[u8], _link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let replies = count_replies(&mut self.scanner, data, shared)?;
        let now_ns = shared.now_ns();
        for due_ns in self.due_of_missing_ns.drain(..replies as usize) {
            shared.latency.record(now_ns.saturating_sub(due_ns), 1);
        }
        shared.counted += u64::from(replies);
        Ok(())
    }
}

/// A publisher or a producer: sends the next batch when the last was answered and few enough messages are on their way.
struct Sender {
    batches: Batches,
    number: usize,
    deliveries_each: u64,
    outstanding_max: u64,
    subscribers_awaited: usize,
    replies_missing: u32,
    scanner: Scanner,
}

impl Behaviour for Sender {
    fn start(&mut self, _link: &mut Link, _shared: &mut Shared) -> io::Result<()> {
        Ok(())
    }

    fn acts_unasked(&self) -> bool {
        true
    }

    fn act(&mut self, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let may_send = self.replies_missing == 0
            && shared.on_the_way < self.outstanding_max
            && shared.subscribed == self.subscribers_awaited;
        if may_send {
            let batch = &mut self.batches.borrow_mut()[0];
            shared.numbers.time_ns = shared.now_ns();
            shared.on_the_way += u64::from(batch.requests()) * self.deliveries_each;
            self.replies_missing = batch.requests();
            link.send(batch.fill(&mut shared.numbers, self.number as u64))?;
        }
        Ok(())
    }

    fn receive(&mut self, data: &[u8], link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        self.replies_missing -= count_replies(&mut self.scanner, data, shared)?;
        self.act(link, shared)
    }
}

/// Whole replies, kept until they are complete.
#[derive(Default)]
struct Replies {
    scanner: Scanner,
    unread: Vec<u8>,
}

impl Replies {
    fn feed(&mut self, data: &[u8], mut on_reply: impl FnMut(&[u8])) -> io::Result<()> {
        let mut ends = Vec::new();
        self.scanner.feed(data, |_, end| ends.push(end)).map_err(malformed)?;
        let before = self.unread.len();
        self.unread.extend_from_slice(data);
        let mut begin = 0;
        for end in ends {
            on_reply(&self.unread[begin..before + end]);
            begin = before + end;
        }
        self.unread.drain(..begin);
        Ok(())
    }
}

/// Counts messages; one subscriber of each channel also reads when they were sent.
struct Subscriber {
    channel: usize,
    is_timed: bool,
    is_subscribed: bool,
    replies: Replies,
}

impl Subscriber {
    /// The payload is the third element of `message channel payload`.
    fn sent_ns(message: &[u8]) -> Option<u64> {
        match resp::elements(message).nth(3)? {
            Element::Bulk(payload) => Some(template::read_digits(payload)),
            _ => None,
        }
    }
}

impl Behaviour for Subscriber {
    fn start(&mut self, link: &mut Link, _shared: &mut Shared) -> io::Result<()> {
        let mut request = Vec::new();
        resp::write_request(&["SUBSCRIBE", &format!("channel:{:012}", self.channel)], &mut request);
        link.send(&request)
    }

    fn receive(&mut self, data: &[u8], _link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let mut messages = 0;
        if self.is_timed {
            let now_ns = shared.now_ns();
            self.replies.feed(data, |message| {
                messages += 1;
                if let Some(sent_ns) = Self::sent_ns(message) {
                    shared.latency.record(now_ns.saturating_sub(sent_ns), 1);
                }
            })?;
        } else {
            messages = count_replies(&mut self.replies.scanner, data, shared)?;
        }
        if messages > 0 && !self.is_subscribed {
            self.is_subscribed = true;
            shared.subscribed += 1;
            messages -= 1;
        }
        shared.counted += u64::from(messages);
        shared.on_the_way = shared.on_the_way.saturating_sub(u64::from(messages));
        Ok(())
    }
}

/// Reads entries for its group, acknowledges them, reads on; a pipeline of reads, then one of acknowledgements.
struct Consumer {
    reads: Vec<u8>,
    reads_each: usize,
    reads_missing: usize,
    acknowledgements: Vec<u8>,
    acknowledgements_missing: usize,
    entries_read: u64,
    is_end_to_end: bool,
    sent_ns: u64,
    replies: Replies,
}

impl Consumer {
    fn new(number: usize, count: usize, block: bool, pipeline: usize) -> Self {
        let block_words = if block { "BLOCK 0 " } else { "" };
        let line = format!("XREADGROUP GROUP group consumer:{number} COUNT {count} {block_words}STREAMS stream >");
        let words: Vec<&str> = line.split(' ').collect();
        let mut reads = Vec::new();
        (0..pipeline).for_each(|_| resp::write_request(&words, &mut reads));
        Consumer {
            reads,
            reads_each: pipeline,
            reads_missing: 0,
            acknowledgements: Vec::new(),
            acknowledgements_missing: 0,
            entries_read: 0,
            is_end_to_end: block,
            sent_ns: 0,
            replies: Replies::default(),
        }
    }

    /// All replies are there: acknowledges what was read, or reads.
    fn send(&mut self, now_ns: u64, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        self.sent_ns = now_ns;
        if self.acknowledgements_missing > 0 {
            return link.send(&std::mem::take(&mut self.acknowledgements));
        }
        shared.counted += self.entries_read;
        shared.on_the_way = shared.on_the_way.saturating_sub(self.entries_read);
        self.entries_read = 0;
        self.reads_missing = self.reads_each;
        link.send(&self.reads)
    }

    fn take_entries(&mut self, reply: &[u8], now_ns: u64, shared: &mut Shared) {
        let mut words: Vec<&[u8]> = vec![b"XACK", b"stream", b"group"];
        resp::stream_entries(reply, |id, value| {
            words.push(id);
            if self.is_end_to_end {
                shared.latency.record(now_ns.saturating_sub(template::read_digits(value)), 1);
            }
        });
        let entries = words.len() - 3;
        if entries > 0 {
            resp::write_request(&words, &mut self.acknowledgements);
            self.acknowledgements_missing += 1;
            self.entries_read += entries as u64;
        }
    }
}

impl Behaviour for Consumer {
    fn start(&mut self, link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        self.send(shared.now_ns(), link, shared)
    }

    fn receive(&mut self, data: &[u8], link: &mut Link, shared: &mut Shared) -> io::Result<()> {
        let now_ns = shared.now_ns();
        let mut replies = std::mem::take(&mut self.replies);
        let mut count = 0;
        replies.feed(data, |reply| {
            count += 1;
            if reply.first() == Some(&b'-') {
                shared.note_error(reply);
            }
            if self.reads_missing > 0 {
                self.reads_missing -= 1;
                self.take_entries(reply, now_ns, shared);
            } else {
                self.acknowledgements_missing -= 1;
            }
        })?;
        self.replies = replies;
        if !self.is_end_to_end {
            shared.latency.record(now_ns - self.sent_ns, count);
        }
        let is_waiting = self.acknowledgements.is_empty() && self.acknowledgements_missing > 0;
        if self.reads_missing == 0 && !is_waiting { self.send(now_ns, link, shared) } else { Ok(()) }
    }
}
