use std::collections::BTreeMap;

use luffy_data::tasks::gsm8k;
use luffy_data::{ColumnNames, inspect, read_tasks};

use crate::shared;

#[test]
fn the_evaluation_file_is_read_whole() {
    let Some(path) = shared("data/luffy/valid.all.parquet") else { return };
    let tasks = read_tasks(&path, &ColumnNames::default()).unwrap();
    // Counts by pyarrow, as in the reference's tables: 1,590 different prompts in 6,023 rows.
    assert_eq!(tasks.len(), 6023);
    let found = inspect(&tasks, None).unwrap();
    let expected: BTreeMap<String, u64> = [
        ("math", 500),
        ("olympiad_bench", 675),
        ("minerva", 272),
        ("aime", 960),
        ("amc", 2656),
        ("aime25", 960),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .into();
    assert_eq!(found.sources, expected);
    assert_eq!(found.distinct_prompts, 1590);
    assert_eq!((found.without_gold, found.without_demonstration), (0, 6023));
    for task in &tasks {
        let roles: Vec<_> = task.messages.iter().map(|m| m.role.as_str()).collect();
        assert_eq!(roles, ["system", "user"]);
        assert_eq!(task.messages[0].content.chars().count(), 762);
        assert_eq!(task.extra["reward_model"]["style"], "rule");
        assert!(task.extra["__index_level_0__"].is_i64());
    }
    assert_eq!(tasks[0].golds, [r"\left( 3, \frac{\pi}{2} \right)"]);
    assert_eq!(tasks[0].extra["__index_level_0__"], 240);
    // 266 olympiad answers are written between dollar signs.
    let dollars =
        |task: &&luffy_core::Task| task.source == "olympiad_bench" && task.golds[0].contains('$');
    assert_eq!(tasks.iter().filter(dollars).count(), 266);
}

#[test]
fn the_other_evaluation_files_are_read() {
    for (name, rows) in [("valid", 2019), ("valid.arc_c", 1172)] {
        let Some(path) = shared(&format!("data/luffy/{name}.parquet")) else { return };
        assert_eq!(read_tasks(&path, &ColumnNames::default()).unwrap().len(), rows);
    }
}

#[test]
fn gsm8k_becomes_demonstrations() {
    let Some(path) = shared("data/gsm8k/train.jsonl") else { return };
    let tasks = gsm8k::prepare(&path).unwrap();
    assert_eq!(tasks.len(), 7473, "lines of the file");
    for task in &tasks {
        let text = &task.demonstrations[0].text;
        assert!(text.starts_with("<think>\n") && !text.contains("<<") && !text.contains("####"));
        assert!(text.ends_with(&format!("\n</think>\n\n\\boxed{{{}}}", task.golds[0])));
        assert!(task.golds[0].parse::<f64>().is_ok(), "{}: {}", task.id, task.golds[0]);
    }
}
