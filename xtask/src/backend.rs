//! Where tensors live: the choice is a cargo feature of `luffy-cli`, and what it needs is set up here.

use std::path::PathBuf;
use std::process::Command;

use crate::libtorch;
use crate::process::Failure;

/// A backend of burn that `luffy-cli` can be built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// CPU, pure Rust.
    Flex,
    /// NVIDIA GPUs through `CubeCL`.
    Cuda,
    /// libtorch.
    Tch,
}

impl Backend {
    /// Takes `--backend NAME` or `--backend=NAME` out of `args`, wherever it stands before `--`.
    pub(crate) fn take_from(args: &mut Vec<String>) -> Result<Option<Self>, Failure> {
        let Some(at) = position(args) else { return Ok(None) };
        let arg = args.remove(at);
        let name = match arg.split_once('=') {
            Some((_, name)) => name.to_owned(),
            None if args.get(at).is_some_and(|next| next != "--") => args.remove(at),
            None => return Err(Failure::usage("--backend needs a name: flex, cuda or tch")),
        };
        if position(args).is_some() {
            return Err(Failure::usage("--backend is given twice"));
        }
        Self::named(&name).map(Some)
    }

    fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "flex" => Ok(Self::Flex),
            "cuda" => Ok(Self::Cuda),
            "tch" => Ok(Self::Tch),
            _ => Err(Failure::usage(format!("no backend `{name}`; one of flex, cuda, tch"))),
        }
    }

    /// The feature of `luffy-cli`, and of burn, by that name.
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Cuda => "cuda",
            Self::Tch => "tch",
        }
    }

    /// Sets up what building and running with this backend needs.
    pub(crate) fn prepare(self, command: &mut Command) -> Result<(), Failure> {
        match self {
            Self::Flex => Ok(()),
            Self::Cuda => {
                if let Some(notice) = cuda_notice() {
                    eprintln!("{notice}");
                }
                Ok(())
            }
            Self::Tch => libtorch::Libtorch::find_or_install()?.add_to(command),
        }
    }
}

fn position(args: &[String]) -> Option<usize> {
    args.iter()
        .take_while(|arg| *arg != "--")
        .position(|arg| arg == "--backend" || arg.starts_with("--backend="))
}

/// burn's cuda backend builds against an LLVM bundle that a build script fetches from GitHub.
fn cuda_notice() -> Option<String> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let bundles = home.join(".local/share/tracel");
    let present = std::fs::read_dir(&bundles).is_ok_and(|entries| {
        entries
            .filter_map(Result::ok)
            .any(|entry| entry.path().join(".tracel-llvm-installed").exists())
    });
    (!present).then(|| {
        format!(
            "note: no LLVM bundle under {}; the build downloads one from github.com and fails where that \
             cannot be reached (docs/src/backends.md says what to do then)",
            bundles.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], backend: Option<Backend>, rest: &[&str]) {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(Backend::take_from(&mut args), Ok(backend));
        assert_eq!(args, rest);
    }

    fn check_refused(args: &[&str]) {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(
            Backend::take_from(&mut args).map_err(|failure| failure.code()),
            Err(2),
            "{args:?}"
        );
    }

    #[test]
    fn both_spellings_are_taken_from_anywhere() {
        check(&["--backend", "tch", "--out", "x"], Some(Backend::Tch), &["--out", "x"]);
        check(&["--out", "x", "--backend=cuda"], Some(Backend::Cuda), &["--out", "x"]);
    }

    #[test]
    fn other_arguments_pass_untouched() {
        check(&["--help"], None, &["--help"]);
        check(&["--", "--backend", "x"], None, &["--", "--backend", "x"]);
        check(
            &["--backend", "tch", "--", "--backend=x"],
            Some(Backend::Tch),
            &["--", "--backend=x"],
        );
    }

    #[test]
    fn unknown_missing_and_repeated_names_are_refused() {
        check_refused(&["--backend", "wgpu"]);
        check_refused(&["--backend"]);
        check_refused(&["--backend", "--"]);
        check_refused(&["--backend=flex", "--backend=tch"]);
    }
}
