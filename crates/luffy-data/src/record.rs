//! One task as one record of LUFFY's schema.

use luffy_core::{Demonstration, Message, Task};
use serde_json::{Map, Value, json};

use crate::DataError;
use crate::kind::number;

/// The columns that a record may have beside those of [`Task::extra`].
const OWN: [&str; 8] = [
    "data_source",
    "prompt",
    "target",
    "ability",
    "reward_model",
    "extra_info",
    "target_lst",
    "target_ds_qwen_7b_probs",
];

/// The record of the task at `position`. Structs have their fields in alphabetical order, as in the
/// reference's files.
pub(crate) fn record(task: &Task, position: usize) -> Result<Map<String, Value>, DataError> {
    let unwritable = |problem: String| DataError::Unwritable { task: task.id.clone(), problem };
    if task.demonstrations.iter().skip(1).any(|d| d.behavior_probs.is_some()) {
        let problem =
            "only the first demonstration has a column for its probabilities; put it first";
        return Err(unwritable(problem.into()));
    }
    let mut extra = task.extra.clone();
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    put("data_source", task.source.clone().into());
    put("prompt", task.messages.iter().map(message).collect());
    let first = task.demonstrations.first();
    // Null would let a reader take the demonstration from `completion`, an empty list does not.
    let is_shadowed = extra.get("completion").is_some_and(|value| !value.is_null());
    let none = if is_shadowed { json!([]) } else { Value::Null };
    put("target", first.map_or(none, |d| json!([assistant(d)])));
    let ability = extra.shift_remove("ability").filter(|value| !value.is_null());
    put("ability", ability.unwrap_or_else(|| "math".into()));
    put("reward_model", reward_model(task, extra.shift_remove("reward_model")));
    let level = extra.shift_remove("level").filter(|level| !level.is_null());
    let info = extra_info(extra.shift_remove("extra_info"), level.as_ref(), position);
    if let Some(level) = level.filter(|level| info.get("level") != Some(level)) {
        extra.insert("level".into(), level);
    }
    put("extra_info", info);
    if task.demonstrations.len() > 1 {
        put("target_lst", task.demonstrations[1..].iter().map(|d| d.text.as_str()).collect());
    }
    if let Some(probs) = first.and_then(|d| d.behavior_probs.as_ref()) {
        put("target_ds_qwen_7b_probs", probs.iter().copied().map(number).collect());
    }
    if let Some(name) = extra.keys().find(|name| OWN.contains(&name.as_str())) {
        return Err(unwritable(format!(
            "its further column `{name}` has the name of one of LUFFY's; rename it in the file"
        )));
    }
    record.extend(extra);
    Ok(record)
}

fn message(message: &Message) -> Value {
    json!({ "content": message.content, "role": message.role })
}

fn assistant(demonstration: &Demonstration) -> Value {
    json!({ "content": demonstration.text, "role": "assistant" })
}

/// The struct around the gold answer; null if there is neither a gold nor anything else to hold.
fn reward_model(task: &Task, rest: Option<Value>) -> Value {
    let mut fields = match rest {
        Some(Value::Object(fields)) => fields,
        _ if task.golds.is_empty() => return Value::Null,
        _ => Map::new(),
    };
    let gold = match task.golds.as_slice() {
        [gold] => gold.clone().into(),
        golds => golds.into(),
    };
    fields.insert("ground_truth".into(), gold);
    if fields.get("style").is_none_or(Value::is_null) {
        fields.insert("style".into(), "rule".into());
    }
    fields.sort_keys();
    Value::Object(fields)
}

/// The struct with `index`, `split` and, where the task has one, `level`.
fn extra_info(rest: Option<Value>, level: Option<&Value>, position: usize) -> Value {
    let mut fields = match rest {
        Some(Value::Object(fields)) => fields,
        None | Some(Value::Null) => Map::new(),
        Some(other) => return other,
    };
    let mut default = |name: &str, value: Value| {
        if fields.get(name).is_none_or(Value::is_null) {
            fields.insert(name.into(), value);
        }
    };
    default("index", position.into());
    default("split", "default".into());
    if let Some(level) = level {
        default("level", level.clone());
    }
    fields.sort_keys();
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(extra: Value, expected: Value) {
        let Value::Object(extra) = extra else { panic!("an object") };
        let task = Task {
            id: "rows.jsonl:1".into(),
            source: "rows".into(),
            messages: vec![Message::user("q")],
            golds: vec!["1".into()],
            demonstrations: vec![],
            extra,
        };
        let mut record = record(&task, 7).unwrap();
        record.retain(|name, _| matches!(name.as_str(), "extra_info" | "level"));
        assert_eq!(Value::Object(record), expected);
    }

    #[test]
    fn a_level_stands_where_evaluation_finds_it_and_once() {
        check(json!({}), json!({ "extra_info": { "index": 7, "split": "default" } }));
        let inside = json!({ "extra_info": { "index": 7, "level": "3", "split": "default" } });
        check(json!({ "level": "3" }), inside.clone());
        // The reader copies the level of `extra_info`; a copy is not written twice.
        check(json!({ "level": "3", "extra_info": { "level": "3", "index": 7 } }), inside);
        check(
            json!({ "level": "3", "extra_info": { "level": 5, "split": "train", "index": "a" } }),
            json!({ "extra_info": { "index": "a", "level": 5, "split": "train" }, "level": "3" }),
        );
        check(json!({ "extra_info": "text" }), json!({ "extra_info": "text" }));
    }
}
