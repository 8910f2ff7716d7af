//! What each method plans, learns from and refuses.

use luffy_core::{
    Behavior, GradedGroup, MemberPlan, MethodMemory, Origin, PlanRequest, Progress, Purpose, Span,
    StepShape, StepView, StreamKey, TokenRuns, Update,
};

use super::fixtures::{graded, prompt};
use super::*;
use crate::{AdvantageScale, Aggregate, Baseline, Clip, Correction, Estimator, Truncated};

const MAX_LEN: u32 = 24;

fn parse(toml: &str) -> Result<MethodConfig, toml::de::Error> {
    toml::from_str(toml)
}

/// The method these lines describe.
fn method(toml: &str) -> Arc<dyn Method> {
    parse(toml).unwrap().build()
}

fn check(toml: &str, expected: MethodConfig) {
    let config = parse(toml).unwrap();
    assert_eq!(config, expected, "{toml}");
    // What is written into a run directory reads back as the same method, from TOML and from JSON.
    assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<MethodConfig>(&json).unwrap(), config);
    config.validate().unwrap();
}

#[test]
fn a_name_alone_gives_the_defaults() {
    for method in MethodConfig::all() {
        check(&format!("name = '{}'", method.name()), method);
    }
    assert_eq!(MethodConfig::all().len(), 18);
}

#[test]
fn every_setting_has_a_key() {
    let policy = PolicySettings {
        group_size: 4,
        estimator: Estimator::Rloo,
        baseline: Baseline::OnPolicy,
        scale: AdvantageScale::Std,
        truncated: Truncated::Zero,
        demonstrated_weight: 0.5,
        sampled_weight: 2.0,
        filter: Filter::Drop,
        reshape: ShapingConfig::RegularizedRatio { gamma: 0.2 },
        clip: Clip::Epsilon { low: 0.2, high: 0.28 },
        correction: Correction::None,
        aggregate: Aggregate::TokenMean,
        entropy_coefficient: 0.01,
        entropy_control: EntropyControl::Adaptive { target: 1.0, lr: 0.01, max: f64::INFINITY },
        kl_coefficient: 0.04,
        kl_estimator: crate::KlEstimator::K1,
        mini_batches: 2,
        epochs: 3,
    };
    let guidance = GuidanceSettings {
        demonstrations: 2,
        prefix: PrefixSchedule::Random { min: 0.1, max: 0.9 },
    };
    check(
        "name = 'luffy'\ngroup-size = 4\ndemonstrations = 2\ngamma = 1\nestimator = 'rloo'\n\
         clip = { epsilon = { low = 0.2, high = 0.28 } }\naggregate = 'token-mean'\n\
         entropy-coefficient = 0.01\nbaseline = 'on-policy'\nscale = 'std'\ntruncated = 'zero'\n\
         demonstrated-weight = 0.5\nsampled-weight = 2\nfilter = 'drop'\n\
         reshape = { regularized-ratio = { gamma = 0.2 } }\ncorrection = 'none'\n\
         entropy-control = { adaptive = { target = 1, lr = 0.01 } }\nkl-coefficient = 0.04\n\
         kl-estimator = 'k1'\nmini-batches = 2\nepochs = 3\n\
         prefix = { random = { min = 0.1, max = 0.9 } }",
        MethodConfig::Luffy(LuffyConfig { gamma: 1.0, guidance, policy }),
    );
}

#[test]
fn defaults_of_the_method_stand_where_nothing_is_said() {
    let MethodConfig::Dapo(OnPolicyConfig { policy }) =
        parse("name = 'dapo'\ngroup-size = 16").unwrap()
    else {
        panic!("dapo is dapo")
    };
    assert_eq!(policy, PolicySettings { group_size: 16, ..OnPolicyConfig::dapo().policy });
}

