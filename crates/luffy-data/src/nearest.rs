//! Names that may have been meant.

/// Names in backticks.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `; did you mean ..?` with the columns that are near one of `names`, if any is.
pub(crate) fn hint<'a>(names: &[&str], present: impl IntoIterator<Item = &'a String>) -> String {
    let is_near = |other: &&String| names.iter().any(|name| is_near(name, other));
    let near: Vec<&String> = present.into_iter().filter(is_near).collect();
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", list(near.into_iter()))
}

/// Whether one name is a misspelling of the other, or its beginning or end up to a `_`.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let part = |short: &str, long: &str| {
        let rest = long.strip_prefix(short).map(|rest| rest.starts_with('_'));
        rest.or_else(|| long.strip_suffix(short).map(|rest| rest.ends_with('_'))) == Some(true)
    };
    distance(&a, &b) <= a.chars().count().min(b.chars().count()) / 3 || part(&a, &b) || part(&b, &a)
}

/// Insertions, deletions and replacements between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, present: &[&str], expected: &str) {
        let present: Vec<String> = present.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(hint(&[name], &present), expected);
    }

    #[test]
    fn slips_and_longer_names_are_near() {
        check("prompt", &["promt", "Prompts", "other"], "; did you mean `promt`, `Prompts`?");
        check(
            "answer",
            &["final_answer", "answer_key", "answerable"],
            "; did you mean `final_answer`, `answer_key`?",
        );
        check("ground_truth", &["truth", "groundtruth"], "; did you mean `truth`, `groundtruth`?");
    }

    #[test]
    fn other_names_are_not() {
        check("prompt", &["question", "text", "p", ""], "");
        check("target", &["answer"], "");
    }

    #[test]
    fn distances_are_those_counted_by_hand() {
        for (a, b, expected) in
            [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("form", "from", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
