//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that no compiler checks, in plain std.
//!
//! A rule is a function from the tree to what breaks it. The tree is a value, so a test plants a violation
//! without touching a disk.

mod docs;
mod edges;
mod layout;
mod manifest;
mod source;
mod tree;

use std::fmt;

use crate::paths::workspace_root;
use crate::process::Failure;
use tree::Tree;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// 1-based; 0 speaks of the whole file.
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.message)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.message)
        }
    }
}

type Rule = fn(&Tree) -> Vec<Violation>;

const RULES: [Rule; 15] = [
    edges::middle_crates_never_meet,
    edges::anyhow_stays_in_the_program,
    edges::xtask_has_no_dependencies,
    edges::burn_is_pinned_once,
    edges::backends_are_picked_in_one_place,
    edges::readers_and_graders_name_no_tensor,
    edges::every_dependency_is_used,
    layout::folders_are_on_the_maps,
    source::long_files_say_why,
    source::nothing_is_left_behind,
    source::clock_and_environment_stay_outside,
    source::unsafe_stays_in_the_kernels,
    docs::metrics_are_explained,
    docs::config_keys_are_explained,
    docs::links_lead_somewhere,
];

/// `cargo xtask tidy`.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::usage("tidy takes no arguments"));
    }
    check_workspace()?;
    println!("tidy: {} rules hold", RULES.len());
    Ok(())
}

/// Every rule on this checkout.
pub(crate) fn check_workspace() -> Result<(), Failure> {
    let root = workspace_root();
    let tree = Tree::read(&root)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", root.display())))?;
    let mut violations: Vec<Violation> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    violations.sort();
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        n => Err(Failure::new(format!("tidy: {n} broken rules"))),
    }
}

#[cfg(test)]
mod check {
    use super::*;

    /// `rule` finds exactly one breach in `files`, in `path` at `line`, and the message holds `word`.
    pub(super) fn breach(rule: Rule, files: &[(&str, &str)], place: (&str, usize), word: &str) {
        let found = rule(&Tree::of(files));
        let [violation] = found.as_slice() else { panic!("not one breach: {found:?}") };
        assert_eq!((violation.path.as_str(), violation.line), place, "{violation}");
        assert!(violation.message.contains(word), "{violation}");
    }

    /// `rule` has nothing to say about `files`.
    pub(super) fn clean(rule: Rule, files: &[(&str, &str)]) {
        assert_eq!(rule(&Tree::of(files)), []);
    }
}
