//! The reference's training file, `openr1.parquet`, as it is published.

use std::collections::BTreeSet;
use std::path::Path;

use luffy_core::{Task, Verifier};

use crate::{Admission, AdmissionReport, ColumnNames, DataError, read_tasks, screen};

/// What [`prepare`] made of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Every row, with the traces that passed.
    pub tasks: Vec<Task>,
    /// What was found wrong with traces.
    pub report: AdmissionReport,
    /// Different system texts; the published file has one.
    pub system_texts: u64,
}

/// Reads the file and checks what the reference takes for granted.
///
/// Every row has a system text and one question, in this order, and a gold answer; some row has a trace.
/// Every trace is checked and graded by `verifier`, see [`screen`]. Nothing else changes: the columns of
/// the file stay as they are.
///
/// # Errors
/// If the file cannot be read or is not of that form; the message names the row.
pub fn prepare(
    path: &Path,
    columns: &ColumnNames,
    verifier: &dyn Verifier,
    admission: Admission,
) -> Result<Prepared, DataError> {
    let tasks = read_tasks(path, columns)?;
    let unexpected =
        |expected, found| DataError::NotAsExpected { path: path.to_owned(), expected, found };
    let mut system_texts = BTreeSet::new();
    for task in &tasks {
        let roles: Vec<&str> = task.messages.iter().map(|m| m.role.as_str()).collect();
        let ["system", "user"] = roles[..] else {
            let found = format!("the roles {} in {}", roles.join(", "), task.id);
            return Err(unexpected("a system text and one question in every row", found));
        };
        system_texts.insert(task.messages[0].content.clone());
        if task.golds.is_empty() {
            return Err(unexpected("a gold answer in every row", format!("none in {}", task.id)));
        }
    }
    if tasks.iter().all(|task| task.demonstrations.is_empty()) {
        let expected = "traces in the column `target`";
        return Err(unexpected(expected, format!("none in {} rows", tasks.len())));
    }
    let (tasks, report) = screen(tasks, verifier, admission);
    Ok(Prepared { tasks, report, system_texts: system_texts.len() as u64 })
}
