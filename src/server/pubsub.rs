//! Who listens to which channel, and the delivery of messages.
//!
//! A message is encoded once for each protocol and shared by the outputs of all its receivers. Patterns are tried one by one, as
//! everywhere; channels and sharded channels are looked up.

use bytes::Bytes;
use hashbrown::HashMap;
use indexmap::IndexSet;

use super::Server;
use super::session::SessionId;
use crate::resp::reply::{Output, Protocol, Reply};
use crate::util::glob;

type Listeners = IndexSet<SessionId>;

#[derive(Default)]
pub struct Pubsub {
    pub channels: HashMap<Box<[u8]>, Listeners>,
    pub shard_channels: HashMap<Box<[u8]>, Listeners>,
    pub patterns: HashMap<Box<[u8]>, Listeners>,
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

/// From this size on a message is shared between outputs instead of copied into each.
const SHARE_MIN: usize = 512;

impl Pubsub {
    fn map(&mut self, topic: Topic) -> &mut HashMap<Box<[u8]>, Listeners> {
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

impl Server {
    /// Delivers a message; the number of receivers. O(receivers + patterns).
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(listeners) = self.pubsub.channels.remove(channel) {
            receivers += self.deliver(&listeners, &[b"message", channel, message]);
            self.pubsub.channels.insert(channel.into(), listeners);
        }
        if self.pubsub.patterns.is_empty() {
            return receivers;
        }
        let patterns = std::mem::take(&mut self.pubsub.patterns);
        for (pattern, listeners) in patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel)) {
            receivers += self.deliver(listeners, &[b"pmessage", pattern, channel, message]);
        }
        self.pubsub.patterns = patterns;
        receivers
    }

    /// Delivers a message of a sharded channel.
    pub fn publish_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let Some(listeners) = self.pubsub.shard_channels.remove(channel) else { return 0 };
        let receivers = self.deliver(&listeners, &[b"smessage", channel, message]);
        self.pubsub.shard_channels.insert(channel.into(), listeners);
        receivers
    }

    fn deliver(&mut self, listeners: &Listeners, parts: &[&[u8]]) -> usize {
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
            self.flush_later(id);
            self.limit_output(id);
        }
        listeners.len()
    }

    /// Subscribes; false where the session was subscribed already.
    pub fn subscribe(&mut self, id: SessionId, topic: Topic, name: &[u8]) -> bool {
        let session = self.sessions.get_mut(id);
        let was_subscriber = session.is_subscriber();
        let is_new = session.topics(topic).insert(name.into());
        if is_new {
            self.pubsub.map(topic).entry(name.into()).or_default().insert(id);
            self.pubsub.clients += usize::from(!was_subscriber);
        }
        is_new
    }

    /// Unsubscribes; false where the session was not subscribed.
    pub fn unsubscribe(&mut self, id: SessionId, topic: Topic, name: &[u8]) -> bool {
        let session = self.sessions.get_mut(id);
        let was_there = session.topics(topic).remove(name);
        if was_there {
            let is_subscriber = session.is_subscriber();
            let map = self.pubsub.map(topic);
            if let Some(listeners) = map.get_mut(name) {
                listeners.shift_remove(&id);
                if listeners.is_empty() {
                    map.remove(name);
                }
            }
            self.pubsub.clients -= usize::from(!is_subscriber);
        }
        was_there
    }

    /// Ends all subscriptions of a session without a word.
    pub fn unsubscribe_all(&mut self, id: SessionId) {
        for topic in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            let names: Vec<_> = self.sessions.get_mut(id).topics(topic).iter().cloned().collect();
            for name in names {
                self.unsubscribe(id, topic, &name);
            }
        }
    }
}
