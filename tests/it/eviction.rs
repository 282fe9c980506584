//! `maxmemory` in a real process, whose memory is its own.

use crate::harness::{Client, Running, request, start, wait_for};

/// Sends requests that are answered with one line or number each, and checks that none is refused.
fn all(client: &mut Client, requests: impl Iterator<Item = Vec<String>>) {
    let mut count = 0;
    let mut bytes = Vec::new();
    for words in requests {
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        bytes.extend(request(&words));
        count += 1;
        if count == 500 {
            client.send(&bytes);
            (0..std::mem::take(&mut count)).for_each(|_| accepted(client));
            bytes.clear();
        }
    }
    client.send(&bytes);
    (0..count).for_each(|_| accepted(client));
}

fn accepted(client: &mut Client) {
    let reply = client.reply();
    assert!(reply == "OK" || reply.starts_with(':'), "{reply}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn used(client: &mut Client) -> u64 {
    client.info("used_memory").parse().expect("bytes")
}

/// Sets `maxmemory` to what is used but for a part of what `keys` took, and waits until that much is free.
fn shrink(client: &mut Client, before: u64, part: u64) {
    let now = used(client);
    let limit = now - (now - before) / part;
    assert_eq!(client.command(&["CONFIG", "SET", "maxmemory", &limit.to_string()]), "OK");
    // INFO's reply takes memory, too.
    wait_for("room", || (used(client) <= limit + 20_000).then_some(()));
}

fn keys(client: &mut Client) -> u64 {
    client.command(&["DBSIZE"])[1..].parse().expect("a number")
}

fn started(options: &[&str]) -> (Running, Client) {
    let server = start(&[&["--maxmemory-policy", "allkeys-lru"], options].concat());
    let client = server.connect();
    (server, client)
}

/// A quarter of the memory is about a quarter of the keys, and some more, as tables shrink more slowly than they grow.
const LEFT: std::ops::Range<u64> = 28_000..42_000;

#[test]
fn a_lower_limit_costs_as_many_keys_as_it_must() {
    for tenacity in ["0", "10", "100"] {
        let (_server, mut client) = started(&["--maxmemory-eviction-tenacity", tenacity]);
        let before = used(&mut client);
        all(&mut client, (0..50_000).map(|number| words(&["SET", &format!("key:{number}"), "a value"])));
        shrink(&mut client, before, 4);
        let left = keys(&mut client);
        assert!(LEFT.contains(&left), "{left} keys are left");
        all(&mut client, (0..2000).map(|number| words(&["SET", &format!("other:{number}"), "a value"])));
        let left = keys(&mut client);
        assert!(LEFT.contains(&left), "{left} keys are left");
    }
}

#[test]
fn large_values_go_by_a_thread_and_no_more_of_them_than_must() {
    let (_server, mut client) = started(&["--lazyfree-lazy-eviction", "yes"]);
    let before = used(&mut client);
    let fields = (0..500).map(|field| format!("field:{field}")).collect::<Vec<_>>();
    let hash = |number: u64| {
        let mut command = words(&["HSET", &format!("key:{number}")]);
        fields.iter().for_each(|field| command.extend([field.clone(), "some value that takes its room".to_owned()]));
        command
    };
    all(&mut client, (0..400).map(hash));
    shrink(&mut client, before, 4);
    let left = keys(&mut client);
    assert!((260..340).contains(&left), "{left} keys are left");
    assert_ne!(client.info("lazyfreed_objects"), "0");
}

#[test]
fn what_is_deleted_makes_room_before_it_is_free() {
    let (_server, mut client) = started(&["--maxmemory-policy", "noeviction"]);
    let before = used(&mut client);
    for removal in [&["DEL", "set"][..], &["FLUSHALL"]] {
        let members = (0..200_000).map(|number| words(&["SADD", "set", &format!("member:{number}")]));
        all(&mut client, members);
        let limit = used(&mut client) + 100_000;
        assert_eq!(client.command(&["CONFIG", "SET", "maxmemory", &limit.to_string()]), "OK");
        let refused = "-OOM command not allowed when used memory > 'maxmemory'.";
        let value = "x".repeat(1000);
        let refusal = (0..1000).map(|number| client.command(&["SET", &format!("fill:{number}"), &value]));
        assert_eq!(refusal.last().as_deref(), Some(refused));
        client.send(&request(removal));
        all(&mut client, (0..100).map(|number| words(&["SET", &format!("key:{number}"), "value"])));
        client.reply();
        assert_eq!(client.command(&["FLUSHALL"]), "OK");
        assert_eq!(client.command(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
        wait_for("the thread", || (client.info("lazyfree_pending_objects") == "0").then_some(()));
        assert!(used(&mut client) < before + 1_000_000, "memory came back");
    }
}