#[test]
fn a_key_of_another_method_is_refused_by_name() {
    for (toml, key) in [
        ("name = 'luffy'\ngama = 0.1", "gama"),
        ("name = 'mixed'\ngamma = 0.1", "gamma"),
        ("name = 'grpo'\ndemonstrations = 1", "demonstrations"),
        ("name = 'sft'\ngamma = 0.1", "gamma"),
        ("name = 'sft-filtered'\ngroup-size = 1", "group-size"),
        ("name = 'luffi'", "luffi"),
        ("name = 3", "name"),
        ("gamma = 0.1", "name"),
        ("name = 'luffy'\ngamma = 'x'", "gamma"),
        ("name = 'grpo'\nclip = 'half'", "clip"),
        ("name = 'grpo'\nclip = { epsilon = { low = 0.2, higher = 0.3 } }", "higher"),
        ("name = 'chord'\nmu = { constant = 0.1 }", "mu"),
        (
            "name = 'chord'\nmu = { decay = { peak = 0.9, valley = 0.05, warmup_steps = 0, decay-steps = 9 } }",
            "mu",
        ),
    ] {
        let error = parse(toml).unwrap_err().to_string();
        assert!(error.contains(key), "{toml}: {error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (toml, word) in [
        ("name = 'luffy'\ngroup-size = 0", "group-size"),
        ("name = 'grpo'\ngroup-size = 0", "group-size"),
        ("name = 'grpo'\ngroup-size = 1", "group-size"),
        ("name = 'grpo'\nmini-batches = 0", "mini-batches"),
        ("name = 'grpo'\nepochs = 0", "epochs"),
        ("name = 'mixed'\ndemonstrations = 9", "demonstrations"),
        ("name = 'mixed'\nprefix = { random = { min = 0.9, max = 0.1 } }", "prefix"),
        ("name = 'mixed'\nshaping = { regularized = { gamma = -1.0 } }", "shaping"),
        ("name = 'luffy'\ngamma = 0.0", "gamma"),
        ("name = 'luffy'\ngamma = nan", "gamma"),
        ("name = 'grpo'\nclip = { epsilon = { low = 1.5, high = 0.2 } }", "clip"),
        ("name = 'grpo'\nclip = { cispo = { high = 0.2 } }\nreshape = 'square-root'", "clip"),
        ("name = 'grpo'\nentropy-coefficient = inf", "entropy-coefficient"),
        (
            "name = 'grpo'\nentropy-control = { adaptive = { target = 1.0, lr = 0.01 } }",
            "entropy-control",
        ),
        (
            "name = 'grpo'\nmini-batches = 2\ncorrection = { truncate = { max = 2.0, level = 'token' } }",
            "correction",
        ),
        (
            "name = 'grpo'\nepochs = 2\ncorrection = { truncate = { max = 2.0, level = 'token' } }",
            "correction",
        ),
        ("name = 'rl-with-sft-loss'\nsft-coefficient = -1.0", "sft-coefficient"),
        ("name = 'sft-then-rl'\nsft-lr-factor = nan", "sft-lr-factor"),
        ("name = 'uft'\nprefix = { slices = { slices = 0, steps = 3 } }", "prefix"),
        ("name = 'chord'\nmu = { constant = { value = 2.0 } }", "mu"),
        ("name = 'hpt'\ngate = 8", "gate"),
        ("name = 'hpt'\ndemonstrated-weight = 1.0", "demonstrated-weight"),
        ("name = 'relift'\nsft-batch = 0", "sft-batch"),
        ("name = 'prefix-rft'\nprefix-entropy = 0.0", "prefix-entropy"),
        ("name = 'srft'\nclip = { epsilon = { low = 0.2, high = 0.2 } }", "clip"),
        ("name = 'srft'\nreshape = 'square-root'", "clip or reshape"),
        ("name = 'trapo'\ngroup-size = 4", "micro-groups"),
        ("name = 'trapo'\nalpha = 0.0", "alpha"),
    ] {
        let error = parse(toml).unwrap().validate().unwrap_err().to_string();
        assert!(error.starts_with(word), "{toml}: {error}");
    }
    parse("name = 'grpo'\ngroup-size = 1\nestimator = 'reinforce'").unwrap().validate().unwrap();
}

#[test]
fn every_part_of_a_clip_and_a_correction_is_checked() {
    let check = |setting: &str, is_valid: bool| {
        let config = parse(&format!("name = 'grpo'\n{setting}")).unwrap();
        let key = setting.split(' ').next().unwrap();
        match config.validate() {
            Ok(()) => assert!(is_valid, "{setting} is accepted"),
            Err(error) => {
                assert!(!is_valid, "{setting}: {error}");
                assert!(error.to_string().contains(key), "{setting}: {error}");
            }
        }
    };
    for name in ["epsilon", "gspo"] {
        check(&format!("clip = {{ {name} = {{ low = 0.0, high = 0.0 }} }}"), true);
        check(&format!("clip = {{ {name} = {{ low = 1.0, high = 9.0 }} }}"), true);
        for (low, high) in
            [("-0.1", "0.2"), ("1.1", "0.2"), ("0.2", "-0.1"), ("0.2", "inf"), ("nan", "0.2")]
        {
            check(&format!("clip = {{ {name} = {{ low = {low}, high = {high} }} }}"), false);
        }
    }
    check("clip = { dual = { low = 0.2, high = 0.2, max = 3.0 } }", true);
    check("clip = { dual = { low = 0.2, high = 0.2, max = 1.2 } }", false);
    check("clip = { dual = { low = 2.0, high = 0.2, max = 3.0 } }", false);
    check("clip = { cispo = { high = 0.2 } }", true);
    check("clip = { cispo = { high = -0.2 } }", false);
    check("clip = { cispo = { high = inf } }", false);
    check("clip = { sapo = { positive = 1.0, negative = 1.05 } }", true);
    for (positive, negative) in [("0.0", "1.0"), ("1.0", "-1.0"), ("inf", "1.0"), ("1.0", "nan")] {
        check(
            &format!("clip = {{ sapo = {{ positive = {positive}, negative = {negative} }} }}"),
            false,
        );
    }
    check("correction = { truncate = { max = 2.0 } }", true);
    check("correction = { truncate = { max = 0.9 } }", false);
    check("correction = { truncate = { max = inf } }", false);
    check("correction = { mask = { low = 0.5, high = 2.0, level = 'geometric' } }", true);
    check("correction = { mask = { low = -0.5, high = 2.0 } }", false);
    check("correction = { mask = { low = 1.5, high = 2.0 } }", false);
    check("correction = { mask = { low = 0.5, high = 0.9 } }", false);
    check("correction = { mask = { low = 0.5, high = inf } }", false);
    check("aggregate = { reference = { devices = 8, micro-batches = 3 } }", true);
    check("aggregate = { reference = { devices = 0, micro-batches = 3 } }", false);
    check("aggregate = { reference = { devices = 8, micro-batches = 0 } }", false);
    for control in [
        "adaptive = { target = inf, lr = 0.01 }",
        "adaptive = { target = 1.0, lr = 0.0 }",
        "adaptive = { target = 1.0, lr = inf }",
        "proportional = { target = 1.0, max = 0.0 }",
        "proportional = { target = -1.0 }",
    ] {
        check(&format!("entropy-control = {{ {control} }}\nentropy-coefficient = 0.01"), false);
    }
    let control = "proportional = { target = 1.0, max = 0.1 }";
    check(&format!("entropy-control = {{ {control} }}\nentropy-coefficient = 0.01"), true);
}

#[test]
fn demonstrations_of_every_guided_method_are_checked() {
    for name in ["luffy", "mixed", "rl-with-sft-loss", "srft", "prefix-rft", "rl-plus"] {
        for setting in ["demonstrations = 9", "prefix = { fixed = { min = 0.9, max = 0.1 } }"] {
            let config = parse(&format!("name = '{name}'\n{setting}")).unwrap();
            assert!(config.validate().is_err(), "{name}: {setting}");
        }
    }
}

#[test]
fn methods_are_found_by_their_names() {
    for method in MethodConfig::all() {
        assert_eq!(MethodConfig::by_name(method.name()), Some(method));
    }
    assert_eq!(MethodConfig::by_name("luffi"), None);
}

fn at(step: u64) -> Progress {
    Progress { step, n_steps: 100 }
}

fn plan(method: &dyn Method, progress: Progress, rewards: &[f32]) -> String {
    let draws = StreamKey {
        seed: 0,
        purpose: Purpose::Demonstration,
        step: progress.step,
        prompt: 0,
        member: 0,
    };
    let request = PlanRequest { progress, draws, rewards };
    let member = |member: &MemberPlan| match member {
        MemberPlan::Sample => "s".to_owned(),
        MemberPlan::Demonstrate(position) => position.to_string(),
        MemberPlan::Continue { demonstration, prefix_len } => {
            format!("({demonstration}:{prefix_len})")
        }
    };
    method.plan(&prompt(1), &request).members.iter().map(member).collect()
}

#[test]
fn plans_of_the_methods() {
    for (toml, step, expected) in [
        ("name = 'luffy'", 0, "sssssss0"),
        ("name = 'mixed'\ndemonstrations = 0", 0, "ssssssss"),
        ("name = 'grpo'", 0, "ssssssss"),
        ("name = 'dr-grpo'\ngroup-size = 2", 0, "ss"),
        ("name = 'sft'", 0, "0"),
        ("name = 'dft'", 0, "0"),
        ("name = 'rl-with-sft-loss'", 0, "sssssss0"),
        ("name = 'sft-then-rl'\nsft-steps = 5", 4, "0"),
        ("name = 'sft-then-rl'\nsft-steps = 5", 5, "ssssssss"),
        ("name = 'srft'", 0, "sssssss0"),
        ("name = 'uft'\ngroup-size = 2\nprefix = 'whole'", 0, "(0:3)(0:3)"),
        ("name = 'uft'\ngroup-size = 2", 300, "ss"),
        ("name = 'chord'\ngroup-size = 2", 0, "ss0"),
        ("name = 'hpt'\ngroup-size = 2", 0, "ss0"),
        ("name = 'relift'\ngroup-size = 2", 0, "ss"),
        // 95 % of four tokens, rounded down; 5 % of them are none.
        ("name = 'prefix-rft'\ngroup-size = 3", 0, "ss(0:3)"),
        ("name = 'prefix-rft'\ngroup-size = 3", 99, "sss"),
        ("name = 'rl-plus'", 0, "sssssss0"),
        ("name = 'trapo'", 0, "ssss"),
    ] {
        assert_eq!(plan(&*method(toml), at(step), &[]), expected, "{toml} at {step}");
    }
}

#[test]
fn trapo_helps_where_rewards_are_low() {
    let trapo = method("name = 'trapo'");
    assert_eq!(plan(&*trapo, at(0), &[1.0, 1.0, 0.0, 0.0]), "ss");
    // A quarter of four tokens.
    assert_eq!(plan(&*trapo, at(0), &[1.0, 0.0, 0.0, 0.0]), "(0:1)(0:1)");
    assert_eq!(plan(&*trapo, at(0), &[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]), "(0:2)");
    assert_eq!(plan(&*trapo, at(0), &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0]), "s");
    assert_eq!(plan(&*trapo, at(0), &[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]), "0");
    assert_eq!(plan(&*trapo, at(0), &[1.0; 7]), "s");
    assert_eq!(plan(&*trapo, at(0), &[1.0; 8]), "");
}

