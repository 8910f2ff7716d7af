//! What a run asks for, as far as its configuration says.

use std::sync::Arc;

use luffy_core::{
    Behavior, FinishReason, MemberPlan, Method, PlanRequest, Progress, Prompt, Purpose, StreamKey,
    Task, TokenizedDemonstration,
};
use luffy_policy::ModelConfig;

use super::memory::Sizes;
use crate::config::{BUILTIN_ADDITION, RunConfig};
use crate::run::n_samplers;

/// Tokens of the demonstration that a method is asked about; methods take shares of it.
const ASKED_TOKENS: usize = 1000;
/// Rounds that a method is asked for at most.
const MAX_ROUNDS: usize = 64;

/// Room for activations in a run that sets none.
const HANDED_OVER_GIB: f64 = 2.0;
/// Numbers in the matrices of layers from which on handing over pays: it costs a run of the recipe `addition` (0.1
/// million) a tenth of its time, and saves a sixth of a step with 4.7 million.
const WORTH_HANDING_OVER: u64 = 1 << 20;

/// Tokens that one replica learns from at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// All, a shared prompt counted once.
    pub(crate) tokens: u64,
    /// Those of responses.
    pub(crate) predicted: u64,
    pub(crate) rows: u64,
    pub(crate) prompts: u64,
    /// Tokens of a sequence.
    pub(crate) longest: u64,
}

/// Sequences that replicas decode at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoding {
    /// Samplers that have something to do; they share all threads.
    pub(crate) replicas: u64,
    /// Rows of one at once.
    pub(crate) rows: u64,
    /// Prompts of one in a pass.
    pub(crate) contexts: u64,
    pub(crate) prompt: u64,
    pub(crate) response: u64,
}

/// The most that a run asks for in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) replicas: u64,
    pub(crate) prompts: u64,
    /// Members of a group that are sampled, and all that are learned from.
    pub(crate) samples: u64,
    pub(crate) members: u64,
    pub(crate) prompt: u64,
    pub(crate) response: u64,
    /// The largest micro-batch, how many a unit is cut into, and how many units a step has.
    pub(crate) batch: Batch,
    pub(crate) batches_per_unit: u64,
    pub(crate) units: u64,
    pub(crate) recompute: bool,
    pub(crate) tempered: bool,
    pub(crate) reference: bool,
    /// Bytes of the activations that sampling hands to the update; 0 where it hands over none.
    pub(crate) handed_over: u64,
    pub(crate) rollout: Option<Decoding>,
    pub(crate) evaluation: Option<Decoding>,
}

impl Work {
    pub(crate) fn of(config: &RunConfig, model: &ModelConfig) -> Self {
        let context = model.max_position_embeddings as u64;
        let response = u64::from(config.rollout.max_response_tokens).min(context.saturating_sub(1));
        let prompt = u64::from(config.data.max_prompt_tokens).min(context - response).max(1);
        let method = config.method.build();
        let (samples, members) = most_members(&*method, config.steps);
        let replicas = config.parallel.replicas.max(1);
        let samplers = n_samplers(model, replicas) as u64;
        let replicas = replicas as u64;
        let prompts = config.rollout.prompts_per_step as u64;
        let max_rows = config.rollout.max_rows as u64;
        let per_sampling = (config.parallel.sample_unit_prompts.max(1) as u64).min(prompts);
        let per_learning = (config.parallel.learn_unit_prompts.max(1) as u64).min(prompts);
        let per_unit = Batch {
            tokens: per_learning * (prompt + members * response),
            predicted: per_learning * members * response,
            rows: per_learning * members,
            prompts: per_learning,
            longest: prompt + response,
        };
        let batch = cut(per_unit, prompt, response, config.memory.max_tokens as u64);
        // Groups are drawn together where they fit.
        let contexts = per_sampling.min((max_rows / samples.max(1)).max(1));
        let sizes = Sizes::of(model);
        let handed_over = prompts * (prompt + samples * response) * sizes.activations_per_token();
        let unset = if sizes.matrices < WORTH_HANDING_OVER { 0.0 } else { HANDED_OVER_GIB };
        let room = config.memory.activations_gib.unwrap_or(unset) * f64::from(1 << 30);
        let is_handed_over = samples > 0 && !config.memory.recompute && handed_over as f64 <= room;
        Self {
            handed_over: if is_handed_over { handed_over } else { 0 },
            replicas,
            prompts,
            samples,
            members,
            prompt,
            response,
            batch,
            batches_per_unit: per_unit.tokens.div_ceil(batch.tokens.max(1)),
            units: prompts.div_ceil(per_learning),
            recompute: config.memory.recompute,
            tempered: (config.rollout.temperature - 1.0).abs() > 0.0,
            reference: method.needs_reference(),
            rollout: (samples > 0).then(|| Decoding {
                replicas: samplers.min(prompts.div_ceil(per_sampling)),
                rows: (per_sampling * samples).min(max_rows),
                contexts,
                prompt,
                response,
            }),
            evaluation: (!config.data.test.is_empty()).then(|| {
                let tests = most_tests(config);
                let rows = max_rows.min(tests);
                let replicas = samplers.min(tests.div_ceil(max_rows));
                Decoding { replicas, rows, contexts: rows, prompt, response }
            }),
        }
    }

