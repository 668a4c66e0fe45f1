//! Generates the stubs of the push service; its messages are those of `ringgate_core::wire`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../core/proto");
    let files = protox::compile(["../core/proto/ringgate.proto"], ["../core/proto"])?;
    tonic_prost_build::configure()
        .extern_path(".ringgate.v1", "::ringgate_core::wire::proto")
        .compile_fds(files)?;
    Ok(())
}
