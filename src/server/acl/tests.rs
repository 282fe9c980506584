//! Every command of the table meets a user that lacks exactly one right it needs; and what users see of it, as dialogues.

use crate::cmd::command::{Begin, Channels, Find, Flag, KeyFlag};
use crate::cmd::keyspec::{self, FoundKey, Needs};
use crate::cmd::table::{self, Entry};
use crate::config::{Config, Permit};
use crate::resp::request::OwnedRequest;
use crate::testing::{Playground, check, check_configured, replay, show};

/// A request for a command, with names for its keys that nothing else has.
struct Sample {
    entry: &'static Entry,
    args: Vec<Vec<u8>>,
    keys: Vec<FoundKey>,
    channels: Vec<usize>,
}

/// One request for every command that can be called.
fn samples() -> Vec<Sample> {
    table::all().iter().filter(|entry| !table::is_parent(entry, 1)).map(|entry| Sample::new(entry)).collect()
}

impl Sample {
    fn new(entry: &'static Entry) -> Self {
        let mut args: Vec<Vec<u8>> = entry.parent.iter().map(|parent| parent.name.into()).collect();
        args.push(entry.command.name.into());
        let put = |args: &mut Vec<Vec<u8>>, index: usize, text: &[u8]| {
            args.resize(args.len().max(index + 1), b"1".to_vec());
            args[index] = text.to_vec();
        };
        let real = entry.command.keys.iter().filter(|spec| !spec.flags.contains(&KeyFlag::NotKey));
        put(&mut args, entry.command.arity.unsigned_abs() as usize - 1, b"1");
        if entry.command.arity.unsigned_abs() as usize == entry.name_words() {
            args[entry.name_words() - 1] = entry.command.name.into();
        }
        for (number, spec) in real.enumerate() {
            let name = format!("key{number}");
            match (spec.begin, spec.find) {
                (Begin::Index(index), Find::Count { count, first, .. }) => {
                    put(&mut args, index + count, b"1");
                    put(&mut args, index + first, name.as_bytes());
                }
                (Begin::Index(index), _) => put(&mut args, index, name.as_bytes()),
                (Begin::Keyword { word, .. }, _) => {
                    args.extend([word.as_bytes().to_vec(), name.into_bytes()]);
                    // A range of half of what is left, XREAD's, leaves the other half to something else.
                    if matches!(spec.find, Find::Range { limit: 2, .. }) {
                        args.push(b"0".to_vec());
                    }
                }
                (Begin::Unknown, _) => {}
            }
        }
        if entry.command.name == "MIGRATE" {
            // Its keys stand behind KEYS only where there is an empty string in the place of the one.
            args[3].clear();
        }
        if entry.command.name == "SORT" {
            args.extend([b"STORE".to_vec(), b"stored".to_vec()]);
        }
        // Its keys are in one place or in the other.
        if entry.command.name == "MIGRATE" {
            args[3].clear();
        }
        let request = OwnedRequest::from_args(args.iter());
        assert!(entry.command.takes(request.borrow().len()), "{} takes no such request", entry.full_name);
        let keys = keyspec::keys_of(entry.command, request.borrow()).unwrap_or_default();
        assert_eq!(keys.is_empty(), !keyspec::has_keys(entry.command), "keys of {}", entry.full_name);
        let channels = match entry.command.channels {
            Channels::None => 0..0,
            Channels::First | Channels::All | Channels::Patterns => 1..2,
        };
        Self { entry, args, keys, channels: channels.collect() }
    }

    fn arg(&self, index: usize) -> String {
        String::from_utf8_lossy(&self.args[index]).into_owned()
    }

    /// `~key` rules for all keys but one.
    fn other_keys(&self, but: usize) -> Vec<String> {
        let others = self.keys.iter().filter(|key| key.index != but);
        others.map(|key| format!("~{}", self.arg(key.index))).collect()
    }

    /// What each user may do that lacks one right, and what the refusal speaks of.
    fn lacking_one(&self) -> Vec<(Vec<String>, &'static str)> {
        let rules = |list: &[&str]| list.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        let mut users = Vec::new();
        // Whoever has not said who it is must be able to do so.
        if !self.entry.has(Flag::NoAuth) {
            let minus = format!("-{}", self.entry.full_name);
            users.push((rules(&["~*", "&*", "+@all", &minus]), "has no permissions to run the"));
            for category in self.entry.command.all_categories() {
                let minus = format!("-@{}", category.name());
                users.push((rules(&["~*", "&*", "+@all", &minus]), "has no permissions to run the"));
            }
        }
        for key in &self.keys {
            let needs = Needs::of(key.flags);
            let name = self.arg(key.index);
            let mut lesser = vec![None];
            if Needs::READ.are_within(needs) {
                lesser.push(Some(format!("%W~{name}")));
            }
            if Needs::WRITE.are_within(needs) {
                lesser.push(Some(format!("%R~{name}")));
            }
            for rule in lesser {
                let mut user = rules(&["+@all", "&*"]);
                user.extend(self.other_keys(key.index));
                user.extend(rule);
                users.push((user, "No permissions to access a key"));
            }
        }
        for &index in &self.channels {
            let other = format!("&not-{}", self.arg(index));
            users.push((rules(&["+@all", "~*", &other]), "No permissions to access a channel"));
        }
        users
    }

