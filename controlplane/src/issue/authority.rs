//! The certificate authority of the stream to data planes: when another is made, and what it signs.
//! Pure but for the keys' chance; time is an argument.
//!
//! A rotation has three steps, so that nobody ever meets a certificate by an authority that it doesn't
//! know: the next authority is published, after [`Periods::spread`] it signs, and the one before is
//! believed until it expires.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use ringgate_identity::pem::{Pair, PemError, parse_certificates};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::parse_x509_certificate;

use super::{NamespacedName, Periods};

/// Others' clocks may be so far behind.
const CLOCKS_APART: Duration = Duration::from_mins(5);

/// Keys of the Secret.
const CURRENT: [&str; 2] = ["tls.crt", "tls.key"];
const NEXT: [&str; 2] = ["next.crt", "next.key"];
const PREVIOUS: &str = "previous.crt";

#[derive(Debug, Error)]
pub enum AuthorityError {
    #[error("it has {has} without {lacks}")]
    Half {
        has: &'static str,
        lacks: &'static str,
    },
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("{key}: {source}")]
    Key {
        key: &'static str,
        source: rcgen::Error,
    },
    #[error("{key} is no certificate")]
    Certificate { key: &'static str },
    #[error("a certificate can't be made: {0}")]
    Sign(rcgen::Error),
    #[error("the name {name} can't be in a certificate: {source}")]
    Name { name: String, source: rcgen::Error },
    #[error("the request for a certificate is of no use: {0}")]
    Request(rcgen::Error),
}

/// One that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    certificate: Vec<u8>,
    key: Vec<u8>,
    validity: Validity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    made: SystemTime,
    ends: SystemTime,
}

/// All that are believed; the current one signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    current: Authority,
    next: Option<Authority>,
    /// PEM.
    previous: Option<Vec<u8>>,
}

type Entries = BTreeMap<String, Vec<u8>>;

impl Authorities {
    /// Out of a Secret's entries; None: there is none yet.
    ///
    /// # Errors
    /// When it has some, but they are of no use.
    pub fn read(entries: &Entries) -> Result<Option<Self>, AuthorityError> {
        let Some(current) = Authority::read(entries, CURRENT)? else {
            return Ok(None);
        };
        let previous = entries.get(PREVIOUS).cloned();
        if let Some(pem) = &previous {
            validity(pem, PREVIOUS)?;
        }
        Ok(Some(Self {
            current,
            next: Authority::read(entries, NEXT)?,
            previous,
        }))
    }

    /// The Secret's entries.
    #[must_use]
    pub fn entries(&self) -> Entries {
        let mut entries = self.current.entries(CURRENT);
        if let Some(next) = &self.next {
            entries.extend(next.entries(NEXT));
        }
        if let Some(previous) = &self.previous {
            entries.insert(PREVIOUS.to_owned(), previous.clone());
        }
        entries
    }

    /// What shall stand in the Secret at `now` in place of `known`; None: what stands there.
    ///
    /// # Errors
    /// When none can be made.
    pub fn due(
        known: Option<&Self>,
        periods: &Periods,
        now: SystemTime,
    ) -> Result<Option<Self>, AuthorityError> {
        let Some(known) = known.filter(|known| known.current.validity.ends > now) else {
            let current = Authority::make(periods, now)?;
            return Ok(Some(Self {
                current,
                next: None,
                previous: None,
            }));
        };
        let mut due = known.clone();
        let is_old = |pem: &Vec<u8>| validity(pem, PREVIOUS).is_ok_and(|one| one.ends <= now);
        due.previous = due.previous.filter(|pem| !is_old(pem));
        match due.next.take() {
            None if known.current.is_late(periods, now) => {
                due.next = Some(Authority::make(periods, now)?);
            }
            Some(next) if next.validity.made + periods.spread <= now => {
                due.previous = Some(due.current.certificate);
                due.current = next;
            }
            next => due.next = next,
        }
        Ok((due != *known).then_some(due))
    }

