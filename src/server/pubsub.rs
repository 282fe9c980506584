//! Who listens to which channel, and the delivery of messages.
//!
//! A message is encoded once for each protocol and shared by the outputs of all its receivers. Patterns are tried one by one, as
//! everywhere; channels and sharded channels are looked up.

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};

use super::session::{SessionId, Sessions};
use super::{Outbox, Server};
use crate::resp::reply::{Output, Protocol, Reply};
use crate::util::glob;

type Listeners = IndexSet<SessionId, hashbrown::DefaultHashBuilder>;
/// In an order that depends on nothing but what was subscribed and unsubscribed.
type Topics = IndexMap<Box<[u8]>, Listeners, hashbrown::DefaultHashBuilder>;

#[derive(Default)]
pub struct Pubsub {
    channels: Topics,
    shard_channels: Topics,
    patterns: Topics,
    /// Sessions with any subscription, for INFO.
    pub clients: usize,
}

/// The three kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Channel,
    Pattern,
    Shard,
}

impl Topic {
    pub const fn subscribe_word(self) -> &'static str {
        match self {
            Topic::Channel => "subscribe",
            Topic::Pattern => "psubscribe",
            Topic::Shard => "ssubscribe",
        }
    }

    pub const fn unsubscribe_word(self) -> &'static str {
        match self {
            Topic::Channel => "unsubscribe",
            Topic::Pattern => "punsubscribe",
            Topic::Shard => "sunsubscribe",
        }
    }
}

/// Whether a channel matches a pattern. The empty channel does not even match `*`.
pub fn matches(pattern: &[u8], channel: &[u8]) -> bool {
    if channel.is_empty() { pattern.is_empty() } else { glob::matches(pattern, channel) }
}

/// From this size on a message is shared between outputs instead of copied into each.
const SHARE_MIN: usize = 512;

impl Pubsub {
    /// Channels, patterns or shard channels that somebody listens to.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.topics(topic).keys().map(|name| &**name)
    }

    /// How many listen to a channel, pattern or shard channel.
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> usize {
        self.topics(topic).get(name).map_or(0, Listeners::len)
    }

    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    pub fn shard_channels(&self) -> usize {
        self.shard_channels.len()
    }

    fn topics(&self, topic: Topic) -> &Topics {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
            Topic::Shard => &self.shard_channels,
        }
    }

    fn topics_mut(&mut self, topic: Topic) -> &mut Topics {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::Shard => &mut self.shard_channels,
        }
    }
}

/// One message as it goes out, encoded when first needed.
struct Encoded<'a> {
    parts: &'a [&'a [u8]],
    resp2: Option<Bytes>,
    resp3: Option<Bytes>,
}

impl<'a> Encoded<'a> {
    fn new(parts: &'a [&'a [u8]]) -> Self {
        Self { parts, resp2: None, resp3: None }
    }

    fn bytes(&mut self, protocol: Protocol) -> &Bytes {
        let slot = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        slot.get_or_insert_with(|| {
            let mut out = Output::default();
            let mut reply = Reply::new(&mut out, protocol);
            reply.push(self.parts.len());
            for part in self.parts {
                reply.bulk(part);
            }
            out.to_vec().into()
        })
    }
}

/// One message on its way to all who listen.
struct Delivery<'a> {
    sessions: &'a mut Sessions,
    outbox: &'a mut Outbox,
    receivers: usize,
    /// Sessions whose output has become so long that its limits must be looked at.
    long: Vec<SessionId>,
}

impl<'a> Delivery<'a> {
    fn new(sessions: &'a mut Sessions, outbox: &'a mut Outbox) -> Self {
        Self { sessions, outbox, receivers: 0, long: Vec::new() }
    }

    fn deliver(&mut self, listeners: &Listeners, parts: &[&[u8]]) {
        let mut encoded = Encoded::new(parts);
        for &id in listeners {
            let session = self.sessions.get_mut(id);
            if session.closing.is_some() {
                continue;
            }
            let bytes = encoded.bytes(session.protocol);
            if bytes.len() < SHARE_MIN {
                session.output.push(bytes);
            } else {
                session.output.push_shared(bytes.clone());
            }
            if session.has_long_output() {
                self.long.push(id);
            }
            if !std::mem::replace(&mut session.in_messages, true) {
                self.outbox.messages.push_back(id);
            }
        }
        self.receivers += listeners.len();
    }
}

impl Server {
    /// Delivers a message; the number of receivers. O(receivers + patterns).
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut delivery = Delivery::new(&mut self.sessions, &mut self.outbox);
        if let Some(listeners) = self.pubsub.channels.get(channel) {
            delivery.deliver(listeners, &[b"message", channel, message]);
        }
        for (pattern, listeners) in &self.pubsub.patterns {
            if matches(pattern, channel) {
                delivery.deliver(listeners, &[b"pmessage", pattern, channel, message]);
            }
        }
        let Delivery { receivers, long, .. } = delivery;
        long.into_iter().for_each(|id| self.limit_output(id));
        receivers
    }

    /// Delivers a message of a sharded channel.
    pub fn publish_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut delivery = Delivery::new(&mut self.sessions, &mut self.outbox);
        if let Some(listeners) = self.pubsub.shard_channels.get(channel) {
            delivery.deliver(listeners, &[b"smessage", channel, message]);
        }
        let Delivery { receivers, long, .. } = delivery;
        long.into_iter().for_each(|id| self.limit_output(id));
        receivers
    }

    /// Subscribes; false where the session was subscribed already.
    pub fn subscribe(&mut self, id: SessionId, topic: Topic, name: &[u8]) -> bool {
        let session = self.sessions.get_mut(id);
        let was_subscriber = session.is_subscriber();
        let is_new = session.topics_mut(topic).insert(name.into());
        if is_new {
            self.pubsub.topics_mut(topic).entry(name.into()).or_default().insert(id);
            self.pubsub.clients += usize::from(!was_subscriber);
        }
        is_new
    }

    /// Unsubscribes; false where the session was not subscribed.
    pub fn unsubscribe(&mut self, id: SessionId, topic: Topic, name: &[u8]) -> bool {
        let session = self.sessions.get_mut(id);
        let was_there = session.topics_mut(topic).swap_remove(name);
        if was_there {
            let is_subscriber = session.is_subscriber();
            let topics = self.pubsub.topics_mut(topic);
            if let Some(listeners) = topics.get_mut(name) {
                listeners.swap_remove(&id);
                if listeners.is_empty() {
                    topics.swap_remove(name);
                }
            }
            self.pubsub.clients -= usize::from(!is_subscriber);
        }
        was_there
    }

    /// Ends all subscriptions of a session without a word.
    pub fn unsubscribe_all(&mut self, id: SessionId) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            let names: Vec<_> = self.sessions.get(id).topics(topic).iter().cloned().collect();
            for name in names {
                self.unsubscribe(id, topic, &name);
            }
        }
    }
}
