//! `luffy eval` on files of one name, on data and weights that changed, and on saved responses.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{luffy, model, parsed, stderr, stdout};

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().expect("UTF-8").to_owned()
}

/// A file with a row for each question and gold; its folder is made.
fn write(dir: &Path, name: &str, source: &str, rows: &[(&str, &str)]) -> String {
    let row = |(prompt, answer): &(&str, &str)| {
        format!("{}\n", json!({"data_source": source, "prompt": prompt, "answer": answer}))
    };
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(&file, rows.iter().map(row).collect::<String>()).expect("a file");
    path(dir, name)
}

/// An evaluation of two samples: its code, and what it said on stderr.
fn eval(model: &str, data: &[&str], out: &str) -> (i32, String) {
    let mut args = vec!["eval", "--model", model, "--out", out];
    args.extend(["--samples", "2", "--max-new-tokens", "4"]);
    args.extend(data.iter().flat_map(|file| ["--data", file]));
    let output = luffy(&args, "");
    (output.status.code().expect("a code"), stderr(&output).to_owned())
}

fn lines(out: &str) -> Vec<Value> {
    parsed(&fs::read_to_string(Path::new(out).join("responses.jsonl")).expect("responses"))
}

#[test]
fn files_of_one_name_keep_their_problems_apart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let one = write(dir.path(), "x/one/test.jsonl", "a", &[("1+1", "2"), ("1+2", "3")]);
    let two = write(dir.path(), "x/two/test.jsonl", "b", &[("1+1", "7")]);
    let out = path(dir.path(), "out");
    for time in ["first", "again"] {
        let (code, said) = eval(&model(), &[&one, &two, &one], &out);
        assert_eq!(code, 0, "{time}: {said}");
    }
    let found: Vec<(String, Value)> = lines(&out)
        .iter()
        .step_by(2)
        .map(|line| (line["problem"].as_str().expect("a text").to_owned(), line["golds"].clone()))
        .collect();
    let name = |name: &str| name.to_owned();
    assert_eq!(
        found,
        [
            (name("one/test.jsonl:1"), json!(["2"])),
            (name("one/test.jsonl:2"), json!(["3"])),
            (name("two/test.jsonl:1"), json!(["7"])),
        ]
    );
    let summary = fs::read_to_string(Path::new(&out).join("summary.json")).expect("figures");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!((&summary["problems"], &summary["responses"]), (&json!(3), &json!(6)));
    assert_eq!(summary["sources"].as_array().expect("a list").len(), 2);
}

#[test]
fn data_that_changed_is_noticed_and_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rows = [("1+1", "2"), ("1+2", "3")];
    let data = write(dir.path(), "test.jsonl", "a", &rows);
    let out = path(dir.path(), "out");
    assert_eq!(eval(&model(), &[&data], &out).0, 0);
    let before = lines(&out);
    for (source, rows, part) in [
        ("a", [("1+1", "2"), ("1+2", "4")], "its golds are [\"4\"], were [\"3\"]"),
        ("a", [("1+3", "2"), ("1+2", "3")], "its prompt is another"),
        ("b", rows, "its source is \"b\", was \"a\""),
    ] {
        write(dir.path(), "test.jsonl", source, &rows);
        let (code, said) = eval(&model(), &[&data], &out);
        assert_eq!(code, 3, "{part}: {said}");
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(lines(&out), before);
    }
    write(dir.path(), "test.jsonl", "a", &rows);
    assert_eq!(eval(&model(), &[&data], &out).0, 0);
}

/// A copy of the model without some of its files.
fn copy_model(dir: &Path, name: &str, without: &str) -> String {
    fs::create_dir(dir.join(name)).expect("a folder");
    for entry in fs::read_dir(model()).expect("the model") {
        let file = entry.expect("an entry").path();
        let own = file.file_name().expect("a name");
        if own != without {
            fs::copy(&file, dir.join(name).join(own)).expect("a copy");
        }
    }
    path(dir, name)
}

#[test]
fn weights_that_changed_are_noticed_and_a_slash_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let model = copy_model(dir.path(), "model", "");
    let data = write(dir.path(), "test.jsonl", "a", &[("1+1", "2")]);
    let out = path(dir.path(), "out");
    let (code, said) = eval(&model, &[&data], &out);
    assert_eq!(code, 0, "{said}");
    let (code, said) = eval(&format!("{model}/"), &[&data], &out);
    assert_eq!(code, 0, "{said}");
    let file = Path::new(&model).join("model.safetensors");
    let mut bytes = fs::read(&file).expect("weights");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&file, bytes).expect("weights");
    let (code, said) = eval(&model, &[&data], &out);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("`model_digest` ("), "{said}");
}

