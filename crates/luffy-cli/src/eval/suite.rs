//! Benchmarks by name, over files that are there already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use luffy_core::{Message, Task};
use luffy_data::{ColumnNames, read_tasks};

use super::record::DataCounts;
use super::settings::cleaned;
use super::{names, options};
use crate::config::VerifierName;
use crate::exit::{Code, WithCode};

/// A named benchmark: the rows of one source in one of LUFFY's files.
struct Suite {
    name: &'static str,
    /// Its `data_source`.
    source: &'static str,
    /// Where it is looked for, the first file that is there.
    files: &'static [&'static str],
    verifier: VerifierName,
}

const MATH: &[&str] = &["valid.all.parquet", "valid.parquet"];

const fn math(name: &'static str, source: &'static str) -> Suite {
    Suite { name, source, files: MATH, verifier: VerifierName::Math }
}

/// In the order of the paper's tables.
const SUITES: [Suite; 7] = [
    math("aime24", "aime"),
    math("aime25", "aime25"),
    math("amc", "amc"),
    math("math500", "math"),
    math("minerva", "minerva"),
    math("olympiad", "olympiad_bench"),
    Suite {
        name: "arc-c",
        source: "arc_c",
        files: &["valid.arc_c.parquet"],
        verifier: VerifierName::Choice,
    },
];

/// The six benchmarks of mathematics together.
const GROUP: &str = "luffy";

/// A problem with everything that grading it needs.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) task: Task,
    /// Number of its file in the upper half, of its first row there in the lower: keys its random streams,
    /// whatever else is evaluated with it.
    pub(super) key: u64,
    /// Rows that are this problem.
    pub(super) n_rows: u32,
    pub(super) verifier: VerifierName,
}

/// What to evaluate on.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection<'a> {
    pub(super) files: &'a [PathBuf],
    /// What the columns of the files are called; those of suites have LUFFY's names.
    pub(super) columns: ColumnNames,
    pub(super) suites: &'a [String],
    pub(super) data_dir: Option<&'a Path>,
    /// Most problems of each source.
    pub(super) limit: Option<usize>,
    /// Who grades, in place of the suite's own.
    pub(super) verifier: Option<VerifierName>,
}

/// The problems of a selection.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) problems: Vec<Problem>,
    /// What was read of the selected sources, before the limit.
    pub(super) data: DataCounts,
    /// The files, in the order their numbers count.
    pub(super) files: Vec<PathBuf>,
}

/// Reads a selection; rows with the same source, conversation and golds become one problem.
pub(super) fn read(selection: &Selection<'_>) -> anyhow::Result<Selected> {
    let suites = suites(selection.suites).code(Code::Config)?;
    let mut parts: Vec<(PathBuf, Option<&Suite>)> =
        selection.files.iter().map(|file| (file.clone(), None)).collect();
    for suite in suites {
        parts.push((find(suite, selection.data_dir)?, Some(suite)));
    }
    let mut files: Vec<PathBuf> = Vec::new();
    let mut places: Vec<PathBuf> = Vec::new();
    let mut read: Vec<Vec<Task>> = Vec::new();
    let paths: Vec<PathBuf> = parts.iter().map(|(path, _)| place(path)).collect();
    let mut collapsed = Collapsed::default();
    for (path, suite) in parts {
        let place = place(&path);
        let known = places.iter().position(|known| *known == place);
        let number = known.unwrap_or(files.len());
        if known.is_none() {
            let default = ColumnNames::default();
            let columns = if suite.is_some() { &default } else { &selection.columns };
            let mut tasks = read_tasks(&path, columns).code(Code::Input)?;
            names::rename(&mut tasks, &path, &names::label(&place, &paths));
            read.push(tasks);
            files.push(path.clone());
            places.push(place);
        }
        let mut n_rows = 0;
        for (row, task) in read[number].iter().enumerate() {
            if suite.is_none_or(|suite| suite.source == task.source) {
                let own = suite.map_or(VerifierName::Math, |suite| suite.verifier);
                let verifier = selection.verifier.unwrap_or(own);
                n_rows += 1;
                collapsed.add((number as u64) << 32 | row as u64, task, verifier);
            }
        }
        if let Some(suite) = suite.filter(|_| n_rows == 0) {
            let (name, source, path) = (suite.name, suite.source, path.display());
            let error = anyhow!("suite `{name}`: {path} has no rows with data_source `{source}`");
            return Err(error).code(Code::Input);
        }
    }
    let data =
        DataCounts { rows: collapsed.rows.len() as u64, problems: collapsed.problems.len() as u64 };
    Ok(Selected { problems: limited(collapsed.problems, selection.limit), data, files })
}

/// Where a file is, however it was named.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| cleaned(path))
}

