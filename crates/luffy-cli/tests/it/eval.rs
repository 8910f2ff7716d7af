//! `luffy eval` from outside: collapse, resume, saved responses, LUFFY's own files.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use luffy_core::Task;
use luffy_data::tasks::addition;
use luffy_data::write_tasks;
use serde_json::{Value, json};

use crate::program::{luffy, model, parsed, shared, stderr, stdout};

/// Three problems: one twice, one with a prompt that no context holds.
fn data(dir: &Path) -> String {
    let mut text = String::new();
    let long = "9+".repeat(300);
    for (source, question, gold) in
        [("amc", "1+1", "2"), ("amc", "1+2", "3"), ("amc", "1+1", "2"), ("math", &*long, "4")]
    {
        let prompt = json!([
            {"role": "system", "content": "Add."},
            {"role": "user", "content": question},
        ]);
        let row = json!({
            "data_source": source, "prompt": prompt, "reward_model": {"ground_truth": gold},
        });
        let _ = writeln!(text, "{row}");
    }
    let path = dir.join("problems.jsonl");
    fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().expect("UTF-8").to_owned()
}

/// Runs an evaluation of some data that must succeed: its table.
fn eval(data: &str, out: &str, flags: &[&str]) -> String {
    let model = model();
    let args = ["eval", "--model", &model, "--data", data, "--out", out, "--max-new-tokens", "12"];
    let output = luffy(&[&args, flags].concat(), "");
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).to_owned()
}

fn json_of(dir: &str, name: &str) -> Value {
    let text = fs::read_to_string(Path::new(dir).join(name)).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn repeated_rows_are_samples_and_long_prompts_are_counted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, out) = (data(dir.path()), path(dir.path(), "out"));
    let table = eval(&data, &out, &[]);
    assert!(table.contains("4 rows of 3 problems; 3 problems asked, 4 responses\n"), "{table}");
    assert!(table.contains("1 problem left no room in the context"), "{table}");
    let summary = json_of(&out, "summary.json");
    assert_eq!(summary["data"], json!({"rows": 4, "problems": 3}));
    let (amc, math) = (&summary["sources"][0], &summary["sources"][1]);
    assert_eq!((&amc["samples"], &amc["problems"]), (&json!([1, 2]), &json!(2)));
    assert_eq!((&math["too_long_problems"], &math["avg"]), (&json!(1), &json!(0.0)));
    let lines = parsed(&fs::read_to_string(Path::new(&out).join("responses.jsonl")).expect("it"));
    let names: Vec<(&str, u64)> = lines
        .iter()
        .map(|line| {
            (line["problem"].as_str().expect("a text"), line["sample"].as_u64().expect("a number"))
        })
        .collect();
    let name = |row: u32| format!("problems.jsonl:{row}");
    assert_eq!(names, [(&*name(1), 0), (&*name(1), 1), (&*name(2), 0), (&*name(4), 0)]);
    assert_eq!((&lines[3]["finish"], &lines[3]["response"]), (&json!("too-long"), &json!("")));
    // As many as asked for, whatever the rows say; and fewer problems of each source.
    let out = path(dir.path(), "three");
    let table = eval(&data, &out, &["--samples", "3", "--limit", "1", "--pass-at", "1,3,9"]);
    assert!(table.contains("2 problems asked, 6 responses\n"), "{table}");
    let more = parsed(&fs::read_to_string(Path::new(&out).join("responses.jsonl")).expect("it"));
    for (more, line) in more.iter().zip(&lines[..2]) {
        assert_eq!(more["response"], line["response"], "who else is asked does not matter");
    }
    let pass_at = &json_of(&out, "summary.json")["sources"][0]["pass_at"];
    assert_eq!(pass_at.as_object().expect("an object").keys().collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn the_system_message_is_kept_or_dropped() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = data(dir.path());
    let prompt_len = |name: &str, flags: &[&str]| {
        let out = path(dir.path(), name);
        eval(&data, &out, flags);
        let text = fs::read_to_string(Path::new(&out).join("responses.jsonl")).expect("it");
        parsed(&text)[0]["prompt_len"].as_u64().expect("a number")
    };
    let (kept, dropped) = (prompt_len("keep", &[]), prompt_len("drop", &["--system", "drop"]));
    // The template has a longer system message of its own for conversations without one.
    assert!(kept < dropped, "{kept} {dropped}");
}

