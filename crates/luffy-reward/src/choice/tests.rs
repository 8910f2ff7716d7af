use luffy_core::FinishReason;
use proptest::prelude::*;

use super::*;
use crate::graded::fixtures::task;

const BOXED: ChoiceVerifier =
    ChoiceVerifier { format: Format::Plain, require_stop: false, n_choices: 4, unboxed: false };
const UNBOXED: ChoiceVerifier = ChoiceVerifier { unboxed: true, ..BOXED };

fn check(verifier: ChoiceVerifier, gold: &str, text: &str, reason: Reason, answer: Option<&str>) {
    let verdict = verifier.verify(&task(&[gold]), &Response::complete(text));
    let found = verdict.extracted.as_ref().map(|found| found.text.as_str());
    assert_eq!((verdict.reason, found), (reason, answer), "{text:?} for {gold:?}");
    if let Some(found) = verdict.extracted {
        assert_eq!(text.get(found.span), Some(found.text.as_str()));
    }
}

#[test]
fn the_last_box_names_the_answer() {
    check(BOXED, "C", r"no \boxed{A}, \boxed{C}.", Reason::Identical, Some("C"));
    check(BOXED, "(C) text", r"\boxed{c}", Reason::Identical, Some("c"));
    check(BOXED, "C", r"\boxed{ C: days }", Reason::Identical, Some("C: days"));
    check(BOXED, "C", r"\boxed{B}", Reason::Different, Some("B"));
    check(BOXED, "C", r"\boxed{B, C}", Reason::Different, Some("B, C"));
    check(BOXED, "C", r"\boxed{42}", Reason::Unreadable, Some("42"));
    check(BOXED, "C", r"\boxed{E}", Reason::Unreadable, Some("E"));
    check(BOXED, "C", r"\boxed{}", Reason::NoAnswer, None);
}

#[test]
fn a_gold_that_is_no_choice_is_bad() {
    for gold in ["42", "", "E", "A or B", "1", "Cat"] {
        check(BOXED, gold, r"\boxed{A}", Reason::BadGold, None);
    }
    let golds = task(&["42", "B"]);
    assert_eq!(BOXED.verify(&golds, &Response::complete(r"\boxed{B}")).reason, Reason::Identical);
}

#[test]
fn without_a_box_there_is_an_answer_only_when_asked() {
    check(BOXED, "C", "Answer: C", Reason::NoAnswer, None);
    check(UNBOXED, "C", "Answer: C", Reason::Identical, Some("C"));
    check(UNBOXED, "C", "é: the answer is (C).\nBye.", Reason::Identical, Some("(C)."));
    check(UNBOXED, "C", "B is wrong\n\nC", Reason::Identical, Some("C"));
    check(UNBOXED, "C", "A is wrong", Reason::NoAnswer, None);
    // The box is the answer wherever there is one, empty or not.
    check(UNBOXED, "C", "\\boxed{B}\nAnswer: C", Reason::Different, Some("B"));
    check(UNBOXED, "C", "\\boxed{}\nAnswer: C", Reason::NoAnswer, None);
}

#[test]
fn format_and_end_are_required_as_everywhere() {
    let verifier = ChoiceVerifier { format: Format::Think, require_stop: true, ..BOXED };
    let reason = |text, finish| verifier.verify(&task(&["C"]), &Response { text, finish }).reason;
    assert_eq!(reason(r"\boxed{A}</think>\boxed{C}", FinishReason::Stop), Reason::Identical);
    assert_eq!(reason(r"\boxed{A}</think>\boxed{C}", FinishReason::Length), Reason::Cut);
    assert_eq!(reason(r"\boxed{C}", FinishReason::Stop), Reason::Format);
}

#[test]
fn a_megabyte_is_read_once() {
    // A search that starts over at every key word or bracket would take minutes here.
    for text in ["answer ", "answer is ", "answer: (", "A) ", "(A", "( ", "\n", "and ", "\\", "{"] {
        let text = text.repeat(1_000_000 / text.len());
        let _ = UNBOXED.verify(&task(&["C"]), &Response::complete(&text));
        let _ =
            UNBOXED.verify(&task(&["C"]), &Response::complete(&format!(r"\boxed{{A, {text}}}")));
        let _ = UNBOXED.verify(&task(&[&text]), &Response::complete(&text));
    }
}

proptest! {
    #[test]
    fn any_response_to_any_gold_gets_a_verdict(
        text in r"(answer|is|:|[A-Dc]|\(|\)|\\boxed\{|\\text\{|\}| |\n|</think>|\PC){0,30}",
        gold in r"(\(|\)|[A-F]|\\text\{|\}|\PC){0,6}",
    ) {
        let verdict = UNBOXED.verify(&task(&[&gold]), &Response::complete(&text));
        if let Some(found) = verdict.extracted {
            prop_assert_eq!(text.get(found.span), Some(found.text.as_str()));
        }
    }

    #[test]
    fn a_boxed_letter_is_right_exactly_for_its_own_gold(gold in 0_u8..4, answer in 0_u8..4) {
        let letter = |index: u8| char::from(b'A' + index);
        let text = format!(r"\boxed{{{}}}", letter(answer));
        let verdict = BOXED.verify(&task(&[&letter(gold).to_string()]), &Response::complete(&text));
        prop_assert_eq!(verdict.reason == Reason::Identical, gold == answer);
    }
}
