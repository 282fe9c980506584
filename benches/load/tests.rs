//! Tests of the load driver's pure parts. A bench without a harness runs no tests of its own, so `tests/it` takes
//! this file in; the bench itself does not.
#![allow(dead_code)]

#[path = "histogram.rs"]
mod histogram;
#[path = "loads.rs"]
mod loads;
#[path = "report.rs"]
mod report;
#[path = "resp.rs"]
mod resp;
#[path = "secure.rs"]
mod secure;
#[path = "server.rs"]
mod server;
#[path = "targets.rs"]
mod targets;
#[path = "template.rs"]
mod template;
#[path = "through.rs"]
mod through;

use histogram::Histogram;
use resp::{Element, Malformed, Scanner};
use template::{Batch, Numbers};

const REPLIES: &[u8] = b"+OK\r\n:12\r\n$5\r\nhe\r\no\r\n$-1\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n*-1\r\n\
                         %1\r\n+k\r\n~1\r\n,1.5\r\n|1\r\n+a\r\n+b\r\n_\r\n>2\r\n+x\r\n$0\r\n\r\n-ERR no\r\n";
const KINDS: &[u8] = b"+:$$***%|>-";

#[test]
fn replies_are_counted_wherever_they_are_cut() {
    for piece_bytes in 1..=REPLIES.len() {
        let mut scanner = Scanner::default();
        let mut kinds = Vec::new();
        for piece in REPLIES.chunks(piece_bytes) {
            scanner.feed(piece, |kind, _| kinds.push(kind)).unwrap();
        }
        assert_eq!(kinds, KINDS, "in pieces of {piece_bytes}");
    }
}

#[test]
fn a_reply_ends_where_the_next_begins() {
    let mut ends = Vec::new();
    Scanner::default().feed(b"+OK\r\n*1\r\n$2\r\nab\r\n:1\r\n", |_, end| ends.push(end)).unwrap();
    assert_eq!(ends, [5, 17, 21]);
}

#[test]
fn a_skipped_body_still_counts() {
    let mut scanner = Scanner::default();
    let mut count = 0;
    scanner.feed(b"$10\r\n0123", |_, _| count += 1).unwrap();
    assert_eq!(scanner.body_bytes_missing(), 8);
    scanner.skipped(7);
    scanner.feed(b"\n+OK\r\n", |_, _| count += 1).unwrap();
    assert_eq!(count, 2);
}

