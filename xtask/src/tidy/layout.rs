//! The maps name every folder.

use std::collections::BTreeSet;

use super::Violation;
use super::tree::Tree;

/// ARCHITECTURE.md and the README name every crate and every folder at the top.
pub(super) fn folders_are_on_the_maps(tree: &Tree) -> Vec<Violation> {
    let mut folders = BTreeSet::new();
    for (path, _) in tree.files("", "") {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["crates", name, _, ..] => _ = folders.insert(*name),
            [top, _, ..] => _ = folders.insert(*top),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for map in ["ARCHITECTURE.md", "README.md"] {
        for folder in &folders {
            let text = tree.text(map);
            if !text.contains(&format!("{folder}/")) && !text.contains(&format!("`{folder}`")) {
                found.push(Violation::new(
                    map,
                    0,
                    format!("the folder `{folder}` is not on this map"),
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::check::{breach, clean};
    use super::*;

    #[test]
    fn a_folder_that_a_map_forgets_is_found() {
        let files = [
            ("crates/luffy-new/src/lib.rs", ""),
            ("configs/x.toml", ""),
            ("README.md", "crates/luffy-new/, `configs`"),
        ];
        clean(
            folders_are_on_the_maps,
            &[&files[..], &[("ARCHITECTURE.md", "luffy-new/ configs/")]].concat(),
        );
        breach(
            folders_are_on_the_maps,
            &[&files[..], &[("ARCHITECTURE.md", "configs/ luffy-newer/")]].concat(),
            ("ARCHITECTURE.md", 0),
            "luffy-new",
        );
    }
}
