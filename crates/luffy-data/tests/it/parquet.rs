use std::path::Path;

use luffy_core::{Demonstration, Task};
use luffy_data::tasks::addition;
use luffy_data::{ColumnNames, DataError, columns_of, read_tasks, write_tasks};

use crate::testdata;

fn read(path: &Path) -> Result<Vec<Task>, DataError> {
    read_tasks(path, &ColumnNames::default())
}

/// Writes, reads back, and compares all but ids and the columns that the writer fills in.
fn check_round_trip(tasks: &[Task]) -> Vec<Task> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    write_tasks(&path, tasks).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    let back = read(&path).unwrap();
    assert_eq!(back.len(), tasks.len());
    for (i, (back, task)) in back.iter().zip(tasks).enumerate() {
        assert_eq!(back.id, format!("out.parquet:{i}"));
        assert_eq!(back.source, task.source);
        assert_eq!(back.messages, task.messages);
        assert_eq!(back.golds, task.golds);
        assert_eq!(back.demonstrations, task.demonstrations);
        assert_eq!(back.extra.get("level"), task.extra.get("level"));
    }
    back
}

#[test]
fn the_reference_schema_is_read() {
    let tasks = read(&testdata("lookalike.parquet")).unwrap();
    let texts = |task: &Task| -> Vec<String> {
        task.demonstrations.iter().map(|d| d.text.clone()).collect()
    };
    assert_eq!(tasks.len(), 5);
    assert_eq!(tasks[4].id, "lookalike.parquet:4");
    assert_eq!(tasks[0].source, "");
    assert_eq!(tasks[0].messages[0].role, "system");
    assert_eq!(tasks[0].messages[1].content, "How much is 0 and 0?");
    assert_eq!(tasks[1].golds, ["$2$,$3$"]);
    assert_eq!(texts(&tasks[0]), ["<think>\nnothing</think>\\boxed{0}"]);
    assert_eq!(tasks[0].demonstrations[0].behavior_probs, Some(vec![0.5, 0.25, 1.0]));
    assert!(tasks[1].demonstrations.is_empty(), "a null target is no demonstration");
    assert_eq!(
        texts(&tasks[2]),
        ["<think>\nfour ∑ 你好</think>4", "two twos"],
        "without the repeat"
    );
    assert!(tasks[3].demonstrations.is_empty(), "an empty target is no demonstration");
    assert_eq!(texts(&tasks[4]), ["again", "a", "b", "c", "d", "e", "f"]);
    assert_eq!(tasks[4].messages, tasks[2].messages);
    let extra = serde_json::to_string(&tasks[3].extra).unwrap();
    assert_eq!(
        extra,
        r#"{"ability":"math","reward_model":{"style":"rule"},"extra_info":{"index":103,"split":"default"},"weight":{"$numberDouble":"NaN"},"__index_level_0__":21}"#
    );
}

#[test]
fn what_was_read_is_written_and_read_alike() {
    let tasks = read(&testdata("lookalike.parquet")).unwrap();
    let back = check_round_trip(&tasks);
    for (back, task) in back.iter().zip(&tasks) {
        assert_eq!(back.extra, task.extra, "every further column and field");
    }
}

/// Tasks without their ids, which name the file.
fn anonymous(tasks: Vec<Task>) -> Vec<Task> {
    tasks.into_iter().map(|task| Task { id: String::new(), ..task }).collect()
}

#[test]
fn parquet_and_jsonl_turn_into_each_other_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let through = |tasks: &[Task], name: &str| {
        let path = dir.path().join(name);
        write_tasks(&path, tasks).unwrap();
        read(&path).unwrap()
    };
    let tasks = read(&testdata("lookalike.parquet")).unwrap();
    let jsonl = through(&tasks, "a.jsonl");
    let back = through(&jsonl, "b.parquet");
    assert_eq!(anonymous(jsonl), anonymous(tasks.clone()));
    assert_eq!(anonymous(back), anonymous(tasks));
}

