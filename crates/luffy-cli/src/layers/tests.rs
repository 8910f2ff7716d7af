use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Config {
    seed: u64,
    method: Method,
    optimizer: Optimizer,
    data: Data,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
enum Method {
    Luffy {
        #[serde(default)]
        gamma: f64,
        #[serde(default)]
        n_off: u32,
    },
    Grpo {
        #[serde(default)]
        clip: f64,
    },
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Optimizer {
    learning_rate: f64,
    warmup_steps: u64,
    decay: Decay,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Decay {
    #[default]
    Constant,
    Linear {
        from: u64,
        floor: f64,
    },
    Cosine {
        floor: f64,
    },
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Data {
    train: Vec<String>,
    shuffle: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            method: Method::Luffy { gamma: 0.1, n_off: 1 },
            optimizer: Optimizer::default(),
            data: Data::default(),
        }
    }
}

fn layers() -> Layers {
    Layers::new().tagged("method", "name").whole("optimizer.decay")
}

fn read(recipe: &str, sets: &[&str]) -> anyhow::Result<Config> {
    let mut layers = layers();
    layers.recipe("r", recipe)?;
    for set in sets {
        layers.set(set)?;
    }
    layers.build()
}

/// The message that a recipe and `--set` arguments give.
fn check(recipe: &str, sets: &[&str], message: &str) {
    assert_eq!(read(recipe, sets).unwrap_err().to_string(), message);
}

#[test]
fn later_layers_win_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut layers = layers();
    layers.recipe("r", "seed = 1\n[optimizer]\nlearning-rate = 1.0\nwarmup-steps = 1\n").unwrap();
    layers.file(&file("a.toml", "seed = 2\n[optimizer]\nwarmup-steps = 2\n")).unwrap();
    layers.file(&file("b.toml", "optimizer.warmup-steps = 3")).unwrap();
    layers.set("seed=4").unwrap();
    let config: Config = layers.build().unwrap();
    assert_eq!((config.seed, config.optimizer.warmup_steps), (4, 3));
    assert!((config.optimizer.learning_rate - 1.0).abs() < 1e-12);
    assert_eq!(layers.origin("seed"), Some("--set seed=4"));
    assert_eq!(layers.origin("optimizer.learning-rate"), Some("recipe r:3"));
    assert!(layers.origin("optimizer.warmup-steps").unwrap().ends_with("b.toml:1"));
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(Layers::new().build::<Config>().unwrap(), Config::default());
}

#[test]
fn a_set_value_is_toml_or_else_a_string() {
    let config = read("", &["data.train=[\"a\", \"b\"]", "data.shuffle = true"]).unwrap();
    assert_eq!(config.data, Data { train: vec!["a".into(), "b".into()], shuffle: true });
    let mut layers = Layers::new();
    for (argument, value) in [
        ("a=x/y.toml", Value::String("x/y.toml".into())),
        ("a=\"5\"", Value::String("5".into())),
        ("a=", Value::String(String::new())),
        ("a=b=c", Value::String("b=c".into())),
        ("a=1\nb = 2", Value::String("1\nb = 2".into())),
        ("a=1e-4", Value::Float(1e-4)),
    ] {
        layers.set(argument).unwrap();
        assert_eq!(layers.table()["a"], value, "{argument}");
    }
}

#[test]
fn a_malformed_set_names_itself() {
    check(
        "",
        &["seed"],
        "--set seed: no `=`; write --set KEY=VALUE, as in --set optimizer.lr=1e-4",
    );
    check("", &["a b=1"], "--set a b=1: `a b` is no dotted key");
}

#[test]
fn an_unknown_key_names_place_and_nearest_name() {
    check(
        "seed = 1\n\n[optimizer]\nlearning_rate = 1\n",
        &[],
        "recipe r:4: unknown key `optimizer.learning_rate`; did you mean `optimizer.learning-rate`?",
    );
    check(
        "",
        &["optimiser.warmup-steps=3"],
        "--set optimiser.warmup-steps=3: unknown key `optimiser`; did you mean `optimizer`?",
    );
    check(
        "warmup-steps = 1",
        &[],
        "recipe r:1: unknown key `warmup-steps`; did you mean `optimizer.warmup-steps`?",
    );
    check("[data]\nzzz = 1", &[], "recipe r:2: unknown key `data.zzz` (known: train, shuffle)");
}

#[test]
fn an_unknown_key_of_a_method_names_it_too() {
    check(
        "[method]\nname = \"luffy\"\n\ngama = 0.2",
        &[],
        "recipe r:4: unknown key `method.gama`; did you mean `method.gamma`?",
    );
    check(
        "[optimizer.decay]\nlinear = { from = 1, flor = 0.1 }",
        &[],
        "recipe r:2: unknown key `optimizer.decay.linear.flor`; did you mean `optimizer.decay.linear.floor`?",
    );
}

#[test]
fn a_wrong_type_names_place_expected_and_found() {
    check(
        "[optimizer]\nlearning-rate = \"fast\"",
        &[],
        "recipe r:2: `optimizer.learning-rate` must be a number, found string \"fast\"",
    );
    check(
        "",
        &["seed=-1"],
        "--set seed=-1: `seed` must be a whole number of at least 0, found integer `-1`",
    );
    check("data = 3", &[], "recipe r:1: `data` must be a table, found integer `3`");
    check(
        "data.train = [\n \"a\",\n 5]",
        &[],
        "recipe r:1: `data.train` must be a string, found integer `5`",
    );
    check(
        "",
        &["data.shuffle=yes"],
        "--set data.shuffle=yes: `data.shuffle` must be true or false, found string \"yes\"",
    );
}

#[test]
fn a_wrong_type_in_a_method_is_found_though_serde_forgets_where() {
    check(
        "[method]\nname = \"luffy\"\nn_off = 1\ngamma = \"big\"",
        &[],
        "recipe r:4: `method.gamma` must be a number, found string \"big\"",
    );
}

#[test]
fn an_unknown_variant_lists_the_possible_ones() {
    check(
        "",
        &["method.name=lufy"],
        "--set method.name=lufy: `method.name` cannot be `lufy`; did you mean `luffy`? (possible: luffy, grpo)",
    );
}

#[test]
fn a_missing_key_is_named() {
    check(
        "optimizer.decay.linear.from = 3",
        &[],
        "recipe r:1: `optimizer.decay.linear.floor` is missing and has no default",
    );
    check("[method]\ngamma = 1", &[], "recipe r:1: `method.name` is missing and has no default");
}

#[test]
fn another_method_drops_the_fields_of_the_first() {
    let recipe = "[method]\nname = \"luffy\"\ngamma = 0.3";
    assert_eq!(read(recipe, &["method.name=grpo"]).unwrap().method, Method::Grpo { clip: 0.0 });
    assert_eq!(
        read(recipe, &["method.name=luffy"]).unwrap().method,
        Method::Luffy { gamma: 0.3, n_off: 0 }
    );
}

#[test]
fn a_whole_table_is_replaced() {
    let recipe = "[optimizer.decay.linear]\nfrom = 1\nfloor = 0.1";
    let config = read(recipe, &["optimizer.decay={ cosine = { floor = 0.2 } }"]).unwrap();
    assert_eq!(config.optimizer.decay, Decay::Cosine { floor: 0.2 });
    assert_eq!(
        read(recipe, &["optimizer.decay=constant"]).unwrap().optimizer.decay,
        Decay::Constant
    );
}

#[test]
fn broken_toml_names_file_and_line() {
    check("seed = 1\nseed = 2\n", &[], "recipe r:2: duplicate key");
    let error = Layers::new().file(FilePath::new("/no/such.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration /no/such.toml");
}
