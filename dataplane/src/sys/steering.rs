//! Which shard a client's datagrams come to: a program in the kernel, so that a flow stays with its shard
//! whatever the sockets of others do, and one that the kernel would give to any (as its own hash does while
//! sockets come) goes where its session is.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_K,
    BPF_LD, BPF_LDX, BPF_LSH, BPF_MISC, BPF_MOD, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST, BPF_TAX, BPF_W,
    BPF_X, BPF_XOR, SKF_NET_OFF, sock_filter, sock_fprog,
};

/// Lets the client's address and port choose among the sockets of the group, in the order in which they were
/// bound (SO_ATTACH_REUSEPORT_CBPF; the program sees the packet's network header at SKF_NET_OFF).
pub(super) fn by_client(first: &UdpSocket, shards: usize) -> io::Result<()> {
    let mut program = program(u32::try_from(shards).unwrap_or(1).max(1));
    let length = u16::try_from(program.len()).unwrap_or(0);
    let program = sock_fprog {
        len: length,
        filter: program.as_mut_ptr(),
    };
    let (place, length) = ((&raw const program).cast(), size_of_val(&program));
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    let option = libc::SO_ATTACH_REUSEPORT_CBPF;
    // SAFETY: reads the program, which is alive.
    match unsafe { libc::setsockopt(first.as_raw_fd(), libc::SOL_SOCKET, option, place, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn program(shards: u32) -> Vec<sock_filter> {
    let net = SKF_NET_OFF.cast_unsigned();
    let load = |size, place: u32| step(BPF_LD | size | BPF_ABS, net.wrapping_add(place));
    let mut steps = vec![
        load(BPF_B, 0),
        step(BPF_ALU | BPF_RSH | BPF_K, 4),
        // Over the part for IPv4, if it is IPv6.
        jump(BPF_JMP | BPF_JEQ | BPF_K, 6, 8, 0),
    ];
    let ipv4 = [
        // Where the UDP header is.
        load(BPF_B, 0),
        step(BPF_ALU | BPF_AND | BPF_K, 0xf),
        step(BPF_ALU | BPF_LSH | BPF_K, 2),
        step(BPF_MISC | BPF_TAX, 0),
        step(BPF_LD | BPF_H | BPF_IND, net),
        step(BPF_ST, 0),
        load(BPF_W, 12),
    ];
    let mut ipv6 = vec![
        // An extension header would stand there instead: then these are the first bytes of that.
        load(BPF_H, 40),
        step(BPF_ST, 0),
        load(BPF_W, 8),
    ];
    for place in [12, 16, 20] {
        ipv6.extend([
            step(BPF_MISC | BPF_TAX, 0),
            load(BPF_W, place),
            step(BPF_ALU | BPF_XOR | BPF_X, 0),
        ]);
    }
    steps.extend(ipv4);
    let over = u32::try_from(ipv6.len()).unwrap_or(0);
    steps.push(step(BPF_JMP | libc::BPF_JA, over));
    steps.extend(ipv6);
    // The address is in A, the port in M[0].
    steps.extend([
        step(BPF_ALU | BPF_MUL | BPF_K, 0x9e37_79b1),
        step(BPF_LDX | libc::BPF_MEM, 0),
        step(BPF_ALU | BPF_ADD | BPF_X, 0),
        step(BPF_ALU | BPF_MUL | BPF_K, 0x85eb_ca6b),
        step(BPF_MISC | BPF_TAX, 0),
        step(BPF_ALU | BPF_RSH | BPF_K, 15),
        step(BPF_ALU | BPF_XOR | BPF_X, 0),
        step(BPF_ALU | BPF_MUL | BPF_K, 0xc2b2_ae35),
        step(BPF_ALU | BPF_RSH | BPF_K, 16),
        step(BPF_ALU | BPF_MOD | BPF_K, shards),
        step(BPF_RET | BPF_A, 0),
    ]);
    steps
}

fn step(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).unwrap_or(0);
    sock_filter { code, jt, jf, k }
}
