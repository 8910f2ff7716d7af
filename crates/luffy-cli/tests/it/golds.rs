//! Every gold of LUFFY's evaluation file against every other: a million pairs, most of them different.

use std::collections::BTreeSet;

use luffy_data::{ColumnNames, read_tasks};
use luffy_reward::equal;
use rayon::prelude::*;

use crate::program::shared;

/// The different golds, or `None` where the file is not there.
fn golds() -> Option<Vec<String>> {
    let path = shared("data/luffy/valid.all.parquet")?;
    let tasks = read_tasks(&path, &ColumnNames::default()).expect("the file is read");
    let golds: BTreeSet<String> = tasks.into_iter().flat_map(|task| task.golds).collect();
    Some(golds.into_iter().collect())
}

/// The pairs of the book's page, both ways round.
fn listed() -> BTreeSet<(String, String)> {
    let page = include_str!("../../../../docs/src/equal-golds.md");
    page.lines()
        .filter_map(|line| {
            // Formulas stand in backquotes; nothing else in the tables does on both sides.
            let (one, rest) = line.strip_prefix("| `")?.split_once("` | `")?;
            let (other, _) = rest.split_once("` | ")?;
            Some([(one, other), (other, one)])
        })
        .flatten()
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .collect()
}

#[test]
fn golds_equal_themselves_and_others_only_where_the_book_says_why() {
    let Some(golds) = golds() else { return };
    assert_eq!(golds.len(), 1054, "different golds, counted by pyarrow");
    let found: BTreeSet<(String, String)> = golds
        .par_iter()
        .flat_map_iter(|gold| {
            assert!(equal(gold, gold), "{gold}");
            // Other spellings, for which the gold must be read.
            let spelling = format!(r"$\displaystyle {}$", gold.trim_matches('$'));
            assert!(equal(gold, &spelling.replace(r"\frac", r"\dfrac")), "{gold} | {spelling}");
            let others = golds.iter().filter(move |other| *other != gold && equal(gold, other));
            others.map(|other| (gold.clone(), other.clone()))
        })
        .collect();
    let listed = listed();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    let unequal: Vec<_> = listed.difference(&found).collect();
    assert!(unlisted.is_empty(), "equal, but not in docs/src/equal-golds.md: {unlisted:#?}");
    assert!(unequal.is_empty(), "in docs/src/equal-golds.md, but not equal: {unequal:#?}");
}
