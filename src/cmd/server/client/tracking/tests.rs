use crate::config::Config;
use crate::resp::reply::Protocol;
use crate::testing::{Playground, check};

/// Clients "a" and "b" speak RESP3, all others RESP2.
struct Talk(Playground);

impl Talk {
    fn new(directives: &[(&str, &str)]) -> Self {
        let mut config = Config::default();
        let pairs: Vec<_> = directives.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        config.set(&pairs, true).expect("the test's directives are valid");
        let mut talk = Self(Playground::new(config, 1));
        for name in ["a", "b"] {
            let id = talk.0.client(name);
            talk.0.server.sessions.get_mut(id).protocol = Protocol::Resp3;
        }
        talk
    }

    /// What the client receives, from here on and before, in one line.
    fn say(&mut self, client: &str, words: &str) -> String {
        let bytes = self.0.run(client, words.split(' '));
        String::from_utf8(bytes).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }

    fn hear(&mut self, client: &str) -> String {
        String::from_utf8(self.0.received(client)).expect("text").replace("\r\n", " ").trim_end().to_owned()
    }
}

const X: &str = ">2 $10 invalidate *1 $1 x";
const Y: &str = ">2 $10 invalidate *1 $1 y";
const EVERYTHING: &str = ">2 $10 invalidate _";

#[test]
fn who_leaves_off_within_a_transaction_still_hears_of_it_and_nobody_else_does() {
    let mut talk = Talk::new(&[]);
    for client in ["a", "c"] {
        talk.say(client, "CLIENT TRACKING on");
        talk.say(client, "GET x");
        for line in ["MULTI", "SET x 1", "CLIENT TRACKING off"] {
            talk.say(client, line);
        }
        let reply = "*2 +OK +OK";
        let expected = if client == "a" { format!("{reply} {X}") } else { reply.into() };
        assert_eq!(talk.say(client, "EXEC"), expected, "{client}");
        talk.say("b", "CLIENT TRACKING on");
        assert_eq!(talk.say("b", "GET y"), "_");
        talk.say("b", "CLIENT TRACKING off");
    }
}

#[test]
fn readers_hear_of_the_next_change_once_and_of_their_own_behind_the_reply() {
    let mut talk = Talk::new(&[]);
    talk.say("a", "CLIENT TRACKING on");
    talk.say("a", "MGET x y");
    talk.say("w", "SET x 1");
    assert_eq!(talk.hear("a"), X);
    talk.say("w", "SET x 1");
    assert_eq!(talk.hear("a"), "");
    talk.say("a", "GET x");
    assert_eq!(talk.say("a", "MSET x 1 y 2"), format!("+OK {X} {Y}"));
    talk.say("a", "MULTI");
    talk.say("a", "GET x");
    talk.say("a", "SET x 2");
    assert_eq!(talk.say("a", "EXEC"), format!("*2 $1 1 +OK {X}"));
    talk.say("a", "CLIENT TRACKING on NOLOOP");
    talk.say("a", "GET x");
    assert_eq!(talk.say("a", "SET x 1"), "+OK");
    talk.say("w", "SELECT 3");
    talk.say("a", "GET x");
    talk.say("w", "SET x 1");
    assert_eq!(talk.hear("a"), X, "databases are not told apart");
}

#[test]
fn flushed_lapsed_and_dropped_keys_are_told_too() {
    let mut talk = Talk::new(&[("tracking-table-max-keys", "2")]);
    talk.say("a", "CLIENT TRACKING on");
    talk.say("a", "GET x");
    talk.say("w", "FLUSHALL");
    assert_eq!(talk.hear("a"), EVERYTHING);
    talk.say("w", "SET x 1 PX 10");
    talk.say("a", "GET x");
    talk.0.advance(1000);
    assert_eq!(talk.hear("a"), X);
    talk.say("a", "MULTI");
    talk.say("a", "GET x");
    talk.say("a", "FLUSHDB");
    talk.say("a", "SET x 1");
    assert_eq!(talk.say("a", "EXEC"), format!("*3 _ +OK +OK {EVERYTHING}"));
    let reply = talk.say("a", "MGET k1 k2 k3");
    assert!(reply.starts_with("*3 _ _ _ >2 $10 invalidate *1 $2 k"), "{reply}");
    assert_eq!((talk.0.server.tracking.keys(), talk.0.server.tracking.items()), (2, 2));
}