    /// Just what it needs.
    fn minimal(&self) -> Vec<String> {
        let mut rules = vec![format!("+{}", self.entry.full_name)];
        for key in &self.keys {
            let needs = Needs::of(key.flags);
            let letters = [(Needs::READ, 'R'), (Needs::WRITE, 'W')];
            let letters: String =
                letters.iter().filter(|(need, _)| need.are_within(needs)).map(|(_, letter)| letter).collect();
            let letters = if letters.is_empty() { "R".to_owned() } else { letters };
            rules.push(format!("%{letters}~{}", self.arg(key.index)));
        }
        rules.extend(self.channels.iter().map(|&index| format!("&{}", self.arg(index))));
        rules
    }

    fn is_queued(&self) -> bool {
        let name = self.entry.command.name;
        let at_once = matches!(name, "EXEC" | "DISCARD" | "MULTI" | "WATCH" | "QUIT" | "RESET");
        !self.entry.has(Flag::NoMulti) && !at_once
    }
}

/// A server with a user `u`, whose client is `u` too.
struct Guarded(Playground);

impl Guarded {
    fn new() -> Self {
        let mut guarded = Self(Playground::default());
        // What is closed by its directive is refused before rights are asked for.
        guarded.0.server.config.enable_debug_command = Permit::Yes;
        guarded.0.server.config.enable_module_command = Permit::Yes;
        guarded.say("", &["SET", "key0", "5"]);
        guarded.allow(&["+@all".into()]);
        guarded.say("u", &["AUTH", "u", "x"]);
        guarded
    }

    fn say<A: AsRef<[u8]>>(&mut self, client: &str, args: &[A]) -> String {
        let mut text = String::new();
        show(&self.0.run(client, args.iter()), &mut text);
        text
    }

    fn allow(&mut self, rules: &[String]) {
        let mut args: Vec<_> = ["ACL", "SETUSER", "u", "reset", "on", "nopass"].map(str::to_owned).into();
        args.extend_from_slice(rules);
        assert_eq!(self.say("", &args), "OK\n", "{rules:?}");
    }

    /// Runs it and sees that it is refused and nothing has moved.
    #[track_caller]
    fn refused<A: AsRef<[u8]>>(&mut self, args: &[A], expected: &str, rules: &[String]) {
        let (moves, journal) = (self.0.server.keyspace.moves(), self.0.server.journal.take().len());
        assert!(journal < 4096, "the journal is emptied each time");
        let reply = self.say("u", args);
        let args: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg.as_ref())).collect();
        assert!(reply.contains("NOPERM") && reply.contains(expected), "{args:?} of a user with {rules:?}: {reply}");
        assert_eq!(self.0.server.keyspace.moves(), moves, "{args:?} changed something");
        assert_eq!(self.0.server.journal.take(), b"", "{args:?} was noted in the journal");
    }
}

#[test]
fn who_lacks_one_right_is_refused_and_changes_nothing() {
    let mut server = Guarded::new();
    for sample in samples() {
        for (rules, expected) in sample.lacking_one() {
            server.allow(&rules);
            server.refused(&sample.args, expected, &rules);
        }
        server.allow(&sample.minimal());
        let user = server.0.server.acl.user(b"u").expect("the user was just made");
        let request = OwnedRequest::from_args(sample.args.iter());
        assert_eq!(user.check(sample.entry, request.borrow()), Ok(()), "{:?}", sample.minimal());
    }
}

