//! TLS between driver and servers (`--tls`): a certificate made for the run, the driver's half of a connection, and which arguments a server gets.
//! The library does no I/O; sockets stay in `client.rs`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// The certificate that every server of a run shows, and who trusts it.
#[derive(Clone)]
pub struct Secure {
    certificate: PathBuf,
    key: PathBuf,
    trust: Arc<ClientConfig>,
}

impl Secure {
    /// Writes certificate and key into the folder.
    pub fn new(folder: &Path) -> io::Result<Secure> {
        let made = rcgen::generate_simple_self_signed([NAME.to_string()]).map_err(io::Error::other)?;
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        let own = rustls::pki_types::CertificateDer::from_pem_file(&certificate).map_err(io::Error::other)?;
        roots.add(own).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let trust = builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
        Ok(Secure { certificate, key, trust: Arc::new(trust) })
    }

    /// What makes a server listen here.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path(&self.certificate)),
            ("--tls-key-file", path(&self.key)),
            ("--tls-ca-cert-file", path(&self.certificate)),
            ("--tls-auth-clients", "no".to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_string(), value])
        .collect()
    }

    /// Shakes hands on a socket that still blocks.
    pub fn shake_hands(&self, socket: &mut TcpStream) -> io::Result<Tls> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let mut state = ClientConnection::new(Arc::clone(&self.trust), name).map_err(io::Error::other)?;
        while state.is_handshaking() {
            state.complete_io(socket)?;
        }
        Ok(Tls { state: Box::new(state) })
    }
}

const NAME: &str = "localhost";

/// One connection's secrets.
pub struct Tls {
    state: Box<ClientConnection>,
}

impl Tls {
    /// Adds plain bytes, encrypted, to what is to be sent.
    pub fn seal(&mut self, plain: &[u8], cipher: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = plain;
        while !rest.is_empty() || self.state.wants_write() {
            let taken = self.state.writer().write(rest)?;
            rest = &rest[taken..];
            self.state.write_tls(cipher)?;
        }
        Ok(())
    }

    /// The next plain bytes of what was received; 0 when all of it has been taken.
    pub fn open(&mut self, cipher: &mut &[u8], plain: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state.reader().read(plain) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if cipher.is_empty() {
                return Ok(0);
            }
            self.state.read_tls(cipher)?;
            self.state.process_new_packets().map_err(io::Error::other)?;
        }
    }
}
