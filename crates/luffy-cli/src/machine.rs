//! Where and with what a run was made: the content of `run.json`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// burn's version, as the root `Cargo.toml` pins it.
pub const BURN_VERSION: &str = "0.22.1";

/// What `run.json` holds: command line, seed, versions and machine. What cannot be found out is null.
pub fn describe(command: &[String], seed: u64) -> Value {
    json!({
        "schema": 1,
        "command": command,
        "seed": seed,
        "versions": {
            "luffy": env!("CARGO_PKG_VERSION"),
            "burn": BURN_VERSION,
            "rustc": first_line("rustc", &["--version"]),
            "commit": git_commit(),
            "modified": git_modified(),
        },
        "machine": {
            "os": os_name(),
            "arch": std::env::consts::ARCH,
            "cpu": cpu_model(),
            "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
            "memory_bytes": memory_bytes(),
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        },
    })
}

/// Most memory the process has held so far, in bytes (`VmHWM`); `None` where the system does not say.
pub fn peak_memory_bytes() -> Option<u64> {
    kib_field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// Memory of the machine in bytes.
pub fn memory_bytes() -> Option<u64> {
    kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal")
}

/// Name of the processor.
pub fn cpu_model() -> Option<String> {
    cpu_name(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// Commit of the source tree that the program was built from, if that is still there and under git.
pub fn git_commit() -> Option<String> {
    first_line("git", &["-C", source_dir(), "rev-parse", "HEAD"])
}

/// Whether tracked files of that tree differ from the commit.
fn git_modified() -> Option<bool> {
    let status = Command::new("git")
        .args(["-C", source_dir(), "status", "--porcelain", "--untracked-files=no"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(!status.stdout.is_empty())
}

const fn source_dir() -> &'static str {
    env!("CARGO_MANIFEST_DIR")
}

fn os_name() -> String {
    fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(name.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| std::env::consts::OS.to_owned())
}

/// First line a program prints; `None` if it is missing, fails or prints nothing.
fn first_line(program: &str, args: &[&str]) -> Option<String> {
    // A program named by a path must exist; a bare name is looked up.
    if program.contains('/') && !Path::new(program).exists() {
        return None;
    }
    let output = Command::new(program).args(args).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The value of a line `NAME:   123 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn cpu_name(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_read_in_bytes() {
        let status = "Name:\tluffy\nVmPeak:\t  99999 kB\nVmHWM:\t   12345 kB\nVmHWMX:\t1 kB\n";
        assert_eq!(kib_field(status, "VmHWM"), Some(12345 * 1024));
        assert_eq!(kib_field(status, "VmSwap"), None);
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 9B14\nmodel name\t: other\n";
        assert_eq!(cpu_name(cpuinfo).as_deref(), Some("AMD EPYC 9B14"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_grows_with_what_is_held() {
        let before = peak_memory_bytes().unwrap();
        let held = vec![1_u8; 256 << 20];
        assert_eq!(held[12345], 1);
        // Another test may have made the peak before; then it is large already.
        let after = peak_memory_bytes().unwrap();
        assert!(after >= before && after >= 256 << 20, "{before} {after}");
    }

    #[test]
    fn a_program_that_fails_or_is_missing_says_nothing() {
        assert_eq!(first_line("no-such-program-anywhere", &[]), None);
        assert_eq!(first_line("false", &[]), None);
        assert_eq!(first_line("echo", &["one\ntwo"]).as_deref(), Some("one"));
    }

    #[test]
    fn the_description_names_what_a_rerun_needs() {
        let run = describe(&["luffy".into(), "train".into()], 7);
        assert_eq!(run["seed"], 7);
        assert_eq!(run["command"][1], "train");
        assert_eq!(run["versions"]["burn"], BURN_VERSION);
        assert!(run["machine"]["cores"].as_u64().unwrap() > 0);
    }

    #[test]
    fn the_burn_version_is_the_one_pinned() {
        let manifest = fs::read_to_string(format!("{}/../../Cargo.toml", source_dir()));
        // Absent where the crate is built outside its workspace.
        if let Ok(manifest) = manifest {
            assert!(manifest.contains(&format!("burn = {{ version = \"={BURN_VERSION}\"")));
        }
    }
}