    /// PEM of all that are believed, as it is published.
    #[must_use]
    pub fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| &next.certificate);
        let all = [
            Some(&self.current.certificate),
            next,
            self.previous.as_ref(),
        ];
        let texts = all.into_iter().flatten();
        texts.map(|pem| String::from_utf8_lossy(pem)).collect()
    }

    /// All that are believed.
    ///
    /// # Errors
    /// Never for what was read or made here.
    pub fn believed(&self) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        Ok(parse_certificates(
            self.bundle().as_bytes(),
            "the authority",
        )?)
    }

    /// A certificate for the control plane itself, for all of these names and addresses.
    ///
    /// # Errors
    /// When a name can't be in a certificate.
    pub fn own(
        &self,
        names: &[String],
        life: Duration,
        now: SystemTime,
    ) -> Result<Pair, AuthorityError> {
        let mut params = leaf("control plane", life, now);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(alternative(name)?);
        }
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let signed = params.signed_by(&key, &self.current.issuer()?);
        Ok(Pair {
            chain: vec![signed.map_err(AuthorityError::Sign)?.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        })
    }

    /// A certificate for a data plane of `account`. Of the request only the key counts, whose owner it
    /// proves to be by its signature.
    ///
    /// # Errors
    /// When the request is none, or isn't signed by its key.
    pub fn sign(
        &self,
        request: &[u8],
        account: &NamespacedName,
        life: Duration,
        now: SystemTime,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request);
        let mut request = request.map_err(AuthorityError::Request)?;
        request.params = leaf(&account.to_string(), life, now);
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = request.signed_by(&self.current.issuer()?);
        Ok(signed.map_err(AuthorityError::Sign)?.der().clone())
    }
}

impl Authority {
    fn read(
        entries: &Entries,
        [certificate, key]: [&'static str; 2],
    ) -> Result<Option<Self>, AuthorityError> {
        let half = |has, lacks| Err(AuthorityError::Half { has, lacks });
        match (entries.get(certificate), entries.get(key)) {
            (None, None) => Ok(None),
            (Some(_), None) => half(certificate, key),
            (None, Some(_)) => half(key, certificate),
            (Some(pem), Some(key_pem)) => {
                let authority = Self {
                    validity: validity(pem, certificate)?,
                    certificate: pem.clone(),
                    key: key_pem.clone(),
                };
                let issuer = authority.issuer();
                issuer
                    .map(|_| Some(authority))
                    .map_err(|error| match error {
                        AuthorityError::Key { source, .. } => AuthorityError::Key { key, source },
                        other => other,
                    })
            }
        }
    }

    fn entries(&self, [certificate, key]: [&str; 2]) -> Entries {
        let pairs = [(certificate, &self.certificate), (key, &self.key)];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect()
    }

    fn make(periods: &Periods, now: SystemTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Sign)?;
        let mut params = CertificateParams::default();
        // Two authorities have to have two names, or a verifier takes one for the other.
        let made = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("ringgate {}", made.as_millis());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - CLOCKS_APART).into();
        params.not_after = (now + periods.authority).into();
        let certificate = params.self_signed(&key).map_err(AuthorityError::Sign)?;
        let pem = certificate.pem().into_bytes();
        Ok(Self {
            validity: validity(&pem, CURRENT[0])?,
            certificate: pem,
            key: key.serialize_pem().into_bytes(),
        })
    }

    /// Whether a third of its life is left, or less.
    fn is_late(&self, periods: &Periods, now: SystemTime) -> bool {
        let left = self.validity.ends.duration_since(now).unwrap_or_default();
        left <= periods.authority / 3
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let failed = |source| AuthorityError::Key {
            key: CURRENT[1],
            source,
        };
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&self.key)).map_err(failed)?;
        let certificate = String::from_utf8_lossy(&self.certificate);
        Issuer::from_ca_cert_pem(&certificate, key).map_err(failed)
    }
}

fn leaf(name: &str, life: Duration, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_before = (now - CLOCKS_APART).into();
    params.not_after = (now + life).into();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = None::<SerialNumber>;
    params
}

