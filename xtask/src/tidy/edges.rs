//! Who may depend on whom.

use super::Violation;
use super::manifest::{Entry, NORMAL, entries};
use super::tree::Tree;

/// The crates beside one another: each knows `luffy-core` and none of the others.
const MIDDLE: [&str; 6] = [
    "luffy-reward",
    "luffy-objective",
    "luffy-policy",
    "luffy-data",
    "luffy-rollout",
    "luffy-trainer",
];

/// The features of burn that decide where tensors live, or how fast.
const BACKENDS: [&str; 18] = [
    "flex", "simd", "rayon", "x86-v4", "ndarray", "tch", "cuda", "fusion", "autotune", "cpu",
    "rocm", "wgpu", "vulkan", "metal", "webgpu", "remote", "default", "full",
];

const ALL_KINDS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// The manifests of the members, with the name of their folder.
fn members(tree: &Tree) -> impl Iterator<Item = (&str, &str, Vec<Entry>)> {
    tree.files("", "/Cargo.toml").filter_map(|(path, text)| {
        let folder = path.strip_suffix("/Cargo.toml")?;
        Some((path, folder.rsplit('/').next().unwrap_or(folder), entries(text)))
    })
}

/// The six crates around `luffy-core` have no normal dependency on one another.
pub(super) fn middle_crates_never_meet(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, name, entries) in members(tree).filter(|(_, name, _)| MIDDLE.contains(name)) {
        for entry in
            entries.iter().filter(|e| e.is_dependency(&NORMAL) && MIDDLE.contains(&e.key.as_str()))
        {
            let message = format!(
                "{name} depends on {}: what both need belongs in luffy-core, what joins them in luffy-cli",
                entry.key
            );
            found.push(Violation::new(path, entry.line, message));
        }
    }
    found
}

/// Libraries have errors of their own.
pub(super) fn anyhow_stays_in_the_program(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, name, entries) in members(tree).filter(|(_, name, _)| *name != "luffy-cli") {
        for entry in entries.iter().filter(|e| e.is_dependency(&ALL_KINDS) && e.key == "anyhow") {
            found.push(Violation::new(
                path,
                entry.line,
                format!("{name} names anyhow; only luffy-cli may"),
            ));
        }
    }
    found
}

/// The first command on a fresh machine builds xtask: it has to build in a second.
pub(super) fn xtask_has_no_dependencies(tree: &Tree) -> Vec<Violation> {
    let path = "xtask/Cargo.toml";
    entries(tree.text(path))
        .iter()
        .filter(|entry| entry.is_dependency(&ALL_KINDS))
        .map(|entry| {
            Violation::new(
                path,
                entry.line,
                format!("xtask depends on {}; it is std only", entry.key),
            )
        })
        .collect()
}

/// One place says which burn, exactly.
pub(super) fn burn_is_pinned_once(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let root = entries(tree.text("Cargo.toml"));
    let pin = root.iter().find(|e| e.section == "workspace.dependencies" && e.key == "burn");
    if pin.and_then(|pin| pin.strings().next()) != Some("=0.22.1") {
        let line = pin.map_or(0, |pin| pin.line);
        found.push(Violation::new("Cargo.toml", line, "burn is not pinned to \"=0.22.1\""));
    }
    for (path, name, entries) in members(tree) {
        for entry in
            entries.iter().filter(|e| e.is_dependency(&ALL_KINDS) && e.key.starts_with("burn"))
        {
            if entry.key != "burn" || !entry.value.contains("workspace = true") {
                let message = format!(
                    "{name} names {} by itself; use `burn = {{ workspace = true }}`",
                    entry.key
                );
                found.push(Violation::new(path, entry.line, message));
            }
        }
    }
    found
}

