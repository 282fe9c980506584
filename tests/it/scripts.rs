//! Scripts that mean harm: the process stays up, others are answered once the threshold is over, and nothing that all scripts share changes.

use std::time::Duration;

use super::harness::{Client, Running, request, start, wait_for};

const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

fn eval(client: &mut Client, script: &str) -> String {
    client.command(&["EVAL", script, "0"])
}

/// A server whose scripts are called slow after 50 ms, and one that is busy with `script`.
fn busy_with(script: &str) -> (Running, Client, Client) {
    let server = start(&["--busy-reply-threshold", "50"]);
    let (mut caller, mut other) = (server.connect(), server.connect());
    // In one turn with a reply that has not left yet: it does not have to wait for the script.
    other.send(&request(&["PING"]));
    caller.send(&request(&["EVAL", script, "0"]));
    assert!(["PONG".to_owned(), BUSY.to_owned()].contains(&other.reply()));
    wait_for("the server to be busy", || other.command(&["PING"]).starts_with("-BUSY").then_some(()));
    (server, caller, other)
}

#[test]
fn loops_without_end_can_be_killed() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end return f()",
        "repeat local t = {} until false",
        "while true do coroutine.wrap(function() for i = 1, 100 do end end)() end",
        "coroutine.wrap(function() while true do end end)()",
        "return xpcall(function() while true do end end, function() while true do end end)",
        "for _ in function() return 1 end do end",
        "return ('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(41))",
        "while true do redis.call('get', 'x') end",
        "while true do redis.pcall('nosuch') end",
        "return ('x'):rep(1000000):gsub('x', function() local s = 0 for i = 1, 1000000 do s = s + i end end)",
        "return load(function() return ' ' end)",
        "table.sort({1, 2}, function() while true do end end)",
        "while true do cjson.decode(cjson.encode({1, 2, {a = 1}})) end",
        "return setmetatable({}, {__index = function() while true do end end}).x",
    ] {
        let (server, mut caller, mut other) = busy_with(script);
        assert_eq!(other.command(&["GET", "x"]), other.command(&["PING"]), "{script}");
        assert_eq!(other.command(&["FUNCTION", "KILL"]), other.command(&["PING"]), "{script}");
        assert_eq!(other.command(&["SCRIPT", "KILL"]), "OK", "{script}");
        let reply = caller.reply();
        assert!(reply.contains("Script killed by user"), "{script}: {reply}");
        assert_eq!(other.command(&["PING"]), "PONG");
        assert_eq!(eval(&mut caller, "return 'well'"), "well");
        assert!(server.log().contains("Slow script detected"));
    }
}

#[test]
fn who_came_in_one_turn_with_a_script_is_answered_while_it_runs() {
    let server = start(&["--busy-reply-threshold", "50", "--enable-debug-command", "yes"]);
    let mut caller = server.connect();
    // Only where there are many keys are single commands read before the first one runs.
    assert_eq!(caller.command(&["DEBUG", "POPULATE", "10000"]), "OK");
    let mut others: Vec<_> = (0..8).map(|_| server.connect()).collect();
    others.iter_mut().for_each(|other| assert_eq!(other.command(&["GET", "key:7"]), "value:7"));

    server.signal(libc::SIGSTOP);
    let (first, last) = others.split_at_mut(4);
    first.iter_mut().for_each(|other| other.send(&request(&["GET", "key:7"])));
    caller.send(&request(&["EVAL", "while true do end", "1", "key:1"]));
    last.iter_mut().for_each(|other| other.send(&request(&["GET", "key:7"])));
    server.signal(libc::SIGCONT);

    for other in &mut others {
        let reply = other.reply();
        assert!([BUSY, "value:7"].contains(&reply.as_str()), "{reply}");
    }
    assert_eq!(others[0].command(&["GET", "key:7"]), BUSY);
    assert_eq!(others[0].command(&["SCRIPT", "KILL"]), "OK");
    assert!(caller.reply().contains("Script killed by user"));
    others.iter_mut().for_each(|other| assert_eq!(other.command(&["GET", "key:7"]), "value:7"));
}

#[test]
fn what_has_written_cannot_be_killed_but_the_server_can_be_ended() {
    let (mut server, _caller, mut other) = busy_with("redis.call('set', 'x', 1) while true do end");
    assert!(other.command(&["SCRIPT", "KILL"]).starts_with("-UNKILLABLE"));
    assert!(other.command(&["SHUTDOWN"]).starts_with("-BUSY"));
    other.send(&request(&["SHUTDOWN", "NOSAVE"]));
    assert!(server.ended().success());
}

#[test]
fn memory_of_scripts_is_bounded() {
    let server = start(&[]);
    let mut client = server.connect();
    for script in [
        "return string.rep('x', 2^31)",
        "return #string.rep('x', 2^40)",
        "return ('x'):rep(2^29):rep(2^29)",
        "return ('x'):rep(100):gsub('', ('y'):rep(30000000))",
        "local x = ('x'):rep(10000000) local t = {} for i = 1, 300 do t[i] = x end return table.concat(t)",
        "return redis.call('set', 'k', ('x'):rep(2^29), ('x'):rep(2^29))",
    ] {
        let reply = eval(&mut client, script);
        assert!(reply.contains("not enough memory"), "{script}: {reply}");
        assert_eq!(eval(&mut client, "return 'well'"), "well");
    }
}