#[test]
fn a_prompt_that_opens_a_thought_is_graded_behind_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = data(dir.path());
    let template = path(dir.path(), "think.jinja");
    let text = "{% for message in messages %}{{ message.content }}{% endfor %}\n<think>\n";
    fs::write(&template, text).expect("a file");
    let formats = |name: &str, flags: &[&str]| {
        let out = path(dir.path(), name);
        eval(&data, &out, flags);
        let text = fs::read_to_string(Path::new(&out).join("responses.jsonl")).expect("it");
        parsed(&text)[0]["format"].as_str().expect("a name").to_owned()
    };
    assert_eq!(formats("own", &[]), "plain");
    assert_eq!(formats("opened", &["--chat-template", &template]), "think");
    let flags = ["--chat-template", &template, "--format", "plain"];
    assert_eq!(formats("asked", &flags), "plain");
}

#[test]
fn an_interrupted_evaluation_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = data(dir.path());
    let (whole, part) = (path(dir.path(), "whole"), path(dir.path(), "part"));
    let flags = ["--samples", "4", "--max-rows", "3"];
    let table = eval(&data, &whole, &flags);
    let bytes = fs::read(Path::new(&whole).join("responses.jsonl")).expect("it");
    let summary = fs::read(Path::new(&whole).join("summary.json")).expect("it");
    fs::create_dir(&part).expect("a folder");
    fs::copy(Path::new(&whole).join("eval.json"), Path::new(&part).join("eval.json")).expect("it");
    let file = Path::new(&part).join("responses.jsonl");
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    assert_eq!(ends.len(), 12);
    // Nothing, a part of a line, a line within a unit, a unit and a part, everything.
    for cut in [0, ends[0] / 2, ends[1], ends[4] + 7, bytes.len()] {
        fs::write(&file, &bytes[..cut]).expect("a file");
        let again = eval(&data, &part, &flags).replace(&part, &whole);
        assert_eq!(again, table, "cut at {cut}");
        assert_eq!(fs::read(&file).expect("it"), bytes, "cut at {cut}");
        assert_eq!(fs::read(Path::new(&part).join("summary.json")).expect("it"), summary);
    }
}

#[test]
fn another_evaluation_does_not_take_the_folder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, out) = (data(dir.path()), path(dir.path(), "out"));
    eval(&data, &out, &[]);
    let before = fs::read(Path::new(&out).join("responses.jsonl")).expect("it");
    let model = model();
    let args = ["eval", "--model", &model, "--data", &data, "--out", &out, "--seed", "1"];
    let output = luffy(&args, "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("`max_new_tokens` (12 there), `seed` (0 there)"));
    assert_eq!(fs::read(Path::new(&out).join("responses.jsonl")).expect("it"), before);
}

#[test]
fn saved_responses_are_graded_without_a_model() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (data, out) = (data(dir.path()), path(dir.path(), "out"));
    let table = eval(&data, &out, &["--samples", "2"]);
    let saved = path(Path::new(&out), "responses.jsonl");
    let again = path(dir.path(), "again");
    let output = luffy(&["eval", "--responses", &saved, "--out", &again], "");
    assert!(output.status.success(), "{}", stderr(&output));
    let figures = |text: &str| text.lines().take(5).collect::<Vec<_>>().join("\n");
    assert_eq!(figures(stdout(&output)), figures(&table));
    assert_eq!(
        fs::read(&saved).expect("it"),
        fs::read(path(Path::new(&again), "responses.jsonl")).expect("it")
    );
    // Any rows with a response and a gold will do; problems are told apart by name.
    let rows = concat!(
        r#"{"problem":"p","source":"s","response":"\\boxed{2}","gold":"2"}"#,
        "\n",
        r#"{"problem":"p","source":"s","response":"\\boxed{2.0}","gold":"2"}"#,
        "\n",
        r#"{"problem":"p","source":"s","response":"\\boxed{3}","gold":"2"}"#,
        "\n",
        r#"{"response":"so \\boxed{4}","golds":["5"]}"#,
        "\n",
    );
    let file = path(dir.path(), "rows.jsonl");
    fs::write(&file, rows).expect("a file");
    let output = luffy(&["eval", "--responses", &file, "--pass-at", "1,2"], "");
    assert!(output.status.success(), "{}", stderr(&output));
    // pass@2 of 2 right in 3: 1 - C(1,2)/C(3,2) = 1.
    let line = stdout(&output).lines().find(|line| line.starts_with("s ")).expect("a source");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells, ["s", "1", "3", "0.667", "-", "0.667", "1.000", "1.000", "0", "0", "0"]);
    fs::write(&file, "{\"response\":\"x\"}\n{\"gold\":\"1\"}\n").expect("a file");
    let output = luffy(&["eval", "--responses", &file], "");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains(":1: no `golds` and no `gold`"), "{}", stderr(&output));
    assert!(stderr(&output).contains(":2: no `response`"), "{}", stderr(&output));
}

