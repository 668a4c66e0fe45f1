//! Ethernet frames by which hosts of a link ask and tell who has an address: bytes in, bytes out.
//!
//! ARP for IPv4 (RFC 826, RFC 5227), Neighbor Discovery for IPv6 (RFC 4861, RFC 4862). No socket here: see `link`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// What another host's frame says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The host has it.
    Holds(IpAddr, Mac),
    /// The host asks before it takes it.
    Probes(IpAddr, Mac),
}

pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV6: u16 = 0x86dd;

const BROADCAST: [u8; 6] = [0xff; 6];
/// Hardware type Ethernet, protocol IPv4, with lengths of 6 and 4 bytes.
const ARP_OF_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;

const ICMPV6: u8 = 58;
pub(super) const SOLICITATION: u8 = 135;
pub(super) const ADVERTISEMENT: u8 = 136;
/// Nodes believe a neighbour's message with this hop limit only: no router let it through (RFC 4861, 11.2).
const HOP_LIMIT: u8 = 255;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The neighbour shall put it in place of what it knew (RFC 4861, 4.4).
const OVERRIDE: [u8; 4] = [0x20, 0, 0, 0];
/// An option of 8 bytes: the address of the link layer.
const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];

/// Asks whether a host has the address, without a claim to it: an ARP probe (RFC 5227, 2.1.1), or the
/// solicitation of duplicate address detection (RFC 4862, 5.4.2).
pub(super) fn probe(ours: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(ours, Ipv4Addr::UNSPECIFIED, address),
        IpAddr::V6(address) => {
            let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            message.extend(address.octets());
            neighbour(ours, Ipv6Addr::UNSPECIFIED, group_of(address), message)
        }
    }
}

/// Tells all hosts that the address is at `ours` now: an ARP announcement (RFC 5227, 2.3), or an unsolicited
/// neighbor advertisement (RFC 4861, 7.2.6).
pub(super) fn announcement(ours: Mac, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(ours, address, address),
        IpAddr::V6(address) => {
            let mut message = vec![ADVERTISEMENT, 0, 0, 0];
            message.extend(OVERRIDE);
            message.extend(address.octets());
            message.extend(TARGET_LINK_ADDRESS);
            message.extend(ours.0);
            neighbour(ours, address, ALL_NODES, message)
        }
    }
}

/// What a frame says, if it is one of these; our own say nothing.
pub(super) fn heard(frame: &[u8], ours: Mac) -> Option<Heard> {
    let (ethernet, payload) = frame.split_first_chunk::<14>()?;
    let [.., s0, s1, s2, s3, s4, s5, kind_high, kind_low] = *ethernet;
    let kind = u16::from_be_bytes([kind_high, kind_low]);
    let said = match kind {
        ARP => heard_arp(payload)?,
        IPV6 => heard_neighbour(payload, Mac([s0, s1, s2, s3, s4, s5]))?,
        _ => return None,
    };
    let (Heard::Holds(_, sender) | Heard::Probes(_, sender)) = said;
    (sender != ours).then_some(said)
}

fn heard_arp(packet: &[u8]) -> Option<Heard> {
    let packet = packet.strip_prefix(&ARP_OF_IPV4)?;
    // Operation, hardware and protocol address of the sender, then of the target.
    let (_, packet) = packet.split_first_chunk::<2>()?;
    let (sender, packet) = packet.split_first_chunk::<6>()?;
    let (from, packet) = packet.split_first_chunk::<4>()?;
    let (_, packet) = packet.split_first_chunk::<6>()?;
    let to = packet.first_chunk::<4>()?;
    let from = Ipv4Addr::from(*from);
    Some(if from.is_unspecified() {
        Heard::Probes(Ipv4Addr::from(*to).into(), Mac(*sender))
    } else {
        Heard::Holds(from.into(), Mac(*sender))
    })
}

fn heard_neighbour(packet: &[u8], sender: Mac) -> Option<Heard> {
    let (header, message) = packet.split_first_chunk::<40>()?;
    let source: [u8; 16] = *header.get(8..)?.first_chunk()?;
    if header.get(6..8)? != [ICMPV6, HOP_LIMIT] {
        return None;
    }
    let (start, rest) = message.split_first_chunk::<8>()?;
    let target = Ipv6Addr::from(*rest.first_chunk::<16>()?).into();
    match *start.first()? {
        ADVERTISEMENT => Some(Heard::Holds(target, sender)),
        SOLICITATION if Ipv6Addr::from(source).is_unspecified() => {
            Some(Heard::Probes(target, sender))
        }
        _ => None,
    }
}

fn arp(ours: Mac, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, ours, ARP);
    frame.extend(ARP_OF_IPV4);
    frame.extend(REQUEST.to_be_bytes());
    frame.extend(ours.0);
    frame.extend(from.octets());
    frame.extend([0; 6]);
    frame.extend(to.octets());
    frame
}

