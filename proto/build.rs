//! Makes Rust of our own protocol, the registry. Nothing is there to be made yet.

fn main() {
    println!("cargo:rerun-if-changed=proto");
}
