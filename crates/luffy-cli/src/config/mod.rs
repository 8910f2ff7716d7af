//! What a run file may say. `docs/src/configuration.md` explains every key.

use luffy_core::{AdamWSettings, Sampling};
use luffy_data::{Admission, ColumnNames};
use luffy_objective::MethodConfig;
use luffy_trainer::{Decay, Schedule};
use serde::{Deserialize, Serialize};

mod data_file;
mod load;
mod reward;

pub use data_file::DataFile;
pub(crate) use load::load_tables;
pub use load::{RECIPES, Sources, load, recipe_text};
pub use reward::{RewardSection, VerifierName, build_verifier};

/// Names a built-in model or data set instead of a path.
pub const BUILTIN_ADDITION: &str = "builtin:addition";

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RunConfig {
    /// Keys every random stream.
    pub seed: u64,
    /// Training steps.
    pub steps: u64,
    /// The policy to start from.
    pub model: ModelSection,
    /// Prompts and demonstrations.
    pub data: DataSection,
    /// The built-in addition task, used where `data` names it.
    pub addition: AdditionSection,
    /// What is learned from what: `name` and the parameters of that method.
    pub method: MethodConfig,
    /// How responses are drawn.
    pub rollout: RolloutSection,
    /// How responses are graded.
    pub reward: RewardSection,
    /// `AdamW` and its learning rate.
    pub optimizer: OptimizerSection,
    /// Accuracy on the test data while training.
    pub evaluation: EvaluationSection,
    /// What is kept on disk.
    pub checkpoint: CheckpointSection,
    /// What trades computation for memory.
    pub memory: MemorySection,
    /// How work is spread; the unit sizes are part of what a run computes, `replicas` is not.
    pub parallel: ParallelSection,
    /// Several methods and seeds in one go; empty lists mean a single run.
    pub compare: CompareSection,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 500,
            model: ModelSection::default(),
            data: DataSection::default(),
            addition: AdditionSection::default(),
            method: MethodConfig::default(),
            rollout: RolloutSection::default(),
            reward: RewardSection::default(),
            optimizer: OptimizerSection::default(),
            evaluation: EvaluationSection::default(),
            checkpoint: CheckpointSection::default(),
            memory: MemorySection::default(),
            parallel: ParallelSection::default(),
            compare: CompareSection::default(),
        }
    }
}

/// The policy to start from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ModelSection {
    /// A Hugging Face folder, or `builtin:addition`.
    pub path: String,
    /// A chat template that replaces the folder's own: a file or a name; empty or `own` for none.
    pub chat_template: String,
}

/// Prompts and demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DataSection {
    /// Training files (`.parquet`, `.jsonl`), or `builtin:addition`, with their weights.
    pub train: Vec<DataFile>,
    /// Files to evaluate on, without weights; may be empty.
    pub test: Vec<DataFile>,
    /// Prompts longer than this many tokens are left out and counted.
    pub max_prompt_tokens: u32,
    /// Leave out prompts that have no usable demonstration.
    pub require_demonstration: bool,
    /// What becomes of demonstrations that are wrong, malformed or cut: `drop` or `keep`.
    pub admission: Admission,
    /// Names of the columns.
    pub columns: ColumnNames,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            test: Vec::new(),
            max_prompt_tokens: 1024,
            require_demonstration: false,
            admission: Admission::Drop,
            columns: ColumnNames::default(),
        }
    }
}

/// The built-in addition task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdditionSection {
    /// Training problems.
    pub train_problems: u64,
    /// Test problems of each level.
    pub test_problems_per_level: u64,
    /// Keys the training problems; the test problems are the same for every seed.
    pub seed: u64,
    /// Share of traces in which the teacher forgets every carry.
    pub fault_rate: f64,
    /// Levels (digits of both numbers) that are trained on; empty for all four.
    pub levels: Vec<u32>,
}

impl Default for AdditionSection {
    fn default() -> Self {
        Self {
            train_problems: 3840,
            test_problems_per_level: 200,
            seed: 0,
            fault_rate: 0.7,
            levels: Vec::new(),
        }
    }
}