/// The updates of a step with a fresh memory.
fn updates(toml: &str, step: u64, groups: &[GradedGroup]) -> Vec<Update> {
    let mut memory = MethodMemory::default();
    updates_with(&*method(toml), step, groups, &mut memory)
}

fn updates_with(
    method: &dyn Method,
    step: u64,
    groups: &[GradedGroup],
    memory: &mut MethodMemory,
) -> Vec<Update> {
    let progress = at(step);
    let advantages = method.advantages(progress, groups);
    let view = StepView { progress, groups, advantages: &advantages, max_response_len: MAX_LEN };
    method.updates(&view, memory)
}

/// Group, demonstrated or not, and the advantage of the first token of each row of the only update.
fn rows(updates: &[Update]) -> Vec<(u32, bool, f32)> {
    let [update] = updates else { panic!("one update, not {}", updates.len()) };
    assert!(update.rows.is_sorted_by_key(|row| row.group));
    update
        .rows
        .iter()
        .map(|row| (row.group, row.row.demonstrated[0], row.row.advantages[0]))
        .collect()
}

#[test]
fn each_row_of_a_group_with_spread_carries_its_own_advantage() {
    let groups =
        [graded(&[1.0, 1.0], &[]), graded(&[0.0, 0.0, 0.0], &[1.0]), graded(&[1.0, 0.0], &[])];
    let updates = updates("name = 'luffy'", 0, &groups);
    let off = |group, a| (group, false, a);
    let expected =
        [off(1, -0.25), off(1, -0.25), off(1, -0.25), (1, true, 0.75), off(2, 0.5), off(2, -0.5)];
    assert_eq!(rows(&updates), expected);
    // Lengths are 1, 2, .. by member. Rows of the whole step, tokens of the update.
    let n_tokens = 1 + 2 + 3 + 4 + 1 + 2;
    let shape = StepShape {
        n_rows: 8,
        n_tokens,
        n_policy_tokens: n_tokens + 1 + 2,
        n_demonstrated: 4,
        max_response_len: MAX_LEN,
    };
    assert_eq!(updates[0].shape, shape);
    assert_eq!((updates[0].slot, updates[0].lr_factor), (OptimizerSlot(0), 1.0));
}