/// A backend is a feature of `luffy-cli`; elsewhere one may be named only where no user builds it.
pub(super) fn backends_are_picked_in_one_place(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut complain = |path: &str, line, backend: &str| {
        found.push(Violation::new(
            path,
            line,
            format!("backend feature `{backend}` outside the features of luffy-cli"),
        ));
    };
    let root = entries(tree.text("Cargo.toml"));
    for entry in root.iter().filter(|e| e.section == "workspace.dependencies" && e.key == "burn") {
        for backend in entry.strings().filter(|s| BACKENDS.contains(s)) {
            complain("Cargo.toml", entry.line, backend);
        }
    }
    for (path, name, entries) in members(tree) {
        let users_build_burn = entries.iter().any(|e| e.is_dependency(&NORMAL) && e.key == "burn");
        for entry in &entries {
            if entry.is_dependency(&NORMAL) && entry.key == "burn" {
                for backend in entry.strings().filter(|s| BACKENDS.contains(s)) {
                    complain(path, entry.line, backend);
                }
            }
            if entry.section == "features" && name != "luffy-cli" && users_build_burn {
                // The kernels read the buffers of the CPU backend where luffy-cli has picked it.
                let is_kernels = name == "luffy-kernels" && entry.key == "flex";
                for feature in entry.strings().filter(|s| !(is_kernels && *s == "burn/flex")) {
                    if feature
                        .strip_prefix("burn/")
                        .is_some_and(|backend| BACKENDS.contains(&backend))
                    {
                        complain(path, entry.line, feature);
                    }
                }
            }
        }
    }
    found
}

/// Grading and reading data build without burn.
pub(super) fn readers_and_graders_name_no_tensor(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let root = entries(tree.text("Cargo.toml"));
    let core = root.iter().find(|e| e.section == "workspace.dependencies" && e.key == "luffy-core");
    if core.is_some_and(|core| !core.value.contains("default-features = false")) {
        let message =
            "luffy-core has its default features on for everyone: graders would build burn";
        found.push(Violation::new("Cargo.toml", core.map_or(0, |core| core.line), message));
    }
    for (path, name, entries) in
        members(tree).filter(|(_, name, _)| ["luffy-reward", "luffy-data"].contains(name))
    {
        for entry in entries.iter().filter(|e| e.is_dependency(&NORMAL)) {
            let takes_tensors = entry.key == "luffy-core"
                && entry.strings().any(|s| s == "tensor" || s == "default");
            if entry.key == "burn" || takes_tensors {
                found.push(Violation::new(
                    path,
                    entry.line,
                    format!("{name} builds burn; it names no tensor"),
                ));
            }
        }
    }
    found
}

/// A dependency that no file of the crate names is a mistake or a leftover.
pub(super) fn every_dependency_is_used(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, name, entries) in members(tree) {
        let folder = path.trim_end_matches("Cargo.toml");
        for entry in entries.iter().filter(|e| e.is_dependency(&ALL_KINDS)) {
            let ident = entry.key.replace('-', "_");
            let is_used = tree.files(folder, ".rs").any(|(_, text)| names(text, &ident));
            if !is_used {
                found.push(Violation::new(
                    path,
                    entry.line,
                    format!("{name} does not use {}", entry.key),
                ));
            }
        }
    }
    found
}

