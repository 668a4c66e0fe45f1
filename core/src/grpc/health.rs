//! gRPC's protocol of health checks (health-checking.md): the one message of it that we send, and the one that
//! we read, each as the only message of a stream.

use prost::Message;

/// What is called.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// Compression flag and length.
const PREFIX_BYTES: usize = 5;

#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// What a server says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
}

impl Serving {
    /// As the protocol writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}

/// The body of a call.
#[must_use]
pub fn request(service: &str) -> Vec<u8> {
    let service = service.to_owned();
    let message = HealthCheckRequest { service }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut body = vec![0];
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(&message);
    body
}

/// What the body of an answer says; none if it is no such body.
#[must_use]
pub fn answer(body: &[u8]) -> Option<Serving> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let (flag, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *flag != 0 || usize::try_from(length) != Ok(message.len()) {
        return None;
    }
    Some(match HealthCheckResponse::decode(message).ok()?.status {
        1 => Serving::Serving,
        2 => Serving::NotServing,
        3 => Serving::ServiceUnknown,
        _ => Serving::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_the_service_or_none() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        assert_eq!(answer(b"\0\0\0\0\x02\x08\x01"), Some(Serving::Serving));
        assert_eq!(answer(b"\0\0\0\0\x02\x08\x02"), Some(Serving::NotServing));
        assert_eq!(
            answer(b"\0\0\0\0\x02\x08\x03"),
            Some(Serving::ServiceUnknown)
        );
        assert_eq!(answer(b"\0\0\0\0\x00"), Some(Serving::Unknown));
        for bad in [
            b"".as_slice(),
            b"\0\0\0\0",
            b"\0\0\0\0\x02\x08",
            b"\0\0\0\0\x01\x08\x01",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x0a\xff",
        ] {
            assert_eq!(answer(bad), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = answer(&bytes);
        }
    }
}
