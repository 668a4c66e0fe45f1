//! The fuzz targets' checks on every kept input, so that what fuzzing once found stays found, without
//! nightly. Fuzzing itself: `cargo +nightly fuzz run http1_request` in `core/`.

#[cfg(test)]
#[path = "../fuzz/checks/contract.rs"]
mod contract;
#[cfg(test)]
#[path = "../fuzz/checks/http1.rs"]
mod http1;

#[cfg(test)]
mod replay {
    use std::fs;
    use std::path::Path;

    use super::{contract, http1};

    fn each(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "no corpus in {}", folder.display());
    }

    #[test]
    fn http1_requests() {
        each("http1_request", http1::request);
    }

    #[test]
    fn http1_responses() {
        each("http1_response", http1::response);
    }

    #[test]
    fn http1_chunked_bodies() {
        each("http1_chunked", http1::chunked);
    }

    #[test]
    fn messages_of_the_wire() {
        each("wire", contract::wire);
    }

    #[test]
    fn paths() {
        each("path", contract::path);
    }

    #[test]
    fn proxy_protocol_headers() {
        each("proxy_header", contract::proxy_header);
    }
}
