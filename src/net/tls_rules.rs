//! What TLS clients meet, and what a primary is asked for: certificates, versions, ciphers and whom to trust, as the `tls-` directives say.
//!
//! Made at the start and anew whenever CONFIG SET changes one of them; connections that are there keep what they began with.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::old_certificates::{Verifier, is_about_key};
use crate::config::{Config, Text, TlsAuthClients};
use crate::util::io_error;

/// So many sessions are kept where `tls-session-cache-size` sets no limit.
const SESSIONS_MAX: usize = 1 << 20;

/// The rules for connections from now on. The error is a sentence for the log.
pub fn tls_rules(config: &Config) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(config)?);
    let versions = versions(&config.tls_protocols.display())?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols and tls-ciphers do not go together: {error}"))?;
    let builder = match config.tls_auth_clients {
        TlsAuthClients::No => builder.with_no_client_auth(),
        who => {
            let (authorities, store) = trusted(config)?;
            let library = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(&provider));
            let library = if who == TlsAuthClients::Optional { library.allow_unauthenticated() } else { library };
            let library = library.build().map_err(|error| format!("Failed to load CA: {error}"))?;
            let algorithms = provider.signature_verification_algorithms;
            let verifier: Verifier<dyn ClientCertVerifier> = Verifier { library, authorities, algorithms };
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let identity = Identity::of_server(config).load(&provider)?;
    let mut rules = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    rules.ignore_client_order = config.tls_prefer_server_ciphers;
    if config.tls_session_caching {
        let size = usize::try_from(config.tls_session_cache_size).ok().filter(|size| *size > 0);
        rules.session_storage = ServerSessionMemoryCache::new(size.unwrap_or(SESSIONS_MAX));
    } else {
        rules.session_storage = Arc::new(NoServerSessionStorage {});
        rules.send_tls13_tickets = 0;
    }
    Ok(Arc::new(rules))
}

/// The rules for the next connection to a primary. The error is a sentence for the log.
pub fn rules_to_primary(config: &Config) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(provider(config)?);
    let versions = versions(&config.tls_protocols.display())?;
    let (authorities, store) = trusted(config)?;
    let library = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider));
    let library = library.build().map_err(|error| format!("Failed to load CA: {error}"))?;
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Verifier<dyn ServerCertVerifier> = Verifier { library, authorities, algorithms };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("tls-protocols and tls-ciphers do not go together: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let identity = Identity::of_client(config).load(&provider)?;
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))))
}

/// True where a change of directives needs new rules. Files are read again even if their names stayed.
pub fn is_about_tls(directive: &str) -> bool {
    directive.starts_with("tls-") && directive != "tls-cluster"
}

/// A certificate and its key, as directives name them.
struct Identity<'a> {
    certificate: (&'static str, &'a Text),
    key: (&'static str, &'a Text),
    password: (&'static str, &'a [u8]),
}

impl<'a> Identity<'a> {
    fn of_server(config: &'a Config) -> Self {
        Self {
            certificate: ("tls-cert-file", &config.tls_cert_file),
            key: ("tls-key-file", &config.tls_key_file),
            password: ("tls-key-file-pass", &config.tls_key_file_pass),
        }
    }

    /// Who has no other identity towards a primary has the same.
    fn of_client(config: &'a Config) -> Self {
        if config.tls_client_cert_file.is_empty() || config.tls_client_key_file.is_empty() {
            return Self::of_server(config);
        }
        Self {
            certificate: ("tls-client-cert-file", &config.tls_client_cert_file),
            key: ("tls-client-key-file", &config.tls_client_key_file),
            password: ("tls-client-key-file-pass", &config.tls_client_key_file_pass),
        }
    }

    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let not_set = |name| format!("No {name} configured!");
        let file = self.certificate.1.path_if_set().ok_or_else(|| not_set(self.certificate.0))?;
        let chain = certificates(file).map_err(|error| format!("Failed to load certificate: {error}"))?;
        let file = self.key.1.path_if_set().ok_or_else(|| not_set(self.key.0))?;
        let key = private_key(file, self.password).map_err(|error| format!("Failed to load private key: {error}"))?;
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| format!("Failed to load private key: {}: {error}", file.display()))?;
        let identity = CertifiedKey::new(chain, key);
        // A certificate that cannot be read can be shown all the same: the other side decides.
        let belongs = identity.key.public_key().and_then(|key| is_about_key(identity.cert.first()?, &key));
        if belongs == Some(false) {
            return Err(format!("{} does not belong to {}", self.key.0, self.certificate.0));
        }
        Ok(identity)
    }
}

