//! A client, the gateway's two ends, and an origin, in one thread, driven by chance from a seed: splits
//! down to single bytes, slow readers, pipelining, early closes, faulty origins. Whatever happens, the
//! bytes of one message never come out in another.

#[cfg(test)]
mod client;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod run;
#[cfg(test)]
mod wire;
