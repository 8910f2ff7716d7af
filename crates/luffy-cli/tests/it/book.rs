//! The examples of the page of commands, as a reader would run them.

use std::path::PathBuf;
use std::process::Command;

use luffy_objective::MethodConfig;
use serde_json::Value;

/// The examples of a page: what is typed, and the block of output behind it.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
        .windows(2)
        .filter(|pair| pair[0].0 == "sh" && pair[1].0 != "sh")
        .map(|pair| (pair[0].1.clone(), pair[1].1.clone()))
        .collect()
}

/// Whether two values are the same, numbers up to the rounding of another machine.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a number"), b.as_f64().expect("a number"));
            (a - b).abs() < 1e-3
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| alike(a, b))
        }
        _ => a == b,
    }
}

#[test]
fn the_examples_of_the_page_of_commands_give_what_it_says() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(root.join("testdata"), dir.path().join("testdata")).expect("a link");
    let examples = examples(include_str!("../../../../docs/src/commands.md"));
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for (typed, expected) in examples {
        let script = typed.replace("cargo xtask luffy", env!("CARGO_BIN_EXE_luffy"));
        let output = Command::new("bash")
            .args(["-euc", &script])
            .current_dir(dir.path())
            .output()
            .expect("bash starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{typed}: {said}");
        let found = String::from_utf8(output.stdout).expect("UTF-8");
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        match (parsed(&found), parsed(&expected)) {
            (Some(found), Some(expected)) => assert!(alike(&found, &expected), "{typed}: {found}"),
            _ => assert_eq!(found, expected, "{typed}"),
        }
    }
}

#[test]
fn every_command_is_on_the_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_luffy")).arg("--help").output();
    let help = String::from_utf8(output.expect("it starts").stdout).expect("UTF-8");
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let names = commands.lines().map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    let page = include_str!("../../../../docs/src/commands.md");
    let names: Vec<&str> = names.filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(names.contains(&"eval"), "{names:?}");
    for name in names {
        assert!(page.contains(&format!("\n| `{name}` | ")), "`{name}` has no line");
    }
}

#[test]
fn every_method_has_a_page_whose_settings_make_it() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/methods");
    let methods = MethodConfig::all();
    let n_pages = std::fs::read_dir(&dir).expect("a folder of pages").count();
    assert_eq!(n_pages, methods.len());
    for method in methods {
        let page = dir.join(method.name()).with_extension("md");
        let text = std::fs::read_to_string(&page).expect("a page named after the method");
        let mut blocks = text.split("```toml\n").skip(1).peekable();
        assert!(blocks.peek().is_some(), "{} shows no settings", page.display());
        for block in blocks {
            let (block, _) = block.split_once("```").expect("a block ends");
            let run: toml::Table = toml::from_str(block).expect("a part of a run file");
            let table = run["method"].as_table().expect("settings of a method").clone();
            let shown = MethodConfig::try_from(table)
                .unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert_eq!(shown.name(), method.name(), "{}", page.display());
            shown.validate().unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        }
    }
}
