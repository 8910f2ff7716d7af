//! Columns of any type go through parquet and come back.

use luffy_core::{Message, Task};
use luffy_data::{ColumnNames, read_tasks, write_tasks};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The type of a column.
#[derive(Debug, Clone)]
enum Shape {
    Bool,
    Int,
    Float,
    Text,
    List(Box<Self>),
    Struct(Vec<Self>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf =
        prop_oneof![Just(Shape::Bool), Just(Shape::Int), Just(Shape::Float), Just(Shape::Text)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::List(Box::new(shape))),
            vec(inner, 1..4).prop_map(Shape::Struct),
        ]
    })
}

/// A value of that type, null now and then, at every depth.
fn value(shape: &Shape) -> BoxedStrategy<Value> {
    let present = match shape {
        Shape::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Int => any::<i64>().prop_map(Value::from).boxed(),
        // A fraction in each, as whole numbers alone are a column of integers.
        Shape::Float => (-1000_i32..1000).prop_map(|i| (f64::from(i) + 0.5).into()).boxed(),
        Shape::Text => "[a-z∑\\n\"]{0,6}".prop_map(Value::from).boxed(),
        Shape::List(element) => vec(value(element), 0..4).prop_map(Value::from).boxed(),
        Shape::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(value).collect();
            fields
                .prop_map(|values| {
                    let named = values.into_iter().enumerate();
                    named.map(|(i, value)| (format!("f{i}"), value)).collect::<Map<_, _>>().into()
                })
                .boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 4 => present].boxed()
}

fn rows() -> impl Strategy<Value = Vec<Value>> {
    shape().prop_flat_map(|shape| vec(value(&shape), 1..8))
}

fn task(cell: &Value) -> Task {
    Task {
        id: String::new(),
        source: "s".into(),
        messages: vec![Message::user("q")],
        golds: vec!["1".into()],
        demonstrations: vec![],
        extra: [("x".to_owned(), cell.clone())].into_iter().collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn a_column_comes_back_as_it_was(rows in rows()) {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<Task> = rows.iter().map(task).collect();
        for name in ["x.parquet", "x.jsonl"] {
            let path = dir.path().join(name);
            write_tasks(&path, &tasks).unwrap();
            let back = read_tasks(&path, &ColumnNames::default()).unwrap();
            let cells: Vec<Value> = back.into_iter().map(|task| task.extra["x"].clone()).collect();
            prop_assert_eq!(&cells, &rows, "{}", name);
        }
    }
}

#[test]
fn large_and_small_numbers_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [json!([i64::MIN, i64::MAX]), json!([0, -1])];
    let floats = [json!([f64::MIN_POSITIVE, f64::MAX]), json!([0.1, -0.0])];
    for rows in [rows, floats] {
        let tasks: Vec<Task> = rows.iter().map(task).collect();
        let path = dir.path().join("x.parquet");
        write_tasks(&path, &tasks).unwrap();
        let back = read_tasks(&path, &ColumnNames::default()).unwrap();
        let cells: Vec<Value> = back.into_iter().map(|task| task.extra["x"].clone()).collect();
        assert_eq!(cells, rows);
    }
}

/// Any JSON, three levels deep.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z<>/ ]{0,5}".prop_map(Value::from),
        Just(json!({ "role": "user", "content": "q" })),
        Just(json!({ "ground_truth": "1", "style": "rule" })),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-c]", inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever stands in the columns: tasks or an error, and tasks can be written or are refused.
    #[test]
    fn no_record_makes_the_reader_or_the_writer_panic(
        cells in vec((0_usize..12, json()), 0..8), with_basics in any::<bool>(),
    ) {
        const NAMES: [&str; 12] = [
            "prompt", "data_source", "reward_model", "answer", "solution", "target", "completion",
            "target_lst", "target_ds_qwen_7b_probs", "extra_info", "ability", "level",
        ];
        let mut record = Map::new();
        if with_basics {
            record.insert("prompt".into(), "q".into());
            record.insert("answer".into(), "1".into());
        }
        record.extend(cells.into_iter().map(|(i, value)| (NAMES[i].to_owned(), value)));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, Value::Object(record).to_string()).unwrap();
        if let Ok(tasks) = read_tasks(&path, &ColumnNames::default()) {
            let jsonl = dir.path().join("out.jsonl");
            write_tasks(&jsonl, &tasks).unwrap();
            let back = read_tasks(&jsonl, &ColumnNames::default()).unwrap();
            prop_assert_eq!(&back[0].golds, &tasks[0].golds);
            prop_assert_eq!(&back[0].demonstrations, &tasks[0].demonstrations);
            let _ = write_tasks(&dir.path().join("out.parquet"), &tasks);
        }
    }
}

#[test]
fn a_target_without_text_does_not_let_the_completion_in() {
    let dir = tempfile::tempdir().unwrap();
    let row = r#"{"prompt":"q","answer":"1","target":"","completion":"c"}"#;
    std::fs::write(dir.path().join("in.jsonl"), row).unwrap();
    let mut tasks = read_tasks(&dir.path().join("in.jsonl"), &ColumnNames::default()).unwrap();
    for name in ["out.jsonl", "out.parquet"] {
        assert!(tasks[0].demonstrations.is_empty(), "before {name}");
        write_tasks(&dir.path().join(name), &tasks).unwrap();
        tasks = read_tasks(&dir.path().join(name), &ColumnNames::default()).unwrap();
    }
    assert!(tasks[0].demonstrations.is_empty());
    assert_eq!(tasks[0].extra["completion"], "c");
}
