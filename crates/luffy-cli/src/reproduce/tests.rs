use std::collections::BTreeMap;

use luffy_trainer::Count;

use super::claims::{Verdict, judge, median};
use super::plan::{Claim, Measure, Plan};
use super::results::{Curves, Run, rate};
use super::*;
use crate::run::Summary;

/// The built-in plan with a change.
fn changed(from: &str, to: &str) -> anyhow::Result<Plan> {
    assert!(plan::BUILTIN.contains(from), "{from}");
    Plan::parse(&plan::BUILTIN.replacen(from, to, 1))
}

#[test]
fn every_arm_of_the_built_in_plan_makes_a_run() {
    let plan = Plan::parse(plan::BUILTIN).unwrap();
    assert_eq!((plan.arms.len(), plan.sets.len()), (14, 4));
    let config = |arm: &str, set: &str| {
        let (arm, set) = (plan.arm(arm).unwrap(), plan.set(set).unwrap());
        plan.config(arm, set, 5e-4, 7, Path::new("b")).unwrap()
    };
    let hard = config("mixed-shaping", "hard");
    assert_eq!((hard.seed, hard.addition.seed, hard.parallel.replicas), (7, 7, 1));
    assert_eq!(hard.addition.levels, [3, 4]);
    assert_eq!(hard.model.path, "b");
    // Two updates per rollout in every arm that samples, or a clip could do nothing.
    for arm in &plan.arms {
        let text = toml::to_string(&config(&arm.name, "easy").method).unwrap();
        assert_eq!(
            text.contains("mini-batches = 2"),
            !arm.name.starts_with("sft") || arm.name == "sft-then-rl",
            "{text}"
        );
    }
    // What the shaped arm has beyond the unshaped one is its shaping alone.
    let method = |arm: &str| toml::Table::try_from(config(arm, "easy").method).unwrap();
    let (mut shaped, mut unshaped) = (method("mixed-shaping"), method("mixed"));
    assert!(shaped.remove("gamma").is_some() && unshaped.remove("shaping").is_some());
    shaped.remove("name");
    unshaped.remove("name");
    assert_eq!(shaped, unshaped);
}

#[test]
fn a_plan_that_cannot_be_run_says_why() {
    let check = |from: &str, to: &str, word: &str| {
        let error = format!("{:#}", changed(from, to).unwrap_err());
        assert!(error.contains(word), "{error}");
    };
    check("tuning-seed = 900", "tuning-seed = 201", "tuning-seed");
    check("rates = [2e-4, 5e-4, 1e-3]", "rates = [5e-4, 2e-4]", "ascend");
    check("main-arm = \"luffy\"", "main-arm = \"lufy\"", "no arm `lufy`");
    check("rate-of = \"luffy\"", "rate-of = \"gamma-0.2\"", "none of its own");
    check("bases = \"habit\"", "bases = \"habits\"", "no bases `habits`");
    check("count = 2", "count = 9", "want 9 of 6 seeds");
    check("gamma = 0.05", "gama = 0.05", "gama");
    check("gamma = 0.05", "gamma = -1.0", "gamma");
    check("measure = \"accuracy\"", "measure = \"precision\"", "precision");
}

fn summary(seed: u64, take_off: Option<u64>, accuracy: f64) -> Summary {
    Summary {
        schema: 1,
        method: "luffy".to_owned(),
        seed,
        steps: 1,
        skipped_steps: 0,
        seconds: 1.0,
        peak_memory_bytes: None,
        base_accuracy: BTreeMap::new(),
        accuracy: BTreeMap::from([("3".to_owned(), accuracy), ("4".to_owned(), accuracy)]),
        base_counts: BTreeMap::new(),
        counts: BTreeMap::from([("3".to_owned(), Count { correct: 1, total: 2 })]),
        tokens_generated: 0.0,
        tokens_trained: 0.0,
        hard_takeoff_step: take_off,
    }
}

fn run(seed: u64, take_off: Option<u64>, solved: [bool; 4], entropy: f64) -> Run {
    let curves = Curves { entropy: vec![(1, entropy), (2, entropy)], ..Curves::default() };
    let solved = BTreeMap::from([("3".to_owned(), solved.to_vec())]);
    Run { seed, summary: summary(seed, take_off, 0.5), curves, solved }
}

fn claim(measure: Measure) -> Claim {
    Claim {
        text: String::new(),
        paper: String::new(),
        measure,
        more: "a".to_owned(),
        less: "b".to_owned(),
        levels: Vec::new(),
        steps: None,
        sets: Vec::new(),
    }
}

