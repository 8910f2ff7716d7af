//! A look at a data file: what is in it and how it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use luffy_core::{Task, TextCodec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::{DataError, FileFormat, jsonl, parquet_read};

/// A column as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in Arrow's words, `list<struct<content: string, role: string>>` say, as the values show
    /// it; `mixed` where no type holds all of them.
    pub kind: String,
    /// Rows in which it is null or missing.
    pub nulls: u64,
}

/// The columns of a `.parquet` or `.jsonl` file in the order of their appearance.
///
/// # Errors
/// If the file cannot be read or has no rows.
pub fn columns_of(path: &Path) -> Result<Vec<Column>, DataError> {
    let mut rows = 0;
    let mut columns: Vec<(String, Option<Kind>, u64)> = Vec::new();
    let mut visit = |_, record: Map<String, Value>| {
        rows += 1;
        for (name, value) in record {
            let at = columns.iter().position(|(known, ..)| *known == name).unwrap_or_else(|| {
                columns.push((name, Some(Kind::Null), 0));
                columns.len() - 1
            });
            let (_, kind, n_values) = &mut columns[at];
            *n_values += u64::from(!value.is_null());
            if kind.as_mut().is_some_and(|kind| kind.include(&value).is_err()) {
                *kind = None;
            }
        }
        Ok(())
    };
    match FileFormat::of(path)? {
        FileFormat::Parquet => parquet_read::for_each_row(path, visit)?,
        FileFormat::Jsonl => jsonl::for_each_object(path, &mut visit)?,
    }
    if rows == 0 {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    let columns = columns.into_iter().map(|(name, kind, n_values)| Column {
        name,
        kind: kind.map_or_else(|| "mixed".into(), |kind| kind.to_string()),
        nulls: rows - n_values,
    });
    Ok(columns.collect())
}

/// Order statistics of lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lengths {
    /// How many were measured.
    pub count: u64,
    /// Half are at most this long.
    pub p50: u64,
    /// Nine tenths are at most this long.
    pub p90: u64,
    /// All but one in a hundred are at most this long.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Lengths {
    /// The statistics of `lengths`, by nearest rank; zeros if there are none.
    fn of(mut lengths: Vec<u64>) -> Self {
        lengths.sort_unstable();
        let n = lengths.len();
        let rank = |percent: usize| {
            (n * percent)
                .div_ceil(100)
                .checked_sub(1)
                .and_then(|i| lengths.get(i))
                .map_or(0, |l| *l)
        };
        Self { count: n as u64, p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50, p90, p99, max } = self;
        write!(f, "{count} (p50 {p50}, p90 {p90}, p99 {p99}, max {max})")
    }
}

/// Lengths of prompts and demonstrations in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextLengths {
    /// Of the rendered prompts; without a codec of their messages line by line.
    pub prompts: Lengths,
    /// Of the demonstrations.
    pub demonstrations: Lengths,
}

/// What [`inspect()`] found. Its `Display` is the same for a human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// Tasks per source.
    pub sources: BTreeMap<String, u64>,
    /// Different conversations; files for `avg@k` repeat theirs.
    pub distinct_prompts: u64,
    /// Tasks without gold answer.
    pub without_gold: u64,
    /// Tasks without demonstration.
    pub without_demonstration: u64,
    /// Demonstrations of all tasks.
    pub demonstrations: u64,
    /// Lengths in characters.
    pub characters: TextLengths,
    /// Lengths in tokens, end tokens not included; absent without a codec.
    pub tokens: Option<TextLengths>,
    /// The first prompt as the model reads it; without a codec its messages line by line.
    pub example_prompt: String,
    /// The first demonstration.
    pub example_demonstration: Option<String>,
}