#[test]
fn transactions_are_checked_when_queued_and_when_run() {
    let mut server = Guarded::new();
    for sample in samples().iter().filter(|sample| sample.is_queued()) {
        for (rules, expected) in sample.lacking_one() {
            if ["-multi", "-exec", "-discard", "-@transaction", "-@fast", "-@slow"]
                .iter()
                .any(|rule| rules.contains(&(*rule).into()))
            {
                continue;
            }
            server.allow(&rules);
            assert_eq!(server.say("u", &["MULTI"]), "OK\n");
            server.refused(&sample.args, expected, &rules);
            let reply = server.say("u", &["EXEC"]);
            assert!(reply.starts_with("(error) EXECABORT"), "{reply}");

            server.allow(&["+@all".into(), "~*".into(), "&*".into()]);
            assert_eq!(server.say("u", &["MULTI"]), "OK\n");
            assert_eq!(server.say("u", &sample.args), "QUEUED\n", "{:?}", sample.entry.full_name);
            server.allow(&rules);
            server.refused(&["EXEC"], "ACLs rules changed between", &rules);
        }
    }
}

#[test]
fn a_woken_client_is_checked_again() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all ~*
        OK
        u> AUTH u x
        OK
        u> BLPOP l 0
        b> BLPOP l 0
        > ACL SETUSER u resetkeys
        OK
        > RPUSH l x
        (integer) 1
        u<
        (error) NOPERM No permissions to access a key
        b<
        1) "l"
        2) "x"
        u> PING
        PONG
        "#,
    );
}

#[test]
fn keys_that_only_patterns_name() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all ~l %R~r
        OK
        > MSET w_1 2 w_2 1
        OK
        > RPUSH l 1 2
        (integer) 2
        u> AUTH u x
        OK
        u> SORT l BY w_*
        (error) ERR BY option of SORT denied due to insufficient ACL permissions.
        u> SORT l BY nosort GET w_*
        (error) ERR GET option of SORT denied due to insufficient ACL permissions.
        u> SORT_RO l GET #
        (error) ERR GET option of SORT denied due to insufficient ACL permissions.
        u> SORT l FOO GET w_*
        (error) ERR syntax error
        u> SORT l BY nosort STORE other
        (error) NOPERM No permissions to access a key
        u> SORT l BY nosort
        1) "1"
        2) "2"
        u> COPY r l
        (integer) 0
        u> COPY l r
        (error) NOPERM No permissions to access a key
        > ACL SETUSER u %R~*
        OK
        u> SORT l BY w_*
        1) "2"
        2) "1"
        > ACL SETUSER u resetkeys ~l (%R~* +get)
        OK
        u> SORT l BY w_*
        (error) ERR BY option of SORT denied due to insufficient ACL permissions.
        > ACL SETUSER u (+sort %R~*)
        OK
        u> SORT l BY w_*
        1) "2"
        2) "1"
        "#,
    );
}

#[test]
fn rules_and_what_they_look_like() {
    check(
        r#"
        > ACL SETUSER u on >pw ~a* %R~b %W~c %R~d %W~d &ch +get +SET +@hash -hdel +config|get +select|0
        OK
        > ACL SETUSER u (~x +get) "(%R~y" +set) skip-sanitize-payload
        OK
        > ACL LIST
        1) "user default on nopass sanitize-payload ~* &* +@all"
        2) "user u on skip-sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~a* %R~b %W~c ~d resetchannels &ch -@all +get +set +@hash -hdel +config|get +select|0 (~x resetchannels -@all +get) (%R~y resetchannels -@all +set)"
        > ACL GETUSER u
         1) "flags"
         2) 1) "on"
            2) "skip-sanitize-payload"
         3) "passwords"
         4) 1) "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"
         5) "commands"
         6) "-@all +get +set +@hash -hdel +config|get +select|0"
         7) "keys"
         8) "~a* %R~b %W~c ~d"
         9) "channels"
        10) "&ch"
        11) "selectors"
        12) 1) 1) "commands"
               2) "-@all +get"
               3) "keys"
               4) "~x"
               5) "channels"
               6) ""
            2) 1) "commands"
               2) "-@all +set"
               3) "keys"
               4) "%R~y"
               5) "channels"
               6) ""
        > ACL SETUSER u +get|first +@nosuch
        (error) ERR Error in ACL SETUSER modifier '+@nosuch': Unknown command or category name in ACL
        > ACL SETUSER u +config|get|maxmemory
        (error) ERR Error in ACL SETUSER modifier '+config|get|maxmemory': Allowing first-arg of a subcommand is not supported
        > ACL SETUSER u allkeys ~x
        (error) ERR Error in ACL SETUSER modifier '~x': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns
        > ACL SETUSER u allchannels &x
        (error) ERR Error in ACL SETUSER modifier '&x': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels
        > ACL SETUSER u <other
        (error) ERR Error in ACL SETUSER modifier '<other': The password you are trying to remove from the user does not exist
        > ACL SETUSER u #ABC
        (error) ERR Error in ACL SETUSER modifier '#ABC': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
        > ACL SETUSER u (+get
        (error) ERR Unmatched parenthesis in acl selector starting at '(+get'.
        > ACL SETUSER "a b"
        (error) ERR Usernames can't contain spaces or null characters
        > ACL USERS
        1) "default"
        2) "u"
        > ACL GETUSER nobody
        (nil)
        > ACL GENPASS 4097
        (error) ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        > ACL CAT nosuch
        (error) ERR Unknown category 'nosuch'
        > ACL CAT transaction
        1) "multi"
        2) "exec"
        3) "discard"
        4) "watch"
        5) "unwatch"
        > ACL DELUSER u default
        (error) ERR The 'default' user cannot be removed
        > ACL DELUSER u nobody
        (integer) 1
        "#,
    );
}