/// The verdicts on a claim and on its contrary.
fn both(measure: Measure, a: &[Run], b: &[Run]) -> (Verdict, Verdict) {
    let forth: Vec<_> = a.iter().zip(b).collect();
    let back: Vec<_> = b.iter().zip(a).collect();
    (judge(&claim(measure), &forth).verdict, judge(&claim(measure), &back).verdict)
}

#[test]
fn a_verdict_follows_sign_and_certainty() {
    use Verdict::{Appears, Leans, LeansBack, NotSeen, Reversed, Untested};
    let runs = |n: u64, take_off: Option<u64>, solved, entropy: f64| -> Vec<Run> {
        (0..n).map(|seed| run(seed, take_off, solved, entropy + 0.01 * seed as f64)).collect()
    };
    let (all, none) = ([true; 4], [false; 4]);
    let six = (runs(6, Some(30), all, 0.3), runs(6, Some(10), none, 0.2));
    for measure in [Measure::Accuracy, Measure::TakeOff, Measure::Entropy] {
        assert_eq!(both(measure, &six.0, &six.1), (Appears, Reversed), "{measure:?}");
        assert_eq!(both(measure, &six.0, &six.0), (NotSeen, NotSeen), "{measure:?}");
        assert_eq!(both(measure, &[], &[]), (Untested, Untested), "{measure:?}");
    }
    // Five seeds of one sign have p = 2/32: not enough for a figure of which a run has one.
    let five = (runs(5, None, all, 0.3), runs(5, Some(10), none, 0.2));
    assert_eq!(both(Measure::Entropy, &five.0, &five.1), (Leans, LeansBack));
    assert_eq!(both(Measure::TakeOff, &five.0, &five.1), (Leans, LeansBack));
    assert_eq!(both(Measure::Accuracy, &five.0, &five.1), (Appears, Reversed));
    // Two seeds do not stand for others, however many problems they have.
    assert_eq!(both(Measure::Accuracy, &five.0[..2], &five.1[..2]), (Leans, LeansBack));
}

#[test]
fn a_level_that_is_asked_for_decides_alone() {
    let mut a = run(1, None, [true; 4], 0.0);
    a.solved.insert("2".to_owned(), vec![false; 4]);
    let mut b = run(1, None, [false; 4], 0.0);
    b.solved.insert("2".to_owned(), vec![true; 4]);
    let on = |levels: &[u32]| {
        let claim = Claim { levels: levels.to_vec(), ..claim(Measure::Accuracy) };
        judge(&claim, &[(&a, &b); 3]).verdict
    };
    assert_eq!(
        [on(&[3]), on(&[2]), on(&[])],
        [Verdict::Appears, Verdict::Reversed, Verdict::NotSeen]
    );
}

#[test]
fn a_run_that_never_takes_off_is_the_latest() {
    assert_eq!(median(vec![3.0, f64::INFINITY, 1.0]), Some(3.0));
    assert_eq!(median(vec![f64::INFINITY, f64::INFINITY, 1.0]), Some(f64::INFINITY));
    assert_eq!(median(vec![]), None);
}

#[test]
fn the_best_rate_is_taken_and_of_equal_ones_the_smallest() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::parse(plan::BUILTIN).unwrap();
    let arm = plan.arm("gamma-0.05").unwrap();
    let store = |rate: f64, easy: f64, hard: f64| {
        for (set, accuracy) in [("easy", easy), ("hard", hard)] {
            let path = work::run_dir(dir.path(), &work::name(set, "luffy", rate, plan.tuning_seed));
            fs::create_dir_all(&path).unwrap();
            let json = serde_json::to_vec(&summary(plan.tuning_seed, None, accuracy)).unwrap();
            fs::write(path.join("summary.json"), json).unwrap();
        }
    };
    store(2e-4, 0.5, 0.7);
    store(5e-4, 0.25, 1.0);
    assert_eq!(rate(&plan, arm, dir.path()).unwrap(), None, "one rate is still missing");
    store(1e-3, 0.75, 0.5);
    assert_eq!(
        rate(&plan, arm, dir.path()).unwrap(),
        Some(5e-4),
        "all three have a mean of 0.6, 0.625, 0.625"
    );
    let path = work::run_dir(dir.path(), &work::name("hard", "luffy", 5e-4, plan.tuning_seed));
    fs::write(path.join("diverged.txt"), "").unwrap();
    assert_eq!(
        rate(&plan, arm, dir.path()).unwrap(),
        Some(1e-3),
        "divergence counts as nothing right"
    );
}

#[test]
fn a_directory_belongs_to_one_plan() {
    let dir = tempfile::tempdir().unwrap();
    keep_plan(dir.path(), "a").unwrap();
    keep_plan(dir.path(), "a").unwrap();
    let error = keep_plan(dir.path(), "b").unwrap_err().to_string();
    assert!(error.contains("another plan"), "{error}");
}