/// Counts and measures `tasks`; with a codec the prompts are rendered, and lengths are in tokens too.
///
/// # Errors
/// If a task cannot be rendered or tokenised.
pub fn inspect(tasks: &[Task], codec: Option<&dyn TextCodec>) -> Result<Inspection, DataError> {
    let mut sources = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    let [mut prompts, mut demonstrations] = [Measured::default(), Measured::default()];
    for task in tasks {
        *sources.entry(task.source.clone()).or_insert(0) += 1;
        let text = render(task, codec)?;
        prompts.add(task, &text, codec)?;
        distinct.insert(text);
        for demonstration in &task.demonstrations {
            demonstrations.add(task, &demonstration.text, codec)?;
        }
    }
    let count = |lacks: fn(&Task) -> bool| tasks.iter().filter(|task| lacks(task)).count() as u64;
    Ok(Inspection {
        sources,
        distinct_prompts: distinct.len() as u64,
        without_gold: count(|task| task.golds.is_empty()),
        without_demonstration: count(|task| task.demonstrations.is_empty()),
        demonstrations: demonstrations.characters.len() as u64,
        tokens: codec.map(|_| TextLengths {
            prompts: Lengths::of(prompts.tokens),
            demonstrations: Lengths::of(demonstrations.tokens),
        }),
        characters: TextLengths {
            prompts: Lengths::of(prompts.characters),
            demonstrations: Lengths::of(demonstrations.characters),
        },
        example_prompt: tasks.first().map_or(Ok(String::new()), |task| render(task, codec))?,
        example_demonstration: tasks
            .iter()
            .find_map(|task| task.demonstrations.first())
            .map(|demonstration| demonstration.text.clone()),
    })
}

fn render(task: &Task, codec: Option<&dyn TextCodec>) -> Result<String, DataError> {
    if let Some(codec) = codec {
        return codec.render(&task.messages).map_err(|e| DataError::codec(&task.id, e));
    }
    let lines = task.messages.iter().map(|m| format!("{}: {}", m.role, m.content));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Lengths of the same texts in both units.
#[derive(Default)]
struct Measured {
    characters: Vec<u64>,
    tokens: Vec<u64>,
}

impl Measured {
    fn add(
        &mut self,
        task: &Task,
        text: &str,
        codec: Option<&dyn TextCodec>,
    ) -> Result<(), DataError> {
        self.characters.push(text.chars().count() as u64);
        if let Some(codec) = codec {
            let tokens = codec.encode(text).map_err(|e| DataError::codec(&task.id, e))?;
            self.tokens.push(tokens.len() as u64);
        }
        Ok(())
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tasks per source:")?;
        for (source, count) in &self.sources {
            writeln!(f, "  {source:?}: {count}")?;
        }
        writeln!(f, "different prompts: {}", self.distinct_prompts)?;
        writeln!(f, "without gold answer: {}", self.without_gold)?;
        writeln!(f, "without demonstration: {}", self.without_demonstration)?;
        let units = [("characters", Some(self.characters)), ("tokens", self.tokens)];
        for (unit, lengths) in units {
            if let Some(TextLengths { prompts, demonstrations }) = lengths {
                writeln!(f, "prompts, {unit}: {prompts}")?;
                writeln!(f, "demonstrations, {unit}: {demonstrations}")?;
            }
        }
        write!(f, "first prompt:\n{}", self.example_prompt)?;
        match &self.example_demonstration {
            Some(text) => write!(f, "\nfirst demonstration:\n{text}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::addition;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let lengths = Lengths::of((1..=200).rev().collect());
        assert_eq!(lengths, Lengths { count: 200, p50: 100, p90: 180, p99: 198, max: 200 });
        assert_eq!(Lengths::of(vec![7]), Lengths { count: 1, p50: 7, p90: 7, p99: 7, max: 7 });
        assert_eq!(Lengths::of(Vec::new()), Lengths::default());
    }

    #[test]
    fn tokens_are_counted_and_the_first_task_is_shown() {
        let mut tasks: Vec<Task> = (0..10).map(|i| addition::task(1, i, 0.0, Some(2))).collect();
        tasks.push(tasks[0].clone());
        tasks[0].source = "other".into();
        tasks[1].demonstrations.clear();
        let found = inspect(&tasks, Some(&addition::codec())).unwrap();
        assert_eq!(found.sources, [("addition".into(), 10), ("other".into(), 1)].into());
        assert_eq!((found.distinct_prompts, found.without_demonstration), (10, 1));
        let tokens = found.tokens.unwrap();
        assert_eq!(
            (tokens.prompts.p50, tokens.demonstrations.count, found.demonstrations),
            (18, 10, 10)
        );
        // `<|im_start|>user`, the question in ten characters, `<|im_end|>`, `<|im_start|>assistant` and
        // their line breaks.
        assert_eq!(found.characters.prompts.max, 17 + 10 + 11 + 22);
        assert!(found.to_string().contains("prompts, tokens: 11 (p50 18, p90 18, p99 18, max 18)"));
        assert!(found.example_prompt.starts_with("<|im_start|>user\n"));
        let plain = inspect(&tasks, None).unwrap();
        assert_eq!(plain.tokens, None);
        assert!(plain.example_prompt.starts_with("user: "));
    }
}