/// The suites by name, groups taken apart, each once.
fn suites(names: &[String]) -> anyhow::Result<Vec<&'static Suite>> {
    let mut chosen: Vec<&'static Suite> = Vec::new();
    for name in names {
        let named: Vec<&'static Suite> = SUITES
            .iter()
            .filter(|suite| suite.name == name || name == GROUP && suite.files == MATH)
            .collect();
        let known = || SUITES.map(|suite| suite.name).join(", ");
        ensure!(!named.is_empty(), "no suite `{name}`; there are {}, {GROUP}", known());
        for suite in named {
            if !chosen.iter().any(|other| other.name == suite.name) {
                chosen.push(suite);
            }
        }
    }
    Ok(chosen)
}

/// The file of a suite.
fn find(suite: &Suite, dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let name = suite.name;
    let dir = dir
        .with_context(|| format!("suite `{name}` needs `--data-dir`, the folder of its file"))
        .code(Code::Config)?;
    suite
        .files
        .iter()
        .map(|file| dir.join(file))
        .find(|path| path.exists())
        .with_context(|| {
            format!("suite `{name}`: {} has no {}", dir.display(), suite.files.join(" and no "))
        })
        .code(Code::Input)
}

/// Problems in the order of their first rows.
#[derive(Default)]
struct Collapsed {
    problems: Vec<Problem>,
    by_content: BTreeMap<String, usize>,
    /// Rows that were added, by key: a file may be named twice.
    rows: BTreeSet<u64>,
}

impl Collapsed {
    fn add(&mut self, key: u64, task: &Task, verifier: VerifierName) {
        if !self.rows.insert(key) {
            return;
        }
        let content = serde_json::json!([task.source, task.messages, task.golds]).to_string();
        if let Some(known) = self.by_content.get(&content) {
            self.problems[*known].n_rows += 1;
            return;
        }
        self.by_content.insert(content, self.problems.len());
        let mut task = task.clone();
        if verifier == VerifierName::Choice {
            options::match_golds(&mut task);
        }
        self.problems.push(Problem { task, key, n_rows: 1, verifier });
    }
}

/// The first problems of each source.
fn limited(problems: Vec<Problem>, limit: Option<usize>) -> Vec<Problem> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    problems
        .into_iter()
        .filter(|problem| {
            let count = counts.entry(problem.task.source.clone()).or_default();
            *count += 1;
            limit.is_none_or(|limit| *count <= limit)
        })
        .collect()
}

/// The conversation without its system message: what LUFFY's evaluation asks.
pub(super) fn without_system(messages: &[Message]) -> &[Message] {
    match messages.split_first() {
        Some((first, rest)) if first.role == "system" && !rest.is_empty() => rest,
        _ => messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(source: &str, question: &str, gold: &str) -> Task {
        Task {
            id: format!("{source}:{question}"),
            source: source.into(),
            messages: vec![Message::user(question)],
            golds: vec![gold.into()],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        }
    }

    #[test]
    fn rows_are_one_problem_if_source_question_and_golds_agree() {
        let mut collapsed = Collapsed::default();
        for (row, (source, question, gold)) in
            [("a", "q", "1"), ("a", "r", "1"), ("a", "q", "1"), ("b", "q", "1"), ("a", "q", "2")]
                .into_iter()
                .enumerate()
        {
            collapsed.add(row as u64, &task(source, question, gold), VerifierName::Math);
        }
        let found: Vec<_> =
            collapsed.problems.iter().map(|problem| (problem.key, problem.n_rows)).collect();
        assert_eq!(found, [(0, 2), (1, 1), (3, 1), (4, 1)]);
        // The same row once more is no further sample.
        collapsed.add(0, &task("a", "q", "1"), VerifierName::Math);
        assert_eq!((collapsed.rows.len(), collapsed.problems[0].n_rows), (5, 2));
        let kept = limited(collapsed.problems, Some(1));
        assert_eq!(kept.iter().map(|problem| problem.key).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn a_group_is_its_members_once() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            suites(&asked).map(|found| found.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        let six = ["aime24", "aime25", "amc", "math500", "minerva", "olympiad"];
        assert_eq!(names(&["luffy"]).unwrap(), six);
        assert_eq!(names(&["amc", "arc-c", "amc"]).unwrap(), ["amc", "arc-c"]);
        let error = names(&["aime26"]).unwrap_err().to_string();
        assert!(error.starts_with("no suite `aime26`; there are aime24, "), "{error}");
        assert!(error.ends_with("arc-c, luffy"), "{error}");
    }

    #[test]
    fn only_a_leading_system_message_is_dropped() {
        let system = Message { role: "system".into(), content: "s".into() };
        let user = Message::user("q");
        assert_eq!(without_system(&[system.clone(), user.clone()]), std::slice::from_ref(&user));
        assert_eq!(without_system(std::slice::from_ref(&user)), std::slice::from_ref(&user));
        assert_eq!(without_system(std::slice::from_ref(&system)), std::slice::from_ref(&system));
    }
}