#[test]
fn a_model_that_cannot_be_read_leaves_no_folder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = write(dir.path(), "test.jsonl", "a", &[("1+1", "2")]);
    let out = path(dir.path(), "out");
    let broken = copy_model(dir.path(), "broken", "model.safetensors");
    for model in ["/nonexistent", &broken] {
        let (code, said) = eval(model, &[&data], &out);
        assert_eq!(code, 3, "{said}");
        assert!(!Path::new(&out).exists(), "{model}");
    }
    assert_eq!(eval(&model(), &[&data], &out).0, 0);
}

#[test]
fn grading_again_does_not_overwrite_the_responses_of_a_model() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = write(dir.path(), "test.jsonl", "a", &[("1+1", "2")]);
    let out = path(dir.path(), "out");
    assert_eq!(eval(&model(), &[&data], &out).0, 0);
    let saved = path(Path::new(&out), "responses.jsonl");
    let output = luffy(&["eval", "--responses", &saved, "--out", &out], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("has an eval.json"), "{}", stderr(&output));
    fs::remove_file(Path::new(&out).join("eval.json")).expect("it was there");
    let output = luffy(&["eval", "--responses", &saved, "--out", &out], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("is the input"), "{}", stderr(&output));
}

#[test]
fn the_figures_of_a_training_run_are_not_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = write(dir.path(), "test.jsonl", "a", &[("1+1", "2")]);
    let out = path(dir.path(), "out");
    fs::create_dir(&out).expect("a folder");
    fs::write(Path::new(&out).join("run.json"), "{}").expect("a file");
    let (code, said) = eval(&model(), &[&data], &out);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("is the folder of a training run"), "{said}");
    let output = luffy(&["eval", "--responses", "-", "--out", &out], "{}");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&out).expect("the folder").count(), 1);
}

#[test]
fn saved_rows_have_golds_of_any_form_and_come_from_stdin() {
    let rows = concat!(
        r#"{"problem":"p","source":"s","response":"\\boxed{3}","gold":3}"#,
        "\n",
        r#"{"problem":"p","source":"t","response":"\\boxed{4}","golds":[5, "4"]}"#,
        "\n",
    );
    let output = luffy(&["eval", "--responses", "-"], rows);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("2 problems asked, 2 responses\n"), "{}", stdout(&output));
    assert!(stdout(&output).contains("macro mean         2     1.000"), "{}", stdout(&output));
    let rows = rows.replace("\"t\"", "\"s\"");
    let output = luffy(&["eval", "--responses", "-"], &rows);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let expected =
        "stdin:2: problem `p` of source `s` has the golds [\"5\",\"4\"] here and [\"3\"]";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn columns_may_have_other_names() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = path(dir.path(), "gsm.jsonl");
    fs::write(&data, "{\"question\":\"1+1\",\"answer\":\"2\"}\n").expect("a file");
    let (model, out) = (model(), path(dir.path(), "out"));
    let args = ["eval", "--model", &model, "--data", &data, "--out", &out];
    let args = [&args[..], &["--max-new-tokens", "2", "--column", "prompt=question"]].concat();
    let output = luffy(&args, "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&out)[0]["golds"], json!(["2"]));
}

#[test]
fn wrong_usage_has_its_codes() {
    let model = model();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bad = path(dir.path(), "bad.jsonl");
    fs::write(&bad, "{\"prompt\":\"q\",\"answer\":\"1\"}\n{\"prompt\":\"q\"}\n").expect("a file");
    for (args, code, part) in [
        (&["eval", "--model", &*model][..], 2, "nothing to evaluate on"),
        (&["eval", "--data", "x.jsonl"], 2, "--model"),
        (&["eval", "--model", &*model, "--suite", "aime99", "--data-dir", "/tmp"], 2, "aime24, "),
        (&["eval", "--model", &*model, "--suite", "amc", "--data-dir", "/nonexistent"], 3, "valid"),
        (&["eval", "--model", &*model, "--data", "/nonexistent.jsonl"], 3, "/nonexistent.jsonl"),
        (&["eval", "--model", &*model, "--data", &bad], 3, "bad.jsonl: line 2: column"),
        (&["eval", "--responses", "x", "--model", &*model], 2, "cannot be used with"),
    ] {
        let output = luffy(args, "");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
}