#[test]
fn a_filter_takes_groups_without_spread_out_of_the_divisor() {
    let groups = [graded(&[1.0, 1.0], &[]), graded(&[1.0, 0.0], &[])];
    // Both groups have 1 + 2 tokens; a regulariser changes nothing about what the policy term divides by.
    for bonus in ["0.0", "0.001"] {
        let shape = |name: &str| {
            let toml = format!("name = '{name}'\nentropy-coefficient = {bonus}");
            let shape = updates(&toml, 0, &groups)[0].shape;
            (shape.n_rows, shape.n_policy_tokens)
        };
        assert_eq!(shape("grpo"), (4, 6));
        assert_eq!(shape("dapo"), (2, 3));
    }
}

#[test]
fn a_filter_drops_groups_without_spread_whatever_the_estimator() {
    let groups = [graded(&[1.0, 1.0], &[]), graded(&[1.0, 0.0], &[])];
    let updates = updates("name = 'dapo'\nestimator = 'reinforce'", 0, &groups);
    assert_eq!(rows(&updates), [(1, false, 1.0), (1, false, 0.0)]);
}

#[test]
fn context_tokens_are_not_counted() {
    let mut group = graded(&[1.0, 0.0], &[]);
    let trajectory = &mut group.group.trajectories[0];
    trajectory.tokens.extend([7, 7, 7]);
    trajectory.spans.push(Span { len: 3, origin: Origin::Context });
    let before = updates("name = 'grpo'", 0, &[graded(&[1.0, 0.0], &[])])[0].shape;
    assert_eq!(updates("name = 'grpo'", 0, &[group])[0].shape, before);
}