#[test]
fn further_columns_of_any_shape_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let rows = [
        r#"{"prompt":"q","answer":"1","n":1,"x":0.5,"ok":true,"nested":[[1],[],[2,3]],"s":{"a":{"b":[{"c":"d"}]}}}"#,
        r#"{"prompt":"q","answer":"1","n":-2,"x":{"$numberDouble":"NaN"},"ok":null,"nested":[],"s":{"a":{"b":[{"c":null},{"c":"e"}]}}}"#,
        r#"{"prompt":"q","answer":"1","n":null,"x":{"$numberDouble":"Infinity"},"ok":false,"nested":null,"s":{"a":{"b":[]}}}"#,
        r#"{"prompt":"q","answer":"1","n":4,"x":-1.0,"ok":true,"nested":[null,[4]],"s":{"a":null}}"#,
        r#"{"prompt":"q","answer":"1","n":4,"x":null,"ok":true,"nested":[[null]],"s":null}"#,
        r#"{"prompt":"q","answer":"1","n":4,"x":2.0,"ok":true,"nested":[[5,6],[7]],"s":{"a":{"b":null}},"nothing":null}"#,
    ];
    std::fs::write(&path, rows.join("\n")).unwrap();
    let tasks = read(&path).unwrap();
    let out = dir.path().join("rows.parquet");
    write_tasks(&out, &tasks).unwrap();
    let columns = columns_of(&out).unwrap();
    let kinds: Vec<String> =
        columns.iter().map(|c| format!("{} {} {}", c.name, c.kind, c.nulls)).collect();
    assert_eq!(
        kinds[6..],
        [
            "n int64 1",
            "x double 1",
            "ok bool 1",
            "nested list<list<int64>> 1",
            "s struct<a: struct<b: list<struct<c: string>>>> 1",
            "nothing null 6",
        ]
    );
    for (back, task) in read(&out).unwrap().iter().zip(&tasks) {
        for name in ["n", "x", "ok", "nested", "s", "nothing"] {
            let expected = task.extra.get(name).unwrap_or(&serde_json::Value::Null);
            assert_eq!(&back.extra[name], expected, "{} {name}", task.id);
        }
    }
}

#[test]
fn a_column_that_no_type_holds_is_refused_in_parquet_alone() {
    let dir = tempfile::tempdir().unwrap();
    let check = |rows: [&str; 2], expected: &str| {
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, rows.join("\n")).unwrap();
        let tasks = read(&path).unwrap();
        let error = write_tasks(&dir.path().join("out.parquet"), &tasks).unwrap_err().to_string();
        assert_eq!(error, format!("task {} cannot be written: {expected}", tasks[1].id));
        assert!(!dir.path().join("out.parquet").exists());
        write_tasks(&dir.path().join("out.jsonl"), &tasks).unwrap();
        let back = read(&dir.path().join("out.jsonl")).unwrap();
        assert_eq!(back[1].extra["x"], tasks[1].extra["x"]);
    };
    check(
        [
            r#"{"prompt":"q","answer":"1","x":[{"y":1}]}"#,
            r#"{"prompt":"q","answer":"1","x":[{"y":"a"}]}"#,
        ],
        "column `x[].y` is int64 in earlier rows and holds the string \"a\" here; parquet has one type for \
         a column, JSONL does not mind",
    );
}

#[test]
fn built_in_tasks_survive_several_row_groups() {
    // The writer closes a row group after 8,192 rows.
    let tasks: Vec<Task> = (0..8200)
        .map(|i| {
            if i % 2 == 0 {
                addition::task(1, i, 0.7, None)
            } else {
                addition::test_task(1, i, None)
            }
        })
        .collect();
    let back = check_round_trip(&tasks);
    assert_eq!(back[8199].extra["extra_info"]["index"], 8199);
    assert_eq!(back[8199].extra["extra_info"]["split"], "default");
}

#[test]
fn a_level_may_be_missing_in_some_rows() {
    let mut tasks = vec![addition::task(1, 0, 0.7, None), addition::task(1, 1, 0.7, None)];
    tasks[0].extra.clear();
    check_round_trip(&tasks);
}

