//! Many clients at once: each gets its turn, and messages to all of them reach all of them, complete and in order.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::harness::{Client, Running, request, start};

/// A client that asks again as soon as it is answered, and waits for nothing.
struct Asking {
    stream: TcpStream,
    answered: u32,
}

impl Asking {
    fn new(server: &Running) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
        stream.set_nodelay(true).expect("an option of every socket");
        stream.set_nonblocking(true).expect("an option of every socket");
        Self { stream, answered: 0 }
    }

    fn ask(&mut self) {
        self.stream.write_all(b"PING\r\n").expect("the server reads");
    }

    /// Looks whether the answer is there, and asks again.
    fn look(&mut self) -> bool {
        let mut buffer = [0; 64];
        match self.stream.read(&mut buffer) {
            Ok(count) => assert_eq!(&buffer[..count], b"+PONG\r\n"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("no answer: {error}"),
        }
        self.answered += 1;
        self.ask();
        true
    }
}

#[test]
fn among_hundreds_of_clients_none_is_served_more_than_others() {
    let server = start(&["--maxclients", "1000"]);
    let mut clients: Vec<Asking> = (0..400).map(|_| Asking::new(&server)).collect();
    clients.iter_mut().for_each(Asking::ask);
    let mut answers = 0;
    while answers < 40_000 {
        answers += clients.iter_mut().map(|client| usize::from(client.look())).sum::<usize>();
    }
    let least = clients.iter().map(|client| client.answered).min();
    assert!(least >= Some(50), "100 answers each on the average, and somebody had {least:?}");
}

fn subscribers(server: &Running, count: usize) -> Vec<Client> {
    let subscribe = |_| {
        let mut client = server.connect();
        assert_eq!(client.command(&["SUBSCRIBE", "news"]), "[subscribe news :1]");
        client
    };
    (0..count).map(subscribe).collect()
}

#[test]
fn messages_reach_hundreds_of_subscribers_in_order() {
    let server = start(&[]);
    let mut subscribers = subscribers(&server, 300);
    let mut publishers = [server.connect(), server.connect()];
    for round in 0..50 {
        // Each is answered before it goes on, so that messages come while those before them are being written.
        for (number, publisher) in publishers.iter_mut().enumerate() {
            assert_eq!(publisher.command(&["PUBLISH", "news", &format!("{round}-{number}")]), ":300");
        }
    }
    for subscriber in &mut subscribers {
        for round in 0..50 {
            for number in 0..2 {
                assert_eq!(subscriber.reply(), format!("[message news {round}-{number}]"));
            }
        }
    }
}

#[test]
fn a_server_that_is_told_to_end_delivers_its_last_messages() {
    let mut server = start(&[]);
    let mut subscribers = subscribers(&server, 300);
    let last = [request(&["PUBLISH", "news", "goodbye"]), request(&["SHUTDOWN", "NOSAVE"])].concat();
    server.connect().send(&last);
    server.ended();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.reply(), "[message news goodbye]");
        assert!(subscriber.read_to_end().is_empty());
    }
}