    /// Tokens of all trajectories of a step.
    pub(crate) const fn step_tokens(&self) -> u64 {
        self.prompts * (self.prompt + self.members * self.response)
    }

    /// Replicas that compute gradients at once, and gradients that lie finished beside those: the sum, those
    /// that wait for an earlier unit, and those of earlier micro-batches of units in the making.
    pub(crate) fn gradients(&self) -> (u64, u64) {
        let busy = self.replicas.min(self.units);
        let sum = u64::from(self.units > busy);
        let waiting = if sum > 0 { busy - 1 } else { 0 };
        let earlier = if self.batches_per_unit > 1 { busy } else { 0 };
        (busy, sum + waiting + earlier)
    }
}

/// Problems of an evaluation, where the configuration tells.
fn most_tests(config: &RunConfig) -> u64 {
    // Four levels.
    let built_in = 4 * config.addition.test_problems_per_level;
    let is_built_in = config.data.test.iter().all(|file| file.path == BUILTIN_ADDITION);
    if is_built_in { built_in.max(1) } else { u64::MAX }
}

/// The largest micro-batch of a unit.
fn cut(unit: Batch, prompt: u64, response: u64, max_tokens: u64) -> Batch {
    let longest = prompt + response;
    if unit.tokens <= max_tokens.max(longest) {
        return unit;
    }
    let tokens = max_tokens.max(longest);
    // Rows of one prompt are neighbours: the first brings it.
    let per_prompt = (unit.rows / unit.prompts.max(1)).max(1);
    let group = prompt + per_prompt * response;
    let prompts = tokens.div_ceil(group).max(1);
    let predicted = tokens.saturating_sub(prompts * prompt).max(response);
    let rows = predicted.div_ceil(response.max(1)).max(1);
    Batch { tokens, predicted, rows, prompts, longest }
}

/// The most members that a method plans for a prompt with demonstrations, whatever the rewards: sampled ones,
/// and all of them.
fn most_members(method: &dyn Method, n_steps: u64) -> (u64, u64) {
    let prompt = asked();
    let (mut samples, mut members) = (0, 0);
    for step in [0, n_steps / 2, n_steps.saturating_sub(1)] {
        for reward in [0.0, 1.0] {
            let (some, all) = planned(method, &prompt, Progress { step, n_steps }, reward);
            (samples, members) = (samples.max(some), members.max(all));
        }
    }
    (samples, members)
}

fn planned(method: &dyn Method, prompt: &Prompt, progress: Progress, reward: f32) -> (u64, u64) {
    let draws = StreamKey {
        seed: 0,
        purpose: Purpose::Demonstration,
        step: progress.step,
        prompt: 0,
        member: 0,
    };
    let (mut rewards, mut samples) = (Vec::new(), 0);
    for _ in 0..MAX_ROUNDS {
        let plan = method.plan(prompt, &PlanRequest { progress, draws, rewards: &rewards });
        if plan.members.is_empty() {
            break;
        }
        let is_drawn = |member: &&MemberPlan| !matches!(member, MemberPlan::Demonstrate(_));
        samples += plan.members.iter().filter(is_drawn).count() as u64;
        rewards.resize(rewards.len() + plan.members.len(), reward);
    }
    (samples, rewards.len() as u64)
}