fn alternative(name: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let made = name.try_into().map_err(|source| AuthorityError::Name {
        name: name.to_owned(),
        source,
    })?;
    Ok(SanType::DnsName(made))
}

fn validity(pem: &[u8], key: &'static str) -> Result<Validity, AuthorityError> {
    let found = parse_certificates(pem, key)?;
    let parsed = found.first().map(|der| parse_x509_certificate(der));
    let Some(Ok((_, parsed))) = parsed else {
        return Err(AuthorityError::Certificate { key });
    };
    let at =
        |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let validity = parsed.validity();
    Ok(Validity {
        made: at(validity.not_before.timestamp()) + CLOCKS_APART,
        ends: at(validity.not_after.timestamp()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn periods() -> Periods {
        Periods {
            authority: 90 * DAY,
            spread: DAY,
            certificate: DAY,
        }
    }

    fn due(known: &Authorities, now: SystemTime) -> Option<Authorities> {
        Authorities::due(Some(known), &periods(), now).unwrap()
    }

    fn start() -> (SystemTime, Authorities) {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let made = Authorities::due(None, &periods(), now).unwrap();
        (now, made.unwrap())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (now, first) = start();
        assert_eq!(Authorities::read(&Entries::new()).unwrap(), None);
        let entries = first.entries();
        assert_eq!(Authorities::read(&entries).unwrap().unwrap(), first);
        assert_eq!(due(&first, now + DAY), None);

        let mut half = entries.clone();
        half.remove("tls.key");
        let error = Authorities::read(&half).unwrap_err().to_string();
        assert_eq!(error, "it has tls.crt without tls.key");
        let mut broken = entries;
        broken.insert("tls.key".to_owned(), b"text".to_vec());
        let error = Authorities::read(&broken).unwrap_err().to_string();
        assert!(error.starts_with("tls.key: "), "{error}");
    }

    #[test]
    fn the_next_is_published_before_it_signs_and_the_one_before_is_believed_to_its_end() {
        let (now, first) = start();
        let early = now + 60 * DAY - Duration::from_secs(1);
        assert_eq!(due(&first, early), None);

        let late = now + 60 * DAY;
        let published = due(&first, late).unwrap();
        assert_eq!(published.current, first.current, "it doesn't sign yet");
        assert_eq!(published.believed().unwrap().len(), 2);
        let read = Authorities::read(&published.entries()).unwrap().unwrap();
        assert_eq!(read, published);
        assert_eq!(due(&published, late + DAY - Duration::from_secs(1)), None);

        let signs = due(&published, late + DAY).unwrap();
        assert_ne!(signs.current, first.current);
        assert_eq!(signs.believed().unwrap().len(), 2);
        assert_eq!(due(&signs, now + 90 * DAY - Duration::from_secs(1)), None);

        let alone = due(&signs, now + 90 * DAY).unwrap();
        assert_eq!(alone.believed().unwrap().len(), 1);
        assert_eq!(alone.current, signs.current);
    }

    #[test]
    fn one_that_expired_while_nobody_looked_is_replaced_at_once() {
        let (now, first) = start();
        let again = due(&first, now + 91 * DAY).unwrap();
        assert_ne!(again.current, first.current);
        assert_eq!(again.believed().unwrap().len(), 1);
    }

    #[test]
    fn a_request_that_asks_for_more_gets_a_data_planes_certificate() {
        let (now, authorities) = start();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["control.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = params.serialize_request(&key).unwrap();
        let account: NamespacedName = "edge/plane".parse().unwrap();
        let signed = authorities.sign(request.der(), &account, DAY, now).unwrap();

        let (_, certificate) = parse_x509_certificate(&signed).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=edge/plane");
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(certificate.subject_alternative_name().unwrap().is_none());
        let raw = &certificate.public_key().subject_public_key.data;
        assert_eq!(raw.as_ref(), key.public_key_raw());

        let mut forged = request.der().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let error = authorities.sign(&forged, &account, DAY, now).unwrap_err();
        assert!(matches!(error, AuthorityError::Request(_)), "{error}");
    }
}
