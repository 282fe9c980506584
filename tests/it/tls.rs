//! TLS: who is let in with which certificate, and that others are served whatever comes to the port.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::harness::{Client, Folder, Link, Running, request, run, start_in, text, wait_for};

/// An authority, and what it signed for the server and its clients, as files in a folder.
struct Certificates {
    folder: Folder,
    port: u16,
}

impl Certificates {
    fn new() -> Self {
        let folder = Folder::new();
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        write(&folder, "ca.crt", &authority.pem());
        for name in ["server", "client", "other"] {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            let signed = params.signed_by(&key, &authority).expect("a signature");
            write(&folder, &format!("{name}.crt"), &signed.pem());
            write(&folder, &format!("{name}.key"), &key.serialize_pem());
        }
        // The system's choice, free again at once.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        Self { folder, port: port.expect("a free port").port() }
    }

    fn start(&self, more: &[&str]) -> Running {
        let (port, crt, key, ca) = (
            self.port.to_string(),
            self.folder.text("server.crt"),
            self.folder.text("server.key"),
            self.folder.text("ca.crt"),
        );
        let mut options =
            vec!["--tls-port", &port, "--tls-cert-file", &crt, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        options.extend(more);
        start_in(Folder::new(), &options, |_| {})
    }

    /// A connection whose handshake has ended well, with the certificate of that name.
    fn connect(&self, own: Option<&str>) -> io::Result<Client> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("protocols").with_root_certificates(self.roots());
        let rules = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain =
                    CertificateDer::from_pem_file(self.folder.path(&format!("{name}.crt"))).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(self.folder.path(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(vec![chain], key).expect("a pair")
            }
        };
        self.connect_by(rules)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.folder.path("ca.crt")).expect("a certificate");
        roots.add(ca).expect("an authority");
        roots
    }

    fn connect_by(&self, rules: ClientConfig) -> io::Result<Client> {
        let name = ServerName::try_from("localhost").expect("a name");
        let state = ClientConnection::new(Arc::new(rules), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(state, self.plain());
        // A refused certificate shows only in the answer.
        stream.write_all(&request(&["PING"]))?;
        let mut pong = [0; 7];
        stream.read_exact(&mut pong)?;
        assert_eq!(&pong, b"+PONG\r\n");
        Ok(Client::over(Tls(stream)))
    }

    fn plain(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        stream
    }
}

fn write(folder: &Folder, name: &str, text: &str) {
    std::fs::write(folder.path(name), text).expect("a file in a temporary folder");
}

struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Link for Tls {
    fn end_of_sending(&self) -> io::Result<()> {
        self.0.sock.shutdown(Shutdown::Write)
    }

    fn patience(&self, time: Duration) -> io::Result<()> {
        self.0.sock.set_read_timeout(Some(time))
    }
}

#[test]
fn values_of_every_size_come_through_and_the_end_is_said() {
    let certificates = Certificates::new();
    let server = certificates.start(&[]);
    let mut client = certificates.connect(Some("client")).expect("the server lets it in");
    for size in [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000, 9_000_000] {
        let value = "x".repeat(size);
        assert_eq!(client.command(&["SET", "key", &value]), "OK");
        assert!(client.command(&["GET", "key"]) == value, "{size} bytes");
    }
    let many = request(&["PING"]).repeat(50_000);
    client.send(&many);
    assert!(client.read_exact(50_000 * 7).chunks(7).all(|reply| reply == b"+PONG\r\n"));
    assert_eq!(server.connect().command(&["STRLEN", "key"]), ":9000000", "the plain port serves the same data");
    client.send(&request(&["QUIT"]));
    assert_eq!(text(&client.read_to_end()), "+OK\r\n");
}

#[test]
fn clients_show_a_certificate_where_they_must() {
    let certificates = Certificates::new();
    let server = certificates.start(&[]);
    let mut admin = server.connect();
    assert!(certificates.connect(None).is_err(), "tls-auth-clients is yes");
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-auth-clients", "optional"]), "OK");
    assert!(certificates.connect(None).is_ok());
    assert!(certificates.connect(Some("client")).is_ok());
    let strangers = Certificates::new();
    let stranger = Certificates { folder: strangers.folder, port: certificates.port };
    assert!(stranger.connect(None).is_err(), "the client knows another authority");
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-auth-clients", "no"]), "OK");
    assert!(certificates.connect(None).is_ok());
}