#[test]
fn tasks_without_place_in_the_schema_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    std::fs::write(&path, "what was there before").unwrap();
    let check = |change: fn(&mut Task), expected: &str| {
        let mut tasks = vec![addition::task(1, 0, 0.7, None), addition::task(1, 1, 0.7, None)];
        change(&mut tasks[1]);
        let error = write_tasks(&path, &tasks).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("task addition-train:1 cannot be written: {expected}")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "what was there before");
    };
    let one = "`ground_truth` holds exactly one answer; write one row for each answer or use JSONL";
    check(|task| task.golds.push("7".into()), one);
    check(|task| task.golds.clear(), one);
    check(
        |task| {
            let probs = Some(vec![1.0]);
            task.demonstrations.push(Demonstration { text: "x".into(), behavior_probs: probs });
        },
        "only the first demonstration has a column for its probabilities; put it first",
    );
    check(
        |task| {
            task.extra.insert("target".into(), "mine".into());
        },
        "its further column `target` has the name of one of LUFFY's; rename it in the file",
    );
    let error = write_tasks(&path, &[]).unwrap_err();
    assert!(error.to_string().ends_with("out.parquet: no rows in the file"), "{error}");
    let error = write_tasks(Path::new("/nowhere/x.parquet"), &[addition::task(1, 0, 0.7, None)]);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "cannot write /nowhere/x.parquet: No such file or directory (os error 2)");
}

#[test]
fn errors_name_file_row_and_column() {
    let path = testdata("lookalike.parquet");
    let check = |columns: ColumnNames, expected: &str| {
        let error = read_tasks(&path, &columns).unwrap_err().to_string();
        let error = error.split_once("lookalike.parquet: ").unwrap().1.to_owned();
        assert_eq!(error, expected);
    };
    let default = ColumnNames::default;
    let columns = "`data_source`, `target`, `ability`, `reward_model`, `extra_info`, `target_lst`, \
        `target_ds_qwen_7b_probs`, `weight`, `__index_level_0__`";
    check(
        ColumnNames { prompt: "question".into(), ..default() },
        &format!(
            "row 0: column `question`: expected a string or a non-empty list of messages, found nothing; \
             the other columns are {}",
            columns.replace("`data_source`, ", "`data_source`, `prompt`, ")
        ),
    );
    check(
        ColumnNames { ground_truth: "gold".into(), ..default() },
        "row 0: column `reward_model.gold`: expected a string or a non-empty list of strings, found \
         nothing; the other fields are `ground_truth`, `style`",
    );
    check(
        ColumnNames { target_probs: "weight".into(), ..default() },
        "row 0: column `weight`: expected null or a list of numbers, found the number 0.5",
    );
    check(
        ColumnNames { source: "extra_info".into(), ..default() },
        "row 0: column `extra_info`: expected a string, found a struct with the fields index, split",
    );
}

#[test]
fn damaged_and_foreign_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("a.parquet", b"", "a.parquet: ");
    check("a.parquet", b"PAR1 no parquet PAR1", "a.parquet: ");
    check("a.csv", b"", "a.csv: expected a file name ending in .parquet or .jsonl");
    let whole = std::fs::read(testdata("lookalike.parquet")).unwrap();
    check("cut.parquet", &whole[..whole.len() / 2], "cut.parquet: ");
    // Any byte may be damaged: an error or other content, but never a panic.
    let path = dir.path().join("flipped.parquet");
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        std::fs::write(&path, bytes).unwrap();
        let _ = read(&path);
    }
    let error = read(&dir.path().join("none.parquet")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read "), "{error}");
}

#[test]
fn recorded_probabilities_keep_every_digit() {
    use parquet::basic::Type;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let dir = tempfile::tempdir().unwrap();
    let row = |probs: &str| {
        format!(r#"{{"prompt":"q","answer":"1","target":"t","target_ds_qwen_7b_probs":{probs}}}"#)
    };
    for (probs, kind) in [("[0.1,0.30000000000000004]", Type::DOUBLE), ("[0.5,1.0]", Type::FLOAT)] {
        let path = dir.path().join("in.jsonl");
        std::fs::write(&path, row(probs)).unwrap();
        let (jsonl, parquet) = (dir.path().join("a.jsonl"), dir.path().join("b.parquet"));
        write_tasks(&parquet, &read(&path).unwrap()).unwrap();
        write_tasks(&jsonl, &read(&parquet).unwrap()).unwrap();
        let written = std::fs::read_to_string(&jsonl).unwrap();
        assert!(written.contains(&format!(r#""target_ds_qwen_7b_probs":{probs}"#)), "{written}");
        let file = SerializedFileReader::new(std::fs::File::open(&parquet).unwrap()).unwrap();
        let columns = file.metadata().file_metadata().schema_descr().columns().to_vec();
        assert_eq!(columns.last().unwrap().path().parts()[0], "target_ds_qwen_7b_probs");
        assert_eq!(columns.last().unwrap().physical_type(), kind);
    }
}
