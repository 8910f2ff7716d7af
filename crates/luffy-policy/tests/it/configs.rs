//! Configurations of published models, and of what is refused.
//!
//! The files in `testdata/models/configs` were written from memory of the published ones; the numbers of
//! parameters are what transformers 4.57.6 builds from each (on its meta device), equal to the published
//! counts where those are known.

use std::path::PathBuf;

use luffy_policy::{ModelConfig, parameter_shapes};

fn read(name: &str) -> Result<ModelConfig, String> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models/configs");
    let path = dir.join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).expect("the file is there");
    ModelConfig::parse(&text, &PathBuf::from(name)).map_err(|error| error.to_string())
}

#[test]
fn published_models_have_their_number_of_parameters() {
    for (name, wanted) in [
        ("deepseek-r1-distill-qwen-1.5b", 1_777_088_000),
        ("llama-2-7b", 6_738_415_616),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-8b-instruct", 8_030_261_248),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-1b-as-transformers-5-writes", 1_235_814_400),
        ("mistral-7b-v0.3", 7_248_023_552),
        ("mistral-nemo-base-2407", 12_247_782_400),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-7b-instruct", 7_615_616_512),
        ("qwen2.5-math-7b", 7_615_616_512),
        ("qwen2.5-math-7b-16k-think", 7_615_616_512),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-8b-as-transformers-5-writes", 8_190_735_360),
        ("qwen3-attention-bias", 596_193_280),
    ] {
        let config = read(name).unwrap_or_else(|error| panic!("{error}"));
        let shapes = parameter_shapes(&config);
        let found: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn both_spellings_of_the_rotary_settings_mean_the_same() {
    for (older, newer) in [
        ("llama-3.2-1b", "llama-3.2-1b-as-transformers-5-writes"),
        ("qwen3-8b", "qwen3-8b-as-transformers-5-writes"),
    ] {
        let rope = |name| read(name).expect("it is supported").rope;
        assert_eq!(rope(older), rope(newer));
    }
    let theta =
        read("llama-theta-null-beside-rope-parameters").expect("it is supported").rope.theta;
    assert!(theta > 10_000.0, "null is not the default where the value stands elsewhere: {theta}");
}

/// The whole message for each configuration that is not computed here.
#[test]
fn what_is_refused_says_what_and_what_would_do() {
    const FAMILIES: &str = r#"supported: "qwen2", "llama", "qwen3", "mistral""#;
    const ROPE: &str = r#"supported: "default", "linear", "llama3""#;
    const WINDOW: &str = "supported: null: Mistral without a sliding window (v0.2 and later)";
    for (name, wanted) in [
        ("gemma-2-2b", format!(r#"`model_type` is "gemma2"; {FAMILIES}"#)),
        ("phi-3-mini-128k-instruct", format!(r#"`model_type` is "phi3"; {FAMILIES}"#)),
        ("qwen1.5-moe-a2.7b", format!(r#"`model_type` is "qwen2_moe"; {FAMILIES}"#)),
        ("qwen3-30b-a3b", format!(r#"`model_type` is "qwen3_moe"; {FAMILIES}"#)),
        ("llama-dynamic", format!(r#"`rope_scaling.rope_type` is "dynamic"; {ROPE}"#)),
        ("llama-yarn", format!(r#"`rope_scaling.rope_type` is "yarn"; {ROPE}"#)),
        ("yarn-llama-2-7b-64k", format!(r#"`rope_scaling.rope_type` is "yarn"; {ROPE}"#)),
        ("qwen2.5-7b-instruct-yarn", format!(r#"`rope_scaling.rope_type` is "yarn"; {ROPE}"#)),
        ("qwen3-8b-yarn-rope-parameters", format!(r#"`rope_parameters.rope_type` is "yarn"; {ROPE}"#)),
        ("qwen2-mrope", format!(r#"`rope_scaling.rope_type` is "mrope"; {ROPE}"#)),
        ("mistral-7b-v0.1", format!("`sliding_window` is 4096; {WINDOW}")),
        ("mistral-7b-window-missing", format!("`sliding_window` is absent, which means 4096; {WINDOW}")),
        ("qwen2.5-math-7b-window-used", "`use_sliding_window` is true; supported: false".into()),
        (
            "qwen2.5-math-7b-window-used-by-none",
            "`use_sliding_window` is true; supported: false".into(),
        ),
        ("qwen3-8b-layer-types-sliding", "`use_sliding_window` is true; supported: false".into()),
        ("llama-gelu", r#"`hidden_act` is "gelu"; supported: "silu""#.into()),
        (
            "llama-partial-rotary",
            "`rope_parameters.partial_rotary_factor` is 0.5; supported: 1: positions rotate whole heads".into(),
        ),
        (
            "qwen2.5-math-rm-72b-like",
            r#"`architectures` is ["Qwen2ForRewardModel"]; supported: ["Qwen2ForCausalLM"]: a language model with a head"#.into(),
        ),
    ] {
        let error = read(name).expect_err(name);
        assert_eq!(error, format!("{name}: {wanted}"));
    }
    for name in ["qwen2.5-0.5b-instruct-gptq-int4", "llama-fp8"] {
        let error = read(name).expect_err(name);
        assert!(error.contains("`quantization_config` is {"), "{error}");
    }
}