#[test]
fn clients_certificates_of_version_1_are_good_too() {
    let certificates = Certificates::new();
    let old = |name: &str| format!("{}/tests/it/old_certificates/{name}", env!("CARGO_MANIFEST_DIR"));
    let server = certificates.start(&["--tls-ca-cert-file", &old("authority.crt")]);
    let connect = |name: &str, version: &'static rustls::SupportedProtocolVersion| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_file(old(name)).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(old("client.key")).expect("a key");
        let key = provider.key_provider.load_private_key(key).expect("a key that signs");
        let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let builder = builder.expect("a protocol").with_root_certificates(certificates.roots());
        certificates.connect_by(builder.with_client_cert_resolver(Arc::new(shown)))
    };
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        assert!(connect("client.crt", version).is_ok(), "{version:?}");
        assert!(connect("expired.crt", version).is_err(), "{version:?}");
    }
    let mut admin = server.connect();
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-ca-cert-file", &old("other-authority.crt")]), "OK");
    assert!(connect("client.crt", &rustls::version::TLS13).is_err(), "of another authority's name");
}

#[test]
fn certificates_are_read_again_and_bad_ones_change_nothing() {
    let certificates = Certificates::new();
    let server = certificates.start(&["--tls-auth-clients", "no"]);
    let mut admin = server.connect();
    let mut before = certificates.connect(None).expect("the server lets it in");
    let (crt, key) = (certificates.folder.text("other.crt"), certificates.folder.text("other.key"));
    let refused = admin.command(&["CONFIG", "SET", "tls-cert-file", &crt]);
    assert!(
        refused.ends_with("'tls-cert-file') - Unable to update TLS configuration. Check server logs."),
        "{refused}"
    );
    assert!(server.log().contains("tls-key-file does not belong to tls-cert-file"));
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-cert-file", &crt, "tls-key-file", &key]), "OK");
    assert!(certificates.connect(None).is_ok());
    assert_eq!(before.command(&["PING"]), "PONG", "who is in stays");
    let refused = admin.command(&["CONFIG", "SET", "tls-ciphers", "NULL-MD5"]);
    assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-port", "0"]), "OK");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, certificates.port)).is_err());
    assert_eq!(admin.command(&["CONFIG", "SET", "tls-port", &certificates.port.to_string()]), "OK");
    assert!(certificates.connect(None).is_ok());
}

#[test]
fn a_server_without_what_tls_needs_says_so_and_ends() {
    let certificates = Certificates::new();
    let ended = |more: &[&str]| {
        let options = [&["--port", "0", "--tls-port", "1"][..], more].concat();
        let output = run(&certificates.folder, &options);
        assert!(!output.status.success());
        text(&output.stdout)
    };
    let (crt, key, ca) = (
        certificates.folder.text("server.crt"),
        certificates.folder.text("server.key"),
        certificates.folder.text("ca.crt"),
    );
    assert!(ended(&[]).contains("must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled"));
    assert!(ended(&["--tls-auth-clients", "no"]).contains("No tls-cert-file configured!"));
    assert!(ended(&["--tls-ca-cert-file", &ca, "--tls-cert-file", &crt]).contains("No tls-key-file configured!"));
    assert!(
        ended(&["--tls-ca-cert-file", &key, "--tls-cert-file", &crt, "--tls-key-file", &key])
            .contains("no PEM certificate in it")
    );
    write(
        &certificates.folder,
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let locked = certificates.folder.text("locked.key");
    let log = ended(&["--tls-auth-clients", "no", "--tls-cert-file", &crt, "--tls-key-file", &locked]);
    assert!(log.contains("the key is encrypted and tls-key-file-pass is not set"), "{log}");
    lock_key(&certificates);
    let with = ["--tls-auth-clients", "no", "--tls-cert-file", &crt, "--tls-key-file", &locked, "--tls-key-file-pass"];
    let log = ended(&[&with[..], &["wrong"]].concat());
    assert!(log.contains("tls-key-file-pass does not open it"), "{log}");
}

/// The server's key with a password, as OpenSSL writes it.
fn lock_key(certificates: &Certificates) {
    let key = PrivateKeyDer::from_pem_file(certificates.folder.path("server.key")).expect("a key");
    let open = pkcs8::PrivateKeyInfo::try_from(key.secret_der()).expect("PKCS #8");
    let parameters = pkcs8::pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, &[7; 16], &[9; 16]);
    let locked = open.encrypt_with_params(parameters.expect("parameters"), "a password").expect("a locked key");
    let text = locked.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("PEM");
    write(&certificates.folder, "locked.key", &text);
}

