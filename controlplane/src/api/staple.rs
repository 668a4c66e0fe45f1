//! OCSP responses that are given to be stapled to a certificate (RFC 6960): whether one is about that
//! certificate, and until when it holds.
//!
//! Its signature isn't looked at: that is for clients, who know whom they believe.

use thiserror::Error;
use x509_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::time::ASN1Time;

/// Why a response isn't stapled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum StapleFlaw {
    #[error("it is no OCSP response in DER")]
    Malformed,
    #[error("in it the responder says that it could not answer")]
    Unsuccessful,
    #[error("it is for another certificate")]
    Foreign,
    #[error("it says that the certificate is revoked")]
    Revoked,
    #[error("it says that the responder doesn't know the certificate")]
    Unknown,
    #[error("it is larger than {} KiB", ringgate_core::limits::DER_BYTES >> 10)]
    TooLarge,
}

impl StapleFlaw {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed => "put the response there as `openssl ocsp -respout` writes it",
            Self::Unsuccessful | Self::Unknown => "ask the issuer's responder again",
            Self::Foreign => {
                "ask the issuer's responder for this certificate; each renewed one needs its own"
            }
            Self::Revoked => "replace the certificate: clients that ask refuse it",
            Self::TooLarge => "ask for a response without the issuer's certificates",
        }
    }
}

/// The content of the object identifier id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
/// OCSPResponseStatus `successful`.
const SUCCESSFUL: &[u8] = &[0];

/// When a response for the certificate of this serial number (an INTEGER's content) ends, in seconds since
/// 1970; None: it says nothing of that.
///
/// # Errors
/// [`StapleFlaw`] says why it shall not be stapled.
pub(super) fn ends(response: &[u8], serial: &[u8]) -> Result<Option<i64>, StapleFlaw> {
    if response.len() > ringgate_core::limits::DER_BYTES {
        return Err(StapleFlaw::TooLarge);
    }
    let mut responses = responses(response)?;
    while let Some(mut single) = responses.sequence() {
        let (theirs, status) = about(&mut single).ok_or(StapleFlaw::Malformed)?;
        if theirs == serial {
            return match status.0 {
                0 => next_update(single),
                1 => Err(StapleFlaw::Revoked),
                _ => Err(StapleFlaw::Unknown),
            };
        }
    }
    Err(StapleFlaw::Foreign)
}

/// The serial number and the status of a single certificate; what follows is left.
fn about<'d>(single: &mut Reading<'d>) -> Option<(&'d [u8], Tag)> {
    let mut about = single.sequence()?;
    // The hash algorithm, and the issuer's name and key by that.
    about.sequence()?;
    about.value(Tag::OctetString)?;
    about.value(Tag::OctetString)?;
    let serial = about.value(Tag::Integer)?;
    let status = single.next()?.tag();
    single.value(Tag::GeneralizedTime)?;
    Some((serial, status))
}

/// What a response says of single certificates.
fn responses(response: &[u8]) -> Result<Reading<'_>, StapleFlaw> {
    let mut whole = Reading(response).sequence().ok_or(StapleFlaw::Malformed)?;
    match whole.value(Tag::Enumerated) {
        None => Err(StapleFlaw::Malformed),
        Some(SUCCESSFUL) => basic(whole).ok_or(StapleFlaw::Malformed),
        Some(_) => Err(StapleFlaw::Unsuccessful),
    }
}

fn basic(mut whole: Reading<'_>) -> Option<Reading<'_>> {
    let mut bytes = whole.tagged(0)?.sequence()?;
    let kind = bytes.value(Tag::Oid)?;
    let basic = bytes.value(Tag::OctetString)?;
    let mut signed = Reading(basic).sequence()?.sequence()?;
    // Its version, if that isn't the first; then who responds, and when.
    signed.tagged(0);
    signed.next()?;
    signed.value(Tag::GeneralizedTime)?;
    signed.sequence().filter(|_| kind == BASIC)
}

fn next_update(mut single: Reading<'_>) -> Result<Option<i64>, StapleFlaw> {
    let Some(next) = single.tagged(0) else {
        return Ok(None);
    };
    match ASN1Time::from_der(next.0) {
        Ok((_, next)) => Ok(Some(next.timestamp())),
        Err(_) => Err(StapleFlaw::Malformed),
    }
}

/// DER that is left to read.
struct Reading<'d>(&'d [u8]);

impl<'d> Reading<'d> {
    fn next(&mut self) -> Option<Any<'d>> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(any)
    }

    /// The next one's content, if it is of this kind; else it stays.
    fn content(&mut self, class: Class, tag: Tag) -> Option<&'d [u8]> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        if any.class() != class || any.tag() != tag {
            return None;
        }
        self.0 = rest;
        Some(any.as_bytes())
    }

    fn value(&mut self, tag: Tag) -> Option<&'d [u8]> {
        self.content(Class::Universal, tag)
    }

    fn sequence(&mut self) -> Option<Self> {
        self.value(Tag::Sequence).map(Self)
    }

    fn tagged(&mut self, tag: u32) -> Option<Self> {
        self.content(Class::ContextSpecific, Tag(tag)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl x509 -serial` has it of `ecdsa.crt`.
    const SERIAL: [u8; 20] = [
        0x3f, 0x62, 0xf0, 0xe6, 0x4a, 0x93, 0xe7, 0xd0, 0x68, 0x1e, 0x8d, 0x69, 0x07, 0x94, 0xc6,
        0x37, 0xf6, 0x6c, 0xa1, 0x86,
    ];
    const GOOD: &[u8] = include_bytes!("../../testdata/pem/ecdsa.ocsp");
    const REVOKED: &[u8] = include_bytes!("../../testdata/pem/ecdsa-revoked.ocsp");
    /// RFC 6960: an OCSPResponse of status `tryLater` alone.
    const TRY_LATER: &[u8] = &[0x30, 3, 0x0a, 1, 3];

    #[test]
    fn a_response_of_a_real_responder_is_for_its_certificate_alone() {
        let year_2126 = (2126 - 1970) * 31_556_952;
        let ends_of = ends(GOOD, &SERIAL).unwrap().unwrap();
        assert!((ends_of - year_2126).abs() < 31_556_952, "{ends_of}");
        assert_eq!(ends(GOOD, &SERIAL[1..]), Err(StapleFlaw::Foreign));
        assert_eq!(ends(REVOKED, &SERIAL), Err(StapleFlaw::Revoked));
        assert_eq!(ends(TRY_LATER, &SERIAL), Err(StapleFlaw::Unsuccessful));
        let large = vec![0; ringgate_core::limits::DER_BYTES + 1];
        assert_eq!(ends(&large, &SERIAL), Err(StapleFlaw::TooLarge));
    }

    #[test]
    fn what_is_cut_or_spoilt_is_refused_and_nothing_panics() {
        // The signature is not looked at, but the lengths around it are.
        for end in 0..GOOD.len() {
            assert_eq!(
                ends(&GOOD[..end], &SERIAL),
                Err(StapleFlaw::Malformed),
                "{end}"
            );
        }
        for place in 0..GOOD.len() {
            for bit in 0..8 {
                let mut spoilt = GOOD.to_vec();
                spoilt[place] ^= 1 << bit;
                let _ = ends(&spoilt, &SERIAL);
            }
        }
        assert_eq!(
            ends(b"-----BEGIN OCSP", &SERIAL),
            Err(StapleFlaw::Malformed)
        );
    }
}
