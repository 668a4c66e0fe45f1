//! Generates the client of the snapshot service; its messages are `ringgate_core::wire::proto`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../core/proto");
    let files = protox::compile(["../core/proto/ringgate.proto"], ["../core/proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .extern_path(".ringgate.v1", "::ringgate_core::wire::proto")
        .compile_fds(files)?;
    Ok(())
}
