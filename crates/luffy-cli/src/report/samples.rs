//! Which stored rollouts a report shows: one group from the first, the middle and the last step stored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::SampleRow;

/// Picks from `STEP.jsonl.zst` files in `dir`, read by `read`. No folder, no samples.
///
/// # Errors
/// If the folder cannot be listed or a file cannot be read.
pub(super) fn pick(
    dir: &Path,
    read: impl Fn(&Path) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<Vec<SampleRow>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("step-") && name.ends_with(".jsonl.zst") {
            files.push(path);
        }
    }
    files.sort();
    let mut chosen = vec![0, files.len() / 2, files.len().saturating_sub(1)];
    chosen.dedup();
    let mut samples = Vec::new();
    for path in chosen.into_iter().filter_map(|i| files.get(i)) {
        samples.extend(from_step(&read(path)?));
    }
    Ok(samples)
}

/// Of the most telling group: a demonstration, the best and the worst sampled response.
fn from_step(rows: &[Value]) -> Vec<SampleRow> {
    let mut groups: BTreeMap<&str, Vec<SampleRow>> = BTreeMap::new();
    for row in rows {
        groups.entry(row["task"].as_str().unwrap_or_default()).or_default().push(sample(row));
    }
    // A group with spread says most; among those the longest prompt, which is the hardest here.
    let best = groups.into_values().max_by_key(|group| {
        (spread(group), group.iter().any(|s| !s.on_policy), group[0].prompt.len())
    });
    let Some(group) = best else { return Vec::new() };
    let mut picked: Vec<SampleRow> = Vec::new();
    picked.extend(group.iter().find(|sample| !sample.on_policy).cloned());
    let on: Vec<&SampleRow> = group.iter().filter(|sample| sample.on_policy).collect();
    let high = on.iter().max_by(|a, b| a.reward.total_cmp(&b.reward));
    let low = on.iter().min_by(|a, b| a.reward.total_cmp(&b.reward));
    if let (Some(high), Some(low)) = (high, low) {
        picked.push((*high).clone());
        if low.reward < high.reward {
            picked.push((*low).clone());
        }
    }
    picked
}

fn spread(group: &[SampleRow]) -> bool {
    group.windows(2).any(|pair| (pair[0].reward - pair[1].reward).abs() > 0.0)
}

fn sample(row: &Value) -> SampleRow {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
    SampleRow {
        step: row["step"].as_u64().unwrap_or(0),
        prompt: text("prompt"),
        response: text("response"),
        on_policy: row["policy"] != "off",
        verdict: text("verdict"),
        reward: number("reward"),
        advantage: number("advantage"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(task: &str, policy: &str, reward: f64) -> Value {
        json!({"step": 1, "task": task, "prompt": task, "policy": policy, "response": "x",
               "verdict": "correct", "reward": reward, "advantage": 0.5})
    }

    #[test]
    fn the_group_with_spread_is_shown_from_both_sides() {
        let rows = [
            row("even", "on", 0.0),
            row("even", "off", 0.0),
            row("b", "on", 0.0),
            row("b", "on", 1.0),
            row("b", "on", 1.0),
            row("b", "off", 1.0),
        ];
        let picked = from_step(&rows);
        let seen: Vec<(bool, bool)> =
            picked.iter().map(|s| (s.on_policy, s.reward > 0.5)).collect();
        assert_eq!(seen, [(false, true), (true, true), (true, false)]);
        assert!(picked.iter().all(|sample| sample.prompt == "b"));
    }

    #[test]
    fn first_middle_and_last_step_are_read_once_each() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["step-000002.jsonl.zst", "step-000001.jsonl.zst", ".step-000003.jsonl.zst.tmp"]
        {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let read = |path: &Path| {
            let step = path.to_string_lossy().contains("000001");
            Ok(vec![row(if step { "first" } else { "last" }, "on", 1.0)])
        };
        let prompts: Vec<String> =
            pick(dir.path(), read).unwrap().into_iter().map(|sample| sample.prompt).collect();
        assert_eq!(prompts, ["first", "last"]);
        assert_eq!(pick(&dir.path().join("none"), read).unwrap(), Vec::new());
    }
}
