//! The Rust `redis` crate against the server in $RUNNEL_SERVER: pipelines, transactions with rivals, subscribers, waiting pops, RESP3, a
//! restart. Each scenario is a function that fails with a sentence; the runner at the end counts.

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Commands, Connection, RedisResult, Value};

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Scenario = fn(&mut Server, &Client) -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("basics", basics),
    ("pipeline", pipeline),
    ("scan", scan),
    ("contention", contention),
    ("publishing", publishing),
    ("waiting", waiting),
    ("script", script),
    ("many connections", many_connections),
    ("restart", restart),
];

fn main() -> ExitCode {
    let mut server = Server::new();
    let (mut passed, mut failed) = (0, 0);
    for protocol in ["resp2", "resp3"] {
        let client =
            Client::open(format!("redis://127.0.0.1:{}/?protocol={protocol}", server.port)).expect("a valid address");
        for (name, scenario) in SCENARIOS {
            match scenario(&mut server, &client) {
                Ok(()) => passed += 1,
                Err(error) => {
                    failed += 1;
                    println!("FAILED {name} ({protocol}): {error}");
                }
            }
        }
    }
    server.kill();
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

fn basics(_: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let _: () = redis::cmd("FLUSHALL").query(&mut connection)?;
    let _: () = connection.set("name", "value")?;
    same(connection.get::<_, Option<String>>("name")?, Some("value".into()))?;
    same(connection.get::<_, Option<String>>("none")?, None)?;
    same(connection.incr::<_, _, i64>("count", 42)?, 42)?;
    same(connection.rpush::<_, _, i64>("list", &["a", "b", "c"])?, 3)?;
    same(connection.lrange::<_, Vec<String>>("list", 0, -1)?, vec!["a".into(), "b".into(), "c".into()])?;
    let refused: RedisResult<i64> = connection.incr("list", 1);
    same(refused.is_err_and(|error| error.code() == Some("WRONGTYPE")), true)?;
    let bytes: Vec<u8> = (0..=255).collect();
    let _: () = connection.set("bytes", &bytes)?;
    same(connection.get::<_, Vec<u8>>("bytes")?, bytes)
}

fn pipeline(_: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let mut writes = redis::pipe();
    let mut reads = redis::pipe();
    for number in 0..5000 {
        writes.set(format!("p:{number}"), number).ignore();
        reads.get(format!("p:{number}"));
    }
    let _: () = writes.query(&mut connection)?;
    same(reads.query::<Vec<i64>>(&mut connection)?, (0..5000).collect())?;
    let both: (i64, String) = redis::pipe().atomic().incr("in", 1).get("in").query(&mut connection)?;
    same(both.0.to_string(), both.1)
}

fn scan(_: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let mut keys: Vec<String> = connection.scan_match("p:49*")?.collect::<RedisResult<_>>()?;
    keys.sort();
    keys.dedup();
    same(keys.len(), 111)
}

fn contention(_: &mut Server, client: &Client) -> Outcome {
    let _: () = client.get_connection()?.del("watched")?;
    each_in_a_thread(8, client, |connection| {
        for _ in 0..25 {
            redis::transaction(connection, &["watched"], |connection, pipe| {
                let current: Option<i64> = connection.get("watched")?;
                pipe.set("watched", current.unwrap_or(0) + 1).ignore().query::<Option<()>>(connection)
            })?;
        }
        Ok(())
    })?;
    same(client.get_connection()?.get::<_, i64>("watched")?, 200)
}

fn publishing(_: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let mut listening = client.get_connection()?;
    let mut subscriber = listening.as_pubsub();
    subscriber.set_read_timeout(Some(Duration::from_secs(5)))?;
    subscriber.subscribe("news")?;
    subscriber.psubscribe("n*")?;
    same(connection.publish::<_, _, i64>("news", "hello")?, 2)?;
    for _ in 0..2 {
        same(subscriber.get_message()?.get_payload::<String>()?, "hello".into())?;
    }
    subscriber.unsubscribe("news")?;
    same(connection.publish::<_, _, i64>("news", "again")?, 1)?;
    same(subscriber.get_message()?.from_pattern(), true)
}

fn waiting(_: &mut Server, client: &Client) -> Outcome {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let (taken, mut connection) = (taken.clone(), client.get_connection().expect("a connection"));
            thread::spawn(move || {
                while let Ok(Some((_, job))) = connection.blpop::<_, Option<(String, String)>>("jobs", 5.0) {
                    if job == "stop" {
                        return;
                    }
                    taken.lock().expect("no panic").push(job);
                }
            })
        })
        .collect();
    let mut connection = client.get_connection()?;
    for number in 0..200 {
        let _: i64 = connection.rpush("jobs", format!("job {number}"))?;
    }
    eventually("all jobs are taken", || taken.lock().expect("no panic").len() == 200)?;
    let _: i64 = connection.rpush("jobs", &["stop", "stop", "stop"])?;
    for consumer in consumers {
        consumer.join().map_err(|_| "a consumer panicked")?;
    }
    let mut jobs = taken.lock().expect("no panic").clone();
    jobs.sort();
    jobs.dedup();
    same(jobs.len(), 200)?;
    let began = Instant::now();
    let none: Value = redis::cmd("BLPOP").arg("none").arg(0.1).query(&mut connection)?;
    same(none, Value::Nil)?;
    same(began.elapsed() >= Duration::from_millis(95), true)
}

fn script(_: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let add = redis::Script::new("return tonumber(ARGV[1]) + tonumber(ARGV[2])");
    same(add.arg(1).arg(2).invoke::<i64>(&mut connection)?, 3)?;
    same(add.arg(2).arg(2).invoke::<i64>(&mut connection)?, 4)
}

fn many_connections(_: &mut Server, client: &Client) -> Outcome {
    let _: () = client.get_connection()?.del("together")?;
    each_in_a_thread(50, client, |connection| {
        for _ in 0..40 {
            let _: i64 = connection.incr("together", 1)?;
        }
        Ok(())
    })?;
    same(client.get_connection()?.get::<_, i64>("together")?, 2000)
}

fn restart(server: &mut Server, client: &Client) -> Outcome {
    let mut connection = client.get_connection()?;
    let _: () = connection.set("before", 1)?;
    server.kill();
    let broken: RedisResult<i64> = connection.get("before");
    same(broken.is_err_and(|error| error.is_io_error() || error.is_connection_dropped()), true)?;
    server.start();
    let mut connection = client.get_connection()?;
    let _: () = connection.set("after", "life")?;
    same(connection.get::<_, String>("after")?, "life".into())
}

fn each_in_a_thread(count: usize, client: &Client, work: fn(&mut Connection) -> RedisResult<()>) -> Outcome {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || work(&mut client.get_connection()?))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn eventually(what: &str, test: impl Fn() -> bool) -> Outcome {
    let limit = Instant::now() + Duration::from_secs(20);
    while !test() {
        if Instant::now() > limit {
            return Err(format!("waited in vain until {what}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, wanted {wanted:?}").into()) }
}

struct Server {
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn new() -> Server {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port").port();
        let mut server = Server { port, child: None };
        server.start();
        server
    }

    fn start(&mut self) {
        let binary = env::var("RUNNEL_SERVER").expect("RUNNEL_SERVER names the server under test");
        let port = self.port.to_string();
        let folder = env::temp_dir();
        let child = Command::new(binary)
            .args(["--port", &port, "--save", "", "--dir"])
            .arg(folder)
            .args(["--dbfilename", &format!("runnel-compat-{port}.rdb")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        for _ in 0..250 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not listen");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