/// The authorities, also as the library wants them.
fn trusted(config: &Config) -> Result<(Vec<CertificateDer<'static>>, Arc<RootCertStore>), String> {
    let authorities = authorities(config)?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities.iter().cloned());
    if store.is_empty() {
        return Err("No CA certificate that can be used was found".into());
    }
    Ok((authorities, store.into()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|error| format!("{}: {}", file.display(), io_error::reason(&error)))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{}: no PEM certificate in it", file.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// The first key of the file; the password, named by its directive, opens one that is encrypted (PKCS #8, which is how OpenSSL has long
/// written them).
fn private_key(file: &Path, password: (&str, &[u8])) -> Result<PrivateKeyDer<'static>, String> {
    let text = fs::read(file).map_err(|error| format!("{}: {}", file.display(), io_error::reason(&error)))?;
    let has = |word: &[u8]| memchr::memmem::find(&text, word).is_some();
    let key = if has(b"ENCRYPTED PRIVATE KEY") {
        decrypted(&text, password)
    } else if has(b"Proc-Type: 4,ENCRYPTED") {
        Err("encrypted in the old way; openssl pkey -aes256 writes it in the new one".into())
    } else {
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| error.to_string())
    };
    key.map_err(|error| format!("{}: {error}", file.display()))
}

fn decrypted(text: &[u8], (directive, password): (&str, &[u8])) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err(format!("the key is encrypted and {directive} is not set"));
    }
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let begin = text.find("-----BEGIN ENCRYPTED").unwrap_or(0);
    let (_, sealed) = SecretDocument::from_pem(&text[begin..]).map_err(|error| error.to_string())?;
    let sealed = EncryptedPrivateKeyInfo::try_from(sealed.as_bytes()).map_err(|error| error.to_string())?;
    let open = sealed.decrypt(password).map_err(|_| format!("{directive} does not open it"))?;
    Ok(PrivatePkcs8KeyDer::from(open.as_bytes().to_vec()).into())
}

/// Those whose signature makes a certificate good.
fn authorities(config: &Config) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut all = Vec::new();
    let (file, folder) = (config.tls_ca_cert_file.path_if_set(), config.tls_ca_cert_dir.path_if_set());
    if file.is_none() && folder.is_none() {
        return Err(
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!".into()
        );
    }
    if let Some(file) = file {
        all.extend(certificates(file).map_err(|error| format!("Failed to load CA certificates: {error}"))?);
    }
    if let Some(folder) = folder {
        let entries = fs::read_dir(folder).map_err(|error| {
            format!("Failed to read tls-ca-cert-dir {}: {}", folder.display(), io_error::reason(&error))
        })?;
        for entry in entries.flatten() {
            // Other files may lie beside the certificates.
            all.extend(certificates(&entry.path()).unwrap_or_default());
        }
    }
    Ok(all)
}

fn versions(names: &str) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions = Vec::new();
    for name in names.split_ascii_whitespace() {
        match name.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&version::TLS12),
            "tlsv1.3" => versions.push(&version::TLS13),
            "tlsv1" | "tlsv1.1" => tracing::warn!("tls-protocols: {name} is insecure and not offered"),
            _ => return Err(format!("Invalid tls-protocols specified: {name}. Use TLSv1.2 and TLSv1.3.")),
        }
    }
    match versions.is_empty() {
        false => Ok(versions),
        true if names.trim().is_empty() => Ok(vec![&version::TLS13, &version::TLS12]),
        true => Err("None of the tls-protocols can be offered. Use TLSv1.2 and TLSv1.3.".into()),
    }
}

