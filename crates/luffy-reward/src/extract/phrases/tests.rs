use super::super::candidates;
use crate::Extraction;

const NONE: Extraction = Extraction {
    join_adjacent_boxes: false,
    final_answer: false,
    answer_phrase: false,
    hashes: false,
    last_math: false,
    last_number: false,
};

/// The likeliest answer, which must stand where its span says.
fn check(extraction: Extraction, text: &str, expected: Option<&str>) {
    let found = candidates(text, extraction);
    let first = found.first();
    assert_eq!(first.map(|first| first.text.as_str()), expected, "{text}: {found:?}");
    if let Some(first) = first
        && !first.text.contains(", ")
    {
        assert_eq!(text.get(first.span.clone()), Some(first.text.as_str()));
    }
}

#[test]
fn nothing_is_looked_for_that_is_not_asked_for() {
    for text in ["The final answer is 5.", "Answer: 5", "#### 5", "$5$", "5"] {
        check(NONE, text, None);
        check(Extraction::BOXED, text, None);
    }
}

#[test]
fn a_box_comes_before_everything_else() {
    check(Extraction::LENIENT, r"\boxed{3}. The answer is 5.", Some("3"));
    check(Extraction::LENIENT, r"\boxed{}. The answer is 5.", None);
    check(NONE, r"\boxed{3} and \boxed{4}", Some("4"));
    check(Extraction::BOXED, r"\boxed{3} and \boxed{4}", Some("3, 4"));
}

#[test]
fn the_form_of_few_shot_prompts_comes_before_a_box_ahead_of_it() {
    let text = r"\boxed{3}. The final answer is $5$. I hope it is correct.";
    check(Extraction::LENIENT, text, Some("5"));
    check(Extraction::BOXED, text, Some("3"));
    let text = r"The final answer is $5$. I hope it is correct. \boxed{3}";
    check(Extraction::LENIENT, text, Some("3"));
}

#[test]
fn a_final_answer_is_introduced() {
    let rules = Extraction { final_answer: true, ..NONE };
    for text in [
        "The final answer is 5.",
        "the final answer is $5$. I hope it is correct.",
        "Final Answer: 5",
        "**Final Answer:** 5",
        "**Final Answer**\n\n5",
        "FINAL ANSWER: $5$",
        "The final answer is 4. No, the final answer is 5.",
        "The final answer is $5$.<|endoftext|>",
    ] {
        check(rules, text, Some("5"));
    }
    check(rules, "The answer is 5.", None);
    check(rules, "The final answer", None);
}

#[test]
fn an_answer_is_introduced() {
    let rules = Extraction { answer_phrase: true, ..NONE };
    check(rules, "The answer is 5.", Some("5"));
    check(rules, "Answer: $\\frac{1}{2}$", Some(r"\frac{1}{2}"));
    check(rules, "ANSWER: A", Some("A"));
    check(rules, "So the answers are $1$ and $2$.", Some("1, 2"));
    check(rules, "The answer is 5 meters per second and nothing else.", Some("5"));
    check(rules, "Nobody knows the answer.", None);
}

#[test]
fn hashes_introduce_a_line() {
    let rules = Extraction { hashes: true, ..NONE };
    check(rules, "19 * 3 = 57\n#### 57", Some("57"));
    check(rules, "#### 1\n#### 2\nbye", Some("2"));
    check(rules, "####", None);
}

#[test]
fn the_last_formula_is_taken() {
    let rules = Extraction { last_math: true, ..NONE };
    check(rules, "With $x = 3$ we get $57$.", Some("57"));
    check(rules, r"With \(x = 3\) we get \[57\]", Some("57"));
    check(rules, "We get $$57$$ and more.", Some("57"));
    check(rules, r"It costs \$57 today and it was less before.", None);
    check(rules, "We get 57 of these.", None);
    check(rules, r"\frac{1}{2}", Some(r"\frac{1}{2}"));
}

#[test]
fn the_last_number_is_taken_with_what_belongs_to_it() {
    let rules = Extraction { last_number: true, ..NONE };
    check(rules, "we get 3 then 57", Some("57"));
    check(rules, "we get -1/2.", Some("-1/2"));
    check(rules, "that is 12.5% of it", Some("12.5%"));
    check(rules, "1,234 in all", Some("1,234"));
    check(rules, "none", None);
}

#[test]
fn hostile_texts_end() {
    for text in
        ["answer ".repeat(50_000), "$".repeat(100_001), "####".repeat(50_000), "<|".repeat(50_000)]
    {
        let found = candidates(&text, Extraction::LENIENT);
        assert!(found.len() < 10);
    }
}