#[test]
fn whoever_is_allowed() {
    check(
        r#"
        > ACL SETUSER u on >pw -@all +get +select|0 +config|get ~a (%W~b +set)
        OK
        u> AUTH u wrong
        (error) WRONGPASS invalid username-password pair or user is disabled.
        u> AUTH u pw
        OK
        u> ACL WHOAMI
        (error) NOPERM User u has no permissions to run the 'acl|whoami' command
        u> GET
        (error) ERR wrong number of arguments for 'get' command
        u> GET a
        (nil)
        u> GET b
        (error) NOPERM No permissions to access a key
        u> SET b 1
        OK
        u> SET b 1 GET
        (error) NOPERM No permissions to access a key
        u> SELECT 0
        OK
        u> SELECT 1
        (error) NOPERM User u has no permissions to run the 'select' command
        u> CONFIG GET maxmemory
        1) "maxmemory"
        2) "0"
        u> CONFIG SET maxmemory 1
        (error) NOPERM User u has no permissions to run the 'config|set' command
        > ACL DRYRUN u GET b
        "User u has no permissions to access the 'b' key"
        > ACL DRYRUN u SET b 1
        OK
        > ACL DRYRUN u SET
        (error) ERR wrong number of arguments for 'set' command
        > ACL DRYRUN u PUBLISH c 1
        "User u has no permissions to run the 'publish' command"
        > ACL DRYRUN nobody GET a
        (error) ERR User 'nobody' not found
        > ACL DRYRUN u NOSUCH a
        (error) ERR Command 'NOSUCH' not found
        > ACL SETUSER u off
        OK
        u> GET a
        (nil)
        c> HELLO 3 AUTH u pw
        (error) WRONGPASS invalid username-password pair or user is disabled.
        u> AUTH default anything
        OK
        u> ACL WHOAMI
        "default"
        "#,
    );
}

#[test]
fn channels_are_patterns_letter_for_letter() {
    check(
        r#"
        > ACL SETUSER u on nopass +@all &ch* (&x +publish)
        OK
        u> AUTH u x
        OK
        u> PSUBSCRIBE ch?
        (error) NOPERM No permissions to access a channel
        u> SUBSCRIBE ch1 c2
        (error) NOPERM No permissions to access a channel
        u> SPUBLISH other x
        (error) NOPERM No permissions to access a channel
        u> PUBLISH x 1
        (integer) 0
        u> PSUBSCRIBE ch*
        1) "psubscribe"
        2) "ch*"
        3) (integer) 1
        u> UNSUBSCRIBE other
        1) "unsubscribe"
        2) "other"
        3) (integer) 1
        > ACL SETUSER u allchannels
        OK
        > PUBLISH ch1 x
        (integer) 1
        > ACL SETUSER u resetchannels &ch1
        OK
        > PUBLISH ch1 x
        (integer) 0
        > CLIENT KILL USER u
        (integer) 0
        "#,
    );
}

