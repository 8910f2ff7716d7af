//! What may not stand in a source file.

use super::Violation;
use super::tree::Tree;

const MAX_LINES: usize = 600;

/// The rules name what they forbid.
const OURSELVES: &str = "xtask/src/tidy/";

/// Words that are wrong in code, and what to do instead. Comments and strings may hold them.
const FORBIDDEN: [(&str, &str); 6] = [
    ("todo!(", "finish it or leave it out"),
    ("unimplemented!(", "finish it or leave it out"),
    ("dbg!(", "a leftover of debugging"),
    ("#[ignore", "assert what happens and say why it is wrong"),
    ("Device::default()", "name the device: features of other crates change what the default is"),
    ("old_log", "say whose log-probs they are: behavior, proximal, current or reference"),
];

/// What only luffy-cli, xtask and tests read.
const OUTSIDE: [&str; 5] = ["env::var", "env::vars", "env::args", "Instant::now", "SystemTime"];

/// A file of more than 600 lines says why on its first line.
pub(super) fn long_files_say_why(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.files("", ".rs") {
        let n_lines = text.lines().count();
        let says_why =
            text.lines().next().is_some_and(|line| line.starts_with("//! Long because:"));
        if n_lines > MAX_LINES && !says_why {
            let message = format!(
                "{n_lines} lines, the limit is {MAX_LINES}: split it, or begin with `//! Long because:`"
            );
            found.push(Violation::new(path, 1, message));
        }
    }
    found
}

/// No forbidden word in code, no example that does not run.
pub(super) fn nothing_is_left_behind(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.files("", ".rs").filter(|(path, _)| !path.starts_with(OURSELVES)) {
        for (at, line) in text.lines().enumerate() {
            let code: String = code_of(line).split('"').step_by(2).collect();
            for (word, remedy) in FORBIDDEN {
                if code.contains(word) {
                    found.push(Violation::new(path, at + 1, format!("`{word}`: {remedy}")));
                }
            }
            let doc = line.trim_start();
            if let Some(doc) = doc.strip_prefix("///").or_else(|| doc.strip_prefix("//!"))
                && is_ignored_fence(doc)
            {
                found.push(Violation::new(
                    path,
                    at + 1,
                    "an example that does not run: use `text`, or let it run",
                ));
            }
        }
    }
    for (path, text) in tree.files("", ".md") {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| is_ignored_fence(line)) {
            let message = format!(
                "`{}`: an example that does not run; use `text`, or let it run",
                line.trim()
            );
            found.push(Violation::new(path, at + 1, message));
        }
    }
    found
}

/// One small crate has `unsafe` code, and each use is preceded by why it holds.
pub(super) fn unsafe_stays_in_the_kernels(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let files = tree.files("", ".rs").filter(|(path, _)| !path.starts_with(OURSELVES));
    for (path, text) in files {
        let mut is_explained = false;
        for (at, line) in text.lines().enumerate() {
            let code = code_of(line);
            is_explained |= line.contains("// Safety:") || line.contains("/// # Safety");
            if !code.contains("unsafe {") && !code.contains("unsafe fn") {
                continue;
            }
            if !path.starts_with("crates/luffy-kernels/src/") {
                let message = "`unsafe`: only luffy-kernels has any";
                found.push(Violation::new(path, at + 1, message));
            } else if !is_explained {
                let message = "`unsafe` without a line `// Safety:` above it";
                found.push(Violation::new(path, at + 1, message));
            }
            is_explained = false;
        }
    }
    found
}

/// Clock, environment and arguments come in from luffy-cli.
pub(super) fn clock_and_environment_stay_outside(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let libraries = tree.files("crates/", ".rs").filter(|(path, _)| {
        !path.starts_with("crates/luffy-cli/")
            && path.split('/').nth(2).is_some_and(|folder| folder == "src")
    });
    for (path, text) in libraries {
        for (at, line) in library_lines(text) {
            let code = code_of(line);
            if let Some(word) = OUTSIDE.iter().find(|word| code.contains(**word)) {
                let message = format!(
                    "`{word}`: only luffy-cli reads clock and environment; take the value as an argument"
                );
                found.push(Violation::new(path, at, message));
            }
        }
    }
    found
}

