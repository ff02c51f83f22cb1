//! Builds the eBPF object, which the agent carries inside: one binary is all that is installed.
fn main() -> anyhow::Result<()> {
    let object = xtask::ebpf::build_for_build_script()?;
    println!("cargo:rustc-env=SENSOR_EBPF_OBJECT={}", object.display());
    Ok(())
}