#[test]
fn broadcasts_come_together_at_the_end_of_the_turn() {
    let mut talk = Talk::new(&[]);
    talk.say("a", "CLIENT TRACKING on BCAST PREFIX k PREFIX l");
    talk.say("b", "CLIENT TRACKING on BCAST NOLOOP");
    talk.say("w", "MSET k2 1 k1 1 l1 1 z 1");
    assert_eq!(talk.hear("a"), ">2 $10 invalidate *2 $2 k1 $2 k2 >2 $10 invalidate *1 $2 l1");
    assert_eq!(talk.hear("b"), ">2 $10 invalidate *4 $2 k1 $2 k2 $2 l1 $1 z");
    assert_eq!(talk.say("b", "DEL k1"), ":1");
    assert_eq!(talk.hear("a"), ">2 $10 invalidate *1 $2 k1");
    assert_eq!(talk.0.server.tracking.prefixes(), 3);
    talk.say("a", "CLIENT TRACKING off");
    talk.say("b", "RESET");
    assert_eq!((talk.0.server.tracking.prefixes(), talk.0.server.tracking.clients()), (0, 0));
}

#[test]
fn opting_in_and_out_holds_for_one_command_or_transaction() {
    let mut talk = Talk::new(&[]);
    talk.say("a", "CLIENT TRACKING on OPTIN");
    talk.say("b", "CLIENT TRACKING on OPTOUT");
    talk.say("a", "GET x");
    talk.say("a", "CLIENT CACHING yes");
    talk.say("a", "CLIENT ID");
    talk.say("a", "GET x");
    talk.say("a", "GET y");
    talk.say("b", "CLIENT CACHING no");
    talk.say("b", "GET x");
    talk.say("b", "GET y");
    talk.say("w", "MSET x 1 y 1");
    assert_eq!((talk.hear("a").as_str(), talk.hear("b").as_str()), (X, Y));
    talk.say("a", "CLIENT CACHING yes");
    talk.say("a", "MULTI");
    talk.say("a", "MGET x y");
    talk.say("a", "EXEC");
    talk.say("w", "MSET x 1 y 1");
    assert_eq!(talk.hear("a"), format!("{X} {Y}"));
}

#[test]
fn messages_go_where_they_are_redirected_while_that_client_is_there() {
    let mut talk = Talk::new(&[]);
    talk.say("r", "SUBSCRIBE __redis__:invalidate");
    let (client, session) = {
        let session = talk.0.client("r");
        (talk.0.server.sessions.get(session).client_id, session)
    };
    talk.say("a", &format!("CLIENT TRACKING on REDIRECT {client}"));
    talk.say("a", "GET x");
    talk.say("w", "SET x 1");
    assert_eq!(talk.hear("r"), "*3 $7 message $20 __redis__:invalidate *1 $1 x");
    talk.say("a", "GET x");
    assert!(talk.say("a", "CLIENT INFO").contains(" flags=t db=0 "));
    talk.0.server.remove_session(session);
    talk.say("w", "SET x 1");
    assert_eq!(talk.hear("a"), format!(">2 $21 tracking-redir-broken :{client}"));
    assert!(talk.say("a", "CLIENT INFO").contains(" flags=tR db=0 "));
}

#[test]
fn refusals() {
    check(
        r#"
        > CLIENT TRACKING maybe
        (error) ERR syntax error
        > CLIENT TRACKING on REDIRECT 77
        (error) ERR The client ID you want redirect to does not exist
        > CLIENT TRACKING on REDIRECT 1 REDIRECT 1
        (error) ERR A client can only redirect to a single other client
        > CLIENT TRACKING on PREFIX a
        (error) ERR PREFIX option requires BCAST mode to be enabled
        > CLIENT TRACKING on BCAST PREFIX a PREFIX ab
        (error) ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.
        > CLIENT TRACKING on BCAST PREFIX b PREFIX a
        OK
        > CLIENT TRACKING on BCAST PREFIX abc
        (error) ERR Prefix 'abc' overlaps with an existing prefix 'a'. Prefixes for a single client must not overlap.
        > CLIENT TRACKING on BCAST OPTIN
        (error) ERR OPTIN and OPTOUT are not compatible with BCAST
        > CLIENT TRACKING on
        (error) ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT TRACKINGINFO
        1) "flags"
        2) 1) "on"
           2) "bcast"
        3) "redirect"
        4) (integer) 0
        5) "prefixes"
        6) 1) "a"
           2) "b"
        > CLIENT TRACKING off NOSUCH
        (error) ERR syntax error
        > CLIENT TRACKING off
        OK
        > CLIENT CACHING yes
        (error) ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        > CLIENT TRACKING on OPTIN OPTOUT
        (error) ERR You can't specify both OPTIN mode and OPTOUT mode
        > CLIENT TRACKING on OPTIN
        OK
        > CLIENT TRACKING on OPTOUT
        (error) ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.
        > CLIENT CACHING no
        (error) ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
        > CLIENT GETREDIR
        (integer) 0
        "#,
    );
}