/// The base of recipe `addition` answers easy problems at once; this is the whole way from parquet to a
/// figure that is not zero.
#[test]
fn a_model_that_can_add_is_measured_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let base = dir.path().join("base");
    fs::create_dir(&base).expect("a folder");
    addition::write_side_files(&base).expect("the tokenizer");
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/addition-base");
    fs::copy(weights.join("model.safetensors"), base.join("model.safetensors")).expect("a copy");
    let tasks: Vec<Task> = (0..40).map(|index| addition::test_task(0, index, Some(1))).collect();
    let data = dir.path().join("problems.parquet");
    write_tasks(&data, &tasks).expect("a file");
    let (base, data) = (base.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
    let out = path(dir.path(), "out");
    // Small sums repeat; one response to each problem is enough.
    let args =
        ["eval", "--model", base, "--data", data, "--out", &out, "--greedy", "--samples", "1"];
    let output = luffy(&args, "");
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = json_of(&out, "summary.json");
    let source = &summary["sources"][0];
    assert!(source["avg"].as_f64().expect("a number") > 0.9, "{summary}");
    assert_eq!((&source["interval"]["method"], &source["cut"]), (&json!("wilson"), &json!(0)));
    assert_eq!(source["majority"], source["avg"], "one response is its own majority");
}

#[test]
fn luffys_six_benchmarks_are_1590_problems() {
    let Some(dir) = shared("data/luffy") else { return };
    let out = tempfile::tempdir().expect("a temporary directory");
    let (dir, out) = (dir.to_str().expect("UTF-8"), path(out.path(), "out"));
    let model = model();
    let args = ["eval", "--model", &model, "--suite", "luffy", "--data-dir", dir, "--limit", "2"];
    let output = luffy(&[&args[..], &["--out", &out, "--max-new-tokens", "2"]].concat(), "");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("6023 rows collapsed to 1590 problems, 12 of them asked\n"), "{said}");
    let summary = json_of(&out, "summary.json");
    let samples: Vec<(&str, u64)> = summary["sources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|source| {
            (source["source"].as_str().expect("a text"), source["samples"][1].as_u64().expect("k"))
        })
        .collect();
    let expected = [("aime", 32), ("aime25", 32), ("amc", 32), ("math", 1), ("minerva", 1)];
    assert_eq!(samples[..5], expected);
    assert_eq!(samples[5], ("olympiad_bench", 1));
}

#[test]
fn every_gold_of_arc_can_be_answered() {
    let Some(dir) = shared("data/luffy") else { return };
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let (dir, out) = (dir.to_str().expect("UTF-8"), path(temporary.path(), "out"));
    let model = model();
    let args = ["eval", "--model", &model, "--suite", "arc-c", "--data-dir", dir, "--out", &out];
    let flags = ["--max-new-tokens", "1", "--max-rows", "128"];
    let output = luffy(&[&args[..], &flags].concat(), "");
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = json_of(&out, "summary.json");
    assert_eq!(
        (&summary["problems"], &summary["sources"][0]["bad_gold"]),
        (&json!(1172), &json!(0))
    );
    // Whoever answers with the gold is right, in the letters or digits of the prompt.
    let saved = fs::read_to_string(Path::new(&out).join("responses.jsonl")).expect("it");
    let mut answered = String::new();
    let mut n_digits = 0;
    for mut line in parsed(&saved) {
        let gold = line["golds"][0].as_str().expect("a gold").to_owned();
        n_digits += u32::from(gold.parse::<u8>().is_ok());
        line["response"] = json!(format!("so \\boxed{{{gold}}}"));
        line["finish"] = json!("stop");
        let _ = writeln!(answered, "{line}");
    }
    assert_eq!(n_digits, 22, "prompts that number their options");
    let file = path(temporary.path(), "answered.jsonl");
    fs::write(&file, answered).expect("a file");
    let graded = path(temporary.path(), "graded");
    let output = luffy(&["eval", "--responses", &file, "--out", &graded], "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(json_of(&graded, "summary.json")["sources"][0]["correct"], 1172);
}