#[test]
fn what_is_not_resp_is_refused() {
    for bytes in [b"hello\r\n".as_slice(), b"$x\r\n", b"*\r\n", b"$99999999999999\r\n", b"+no carriage return\n"] {
        assert_eq!(Scanner::default().feed(bytes, |_, _| ()), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn elements_come_depth_first() {
    let all: Vec<Element> = resp::elements(b"*2\r\n$1\r\na\r\n*1\r\n:-5\r\n$-1\r\n").collect();
    let expected =
        [Element::Aggregate(2), Element::Bulk(b"a"), Element::Aggregate(1), Element::Line(b':', b"-5"), Element::Null];
    assert_eq!(all, expected);
}

#[test]
fn entries_are_read_from_both_protocols() {
    let entries =
        "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$1\r\nw\r\n";
    for head in ["*1\r\n*2\r\n$1\r\ns\r\n", "%1\r\n$1\r\ns\r\n"] {
        let reply = format!("{head}{entries}");
        let mut read = Vec::new();
        resp::stream_entries(reply.as_bytes(), |id, value| read.push((id, value))).unwrap();
        assert_eq!(read, [(b"1-1".as_slice(), b"v".as_slice()), (b"2-1", b"w")]);
    }
    assert_eq!(resp::stream_entries(b"*-1\r\n", |_, _| panic!("no entry")), None);
}

#[test]
fn a_line_becomes_requests_with_fresh_digits() {
    let mut batch = Batch::default();
    batch.push("SET key:{n} {v}", b"xyz", 1000);
    let mut numbers = Numbers::new(1);
    assert_eq!(batch.fill(&mut numbers, 0), b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nxyz\r\n");
    assert_eq!(batch.fill(&mut numbers, 0), b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nxyz\r\n");
}

#[test]
fn random_and_permuted_numbers_keep_their_bounds() {
    let mut batch = Batch::default();
    batch.push("{r:10} {p} {n+5} {c}", b"", 1000);
    let mut numbers = Numbers::new(7);
    let mut permuted = std::collections::BTreeSet::new();
    for sent in 0..1000 {
        let words: Vec<u64> = resp::elements(batch.fill(&mut numbers, 3))
            .filter_map(|element| match element {
                Element::Bulk(text) => Some(template::read_digits(text)),
                _ => None,
            })
            .collect();
        assert!(words[0] < 10);
        permuted.insert(words[1]);
        assert_eq!(words[2..], [sent + 5, 3]);
    }
    assert_eq!(permuted.len(), 1000);
    assert_eq!(permuted.last(), Some(&999));
}

#[test]
fn percentiles_are_within_two_per_cent() {
    let mut histogram = Histogram::default();
    (1..=100_000).for_each(|ns| histogram.record(ns, 1));
    for (fraction, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
        let found = histogram.percentile_ns(fraction) as f64;
        assert!((found / exact - 1.0).abs() < 0.02, "{fraction}: {found}");
    }
    assert_eq!(histogram.max_ns(), 100_000);
    histogram.record(u64::MAX, 1);
    assert_eq!(histogram.percentile_ns(1.0), u64::MAX);
}

#[test]
fn medians_skip_what_was_not_measured() {
    assert_eq!(histogram::median(&[3.0, f64::NAN, 1.0, 2.0]), 2.0);
    assert_eq!(histogram::median(&[1.0, 2.0]), 1.5);
    assert!(histogram::median(&[]).is_nan());
}

#[test]
fn loads_have_names_of_their_own_and_lines_that_compile() {
    let catalogue = loads::catalogue();
    let names: std::collections::BTreeSet<&str> = catalogue.iter().map(|load| load.name.as_str()).collect();
    assert_eq!(names.len(), catalogue.len());
    for load in &catalogue {
        for fill in &load.data {
            Batch::default().push(&format!("{} {}", fill.head, fill.item), b"v", load.keys);
        }
        for party in &load.parties {
            if let loads::Role::Cycle(lines) = &party.role {
                lines.iter().for_each(|line| Batch::default().push(line, b"v", load.keys));
            }
        }
    }
}

#[test]
fn every_target_has_a_load() {
    let catalogue = loads::catalogue();
    for target in targets::TARGETS.iter().chain(targets::TARGETS_THROUGH) {
        for pattern in target.loads.split(',') {
            assert!(catalogue.iter().any(|load| loads::is_chosen(&load.name, pattern)), "no load is called {pattern}");
        }
    }
}

#[test]
fn a_pattern_may_have_stars_anywhere() {
    assert!(loads::is_chosen("set-3b-p16-c50", "get*, set-*-p16*"));
    assert!(!loads::is_chosen("set-3b-p1-c50", "set-*-p16*,set"));
}

#[test]
fn numbers_are_grouped() {
    assert_eq!(report::number_text(1_234_567.891, 1), "1,234,567.9");
    assert_eq!(report::number_text(-123.0, 0), "-123");
    assert_eq!(report::number_text(f64::NAN, 2), "–");
}

#[test]
fn json_is_escaped() {
    let fields = [("a \"b\"", report::json_text("c\\\n")), ("n", report::json_number(f64::NAN))];
    assert_eq!(report::json_object(&fields), r#"{"a \"b\"":"c\\\u000a","n":null}"#);
}

#[test]
fn a_ratio_compares_within_rounds_and_a_peer_is_the_best_other() {
    let mut results = report::Results::default();
    for (number, cpu_us) in [(1, [1.0, 2.0, 4.0]), (2, [2.0, 4.0, 5.0]), (3, [10.0, 20.0, 30.0])] {
        for (server, cpu_us) in ["ours", "better", "worse"].iter().zip(cpu_us) {
            let mut round = report::Round {
                load: "load".into(),
                server: server.to_string(),
                number,
                figures: [1.0; 10],
                errors: 0,
                first_error: None,
            };
            round.figures[report::Figure::CpuUs as usize] = cpu_us;
            results.rounds.push(round);
        }
    }
    let cpu = report::Figure::CpuUs;
    // The medians are 4 and 5.
    assert_eq!(results.better_peer("load", "ours", cpu).as_deref(), Some("better"));
    assert_eq!(results.ratio("load", "ours", "better", cpu), 0.5);
}

#[test]
fn a_simple_load_is_said_in_a_benchmark_programs_words() {
    let catalogue = loads::catalogue();
    let words = |name: &str| {
        let load = catalogue.iter().find(|load| load.name == name).unwrap();
        through::arguments(load).map(|arguments| arguments.join(" "))
    };
    let set = "-c 50 -P 16 -r 1000000 --csv SET key:__rand_int__ xxx";
    assert_eq!(words("set-3b-p16-c50").as_deref(), Some(set));
    assert_eq!(words("blpop-pingpong-1"), None);
}

#[test]
fn a_benchmark_programs_last_line_is_read_from_its_end() {
    let text =
        "\"test\",\"rps\"\n\"SET \"\",\"\" x\",\"250000.00\",\"0.1\",\"0.05\",\"0.151\",\"0.3\",\"0.415\",\"1.5\"\n";
    let said = through::parse(text, 10).unwrap();
    assert_eq!((said.requests_per_second, said.p50_us, said.p99_us, said.max_us), (250_000.0, 151.0, 415.0, 1500.0));
    assert!(through::parse("ERR unknown command", 10).is_none());
}

#[test]
fn what_is_sealed_for_a_server_is_opened_there_and_back() {
    use rustls::pki_types::pem::PemObject;
    use std::io::{Read, Write};

    let folder = std::env::temp_dir().join(format!("load-secure-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secure = secure::Secure::new(&folder).unwrap();
    let arguments = secure.arguments(7);
    assert_eq!(arguments[..2], ["--tls-port", "7"]);
    let chain = rustls::pki_types::CertificateDer::from_pem_file(&arguments[3]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&arguments[5]).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let rules = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let rules = rules.unwrap().with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = std::thread::spawn(move || {
        let state = rustls::ServerConnection::new(rules.into()).unwrap();
        let mut stream = rustls::StreamOwned::new(state, listener.accept().unwrap().0);
        let mut text = vec![0; 100_000];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
    });
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut tls = secure.shake_hands(&mut socket).unwrap();
    let plain: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    let mut cipher = Vec::new();
    tls.seal(&plain, &mut cipher).unwrap();
    assert!(cipher.len() > plain.len());
    socket.write_all(&cipher).unwrap();
    let (mut received, mut piece, mut buffer) = (Vec::new(), [0; 3000], [0; 1000]);
    while received.len() < plain.len() {
        let read = socket.read(&mut piece).unwrap();
        let mut cipher = &piece[..read];
        while let opened @ 1.. = tls.open(&mut cipher, &mut buffer).unwrap() {
            received.extend_from_slice(&buffer[..opened]);
        }
    }
    assert_eq!(received, plain);
    echo.join().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
