use serde_json::json;

use super::*;

/// The same on every machine; looks like noise.
fn noise(i: u64) -> f64 {
    (i.wrapping_mul(2_654_435_761) % 1000) as f64 / 1000.0 - 0.5
}

fn rise(step: u64, at: f64) -> f64 {
    1.0 / (1.0 + (-(step as f64 - at) / 8.0).exp())
}

fn counts(of: [u64; 4]) -> EvalCounts {
    (1..)
        .zip(of)
        .map(|(l, correct): (u32, u64)| (l.to_string(), Count { correct, total: 200 }))
        .collect()
}

fn summary(method: &str, seed: u64, of: [u64; 4], seconds: f64) -> Summary {
    Summary {
        schema: 1,
        method: method.to_owned(),
        seed,
        steps: 120,
        skipped_steps: 3,
        seconds,
        peak_memory_bytes: Some(412 << 20),
        base_accuracy: BTreeMap::new(),
        accuracy: BTreeMap::new(),
        base_counts: counts([200, 199, 0, 1]),
        counts: counts(of),
        tokens_generated: seconds * 14_000.0,
        tokens_trained: seconds * 17_000.0,
        hard_takeoff_step: (of[3] > 100).then_some(55 + seed),
    }
}

fn metrics(at: f64, salt: u64) -> Vec<Value> {
    (1..=120)
        .map(|step| {
            let wave = noise(step * 7 + salt);
            let hard = (rise(step, at) + 0.15 * wave).clamp(0.0, 1.0);
            json!({
                "schema": 1, "kind": "train", "step": step,
                "on_off_metrics/on_score": 0.5 + 0.5 * hard, "on_off_metrics/off_score": 0.3 + 0.2 * wave,
                "on_off_metrics/on_response_length_mean": 5.0 + 22.0 * hard,
                "on_off_metrics/off_response_length_mean": 25.0 + 2.0 * wave,
                "batch/solve_none": (0.5 - 0.45 * hard).max(0.0), "batch/solve_all": 0.45 * hard,
                "actor/entropy_loss": 0.05 + 0.2 * (hard * (1.0 - hard)).abs() + 0.02 * wave,
                "actor/off_policy_prob": 0.2 + 0.6 * rise(step, 20.0) + 0.02 * wave,
                "actor/grad_norm": 0.2 + 0.15 * wave, "actor/pg_loss": 0.02 * wave,
                "batch/skipped": f64::from(u8::from(step % 40 == 3)),
                "on_score/level_1": 1.0, "on_score/level_2": 1.0 - 0.02 * hard,
                "on_score/level_3": hard, "on_score/level_4": (hard - 0.1).max(0.0),
            })
        })
        .collect()
}

fn rows() -> Vec<Value> {
    let mut rows = metrics(55.0, 1);
    for step in (0..=120).step_by(10) {
        let hard = (1..=200).filter(|n| f64::from(*n) <= 200.0 * rise(step, 55.0)).count() as u64;
        rows.push(json!({"kind": "eval", "step": step, "counts": counts([200, 199, hard, hard * 9 / 10])}));
    }
    rows
}

fn rollouts(dir: &Path) {
    for (step, right) in [(1, false), (60, true), (120, true)] {
        let row = |policy: &str, response: &str, verdict: &str, reward: f64, advantage: f64| {
            json!({"step": step, "task": "t7", "prompt": "4821+7399=", "policy": policy,
                   "response": response, "verdict": verdict, "reward": reward, "advantage": advantage})
        };
        let wrong = "<think>\n1+9=10 2+9=11\n</think>\n\\boxed{11110}";
        let mut of_step = vec![
            row("off", wrong, "incorrect", 0.0, -0.125),
            row("on", "11220", "malformed", 0.0, -0.125),
        ];
        if right {
            let text =
                "<think>\n1+9=10 c1\n2+9+1=12 c1\n8+3+1=12 c1\n4+7+1=12\n</think>\n\\boxed{12220}";
            of_step.push(row("on", text, "correct", 1.0, 0.875));
        }
        let path = dir.join(format!("rollouts/step-{step:06}.jsonl.zst"));
        crate::jsonl::write_jsonl_zst(&path, &of_step).unwrap();
    }
}

