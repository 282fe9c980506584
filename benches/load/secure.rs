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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_is_sealed_is_opened() {
        let folder = std::env::temp_dir().join(format!("load-secure-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let secure = Secure::new(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let chain = rustls::pki_types::CertificateDer::from_pem_file(&secure.certificate).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&secure.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let rules = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let rules = Arc::new(rules.unwrap().with_no_client_auth().with_single_cert(vec![chain], key).unwrap());
        let echo = std::thread::spawn(move || {
            let state = rustls::ServerConnection::new(rules).unwrap();
            let mut stream = rustls::StreamOwned::new(state, listener.accept().unwrap().0);
            let mut text = vec![0; 100_000];
            stream.read_exact(&mut text).unwrap();
            stream.write_all(&text).unwrap();
        });
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
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
            while let plain @ 1.. = tls.open(&mut cipher, &mut buffer).unwrap() {
                received.extend_from_slice(&buffer[..plain]);
            }
        }
        assert_eq!(received, plain);
        echo.join().unwrap();
        assert_eq!(secure.arguments(7)[..2], ["--tls-port", "7"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