#[test]
fn a_step_without_spread_takes_no_update_even_with_an_entropy_bonus() {
    let groups = [graded(&[1.0, 1.0], &[]), graded(&[0.0], &[0.0])];
    for coefficient in ["0.0", "0.001"] {
        let toml = format!("name = 'luffy'\nentropy-coefficient = {coefficient}");
        assert!(updates(&toml, 0, &groups).is_empty());
        assert!(updates(&toml, 0, &[]).is_empty());
    }
}

#[test]
fn an_entropy_bonus_brings_the_rows_without_advantage() {
    let groups = [graded(&[1.0, 1.0], &[]), graded(&[1.0, 0.0], &[])];
    let updates = updates("name = 'luffy'\nentropy-coefficient = 0.001", 0, &groups);
    let expected = [(0, false, 0.0), (0, false, 0.0), (1, false, 0.5), (1, false, -0.5)];
    assert_eq!(rows(&updates), expected);
    assert_eq!(updates[0].shape.n_rows, 4);
}

#[test]
fn mini_batches_cut_a_step_by_prompt_and_epochs_repeat_it() {
    let groups = [
        graded(&[1.0, 0.0], &[]),
        graded(&[0.0, 1.0], &[]),
        graded(&[1.0, 0.0], &[]),
        graded(&[1.0, 1.0], &[]),
    ];
    let updates =
        updates("name = 'grpo'\nscale = 'none'\nmini-batches = 2\nepochs = 2", 0, &groups);
    let prompts: Vec<Vec<u32>> =
        updates.iter().map(|update| update.rows.iter().map(|row| row.group).collect()).collect();
    assert_eq!(prompts, [vec![0, 0, 1, 1], vec![2, 2], vec![0, 0, 1, 1], vec![2, 2]]);
    assert!(updates.iter().all(|update| update.shape.n_rows == 4));
}

