//! libtorch for `--backend tch`: the user's, or the CPU part of PyTorch's wheel.
//!
//! burn-tch 0.22.1 binds libtorch 2.9.0 exactly and would download it from a host of PyTorch's.
//! PyTorch's wheel holds the same libraries, built for CUDA; the CPU library in it needs two small NVIDIA
//! libraries at run time and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::cache_dir;
use crate::process::{self, Failure};

const TORCH: &str = "torch==2.9.0";
/// The versions that torch 2.9.0 asks for.
const NVIDIA: [&str; 2] = ["nvidia-cuda-runtime-cu12==12.8.90", "nvidia-cuda-cupti-cu12==12.8.90"];
/// Takes the wheels apart.
const UNPACK: &str = include_str!("libtorch_unpack.py");
/// The library that `-ltorch` finds. In the wheel it pulls in the CUDA half; an empty one serves the CPU.
const STUB: &str = "libtorch.so";

/// A folder with `include` and `lib`.
pub(crate) struct Libtorch {
    root: PathBuf,
}

impl Libtorch {
    /// The one that `LIBTORCH` names, or the one in the cache, downloaded if it is not there.
    pub(crate) fn find_or_install() -> Result<Self, Failure> {
        if let Some(root) = std::env::var_os("LIBTORCH").filter(|root| !root.is_empty()) {
            return Self::at(root.into()).map_err(|missing| {
                Failure::new(format!(
                    "LIBTORCH names no libtorch: {} is missing",
                    missing.display()
                ))
            });
        }
        let root = cache_dir()?.join("libtorch-2.9.0");
        match Self::at(root) {
            Ok(libtorch) => Ok(libtorch),
            Err(missing) => {
                let root = cache_dir()?.join("libtorch-2.9.0");
                eprintln!(
                    "no {}: setting libtorch 2.9.0 up (downloads 0.95 GB, keeps 0.45 GB)",
                    missing.display()
                );
                install(&root)?;
                Self::at(root).map_err(|missing| {
                    Failure::new(format!(
                        "libtorch is incomplete: {} is missing",
                        missing.display()
                    ))
                })
            }
        }
    }

    /// The folder `root`, or the first file that it lacks.
    fn at(root: PathBuf) -> Result<Self, PathBuf> {
        for needed in ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", "include/torch"] {
            let path = root.join(needed);
            if !path.exists() {
                return Err(path);
            }
        }
        Ok(Self { root })
    }

    /// Lets `command` build and run against it.
    pub(crate) fn add_to(&self, command: &mut Command) -> Result<(), Failure> {
        let mut search = OsString::from(self.root.join("lib"));
        if let Some(rest) = std::env::var_os("LD_LIBRARY_PATH").filter(|rest| !rest.is_empty()) {
            search.push(":");
            search.push(rest);
        }
        if !process::is_installed("g++") {
            return Err(missing_tools(&["g++"]));
        }
        command
            .env("LIBTORCH", &self.root)
            .env("LIBTORCH_CXX11_ABI", "1")
            .env("LD_LIBRARY_PATH", search);
        Ok(())
    }
}

fn install(root: &Path) -> Result<(), Failure> {
    let missing: Vec<&str> =
        ["python3", "gcc", "g++"].into_iter().filter(|tool| !process::is_installed(tool)).collect();
    if !missing.is_empty() {
        return Err(missing_tools(&missing));
    }
    let mut work = root.as_os_str().to_owned();
    work.push(format!(".partial-{}", std::process::id()));
    let work = PathBuf::from(work);
    std::fs::create_dir_all(&work)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", work.display())))?;
    let done = fill(&work).and_then(|()| process::move_into_place(&work.join("libtorch"), root));
    // What a failed download leaves is of no use, and a finished one has been moved out.
    let _ = std::fs::remove_dir_all(&work);
    done
}

fn fill(work: &Path) -> Result<(), Failure> {
    let wheels = work.join("wheels");
    // The C++ libraries are the same in the wheel of every Python version, so any one does.
    let download = process::run(
        Command::new("python3")
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"])
            .args([
                "--python-version",
                "3.11",
                "--implementation",
                "cp",
                "--platform",
                "manylinux_2_28_x86_64",
            ])
            .args([
                "--platform",
                "manylinux2014_x86_64",
                "--platform",
                "manylinux1_x86_64",
                "--dest",
            ])
            .arg(&wheels)
            .arg(TORCH)
            .args(NVIDIA),
    );
    download.map_err(|_| {
        Failure::new(format!(
            "cannot download {TORCH}; set LIBTORCH to a libtorch 2.9.0 folder, or put the wheels of {TORCH}, {} \
             where pip finds them (PIP_FIND_LINKS)",
            NVIDIA.join(", ")
        ))
    })?;
    let libtorch = work.join("libtorch");
    process::run(Command::new("python3").args(["-c", UNPACK]).arg(&wheels).arg(&libtorch))?;
    process::run(
        Command::new("gcc")
            .current_dir(libtorch.join("lib"))
            .args([
                "-shared",
                "-o",
                STUB,
                "-x",
                "c",
                "/dev/null",
                "-L.",
                "-Wl,--no-as-needed",
                "-ltorch_cpu",
            ])
            .arg("-Wl,--allow-shlib-undefined"),
    )
}

fn missing_tools(tools: &[&str]) -> Failure {
    Failure::new(format!("backend tch needs {} on the search path", tools.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_headers_is_no_libtorch() {
        let root = std::env::temp_dir().join(format!("luffy-libtorch-{}", std::process::id()));
        std::fs::create_dir_all(root.join("lib")).unwrap();
        for library in ["libtorch.so", "libtorch_cpu.so", "libc10.so"] {
            std::fs::write(root.join("lib").join(library), "").unwrap();
        }
        assert_eq!(Libtorch::at(root.clone()).err(), Some(root.join("include/torch")));
        std::fs::create_dir_all(root.join("include/torch")).unwrap();
        assert!(Libtorch::at(root.clone()).is_ok());
        std::fs::remove_dir_all(root).unwrap();
    }
}