#[test]
fn a_key_with_a_password_is_opened() {
    let certificates = Certificates::new();
    lock_key(&certificates);
    let locked = certificates.folder.text("locked.key");
    let server = certificates.start(&["--tls-key-file", &locked, "--tls-key-file-pass", "a password"]);
    assert!(certificates.connect(Some("client")).is_ok());
    let mut admin = server.connect();
    let refused = admin.command(&["CONFIG", "SET", "tls-key-file-pass", "another"]);
    assert!(refused.ends_with("Unable to update TLS configuration. Check server logs."), "{refused}");
    assert!(certificates.connect(Some("client")).is_ok(), "the old rules stay");
}

#[test]
fn half_handshakes_and_noise_harm_nobody() {
    let certificates = Certificates::new();
    let server = certificates.start(&["--max-new-tls-connections-per-cycle", "100"]);
    let connected = |admin: &mut Client| {
        let info = admin.command(&["INFO", "clients"]);
        let line = info.lines().find_map(|line| line.strip_prefix("connected_clients:")).expect("a field");
        line.parse::<usize>().expect("a number")
    };
    let mut admin = server.connect();
    assert_eq!(connected(&mut admin), 1);
    let files_before = server.open_files();
    let mut plain = certificates.plain();
    plain.write_all(b"*1\r\n$4\r\nPING\r\n").expect("the server reads");
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = plain.read_to_end(&mut answer);
    assert!(!text(&answer).contains("PONG"), "an alert at most");
    let memory = |admin: &mut Client| {
        let info = admin.command(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a field");
        line.parse::<usize>().expect("a number")
    };
    let memory_before = memory(&mut admin);
    // Nothing at all, or the beginning of a ClientHello and nothing more.
    let mut half: Vec<TcpStream> = (0..1000).map(|_| certificates.plain()).collect();
    for stream in half.iter_mut().step_by(2) {
        stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).expect("the server reads");
    }
    let mut client = certificates.connect(Some("client")).expect("the server lets it in");
    assert_eq!(client.command(&["SET", "a", "1"]), "OK");
    assert_eq!(admin.command(&["GET", "a"]), "1");
    let before = connected(&mut admin);
    assert!(before >= 1002, "{before}");
    drop(half.drain(..500));
    wait_for("half of them to be forgotten", || (connected(&mut admin) <= 502).then_some(()));
    // The rest does not even go: the server has no patience for ever.
    wait_for("the others to be sent away", || (connected(&mut admin) == 2).then_some(()));
    assert_eq!(client.command(&["GET", "a"]), "1");
    drop(client);
    drop(half);
    wait_for("their sockets to be closed", || (server.open_files() <= files_before).then_some(()));
    let memory_after = memory(&mut admin);
    assert!(memory_after < memory_before + 1_000_000, "{memory_before} bytes, then {memory_after}");
}

/// What a replica needs to follow by TLS, with the certificate of that name.
fn to_primary(certificates: &Certificates, name: &str) -> Vec<String> {
    let file = |kind: &str| certificates.folder.text(&format!("{name}.{kind}"));
    let mut options = vec!["--tls-replication".to_owned(), "yes".to_owned(), "--save".to_owned(), String::new()];
    options.extend(["--tls-ca-cert-file".to_owned(), certificates.folder.text("ca.crt")]);
    options.extend(["--tls-cert-file".to_owned(), certificates.folder.text("other.crt")]);
    options.extend(["--tls-key-file".to_owned(), certificates.folder.text("other.key")]);
    options.extend(["--tls-client-cert-file".to_owned(), file("crt")]);
    options.extend(["--tls-client-key-file".to_owned(), file("key")]);
    options
}