#[test]
fn supervised_methods_take_demonstrations_and_filters_those_that_are_paid() {
    let groups = [graded(&[1.0], &[0.0]), graded(&[], &[1.0]), graded(&[1.0], &[-1.0])];
    let taken = |toml: &str| rows(&updates(toml, 0, &groups));
    assert_eq!(taken("name = 'sft'"), [(0, true, 1.0), (1, true, 1.0), (2, true, 1.0)]);
    assert_eq!(taken("name = 'dft'"), taken("name = 'sft'"));
    assert_eq!(taken("name = 'sft-filtered'"), [(1, true, 1.0)]);
    assert!(updates("name = 'sft-filtered'", 0, &groups[..1]).is_empty());
    assert_eq!(updates("name = 'sft'", 0, &groups)[0].shape.n_tokens, 2 + 1 + 2);
}

#[test]
fn a_supervised_term_keeps_demonstrations_of_groups_without_spread() {
    let groups = [graded(&[0.0, 0.0], &[1.0]), graded(&[1.0, 0.0], &[1.0])];
    let updates = updates("name = 'rl-with-sft-loss'", 0, &groups);
    // Demonstrations are compared with nobody and have no advantage.
    let expected = [(0, true, 0.0), (1, false, 0.5), (1, false, -0.5), (1, true, 0.0)];
    assert_eq!(rows(&updates), expected);
    let shape = updates[0].shape;
    // Of 3 + 1 + 2 + 3 tokens six are demonstrated. The policy term is a mean over the samples of both groups,
    // 1 + 2 tokens each, whether they teach or not.
    assert_eq!((shape.n_tokens, shape.n_policy_tokens, shape.n_demonstrated), (9, 6, 6));
    assert_eq!(shape.n_rows, 4);
}

#[test]
fn a_supervised_term_without_weight_or_without_demonstrations_takes_no_update_alone() {
    let unsolved = [graded(&[0.0, 0.0], &[1.0])];
    let toml =
        |coefficient: &str| format!("name = 'rl-with-sft-loss'\nsft-coefficient = {coefficient}");
    assert_eq!(updates(&toml("0.5"), 0, &unsolved).len(), 1);
    assert!(updates(&toml("0.0"), 0, &unsolved).is_empty());
    assert!(updates(&toml("0.5"), 0, &[graded(&[0.0, 0.0], &[])]).is_empty());
}

#[test]
fn sft_then_rl_changes_optimiser_and_rate() {
    let toml = "name = 'sft-then-rl'\nsft-steps = 5\nsft-lr-factor = 50.0";
    let first = &updates(toml, 4, &[graded(&[], &[1.0])])[0];
    assert_eq!((first.slot, first.lr_factor), (OptimizerSlot(0), 50.0));
    let second = &updates(toml, 5, &[graded(&[1.0, 0.0], &[])])[0];
    assert_eq!((second.slot, second.lr_factor), (OptimizerSlot(1), 1.0));
}

#[test]
fn srft_pays_samples_by_sign() {
    let groups = [graded(&[1.0, 0.0, 0.0], &[1.0])];
    let rows = rows(&updates("name = 'srft'", 0, &groups));
    assert_eq!(rows[..3], [(0, false, 1.0), (0, false, -1.0), (0, false, -1.0)]);
    // (1 - 1/2) over the deviation sqrt(1/3).
    assert!(rows[3].1 && (f64::from(rows[3].2) - 0.5 / (1.0_f64 / 3.0).sqrt()).abs() < 1e-5);
}

#[test]
fn chord_shares_one_between_its_terms() {
    let groups = [graded(&[1.0, 0.0], &[1.0])];
    let toml = "name = 'chord'\nscale = 'none'\nmu = { constant = { value = 0.25 } }";
    assert_eq!(
        rows(&updates(toml, 0, &groups)),
        [(0, false, 0.375), (0, false, -0.375), (0, true, 0.0)]
    );
}

