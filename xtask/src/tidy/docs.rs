//! The book says what the program knows.

use super::Violation;
use super::source::{code_of, library_lines};
use super::tree::Tree;

const METRICS: &str = "docs/src/metrics.md";
const CONFIGURATION: &str = "docs/src/configuration.md";
const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Where metrics get their names.
const METRIC_CRATES: [&str; 2] = ["crates/luffy-trainer/src/", "crates/luffy-objective/src/"];

/// Every metric id, a literal like `actor/pg_loss`, stands in the page about metrics.
pub(super) fn metrics_are_explained(tree: &Tree) -> Vec<Violation> {
    let page = tree.text(METRICS);
    let mut found = Vec::new();
    for (path, text) in METRIC_CRATES.iter().flat_map(|folder| tree.files(folder, ".rs")) {
        for (at, line) in library_lines(text) {
            for literal in code_of(line).split('"').skip(1).step_by(2).filter(|s| is_metric_id(s)) {
                // `val/{source}` is written `val/<source>` in the page.
                let fixed = literal.split('{').next().unwrap_or(literal);
                let is_explained = if fixed == literal {
                    page.contains(&format!("`{literal}`"))
                } else {
                    page.contains(&format!("`{fixed}<"))
                };
                if !is_explained {
                    found.push(Violation::new(
                        path,
                        at,
                        format!("the metric `{literal}` is not in {METRICS}"),
                    ));
                }
            }
        }
    }
    found
}

fn is_metric_id(literal: &str) -> bool {
    literal.contains('/')
        && literal.starts_with(|c: char| c.is_ascii_lowercase())
        && !literal.contains("//")
        && literal
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/{}".contains(c))
        && literal.split('/').all(|part| !part.is_empty())
}

/// Every public field of a config struct stands in the page about configuration, as written in TOML.
pub(super) fn config_keys_are_explained(tree: &Tree) -> Vec<Violation> {
    let page = tree.text(CONFIGURATION);
    let mut found = Vec::new();
    let files = tree
        .files("crates/luffy-cli/src/config/", ".rs")
        .chain(tree.files("crates/luffy-cli/src/config.rs", ".rs"));
    for (path, text) in files {
        // Attributes speak of the struct or field below them; what TOML is read into says so.
        let mut attributes = String::new();
        let mut is_config = false;
        for (at, line) in library_lines(text) {
            let line = code_of(line).trim();
            if line.starts_with("#[") {
                attributes.push_str(line);
                continue;
            }
            if line.contains("struct ") {
                is_config = attributes.contains("Deserialize");
            }
            if let Some(key) = config_key(line, &attributes).filter(|_| is_config)
                && !is_explained(page, &key)
            {
                found.push(Violation::new(
                    path,
                    at,
                    format!("the key `{key}` is not in {CONFIGURATION}"),
                ));
            }
            if !line.is_empty() {
                attributes.clear();
            }
        }
    }
    found
}

/// The TOML key of a line that declares a public field.
fn config_key(line: &str, attributes: &str) -> Option<String> {
    let (name, after) = line.strip_prefix("pub ")?.split_once(':')?;
    let is_field = !name.is_empty()
        && !after.starts_with(':')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_field || attributes.contains("skip") || attributes.contains("flatten") {
        return None;
    }
    let renamed = attributes
        .split("rename = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .map(ToOwned::to_owned);
    Some(renamed.unwrap_or_else(|| name.replace('_', "-")))
}

/// Whether `page` speaks of `key`: in backticks as `key`, `section.key` or `[section]`, or in an example.
fn is_explained(page: &str, key: &str) -> bool {
    page.contains(&format!("`{key}`"))
        || page.contains(&format!(".{key}`"))
        || page.contains(&format!("[{key}]"))
        || page.lines().any(|line| line.split_once('=').is_some_and(|(name, _)| name.trim() == key))
}

/// Relative links of every page resolve, and the summary lists every page of the book.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.files("", ".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut in_code = false;
        for (at, line) in text.lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            if in_code {
                continue;
            }
            for target in link_targets(line) {
                let file = target.split('#').next().unwrap_or(target);
                if !file.is_empty() && !resolve(folder, file).is_some_and(|file| tree.has(&file)) {
                    found.push(Violation::new(
                        path,
                        at + 1,
                        format!("the link to `{target}` leads nowhere"),
                    ));
                }
            }
        }
    }
    for (path, _) in tree.files("docs/src/", ".md").filter(|(path, _)| *path != SUMMARY) {
        let page = path.trim_start_matches("docs/src/");
        if !tree.text(SUMMARY).contains(&format!("({page})"))
            && !tree.text(SUMMARY).contains(&format!("(./{page})"))
        {
            found.push(Violation::new(
                SUMMARY,
                0,
                format!("the page `{page}` is not in the summary"),
            ));
        }
    }
    found
}

