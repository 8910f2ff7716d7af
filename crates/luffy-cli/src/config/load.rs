//! From recipes, files and arguments to a [`RunConfig`].

use std::path::PathBuf;

use anyhow::anyhow;

use super::RunConfig;
use crate::layers::Layers;

/// A built-in run file, possibly on top of others.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// What `--recipe` calls it.
    pub name: &'static str,
    /// One line for `luffy recipes`.
    pub about: &'static str,
    /// File names and texts, the later win.
    layers: &'static [(&'static str, &'static str)],
}

const ADDITION: (&str, &str) = ("addition.toml", include_str!("../../../../configs/addition.toml"));
const ADDITION_COMPARE: (&str, &str) =
    ("addition-compare.toml", include_str!("../../../../configs/addition-compare.toml"));
const GSM8K_TINY: (&str, &str) =
    ("gsm8k-tiny.toml", include_str!("../../../../configs/gsm8k-tiny.toml"));

/// All of them.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "addition",
        about: "the default job: a policy that can add learns to think (under a minute)",
        layers: &[ADDITION],
    },
    Recipe {
        name: "addition-compare",
        about: "every method on it, five seeds each, one report",
        layers: &[ADDITION, ADDITION_COMPARE],
    },
    Recipe {
        name: "gsm8k-tiny",
        about: "real data through a tiny random model; needs data.train and model.path",
        layers: &[GSM8K_TINY],
    },
];

fn recipe(name: &str) -> anyhow::Result<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name).ok_or_else(|| {
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        anyhow!("there is no recipe `{name}`; there are {}", names.join(", "))
    })
}

/// The text of a recipe as it was written, the files it builds on first.
///
/// # Errors
/// If there is none of that name.
pub fn recipe_text(name: &str) -> anyhow::Result<String> {
    Ok(recipe(name)?.layers.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n"))
}

/// What a configuration is made of, in ascending precedence.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// A built-in recipe.
    pub recipe: Option<&'a str>,
    /// TOML files, the later win.
    pub files: &'a [PathBuf],
    /// `key=value` arguments, the later win.
    pub sets: &'a [String],
}

/// Merges all layers over the defaults.
///
/// # Errors
/// An unknown key with its file, line and nearest name; a value of the wrong type; an unreadable file.
pub fn load(sources: &Sources<'_>) -> anyhow::Result<RunConfig> {
    let mut layers = over(sources.recipe)?;
    for file in sources.files {
        layers.file(file)?;
    }
    for argument in sources.sets {
        layers.set(argument)?;
    }
    layers.build()
}

/// Merges tables over a recipe, the later win. `name` is where they come from, for messages.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_tables(
    recipe: &str,
    name: &str,
    tables: &[&toml::Table],
) -> anyhow::Result<RunConfig> {
    let mut layers = over(Some(recipe))?;
    for table in tables {
        layers.recipe(name, &toml::to_string(table)?)?;
    }
    layers.build()
}

/// The layers of a recipe, or none.
fn over(name: Option<&str>) -> anyhow::Result<Layers> {
    let mut layers = Layers::new().tagged("method", "name").whole("optimizer.decay");
    if let Some(name) = name {
        for (file, text) in recipe(name)?.layers {
            layers.recipe(file, text)?;
        }
    }
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_fits_the_schema() {
        for recipe in RECIPES {
            let sources = Sources { recipe: Some(recipe.name), files: &[], sets: &[] };
            load(&sources).unwrap_or_else(|error| panic!("{}: {error:#}", recipe.name));
        }
    }

    #[test]
    fn arguments_win_over_the_recipe() {
        let sets = ["steps=7".to_owned(), "method.gamma=0.3".to_owned()];
        let config = load(&Sources { recipe: Some("addition"), files: &[], sets: &sets }).unwrap();
        assert_eq!(config.steps, 7);
        assert!(toml::to_string(&config).unwrap().contains("gamma = 0.3"));
    }

    #[test]
    fn a_resolved_configuration_reads_back_as_itself() {
        let config = load(&Sources { recipe: Some("addition"), files: &[], sets: &[] }).unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
    }

    #[test]
    fn an_unknown_key_names_its_nearest() {
        let sets = ["optimizer.lrr=1".to_owned()];
        let error =
            load(&Sources { recipe: Some("addition"), files: &[], sets: &sets }).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("optimizer.lrr") && text.contains("lr"), "{text}");
    }
}