#[test]
fn deep_and_wide_things_are_errors() {
    let server = start(&[]);
    let mut client = server.connect_briefly(Duration::from_secs(30));
    for (script, error) in [
        ("local function f() return f() + 1 end return f()", "stack overflow"),
        ("local function f() return coroutine.wrap(f)() end return f()", "C stack overflow"),
        ("return unpack({}, 1, 10000000)", "too many results to unpack"),
        ("return string.char(unpack({}, 1, 1000000))", "too many results to unpack"),
        ("return cjson.decode(('['):rep(100000))", "too many nested data structures"),
        ("local t = {} t.x = t return cjson.encode(t)", "excessive nesting"),
        ("return cmsgpack.unpack(('\\145'):rep(100000))", "stack overflow"),
        ("return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes"),
        ("return cmsgpack.unpack('\\219\\255\\255\\255\\255a')", "Missing bytes"),
        ("return ('x'):find(('('):rep(100000))", "too many captures"),
        ("return struct.unpack('c2147483647', 'x')", "too short"),
        ("return string.format('%999999d', 1)", "invalid format"),
        ("return assert(loadstring(('('):rep(100000) .. '1'))", "too many"),
        ("return assert(loadstring('local a' .. (', a'):rep(300)))", "more than 200 local variables"),
        ("return assert(loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0'))", "unexpected symbol"),
        ("return string.dump(function() end)", ""),
        ("table.sort({3, 1, 2, 5, 4}, function() return true end)", ""),
        ("error(setmetatable({}, {__index = function() error(1) end}))", "ERR"),
        ("error(setmetatable({}, {__tostring = error}))", "ERR"),
        ("error(redis)", "ERR"),
        ("error(coroutine.create(function() end))", "ERR thread"),
        ("error()", "ERR nil"),
        ("return xpcall(error, error)", ""),
        ("coroutine.yield()", "attempt to yield"),
        ("return select(2, pcall(coroutine.yield))", ""),
        ("('x'):gsub('x', coroutine.yield)", "attempt to yield"),
        ("local m = setmetatable({}, {}) getmetatable(m).__index = m return m.x", "loop in gettable"),
        ("return redis, _G, cjson", ""),
        ("return {redis, {_G}, cjson.null}", ""),
    ] {
        let reply = eval(&mut client, script);
        assert!(error.is_empty() || reply.starts_with('-') && reply.contains(error), "{script}: {reply}");
        assert_eq!(eval(&mut client, "return 'well'"), "well", "after {script}");
    }
    // Tables in tables, deeper than a reply may be.
    client.send(&request(&["EVAL", "local t = {} for i = 1, 100000 do t = {t} end return t", "0"]));
    wait_for("its reply", || {
        let text = client.read_some();
        String::from_utf8_lossy(&text).contains("reached lua stack limit").then_some(())
    });
}

#[test]
fn nothing_leads_out_of_the_sandbox() {
    let server = start(&[]);
    let mut client = server.connect();
    for name in [
        "io", "debug", "package", "require", "module", "dofile", "loadfile", "getfenv", "setfenv", "newproxy", "print",
        "jit", "ffi",
    ] {
        let reply = eval(&mut client, &format!("return {name}"));
        assert!(reply.contains("nonexistent global variable"), "{name}: {reply}");
    }
    for script in [
        "redis.call = nil",
        "cjson.encode = nil",
        "setmetatable(redis, {})",
        "setmetatable(cjson, {__index = function() end})",
        "setmetatable(_G, nil)",
        "getmetatable('').__index = function() end",
        "getmetatable('').__index.rep = nil",
        "rawset(string, 'rep', nil)",
        "table.insert(table, 1)",
        "table.sort(redis)",
        "_G.KEYS = nil",
        "KEYS = nil",
        "for name, value in pairs(_G) do if name == 'string' then value.rep = 1 end end",
        "local _, value = next({string}) value.rep = 1",
        "loadstring('string.rep = nil')()",
        "coroutine.wrap(function() string.rep = nil end)()",
        "getmetatable(_G).__index = nil",
    ] {
        eval(&mut client, script);
        let still = "return {redis.call('ping').ok, ('x'):rep(3), cjson.encode({1}), type(KEYS), getmetatable('').__index.rep('y', 2)}";
        client.send(&request(&["EVAL", still, "0"]));
        let replies: Vec<u8> =
            client.read_exact(b"*5\r\n$4\r\nPONG\r\n$3\r\nxxx\r\n$3\r\n[1]\r\n$5\r\ntable\r\n$2\r\nyy\r\n".len());
        assert_eq!(
            String::from_utf8_lossy(&replies),
            "*5\r\n$4\r\nPONG\r\n$3\r\nxxx\r\n$3\r\n[1]\r\n$5\r\ntable\r\n$2\r\nyy\r\n",
            "after {script}"
        );
    }
    // Only the clock is left of the system's library, and finalizers do not run.
    assert_eq!(eval(&mut client, "local n = 0 for name in pairs(os) do n = n + 1 end return n"), ":1");
    let finalizer = "setmetatable({}, {__gc = function() redis.call('set', 'gc', 1) end}) collectgarbage() return redis.call('exists', 'gc')";
    assert_eq!(eval(&mut client, finalizer), ":0");
}