#[test]
fn refusals_are_noted() {
    let expected = r#"
        > ACL SETUSER u on nopass +@all -ping ~a
        OK
        u> HELLO 3 AUTH u x SETNAME me
        1# "server" => "redis"
        2# "version" => "8.2.0"
        3# "proto" => (integer) 3
        4# "id" => (integer) 2
        5# "mode" => "standalone"
        6# "role" => "master"
        7# "modules" => (empty array)
        u> PING
        (error) NOPERM User u has no permissions to run the 'ping' command
        ~ 1500
        u> PING
        (error) NOPERM User u has no permissions to run the 'ping' command
        u> MULTI
        OK
        u> GET b
        (error) NOPERM No permissions to access a key
        ~ 60001
        u> RESET
        RESET
        > AUTH u x
        OK
        > PING
        (error) NOPERM User u has no permissions to run the 'ping' command
        > ACL LOG 0
        (empty array)
        > ACL LOG
        1)  1) "count"
            2) (integer) 1
            3) "reason"
            4) "command"
            5) "context"
            6) "toplevel"
            7) "object"
            8) "ping"
            9) "username"
           10) "u"
           11) "age-seconds"
           12) "0"
           13) "client-info"
           15) "entry-id"
           16) (integer) 2
           17) "timestamp-created"
           18) (integer) 1767225661501
           19) "timestamp-last-updated"
           20) (integer) 1767225661501
        2)  1) "count"
            2) (integer) 1
            3) "reason"
            4) "key"
            5) "context"
            6) "multi"
            7) "object"
            8) "b"
            9) "username"
           10) "u"
           11) "age-seconds"
           12) "60.001"
           13) "client-info"
           15) "entry-id"
           16) (integer) 1
           17) "timestamp-created"
           18) (integer) 1767225601500
           19) "timestamp-last-updated"
           20) (integer) 1767225601500
        > ACL LOG RESET
        OK
        > ACL LOG
        (empty array)
        "#;
    let mut config = Config::default();
    config.set(&[(b"acllog-max-len", b"2")], true).expect("a directive");
    let actual = replay(config, expected);
    // What the lines about clients say is another test's business; here, whose they are.
    assert!(actual.contains(" cmd=ping user=u redir=-1 resp=2 ") && actual.contains(" flags=x "), "{actual}");
    let compared = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty() && !line.contains("\"id=")).collect()
    };
    assert_eq!(compared(&actual), compared(expected), "{actual}");
}

#[test]
fn the_default_user_has_requirepass() {
    check_configured(
        &[("requirepass", "pw")],
        r#"
        > GET a
        (error) NOAUTH Authentication required.
        > AUTH pw
        OK
        > ACL SETUSER default >more
        OK
        > CONFIG GET requirepass
        1) "requirepass"
        2) "pw"
        b> AUTH more
        OK
        > CONFIG SET requirepass other
        OK
        c> AUTH more
        (error) WRONGPASS invalid username-password pair or user is disabled.
        c> AUTH default other
        OK
        > CONFIG SET requirepass ""
        OK
        > ACL LIST
        1) "user default on nopass sanitize-payload ~* &* +@all"
        > ACL SETUSER default off
        OK
        d> PING
        (error) NOAUTH Authentication required.
        d> AUTH x
        (error) ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        > ACL SETUSER default on
        OK
        d> PING
        PONG
        "#,
    );
}

#[test]
fn new_users_channels_follow_the_configuration() {
    check_configured(
        &[("acl-pubsub-default", "allchannels")],
        r#"
        > ACL SETUSER u (+get)
        OK
        > ACL LIST
        1) "user default on nopass sanitize-payload ~* &* +@all"
        2) "user u off sanitize-payload &* -@all (&* -@all +get)"
        > ACL SETUSER u resetchannels reset
        OK
        > ACL LIST
        1) "user default on nopass sanitize-payload ~* &* +@all"
        2) "user u off sanitize-payload &* -@all"
        > ACL SAVE
        (error) ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.
        "#,
    );
}

#[test]
fn what_a_script_may_ask_and_what_hides_a_key() {
    check(
        r#"
        > ACL SETUSER u on nopass ~open* ~st* +@all
        OK
        > XADD secret 1-1 f v
        "1-1"
        > XGROUP CREATE secret streams 0
        OK
        > GEOADD opengeo 1 1 a
        (integer) 1
        u> AUTH u x
        OK
        u> EVAL "return {redis.acl_check_cmd('GET'), redis.acl_check_cmd('SUBSCRIBE'), redis.acl_check_cmd('SORT'), redis.acl_check_cmd('RENAME', 'x')}" 0
        1) (integer) 1
        2) (integer) 1
        3) (integer) 1
        4) (integer) 1
        u> EVAL "return redis.acl_check_cmd('PUBLISH', 'ch') or redis.acl_check_cmd('SET', 'x') or redis.acl_check_cmd('LMOVE', 'x', 'y')" 0
        (nil)
        u> XREADGROUP COUNT 1 GROUP streams stc streams secret >
        (error) NOPERM No permissions to access a key
        u> GEORADIUS opengeo 1 1 10 m STORE open2 STORE secret
        (error) NOPERM No permissions to access a key
        u> GEORADIUSBYMEMBER opengeo a 10 m STORE open2 STORE secret
        (error) NOPERM No permissions to access a key
        u> GEORADIUSBYMEMBER opengeo a 10 m STORE open2 STOREDIST open3
        (integer) 1
        "#,
    );
}
