//! Makes Rust of our own protocol, the registry, and of what we speak of Envoy's rate limit protocol and
//! of OTLP. `protox` reads them:
//! no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(
        ["proto/registry.proto", "proto/ratelimit.proto", "proto/otlp.proto"],
        ["proto"],
    )?;
    tonic_prost_build::configure()
        // Messages carry secrets, which `Debug` would print.
        .skip_debug(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