/// OpenSSL's names of the TLS 1.2 suites that there are. Those of TLS 1.3 are the standard's.
const OPENSSL_NAMES: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

fn provider(config: &Config) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    let all = std::mem::take(&mut provider.cipher_suites);
    let is_13 = |name: &str| name.starts_with("TLS13_");
    let name_of = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    let (newer, older): (Vec<_>, Vec<_>) = all.into_iter().partition(|suite| is_13(&name_of(suite)));
    let chosen = choose(&config.tls_ciphersuites.display(), |word| {
        let wanted = word.replacen("TLS_", "TLS13_", 1);
        newer.iter().filter(|suite| name_of(suite) == wanted).copied().collect()
    });
    match chosen {
        None => provider.cipher_suites.extend(newer),
        Some(chosen) if chosen.is_empty() => {
            return Err("Failed to configure ciphersuites: none of them is known".into());
        }
        Some(chosen) => provider.cipher_suites.extend(chosen),
    }
    let chosen = choose(&config.tls_ciphers.display(), |word| match word {
        "DEFAULT" | "ALL" | "HIGH" | "SECURE" => older.clone(),
        _ => {
            let standard =
                OPENSSL_NAMES.iter().find(|(openssl, _)| *openssl == word).map_or(word, |(_, standard)| standard);
            older.iter().filter(|suite| name_of(suite) == standard).copied().collect()
        }
    });
    match chosen {
        None => provider.cipher_suites.extend(older),
        Some(chosen) if chosen.is_empty() => {
            let known: Vec<_> = OPENSSL_NAMES.iter().map(|(openssl, _)| *openssl).collect();
            return Err(format!(
                "Failed to configure ciphers: none of them is known here. There are {}",
                known.join(":")
            ));
        }
        Some(chosen) => provider.cipher_suites.extend(chosen),
    }
    Ok(provider)
}

/// What a list such as `A:B:!C` names, in its order; `None` where it names nothing. Unknown names are passed over, as in OpenSSL.
fn choose<T: PartialEq>(list: &str, find: impl Fn(&str) -> Vec<T>) -> Option<Vec<T>> {
    let mut chosen = Vec::new();
    let words = list.split([':', ',', ' ']).filter(|word| !word.is_empty());
    words.clone().next()?;
    let (without, with): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with(['!', '-']));
    for found in with.into_iter().flat_map(|word| find(word.trim_start_matches('+'))) {
        if !chosen.contains(&found) {
            chosen.push(found);
        }
    }
    for found in without.into_iter().flat_map(|word| find(&word[1..])) {
        chosen.retain(|one| *one != found);
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ciphers_choose_in_their_order() {
        let mut config = Config::default();
        let mut names = |ciphers: &str, suites: &str| {
            config
                .set(&[(b"tls-ciphers", ciphers.as_bytes()), (b"tls-ciphersuites", suites.as_bytes())], true)
                .expect("two texts");
            provider(&config).map(|chosen| {
                chosen.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("", "").expect("all").len(), 9);
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA:!aNULL", "TLS_CHACHA20_POLY1305_SHA256"),
            Ok(vec!["TLS13_CHACHA20_POLY1305_SHA256".into(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into()])
        );
        assert_eq!(names("DEFAULT:!ECDHE-RSA-AES128-GCM-SHA256", "").expect("most").len(), 8);
        assert!(names("AES256-SHA", "").is_err_and(|error| error.starts_with("Failed to configure ciphers")));
        assert!(names("", "TLS_NOSUCH").is_err());
    }

    #[test]
    fn versions_that_cannot_be_offered_are_refused() {
        assert_eq!(versions("").map(|found| found.len()), Ok(2));
        assert_eq!(versions("TLSv1.1 tlsv1.2"), Ok(vec![&version::TLS12]));
        assert!(versions("TLSv1.1").is_err() && versions("TLSv1.4").is_err());
    }
}