/// The numbered lines before the tests of a file.
pub(super) fn library_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(at, line)| (at + 1, line))
}

/// The line without its comment.
pub(super) fn code_of(line: &str) -> &str {
    let mut in_string = false;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if previous != '\\' => in_string = !in_string,
            '/' if previous == '/' && !in_string => return line.get(..at - 1).unwrap_or(line),
            _ => {}
        }
        previous = c;
    }
    line
}

fn is_ignored_fence(line: &str) -> bool {
    line.trim_start()
        .strip_prefix("```")
        .is_some_and(|info| info.split([',', ' ']).any(|word| word.starts_with("ignore")))
}

#[cfg(test)]
mod tests {
    use super::super::check::{breach, clean};
    use super::*;

    #[test]
    fn a_long_file_without_a_reason_is_found() {
        let lines = "x\n".repeat(601);
        let reasoned = format!("//! Long because: one table.\n{lines}");
        clean(long_files_say_why, &[("a.rs", &reasoned), ("b.rs", &"x\n".repeat(600))]);
        breach(long_files_say_why, &[("a.rs", &lines)], ("a.rs", 1), "601");
    }

    #[test]
    fn every_forbidden_word_is_found_in_code_and_allowed_in_comments() {
        for (word, _) in FORBIDDEN {
            clean(
                nothing_is_left_behind,
                &[("crates/a/src/lib.rs", &format!("let x = \"{word}\"; // never {word}"))],
            );
            let planted = format!("fn a() {{}}\n    {word}");
            breach(
                nothing_is_left_behind,
                &[("crates/a/src/lib.rs", &planted)],
                ("crates/a/src/lib.rs", 2),
                word,
            );
        }
    }

    #[test]
    fn an_example_that_does_not_run_is_found_in_docs_and_pages() {
        clean(
            nothing_is_left_behind,
            &[("a.rs", "/// ```text\n/// ignore\n"), ("a.md", "```sh\nignore\n```")],
        );
        breach(nothing_is_left_behind, &[("a.rs", "/// ```ignore")], ("a.rs", 1), "does not run");
        breach(
            nothing_is_left_behind,
            &[("a.rs", "    //! ```rust,ignore")],
            ("a.rs", 1),
            "does not run",
        );
        breach(
            nothing_is_left_behind,
            &[("a.md", "\n```rust,ignore")],
            ("a.md", 2),
            "does not run",
        );
    }

    #[test]
    fn a_clock_in_a_library_is_found_and_in_its_tests_allowed() {
        let path = "crates/luffy-rollout/src/lib.rs";
        let clock = "let t = Instant::now();";
        clean(
            clock_and_environment_stay_outside,
            &[
                ("crates/luffy-cli/src/main.rs", clock),
                ("crates/luffy-data/tests/it/main.rs", clock),
                ("xtask/src/main.rs", clock),
                (path, &format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{ {clock} }}")),
            ],
        );
        breach(
            clock_and_environment_stay_outside,
            &[(path, &format!("\n{clock}"))],
            (path, 2),
            "Instant::now",
        );
        breach(
            clock_and_environment_stay_outside,
            &[(path, "std::env::var(\"LUFFY_SHARED\")")],
            (path, 1),
            "env::var",
        );
    }

    #[test]
    fn unsafe_code_elsewhere_or_without_a_reason_is_found() {
        let kernels = "crates/luffy-kernels/src/a.rs";
        let explained = "// Safety: it is.\nunsafe { a() }\n";
        clean(unsafe_stays_in_the_kernels, &[(kernels, explained)]);
        breach(
            unsafe_stays_in_the_kernels,
            &[("crates/luffy-policy/src/a.rs", explained)],
            ("crates/luffy-policy/src/a.rs", 2),
            "only luffy-kernels",
        );
        let twice = "// Safety: it is.\nunsafe { a() }\nunsafe { b() }\n";
        breach(unsafe_stays_in_the_kernels, &[(kernels, twice)], (kernels, 3), "without a line");
    }

    #[test]
    fn a_comment_sign_in_a_string_is_no_comment() {
        assert_eq!(code_of("let u = \"https://x\"; // y"), "let u = \"https://x\"; ");
        assert_eq!(code_of("/// doc"), "");
    }
}