/// How responses are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RolloutSection {
    /// Prompts in a step.
    pub prompts_per_step: usize,
    /// Most tokens of a response; longer demonstrations are left out and counted.
    pub max_response_tokens: u32,
    /// Of the softmax that tokens are drawn from, and that log-probs are taken under in training.
    pub temperature: f32,
    /// Sequences that one replica decodes at once.
    pub max_rows: usize,
}

impl Default for RolloutSection {
    fn default() -> Self {
        Self { prompts_per_step: 128, max_response_tokens: 8192, temperature: 1.0, max_rows: 256 }
    }
}

impl RolloutSection {
    /// The sampling rule of training rollouts.
    pub const fn sampling(&self) -> Sampling {
        Sampling::temperature(self.temperature)
    }
}

/// `AdamW` and its learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OptimizerSection {
    /// Full learning rate.
    pub lr: f64,
    /// Steps over which it rises from zero.
    pub warmup_steps: u64,
    /// `"constant"`, `{ linear = { from, floor } }` or `{ cosine = { floor } }`.
    pub decay: Decay,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
}

impl Default for OptimizerSection {
    fn default() -> Self {
        let AdamWSettings { beta1, beta2, epsilon, weight_decay, max_grad_norm } =
            AdamWSettings::default();
        Self {
            lr: 1e-6,
            warmup_steps: 0,
            decay: Decay::Constant,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            max_grad_norm,
        }
    }
}

impl OptimizerSection {
    /// The learning-rate schedule.
    pub const fn schedule(&self) -> Schedule {
        Schedule { lr: self.lr, warmup_steps: self.warmup_steps, decay: self.decay }
    }

    /// The optimiser.
    pub const fn adamw(&self) -> AdamWSettings {
        AdamWSettings {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
        }
    }
}

/// Accuracy on the test data while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EvaluationSection {
    /// Steps between evaluations; 0 for the first and the last only.
    pub every: u64,
    /// Test prompts used in evaluations between the first and the last, evenly spread; 0 for all.
    pub max_problems: usize,
    /// 0 is greedy.
    pub temperature: f32,
}

impl Default for EvaluationSection {
    fn default() -> Self {
        Self { every: 10, max_problems: 0, temperature: 0.6 }
    }
}

impl EvaluationSection {
    /// The sampling rule of evaluations.
    pub fn sampling(&self) -> Sampling {
        if self.temperature > 0.0 {
            Sampling::temperature(self.temperature)
        } else {
            Sampling::Greedy
        }
    }
}

/// What is kept on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CheckpointSection {
    /// Steps between checkpoints; 0 for the last step only.
    pub every: u64,
    /// Newest checkpoints to keep; 0 keeps all.
    pub keep_last: usize,
    /// Steps between stored rollouts; 0 stores none, 1 all.
    pub rollouts_every: u64,
}

impl Default for CheckpointSection {
    fn default() -> Self {
        Self { every: 50, keep_last: 2, rollouts_every: 1 }
    }
}

/// What trades computation for memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MemorySection {
    /// Keep the input of each layer alone, and run the layer again on the way back.
    pub recompute: bool,
    /// Tokens of a micro-batch, padding included; a longer row is one by itself.
    pub max_tokens: usize,
    /// Room, in GiB, for activations that sampling hands to the update on the same weights, which then need not compute
    /// them again. They are handed over where those of the largest possible step fit; 0 never. Unset, 2 GiB for models
    /// of a size that it pays for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations_gib: Option<f64>,
    /// Whether the largest micro-batch is tried before the first step; unset where the plan decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub try_largest: Option<bool>,
}

impl Default for MemorySection {
    fn default() -> Self {
        Self { recompute: false, max_tokens: 16_384, activations_gib: None, try_largest: None }
    }
}

/// How work is spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ParallelSection {
    /// Workers side by side; 0 for one per core on `flex` and one elsewhere.
    pub replicas: usize,
    /// Prompts per unit of sampling.
    pub sample_unit_prompts: usize,
    /// Prompts per unit of learning.
    pub learn_unit_prompts: usize,
}

impl Default for ParallelSection {
    fn default() -> Self {
        Self { replicas: 0, sample_unit_prompts: 16, learn_unit_prompts: 1 }
    }
}

/// Several methods and seeds in one go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CompareSection {
    /// The arms, by name; a run per arm and seed.
    pub methods: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
}