/// `message` has zeros where its checksum comes.
fn neighbour(ours: Mac, from: Ipv6Addr, to: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(from, to, &message).to_be_bytes();
    message.splice(2..4, sum);
    let [.., a, b, c, d] = to.octets();
    // A group's Ethernet address (RFC 2464, 7).
    let mut frame = ethernet([0x33, 0x33, a, b, c, d], ours, IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length(&message).to_be_bytes());
    frame.extend([ICMPV6, HOP_LIMIT]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(message);
    frame
}

fn ethernet(to: [u8; 6], from: Mac, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(86);
    frame.extend(to);
    frame.extend(from.0);
    frame.extend(kind.to_be_bytes());
    frame
}

/// Ours have 32 bytes at most.
fn length(message: &[u8]) -> u16 {
    u16::try_from(message.len()).unwrap_or(u16::MAX)
}

/// The group of those whose address ends so (RFC 4291, 2.7.1).
fn group_of(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let [first, second] = [u16::from_be_bytes([0xff, a]), u16::from_be_bytes([b, c])];
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, first, second)
}

/// ICMPv6's, over a pseudo header too (RFC 4443, 2.3).
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let addresses = [from.segments(), to.segments()].concat();
    let pairs = message.chunks(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        [high] => u16::from_be_bytes([high, 0]),
        _ => 0,
    });
    let words = addresses.into_iter().chain(pairs);
    let start = u32::from(length(message)) + u32::from(ICMPV6);
    let mut sum = words.fold(start, |sum, word| sum + u32::from(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 0x0b]);

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        let pairs = (0..digits.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn an_arp_probe_names_no_sender_address() {
        let expected = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a 00000000 000000000000 0a090064";
        assert_eq!(probe(OURS, "10.9.0.100".parse().unwrap()), bytes(expected));
    }

    #[test]
    fn an_arp_announcement_has_the_address_as_sender_and_target() {
        let expected = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a 0a090064 000000000000 0a090064";
        assert_eq!(
            announcement(OURS, "10.9.0.100".parse().unwrap()),
            bytes(expected)
        );
    }

    #[test]
    fn a_solicitation_goes_from_nowhere_to_the_group_of_the_address() {
        let expected = "3333ff120034 02000000000a 86dd 60000000 0018 3a ff \
            00000000000000000000000000000000 ff0200000000000000000001ff120034 \
            87 00 0000 00000000 fd000000000000000000000000120034";
        let frame = probe(OURS, "fd00::12:34".parse().unwrap());
        assert_eq!(frame.len(), 78);
        assert_eq!(frame[..56], bytes(expected)[..56]);
        assert_eq!(frame[58..], bytes(expected)[58..]);
        assert!(sums_up(&frame));
    }

    #[test]
    fn an_advertisement_overrides_what_neighbours_know() {
        let expected = "333300000001 02000000000a 86dd 60000000 0020 3a ff \
            fd000000000000000000000000120034 ff020000000000000000000000000001 \
            88 00 0000 20000000 fd000000000000000000000000120034 02 01 02000000000a";
        let frame = announcement(OURS, "fd00::12:34".parse().unwrap());
        assert_eq!(frame.len(), 86);
        assert_eq!(frame[..56], bytes(expected)[..56]);
        assert_eq!(frame[58..], bytes(expected)[58..]);
        assert!(sums_up(&frame));
    }

    /// What a receiver does (RFC 1071): with the checksum in its place all words add up to ones.
    fn sums_up(frame: &[u8]) -> bool {
        let message = &frame[54..];
        let words = frame[22..]
            .chunks(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1]));
        let mut sum = words.sum::<u64>() + message.len() as u64 + 58;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum == 0xffff
    }

    #[test]
    fn what_others_say_is_heard_and_what_we_say_is_not() {
        for text in ["10.9.0.100", "fd00::1"] {
            let address = text.parse().unwrap();
            let said = announcement(THEIRS, address);
            assert_eq!(heard(&said, OURS), Some(Heard::Holds(address, THEIRS)));
            assert_eq!(heard(&said, THEIRS), None);
            let said = probe(THEIRS, address);
            assert_eq!(heard(&said, OURS), Some(Heard::Probes(address, THEIRS)));
        }
    }

    #[test]
    fn cut_frames_and_those_of_other_protocols_say_nothing() {
        for text in ["10.9.0.100", "fd00::1"] {
            let frame = announcement(THEIRS, text.parse().unwrap());
            // The option at the advertisement's end isn't needed.
            for end in 0..frame.len().min(78) {
                assert_eq!(heard(&frame[..end], OURS), None, "{end} bytes");
            }
            let mut changed = frame;
            changed[12] ^= 0x41;
            assert_eq!(heard(&changed, OURS), None, "of another protocol");
        }
        let mut routed = announcement(THEIRS, "fd00::1".parse().unwrap());
        routed[21] = 254;
        assert_eq!(heard(&routed, OURS), None, "a router let it through");
    }
}
