//! Certificates of version 1, as `openssl x509 -req` makes them where nobody asks for extensions: the library refuses to read them, and Redis's users
//! have them. A client, or a primary, that shows one is good if an authority of ours has signed it and its time has come and is not over.
//!
//! Only what is signed by the authority itself counts; certificates in between have extensions, and are the library's affair.
//!
//! ```text
//!   Certificate ::= SEQUENCE { signed, algorithm, signature }
//!   signed      ::= SEQUENCE { [0] version?, serial, algorithm, issuer, SEQUENCE { from, until }, subject, SEQUENCE { algorithm, key }, … }
//! ```

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Verifies as the library does, and certificates of version 1 besides.
#[derive(Debug)]
pub struct Verifier<L: ?Sized> {
    pub library: Arc<L>,
    pub authorities: Vec<CertificateDer<'static>>,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Verifier<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.library.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.library.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.library.root_hint_subjects()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match Certificate::parse_old(shown) {
            Some(old) => self.verify_old(&old, now).map(|()| ClientCertVerified::assertion()),
            None => self.library.verify_client_cert(shown, between, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::parse_old(shown) {
            Some(old) => self.verify_old_tls12(&old, message, signature),
            None => self.library.verify_tls12_signature(message, shown, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::parse_old(shown) {
            Some(old) => self.verify_old_tls13(&old, message, signature),
            None => self.library.verify_tls13_signature(message, shown, signature),
        }
    }
}

/// Any certificate of our authorities will do, whatever name is in it, as for Redis: primaries are known by address.
impl ServerCertVerifier for Verifier<dyn ServerCertVerifier> {
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }

    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};

        if let Some(old) = Certificate::parse_old(shown) {
            return self.verify_old(&old, now).map(|()| ServerCertVerified::assertion());
        }
        match self.library.verify_server_cert(shown, between, name, ocsp, now) {
            // The library looks at the name last.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::parse_old(shown) {
            Some(old) => self.verify_old_tls12(&old, message, signature),
            None => self.library.verify_tls12_signature(message, shown, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match Certificate::parse_old(shown) {
            Some(old) => self.verify_old_tls13(&old, message, signature),
            None => self.library.verify_tls13_signature(message, shown, signature),
        }
    }
}

impl<L: ?Sized> Verifier<L> {
    fn verify_old_tls12(
        &self,
        old: &Certificate,
        message: &[u8],
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
        let is_right = schemes.flat_map(|(_, algorithms)| algorithms.iter()).any(|algorithm| {
            *algorithm.public_key_alg_id() == *old.key_algorithm
                && algorithm.verify_signature(old.key, message, signature.signature()).is_ok()
        });
        if is_right { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }

    fn verify_old_tls13(
        &self,
        old: &Certificate,
        message: &[u8],
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(old.key_info);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn verify_old(&self, old: &Certificate, now: UnixTime) -> Result<(), Error> {
        if old.valid_from_s > now.as_secs() {
            return Err(CertificateError::NotValidYet.into());
        }
        if old.valid_until_s < now.as_secs() {
            return Err(CertificateError::Expired.into());
        }
        let signers = self.authorities.iter().filter_map(|authority| Certificate::parse(authority));
        let mut signers = signers.filter(|authority| authority.subject == old.issuer).peekable();
        if signers.peek().is_none() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let is_signed = signers.any(|authority| {
            self.algorithms.all.iter().any(|algorithm| {
                *algorithm.signature_alg_id() == *old.algorithm
                    && *algorithm.public_key_alg_id() == *authority.key_algorithm
                    && algorithm.verify_signature(authority.key, old.signed, old.signature).is_ok()
            })
        });
        if is_signed { Ok(()) } else { Err(CertificateError::BadSignature.into()) }
    }
}

/// Whether a certificate, whatever its version, is about this public key; `None` where it cannot be read.
pub fn is_about_key(certificate: &CertificateDer<'_>, key: &SubjectPublicKeyInfoDer<'_>) -> Option<bool> {
    Certificate::parse(certificate).map(|certificate| *certificate.key_info == **key)
}

/// What a certificate says, as far as it matters here.
struct Certificate<'a> {
    is_version_1: bool,
    /// What the signature is about, with its header.
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    valid_from_s: u64,
    valid_until_s: u64,
    /// Algorithm and key, with their header.
    key_info: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

impl<'a> Certificate<'a> {
    /// A certificate of version 1; `None` for all that is something else.
    fn parse_old(der: &'a [u8]) -> Option<Self> {
        Self::parse(der).filter(|certificate| certificate.is_version_1)
    }

    fn parse(der: &'a [u8]) -> Option<Self> {
        let mut whole = Reader(der);
        let mut certificate = Reader(whole.take(SEQUENCE)?);
        let signed = certificate.take_whole(SEQUENCE)?;
        let algorithm = certificate.take(SEQUENCE)?;
        let signature = bits(certificate.take(BIT_STRING)?)?;
        if !whole.0.is_empty() || !certificate.0.is_empty() {
            return None;
        }
        let mut fields = Reader(Reader(signed).take(SEQUENCE)?);
        let is_version_1 = fields.0.first() != Some(&VERSION);
        if !is_version_1 {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?;
        // What is signed must say the same about how.
        if fields.take(SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = fields.take(SEQUENCE)?;
        let mut validity = Reader(fields.take(SEQUENCE)?);
        let (valid_from_s, valid_until_s) = (validity.take_time()?, validity.take_time()?);
        let subject = fields.take(SEQUENCE)?;
        let key_info = fields.take_whole(SEQUENCE)?;
        // Version 1 ends here.
        if is_version_1 && !fields.0.is_empty() {
            return None;
        }
        let mut info = Reader(Reader(key_info).take(SEQUENCE)?);
        let (key_algorithm, key) = (info.take(SEQUENCE)?, bits(info.take(BIT_STRING)?)?);
        Some(Self {
            is_version_1,
            signed,
            algorithm,
            signature,
            issuer,
            subject,
            valid_from_s,
            valid_until_s,
            key_info,
            key_algorithm,
            key,
        })
    }
}

/// A string of whole bytes: none of the last one's bits is unused.
fn bits(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(&[0])
}

/// What is left of some DER: tag, length, content, and again.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, if it is of this kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.take_parts(tag).map(|(_, content)| content)
    }

    /// The next element with its header.
    fn take_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.take_parts(tag).map(|(whole, _)| whole)
    }

    fn take_parts(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let all = self.0;
        let (&found, rest) = all.split_first()?;
        let (&first, rest) = rest.split_first()?;
        if found != tag {
            return None;
        }
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(len)?;
        self.0 = after;
        Some((&all[..all.len() - after.len()], content))
    }

    /// Seconds of Unix time; what is before it is its beginning.
    fn take_time(&mut self) -> Option<u64> {
        let (tag, is_long) = match self.0.first()? {
            &UTC_TIME => (UTC_TIME, false),
            _ => (GENERALIZED_TIME, true),
        };
        let digits = self.take(tag)?.strip_suffix(b"Z")?;
        if digits.len() != if is_long { 14 } else { 12 } || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |text: &[u8]| text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        let (year, rest) = digits.split_at(digits.len() - 10);
        let year = match number(year) {
            year if is_long => year,
            // Two digits: the century turns at 50.
            year @ 50.. => 1900 + year,
            year => 2000 + year,
        };
        let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&rest[at..at + 2]));
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(u64::try_from(seconds).unwrap_or(0))
    }
}