#[test]
fn hpt_learns_from_samples_or_from_the_demonstration() {
    let groups = [graded(&[1.0, 0.0], &[1.0]), graded(&[0.0, 0.0], &[1.0])];
    let updates = updates("name = 'hpt'", 0, &groups);
    assert_eq!(rows(&updates), [(0, false, 0.5), (0, false, -0.5), (1, true, 0.0)]);
    assert_eq!(updates[0].shape.n_rows, 2);
    let strict = self::updates("name = 'hpt'\ngate = 1", 0, &groups);
    assert_eq!(rows(&strict), [(0, true, 0.0), (1, true, 0.0)]);
}

#[test]
fn relift_waits_for_a_batch_of_unsolved_prompts() {
    let method = method("name = 'relift'\nsft-batch = 3\nsft-lr-factor = 10.0");
    let mut memory = MethodMemory::default();
    let unsolved = || graded(&[0.0, 0.0], &[]);
    let groups = [unsolved(), graded(&[1.0, 0.0], &[]), unsolved()];
    let first = updates_with(&*method, 0, &groups, &mut memory);
    assert_eq!((first.len(), memory.kept.len()), (1, 2));
    // What is kept survives a checkpoint.
    let json = serde_json::to_string(&memory).unwrap();
    let mut memory: MethodMemory = serde_json::from_str(&json).unwrap();
    let second = updates_with(&*method, 1, &groups, &mut memory);
    assert_eq!((second.len(), memory.kept.len()), (2, 1));
    let update = &second[1];
    assert_eq!((update.slot, update.lr_factor), (OptimizerSlot(1), 10.0));
    assert_eq!(update.rows.len(), 3);
    assert!(
        update.rows.iter().all(|row| row.row.response == [3; 4] && row.row.prompt[..] == [1, 2])
    );
    assert_eq!(update.shape.n_tokens, 12);
}

#[test]
fn a_prefix_is_demonstrated_and_the_rest_sampled() {
    let mut group = graded(&[0.0, 1.0], &[]);
    let continued = &mut group.group.trajectories[1];
    continued.spans = vec![
        Span { len: 1, origin: Origin::Demonstrated(Behavior::One) },
        Span { len: 1, origin: Origin::Sampled { logprobs: vec![-0.5] } },
    ];
    let update = &updates("name = 'trapo'", 0, &[group])[0];
    // The prefix has no advantage: it is supervised.
    assert_eq!(update.rows[1].row.advantages, [0.0, 0.5]);
    let shape = update.shape;
    assert_eq!((shape.n_tokens, shape.n_policy_tokens, shape.n_demonstrated), (3, 2, 1));
    // Both rows have tokens of the policy.
    assert_eq!(shape.n_rows, 2);
}

#[test]
fn the_entropy_coefficient_follows_its_control() {
    let toml = "name = 'luffy'\nentropy-coefficient = 0.01\n\
                entropy-control = { proportional = { target = 2.0 } }";
    let method = method(toml);
    let mut memory = MethodMemory::default();
    let mut metrics = luffy_core::Metrics::default();
    metrics.add(crate::metric::ENTROPY, 4.0, 1.0);
    method.observe(at(0), OptimizerSlot(0), &metrics, &mut memory);
    // A supervised update beside it says nothing.
    metrics.add(crate::metric::ENTROPY, 40.0, 1.0);
    method.observe(at(0), OptimizerSlot(1), &metrics, &mut memory);
    let control = EntropyControl::Proportional { target: 2.0, max: f64::INFINITY };
    assert!((control.coefficient(0.01, &memory.scalars) - 0.005).abs() < 1e-15);
    assert!((EntropyControl::Constant.coefficient(0.01, &memory.scalars) - 0.01).abs() < 1e-15);
}

#[test]
fn only_a_divergence_asks_for_the_reference() {
    assert!(!method("name = 'grpo'").needs_reference());
    assert!(method("name = 'grpo'\nkl-coefficient = 0.04").needs_reference());
    assert!(method("name = 'sft-then-rl'\nkl-coefficient = 0.04").needs_reference());
}

#[test]
fn advantages_cover_every_token() {
    let groups = [graded(&[1.0, 0.0], &[1.0])];
    for config in MethodConfig::all() {
        let advantages = config.build().advantages(at(99), &groups);
        assert_eq!(advantages.iter().map(TokenRuns::len).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