/// The local targets of `[text](target)` in a line; code spans hold none.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split('`')
        .step_by(2)
        .flat_map(|prose| prose.split("](").skip(1))
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

/// `file` seen from `folder`, relative to the root; `None` if it leaves the checkout.
fn resolve(folder: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::check::{breach, clean};
    use super::*;

    #[test]
    fn a_metric_that_nobody_explains_is_found() {
        let path = "crates/luffy-trainer/src/report.rs";
        let page = ("docs/src/metrics.md", "| `actor/pg_loss` | `val/test_score/<source>` |");
        clean(
            metrics_are_explained,
            &[
                page,
                (
                    path,
                    "add(\"actor/pg_loss\"); format!(\"val/test_score/{source}\"); \"a sentence/x\"",
                ),
            ],
        );
        breach(
            metrics_are_explained,
            &[page, (path, "\nadd(\"actor/pg\");")],
            (path, 2),
            "actor/pg",
        );
        breach(
            metrics_are_explained,
            &[page, (path, "format!(\"eval/{source}\")")],
            (path, 1),
            "eval/{source}",
        );
    }

    #[test]
    fn a_config_key_that_nobody_explains_is_found() {
        let path = "crates/luffy-cli/src/config/run.rs";
        let page = (
            "docs/src/configuration.md",
            "| `method.group-size` |\n```toml\n[rest]\nlr = 1\n```\na group",
        );
        let known = "pub struct Other {\n    pub unknown: u8,\n}\n#[derive(Deserialize)]\npub struct Run {\n    pub group_size: u32,\n    #[serde(rename = \"lr\")]\n    \
                     /// Rate.\n    pub learning_rate: f64,\n    pub rest: Rest,\n    #[serde(flatten)]\n    pub more: More,\n}\n\
                     pub fn other(a: u8) {}\n";
        clean(config_keys_are_explained, &[page, (path, known)]);
        breach(
            config_keys_are_explained,
            &[page, (path, "#[derive(Deserialize)]\nstruct Run {\n    pub group: u32,\n}")],
            (path, 3),
            "`group`",
        );
    }

    #[test]
    fn a_broken_link_and_a_lost_page_are_found() {
        let summary = ("docs/src/SUMMARY.md", "- [A](a.md)");
        let good =
            "[x](../../README.md#top), [y](https://a.b), `[z](no.md)`\n```text\n[w](no.md)\n```";
        clean(
            links_lead_somewhere,
            &[summary, ("docs/src/a.md", good), ("README.md", "[docs](docs/src/)")],
        );
        breach(
            links_lead_somewhere,
            &[summary, ("docs/src/a.md", "\n[x](b.md)")],
            ("docs/src/a.md", 2),
            "b.md",
        );
        breach(
            links_lead_somewhere,
            &[summary, ("docs/src/a.md", ""), ("docs/src/b.md", "")],
            ("docs/src/SUMMARY.md", 0),
            "b.md",
        );
    }
}