/// Every opened element is closed, in order.
fn assert_balanced(html: &str) {
    let void = ["meta", "br", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{tag}");
        } else if !tag.ends_with('/') && !void.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn a_run_report_is_one_whole_file_with_every_part() {
    let dir = tempfile::tempdir().unwrap();
    rollouts(dir.path());
    let run = json!({"command": ["luffy", "train", "--set", "a=<b>"], "versions": {"commit": "2accc37"},
                     "machine": {"cpu": "AMD EPYC", "cores": 2}});
    let config = BTreeMap::from([("seed", "</pre><script>alert(1)</script>")]);
    let summary = summary("luffy", 7, [200, 199, 198, 190], 64.2);
    write_run(dir.path(), &config, &run, &summary, &rows()).unwrap();
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_balanced(&html);
    for part in [
        "luffy · seed 7",
        "Accuracy by level",
        "Reward by level",
        "Solve-none and solve-all",
        "Demonstration probability",
        "Gradient norm",
        "0.990 <small>198/200</small>",
        "0.964 – 0.997",
        "\\boxed{12220}",
        "a=&lt;b&gt;",
        "412 MiB",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    for outside in ["<script", "http:", "https:", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside} in a report that must stand alone");
    }
    assert_eq!(html.matches("<figure>").count(), 9);
}

#[test]
fn a_run_without_evaluations_or_rollouts_has_a_report_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut summary = summary("grpo", 0, [0; 4], 1.0);
    (summary.base_counts, summary.counts) = (EvalCounts::new(), EvalCounts::new());
    write_run(dir.path(), &BTreeMap::<String, u8>::new(), &json!({}), &summary, &[]).unwrap();
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_balanced(&html);
    assert!(!html.contains("<figure>") && !html.contains("NaN") && !html.contains("Rollouts"));
}

fn comparison() -> Comparison {
    let arm = |method: &str, of: [[u64; 4]; 5], seconds: f64| crate::compare::Arm {
        method: method.to_owned(),
        runs: (11..).zip(of).map(|(seed, of)| summary(method, seed, of, seconds)).collect(),
    };
    let good = [
        [200, 200, 198, 194],
        [200, 200, 199, 196],
        [200, 199, 197, 190],
        [200, 200, 200, 199],
        [200; 4],
    ];
    let mut split = good;
    split[3] = [200, 200, 0, 0];
    Comparison {
        schema: 1,
        arms: vec![
            arm("luffy", good, 64.0),
            arm("mixed", split, 58.0),
            arm("grpo", [[200, 200, 0, 1]; 5], 50.0),
            arm("sft", [[92, 50, 28, 22]; 5], 9.0),
            arm("sft-filtered", good, 6.0),
        ],
    }
}

#[test]
fn a_comparison_shows_every_arm_and_says_what_is_inconvenient() {
    let dir = tempfile::tempdir().unwrap();
    let comparison = comparison();
    for (salt, arm) in (0..).zip(&comparison.arms) {
        for run in &arm.runs {
            let at = if run.counts["4"].correct > 100 {
                50.0 + 2.0 * (run.seed as f64 - 13.0)
            } else {
                1e4
            };
            let path = run_dir(dir.path(), &arm.method, run.seed);
            std::fs::create_dir_all(&path).unwrap();
            let text: Vec<String> =
                metrics(at, salt * 31 + run.seed).iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(path.join("metrics.jsonl"), text.concat()).unwrap();
        }
    }
    write_comparison(dir.path(), &comparison).unwrap();
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_balanced(&html);
    for part in [
        "<code>sft-filtered</code> does as well as <code>luffy</code> here",
        "in 1/10.7 of the time",
        "<code>grpo</code> never learns the hard levels (3, 4): at most 0.003 in 5 seeds.",
        "<code>mixed</code> depends on the seed: from 0.000 to 1.000",
        "<code>sft</code> ends below its base",
        "base, untrained",
        "Reward on the hard levels (3, 4)",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert!(!html.contains("<script") && !html.contains("http"));
}

#[test]
fn hard_levels_are_the_upper_half_of_the_numbered_ones() {
    let check = |levels: &[&str], hard: &[&str]| {
        let levels: Vec<String> = levels.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(hard_levels(levels.iter()), hard);
    };
    check(&["1", "2", "3", "4"], &["3", "4"]);
    check(&["10", "9"], &["10"]);
    check(&["1"], &[]);
    check(&["gsm8k", "math"], &[]);
}