/// A prompt with as many demonstrations as any method takes.
fn asked() -> Prompt {
    let demonstration = TokenizedDemonstration {
        tokens: vec![0; ASKED_TOKENS],
        text: String::new(),
        behavior: Behavior::One,
        finish: FinishReason::Stop,
    };
    let task = Task {
        id: String::new(),
        source: String::new(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    Prompt { task, index: 0, tokens: Arc::from([0]), demonstrations: vec![demonstration; 64] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luffy_objective::MethodConfig;

    #[test]
    fn a_group_of_luffy_is_seven_samples_and_a_demonstration() {
        let method = MethodConfig::default().build();
        assert_eq!(most_members(&*method, 10), (7, 8));
    }

    #[test]
    fn a_unit_above_the_budget_is_cut_to_it_and_a_long_row_is_not() {
        let unit =
            Batch { tokens: 10 + 8 * 100, predicted: 800, rows: 8, prompts: 1, longest: 110 };
        assert_eq!(cut(unit, 10, 100, 1000), unit);
        let part = Batch { tokens: 310, predicted: 300, rows: 3, prompts: 1, longest: 110 };
        assert_eq!(cut(unit, 10, 100, 310), part);
        assert_eq!(cut(unit, 10, 100, 50).tokens, 110);
    }

    #[test]
    fn activations_are_handed_over_where_those_of_the_largest_step_fit() {
        let text = r#"{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
            "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_size": 4, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 8, "vocab_size": 10,
            "max_position_embeddings": 64, "rope_theta": 10000.0}"#;
        let model = ModelConfig::parse(text, "config.json".as_ref()).unwrap();
        let mut config = RunConfig::default();
        config.rollout.prompts_per_step = 3;
        config.rollout.max_response_tokens = 20;
        config.data.max_prompt_tokens = 10;
        // Three prompts of 10 tokens with seven samples of 20, 336 bytes a token.
        let bytes = 3 * (10 + 7 * 20) * 336;
        let of = |config: &RunConfig| Work::of(config, &model).handed_over;
        assert_eq!(of(&config), 0, "unasked it is not for so few parameters");
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        config.memory.activations_gib = Some(gib(bytes));
        assert_eq!(of(&config), bytes);
        config.memory.activations_gib = Some(gib(bytes - 1));
        assert_eq!(of(&config), 0);
        config.memory.activations_gib = Some(2.0);
        config.memory.recompute = true;
        assert_eq!(of(&config), 0);
    }

    #[test]
    fn a_large_model_has_one_sampler_and_a_small_one_one_for_each_replica() {
        let model = |hidden: u32| {
            let text = format!(
                r#"{{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
                "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_size": {hidden},
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
                "intermediate_size": {hidden}, "vocab_size": 512, "max_position_embeddings": 64,
                "rope_theta": 10000.0}}"#
            );
            ModelConfig::parse(&text, "config.json".as_ref()).unwrap()
        };
        let mut config = RunConfig::default();
        config.parallel.replicas = 2;
        config.rollout.prompts_per_step = 16;
        config.parallel.sample_unit_prompts = 8;
        let of = |hidden| Work::of(&config, &model(hidden)).rollout.unwrap().replicas;
        assert_eq!([of(64), of(4096)], [2, 1]);
    }

    #[test]
    fn gradients_wait_where_there_are_more_units_than_replicas() {
        let of = |replicas, units, batches_per_unit| {
            let model = ModelConfig::parse(
                include_str!("../../../../testdata/models/configs/qwen2.5-0.5b.json"),
                "config.json".as_ref(),
            );
            let work = Work::of(&RunConfig::default(), &model.unwrap());
            Work { replicas, batches_per_unit, units, ..work }.gradients()
        };
        // One unit alone; its sum is itself. Two replicas and many units: a sum, and one that waits.
        assert_eq!(
            [of(2, 1, 1), of(1, 8, 1), of(2, 8, 1), of(2, 8, 3)],
            [(1, 0), (1, 1), (2, 2), (2, 4)]
        );
    }
}