/// Years begin in March here, so that the day that leaps is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_before_month + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;
    use rustls::server::WebPkiClientVerifier;
    use std::time::Duration;

    const AUTHORITY: &[u8] = include_bytes!("../../tests/it/old_certificates/authority.crt");
    const NAMESAKE: &[u8] = include_bytes!("../../tests/it/old_certificates/other-authority.crt");
    const CLIENT: &[u8] = include_bytes!("../../tests/it/old_certificates/client.crt");
    const EXPIRED: &[u8] = include_bytes!("../../tests/it/old_certificates/expired.crt");

    fn read(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).expect("a certificate")
    }

    fn trusting(authorities: &[&[u8]]) -> Verifier<dyn ClientCertVerifier> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities: Vec<_> = authorities.iter().map(|pem| read(pem)).collect();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(authorities.clone());
        let library = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let algorithms = provider.signature_verification_algorithms;
        Verifier { library: library.build().expect("a verifier"), authorities, algorithms }
    }

    /// 2027-01-01
    const NOW_S: u64 = 1_798_761_600;

    fn verify(
        verifier: &Verifier<dyn ClientCertVerifier>,
        certificate: &CertificateDer<'_>,
        now_s: u64,
    ) -> Result<(), String> {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
        verifier.verify_client_cert(certificate, &[], now).map(drop).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn an_old_certificate_is_good_while_its_time_lasts_and_where_its_authority_is_known() {
        let verifier = trusting(&[NAMESAKE, AUTHORITY]);
        let client = read(CLIENT);
        assert_eq!(verify(&verifier, &client, NOW_S), Ok(()));
        assert!(verify(&verifier, &client, 1_577_836_799).is_err_and(|error| error.contains("NotValidYet")));
        assert!(verify(&verifier, &client, 4_733_510_401).is_err_and(|error| error.contains("Expired")));
        assert_eq!(verify(&verifier, &client, 1_577_836_800), Ok(()));
        assert!(verify(&verifier, &read(EXPIRED), NOW_S).is_err_and(|error| error.contains("Expired")));
        assert_eq!(verify(&verifier, &read(EXPIRED), 1_580_000_000), Ok(()));
        assert!(verify(&trusting(&[NAMESAKE]), &client, NOW_S).is_err_and(|error| error.contains("BadSignature")));
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let verifier = trusting(&[AUTHORITY]);
        let good = read(CLIENT);
        for at in 0..good.len() {
            for flip in [1, 0x80] {
                let mut bytes = good.to_vec();
                bytes[at] ^= flip;
                assert!(verify(&verifier, &CertificateDer::from(bytes), NOW_S).is_err(), "byte {at} ^ {flip}");
            }
            assert!(verify(&verifier, &CertificateDer::from(&good[..at]), NOW_S).is_err());
        }
    }

    #[test]
    fn days_are_counted() {
        assert_eq!(
            [(1970, 1, 1), (2000, 2, 29), (2000, 3, 1), (2100, 3, 1)].map(|(y, m, d)| days_since_1970(y, m, d)),
            [0, 11_016, 11_017, 47_541]
        );
    }
}