#[test]
fn a_replica_follows_by_tls() {
    let certificates = Certificates::new();
    let primary = certificates.start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut writer = primary.connect();
    let value = "x".repeat(100_000);
    (0..50).for_each(|number| assert_eq!(writer.command(&["SET", &format!("key:{number}"), &value]), "OK"));
    let options = to_primary(&certificates, "client");
    let mut options = options.iter().map(String::as_str).collect::<Vec<_>>();
    options.extend(["--enable-debug-command", "yes"]);
    let replica = start_in(Folder::new(), &options, |_| {});
    let mut reader = replica.connect();
    let port = certificates.port.to_string();
    assert_eq!(reader.command(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    let wait_for_link = |reader: &mut Client| {
        wait_for("the link", || (reader.info("master_link_status") == "up").then_some(()));
    };
    wait_for_link(&mut reader);
    (0..50).for_each(|number| assert_eq!(writer.command(&["APPEND", &format!("key:{number}"), &value]), ":200000"));
    assert_eq!(writer.command(&["WAIT", "1", "0"]), ":1");
    assert_eq!(writer.command(&["DEBUG", "DIGEST"]), reader.command(&["DEBUG", "DIGEST"]));

    // Lost, and found again.
    assert_eq!(writer.command(&["CLIENT", "KILL", "TYPE", "replica"]), ":1");
    writer.command(&["SET", "more", "data"]);
    wait_for("the change", || (reader.command(&["GET", "more"]) == "data").then_some(()));
    assert_eq!(writer.info("sync_partial_ok"), "1");

    // Whoever is no primary of our authority's is not listened to, and the log says why.
    let others = Certificates::new();
    let _other = others.start(&["--tls-auth-clients", "no"]);
    assert_eq!(reader.command(&["REPLICAOF", "127.0.0.1", &others.port.to_string()]), "OK");
    wait_for("the complaint", || replica.log().contains("Error in the TLS connection to MASTER: ").then_some(()));
    assert!(replica.log().contains("invalid peer certificate: "), "{}", replica.log());
    assert_eq!(reader.command(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    wait_for_link(&mut reader);

    let refused = reader.command(&["CONFIG", "SET", "tls-client-key-file", &certificates.folder.text("server.key")]);
    assert!(refused.contains("(possibly related to argument 'tls-client-key-file')"), "{refused}");
    assert!(replica.log().contains("tls-client-key-file does not belong to tls-client-cert-file"));
}

#[test]
fn a_primary_with_a_certificate_of_version_1_is_good_too() {
    let old = |name: &str| format!("{}/tests/it/old_certificates/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificates = Certificates::new();
    let (ca, crt, key) = (old("authority.crt"), old("client.crt"), old("client.key"));
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &crt, "--tls-key-file", &key, "--save", ""];
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let _primary = certificates.start(&[&files[..], &["--tls-protocols", protocol]].concat());
        let port = certificates.port.to_string();
        let more = ["--tls-replication", "yes", "--replicaof", "localhost", &port];
        let replica = start_in(Folder::new(), &[&files[..], &more].concat(), |_| {});
        let mut reader = replica.connect();
        wait_for("the link", || (reader.info("master_link_status") == "up").then_some(()));
    }
}

#[test]
fn following_by_tls_needs_what_tls_needs() {
    let certificates = Certificates::new();
    let output = run(&certificates.folder, &["--tls-replication", "yes", "--port", "1"]);
    assert!(!output.status.success());
    let said = text(&output.stdout);
    assert!(
        said.contains("Failed to configure TLS: Either tls-ca-cert-file or tls-ca-cert-dir must be specified"),
        "{said}"
    );
    let server = start_in(Folder::new(), &[], |_| {});
    let refused = server.connect().command(&["CONFIG", "SET", "tls-replication", "yes"]);
    assert!(refused.ends_with("Unable to update TLS configuration. Check server logs."), "{refused}");
}