/// Whether `ident` stands in `text` as a word of its own.
fn names(text: &str, ident: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(ident).any(|(at, _)| {
        let before = text.get(..at).and_then(|s| s.chars().next_back());
        let after = text.get(at + ident.len()..).and_then(|s| s.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::{breach, clean};
    use super::*;

    const ROOT: (&str, &str) = (
        "Cargo.toml",
        "[workspace.dependencies]\nluffy-core = { path = \"x\", default-features = false }\n\
         burn = { version = \"=0.22.1\", default-features = false, features = [\"std\", \"autodiff\"] }\n",
    );

    #[test]
    fn a_middle_crate_may_know_another_in_tests_only() {
        let path = "crates/luffy-trainer/Cargo.toml";
        clean(
            middle_crates_never_meet,
            &[(path, "[dev-dependencies]\nluffy-reward.workspace = true\n")],
        );
        breach(
            middle_crates_never_meet,
            &[(
                path,
                "[dependencies]\nluffy-core.workspace = true\nluffy-reward.workspace = true\n",
            )],
            (path, 3),
            "luffy-reward",
        );
    }

    #[test]
    fn anyhow_in_a_library_is_found() {
        clean(
            anyhow_stays_in_the_program,
            &[("crates/luffy-cli/Cargo.toml", "[dependencies]\nanyhow = \"1\"\n")],
        );
        let path = "crates/luffy-data/Cargo.toml";
        breach(
            anyhow_stays_in_the_program,
            &[(path, "[dev-dependencies]\nanyhow.workspace = true\n")],
            (path, 2),
            "anyhow",
        );
    }

    #[test]
    fn a_dependency_of_xtask_is_found() {
        let path = "xtask/Cargo.toml";
        clean(xtask_has_no_dependencies, &[(path, "[package]\nname = \"xtask\"\n")]);
        breach(
            xtask_has_no_dependencies,
            &[(path, "[dependencies.clap]\nversion = \"4\"\n")],
            (path, 2),
            "clap",
        );
    }

    #[test]
    fn burn_at_another_version_is_found() {
        let member = "crates/luffy-policy/Cargo.toml";
        clean(burn_is_pinned_once, &[ROOT, (member, "[dependencies]\nburn.workspace = true\n")]);
        breach(
            burn_is_pinned_once,
            &[ROOT, (member, "[dependencies]\nburn = \"0.22\"\n")],
            (member, 2),
            "by itself",
        );
        breach(
            burn_is_pinned_once,
            &[("Cargo.toml", "[workspace.dependencies]\nburn = \"0.22.1\"\n")],
            ("Cargo.toml", 2),
            "pinned",
        );
    }

    #[test]
    fn a_backend_in_a_library_is_found() {
        let path = "crates/luffy-policy/Cargo.toml";
        clean(
            backends_are_picked_in_one_place,
            &[
                ROOT,
                (path, "[dev-dependencies]\nburn = { workspace = true, features = [\"flex\"] }\n"),
                (
                    "crates/luffy-cli/Cargo.toml",
                    "[features]\nflex = [\"burn/flex\"]\n[dependencies]\nburn.workspace = true\n",
                ),
                ("crates/luffy-trainer/Cargo.toml", "[features]\ntch = [\"burn/tch\"]\n"),
                (
                    "crates/luffy-kernels/Cargo.toml",
                    "[features]\nflex = [\"burn/flex\"]\n[dependencies]\nburn.workspace = true\n",
                ),
            ],
        );
        breach(
            backends_are_picked_in_one_place,
            &[ROOT, (path, "[dependencies]\nburn = { workspace = true, features = [\"flex\"] }\n")],
            (path, 2),
            "flex",
        );
        breach(
            backends_are_picked_in_one_place,
            &[
                ROOT,
                (
                    path,
                    "[features]\ngpu = [\"burn/cuda\"]\n[dependencies]\nburn.workspace = true\n",
                ),
            ],
            (path, 2),
            "burn/cuda",
        );
        breach(
            backends_are_picked_in_one_place,
            &[(
                "Cargo.toml",
                "[workspace.dependencies]\nburn = { version = \"=0.22.1\", features = [\"flex\"] }\n",
            )],
            ("Cargo.toml", 2),
            "flex",
        );
    }

    #[test]
    fn a_grader_with_tensors_is_found() {
        let path = "crates/luffy-reward/Cargo.toml";
        clean(
            readers_and_graders_name_no_tensor,
            &[ROOT, (path, "[dependencies]\nluffy-core.workspace = true\n")],
        );
        breach(
            readers_and_graders_name_no_tensor,
            &[
                ROOT,
                (
                    path,
                    "[dependencies]\nluffy-core = { workspace = true, features = [\"tensor\"] }\n",
                ),
            ],
            (path, 2),
            "burn",
        );
        breach(
            readers_and_graders_name_no_tensor,
            &[("Cargo.toml", "[workspace.dependencies]\nluffy-core = { path = \"x\" }\n")],
            ("Cargo.toml", 2),
            "default features",
        );
    }

    #[test]
    fn an_unused_dependency_is_found_whatever_its_name_is_part_of() {
        let manifest = ("crates/a/Cargo.toml", "[dependencies]\nserde-json = \"1\"\n");
        clean(
            every_dependency_is_used,
            &[manifest, ("crates/a/tests/it/main.rs", "use serde_json::Value;")],
        );
        breach(
            every_dependency_is_used,
            &[manifest, ("crates/a/src/lib.rs", "my_serde_json::x()")],
            ("crates/a/Cargo.toml", 2),
            "serde-json",
        );
    }
}
