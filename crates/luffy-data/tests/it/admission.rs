use std::f32::consts::LN_2;

use luffy_core::{
    Behavior, CodecError, Demonstration, FinishReason, Message, Outcome, Reason, Response, Task,
    TextCodec, Verdict, Verifier,
};
use luffy_data::tasks::addition;
use luffy_data::{
    Admission, AdmissionReport, AdmissionSettings, DataError, DemonstrationFault, HfCodec,
    PromptDrop, admit,
};

use crate::testdata;

/// Correct if the text ends in the boxed gold, malformed if it has no box.
#[derive(Debug)]
struct Boxed;

impl Verifier for Boxed {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        assert_eq!(response.finish, FinishReason::Stop);
        if task.golds[0] == "none" {
            return Verdict::new(Reason::BadGold);
        }
        Verdict::new(if response.text.ends_with(&format!("\\boxed{{{}}}", task.golds[0])) {
            Reason::Identical
        } else if response.text.contains("\\boxed{") {
            Reason::Different
        } else {
            Reason::NoAnswer
        })
    }
}

fn task(id: &str, question: &str, traces: &[&str]) -> Task {
    let demonstration = |text: &&str| Demonstration { text: (*text).into(), behavior_probs: None };
    Task {
        id: id.into(),
        source: "test".into(),
        messages: vec![Message::user(question)],
        golds: vec!["12".into()],
        demonstrations: traces.iter().map(demonstration).collect(),
        extra: serde_json::Map::new(),
    }
}

/// Every prompt and demonstration is admitted or in one tally.
fn assert_adds_up(report: &AdmissionReport) {
    let dropped: u64 = report.prompts_dropped.values().map(|tally| tally.count).sum();
    assert_eq!(report.prompts_read, report.prompts_admitted + dropped);
    let dropped: u64 = report.demonstrations_dropped.values().map(|tally| tally.count).sum();
    assert_eq!(report.demonstrations_read, report.demonstrations_admitted + dropped);
}

/// The addition prompt has 8 tokens of frame and one per character of the question.
fn settings() -> AdmissionSettings {
    AdmissionSettings::new(20, 24, 44)
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let tasks = vec![
        task("long", "0000000000000", &["\\boxed{1}", "\\boxed{2}"]), // 21 tokens
        task("fits", "000000000000", &["<think>\n2c</think>\\boxed{12}"]), // 20 tokens
        task("trace", "05+07=", &["1111111111111111111111111"]),      // 25 digits and the end token
        task("edge", "05+07=", &["11111111111111111111111"]),         // 23 digits and the end token
        task("inside", "05+07=", &["1<|im_end|>2", "1<|im_end|>"]),
    ];
    let (prompts, report) = admit(tasks, &addition::codec(), &settings(), None).unwrap();
    let indices: Vec<u64> = prompts.iter().map(|prompt| prompt.index).collect();
    assert_eq!(indices, [1, 2, 3, 4], "positions among all tasks");
    assert_eq!(prompts[0].tokens.len(), 20);
    // <think> \n 2 c </think> \boxed{ 1 2 } <|im_end|>
    let trace = &prompts[0].demonstrations[0];
    assert_eq!(trace.tokens, [3, 9, 12, 22, 4, 5, 11, 12, 6, 2]);
    assert_eq!(trace.text, "<think>\n2c</think>\\boxed{12}");
    assert_eq!((&trace.behavior, trace.finish), (&Behavior::One, FinishReason::Stop));
    assert_eq!(prompts[2].demonstrations[0].tokens.len(), 24);
    assert_eq!(prompts[3].demonstrations[0].tokens, [11, 2], "an end token is not written twice");
    assert_adds_up(&report);
    assert_eq!(report.prompts_dropped[&PromptDrop::TooLong].examples, ["long"]);
    assert_eq!(report.demonstrations_dropped[&DemonstrationFault::PromptDropped].count, 2);
    assert_eq!(report.demonstrations_dropped[&DemonstrationFault::TooLong].examples, ["trace"]);
    assert_eq!(
        report.demonstrations_dropped[&DemonstrationFault::EndTokenInside].examples,
        ["inside"]
    );
    assert_eq!((report.longest_prompt, report.longest_demonstration), (21, 26));
    assert_eq!(report.prompts_without_demonstration, 1);
    assert_eq!(
        report.to_string(),
        "prompts: 4 of 5 admitted, 1 of them without demonstration, longest 21 tokens\n  \
           dropped TooLong: 1 (long)\n\
         demonstrations: 3 of 7 admitted, longest 26 tokens\n  \
           dropped PromptDropped: 2 (long, long)\n  \
           dropped TooLong: 1 (trace)\n  \
           dropped EndTokenInside: 1 (inside)"
    );
}

#[test]
fn every_fault_has_its_reason_and_its_source() {
    let from = |id: &str, source: &str, traces: &[&str]| {
        let mut task = task(id, "05+07=", traces);
        task.source = source.into();
        task
    };
    let tasks = || {
        let mut no_gold = from("a.parquet:2", "sums", &["<think>\n2c</think>\\boxed{12}"]);
        no_gold.golds = vec!["none".into()];
        vec![
            from("a.parquet:0", "sums", &["<think>\n2c</think>\\boxed{12}", "<think>\n2c"]),
            from("a.parquet:1", "", &["<think>\n2c</think>12", "2c</think>\\boxed{12}"]),
            no_gold,
            from("b.jsonl:1", "b", &["<think>\n2,</think>\\boxed{2}", "1111111111111111111111111"]),
            from("b.jsonl:2", "b", &["2c\\boxed{12}<|im_end|>1"]),
        ]
    };
    let codec = addition::codec();
    let (_, report) = admit(tasks(), &codec, &settings(), Some(&Boxed)).unwrap();
    assert_adds_up(&report);
    assert_eq!(
        report.to_string(),
        "prompts: 5 of 5 admitted, 4 of them without demonstration, longest 14 tokens\n\
         demonstrations: 1 of 8 admitted, longest 26 tokens\n  \
           dropped TooLong: 1 (b.jsonl:1)\n  \
           dropped EndTokenInside: 1 (b.jsonl:2)\n  \
           dropped ThoughtNotOpened: 1 (a.parquet:1)\n  \
           dropped Truncated: 1 (a.parquet:0)\n  \
           dropped Incorrect: 1 (b.jsonl:1)\n  \
           dropped Malformed: 1 (a.parquet:1)\n  \
           dropped Ungradable: 1 (a.parquet:2)\n  \
           verified Correct: 2 (a.parquet:0, a.parquet:1)\n  \
           verified Incorrect: 1 (b.jsonl:1)\n  \
           verified Malformed: 2 (a.parquet:0, a.parquet:1)\n  \
           verified BadGold: 1 (a.parquet:2)\n\
         by source:\n  \
           a.parquet: prompts 1 of 1; demonstrations 0 of 2 (dropped ThoughtNotOpened 1, dropped Malformed \
           1)\n  \
           a.parquet sums: prompts 2 of 2; demonstrations 1 of 3 (dropped Truncated 1, dropped Ungradable \
           1)\n  \
           b.jsonl: prompts 2 of 2; demonstrations 0 of 3 (dropped TooLong 1, dropped EndTokenInside 1, \
           dropped Incorrect 1)"
    );
    // What no policy could write stays out even if faults are kept.
    let keep = AdmissionSettings { admission: Admission::Keep, ..settings() };
    let (_, report) = admit(tasks(), &codec, &keep, Some(&Boxed)).unwrap();
    assert_adds_up(&report);
    assert_eq!((report.demonstrations_admitted, report.demonstrations_kept.len()), (6, 5));
    assert_eq!(report.demonstrations_dropped.len(), 2);
    assert_eq!(report.sources["b.jsonl"].demonstrations_kept[&DemonstrationFault::Incorrect], 1);
}

#[test]
fn a_prompt_needs_room_for_a_full_response() {
    let tasks = vec![task("a", "05+07=", &[]), task("b", "05+07", &[])]; // 14 and 13 tokens
    let narrow = AdmissionSettings::new(20, 24, 37);
    let (prompts, report) = admit(tasks, &addition::codec(), &narrow, None).unwrap();
    assert_eq!((prompts.len(), prompts[0].index), (1, 1));
    assert_eq!(report.prompts_dropped[&PromptDrop::ContextExceeded].examples, ["a"]);
}

#[test]
fn prompts_without_demonstration_are_kept_unless_one_is_required() {
    let tasks = || {
        vec![
            task("none", "05+07=", &[]),
            task("wrong", "05+07=", &["<think>\n2,</think>\\boxed{2}"]),
            task("right", "05+07=", &["<think>\n2c</think>\\boxed{12}"]),
        ]
    };
    let codec = addition::codec();
    let check = |settings: &AdmissionSettings, n_prompts: usize, n_demonstrations: u64| {
        let (prompts, report) = admit(tasks(), &codec, settings, Some(&Boxed)).unwrap();
        assert_adds_up(&report);
        assert_eq!((prompts.len(), report.demonstrations_admitted), (n_prompts, n_demonstrations));
        assert_eq!(report.outcomes[&Outcome::Correct].examples, ["right"]);
        assert_eq!(report.outcomes[&Outcome::Incorrect].examples, ["wrong"]);
        report
    };
    check(&settings(), 3, 1);
    let report = check(&AdmissionSettings { admission: Admission::Keep, ..settings() }, 3, 2);
    assert_eq!(report.demonstrations_kept[&DemonstrationFault::Incorrect].examples, ["wrong"]);
    assert!(report.demonstrations_dropped.is_empty());
    let required = AdmissionSettings { require_demonstration: true, ..settings() };
    let report = check(&required, 1, 1);
    assert_eq!(report.prompts_dropped[&PromptDrop::NoDemonstration].examples, ["none", "wrong"]);
    assert_eq!(report.demonstrations_dropped[&DemonstrationFault::Incorrect].count, 1);
}

#[test]
fn an_opened_thought_is_not_opened_twice() {
    // This folder's template ends the prompt in `<think>\n`.
    let codec = HfCodec::open(&testdata("codec/qwen2-untied-sharded-bf16"), None).unwrap();
    let tasks =
        vec![task("a", "q", &["<think>\nwell</think>\\boxed{12}", "well</think>\\boxed{12}"])];
    let wide = AdmissionSettings::new(500, 500, 1000);
    let (prompts, _) = admit(tasks, &codec, &wide, Some(&Boxed)).unwrap();
    let [first, second] = &prompts[0].demonstrations[..] else { panic!("both are admitted") };
    assert_eq!(first.text, "well</think>\\boxed{12}");
    assert_eq!(first, second);
    // Where the template opens nothing, the trace stays whole.
    let codec = HfCodec::open(&testdata("codec/qwen2-tied"), None).unwrap();
    let tasks = vec![task("a", "q", &["<think>\nwell</think>\\boxed{12}"])];
    let (prompts, _) = admit(tasks, &codec, &wide, None).unwrap();
    assert_eq!(prompts[0].demonstrations[0].text, "<think>\nwell</think>\\boxed{12}");
}

#[test]
fn recorded_probabilities_become_logprobs() {
    let codec = addition::codec();
    let check = |probs: &[f64]| {
        let mut task = task("a", "05+07=", &["12"]);
        task.demonstrations[0].behavior_probs = Some(probs.to_vec());
        admit(vec![task], &codec, &settings(), None)
            .map(|(prompts, _)| prompts[0].demonstrations[0].behavior.clone())
            .map_err(|e| e.to_string())
    };
    // Two tokens of text and the end token.
    let Ok(Behavior::Logprobs(logprobs)) = check(&[0.5, 0.25, 1.0]) else { panic!("three tokens") };
    for (logprob, expected) in logprobs.iter().zip([-LN_2, -2.0 * LN_2, 0.0]) {
        assert!((logprob - expected).abs() < 1e-6, "{logprobs:?}");
    }
    assert_eq!(
        check(&[0.5, 0.25]).unwrap_err(),
        "task a: 2 recorded probabilities for a demonstration of 3 tokens, end token included; they belong \
         to another tokenizer or template, drop the column or tokenise as it was made"
    );
    for bad in [0.0, -1.0, 1.5, f64::NAN] {
        assert_eq!(
            check(&[0.5, bad, 1.0]).unwrap_err(),
            format!("task a: recorded probability 1 is {bad}, expected above 0 and at most 1")
        );
    }
}

#[test]
fn many_tasks_keep_their_order_and_first_examples() {
    let tasks = (0..500).map(|i| addition::task(4, i, 0.7, None)).collect::<Vec<_>>();
    let (prompts, report) = admit(tasks.clone(), &addition::codec(), &settings(), None).unwrap();
    assert_eq!(prompts.len(), 500);
    for (i, prompt) in prompts.iter().enumerate() {
        assert_eq!((prompt.index, &prompt.task), (i as u64, &tasks[i]));
    }
    assert!(report.outcomes.is_empty());
    let broken = tasks.into_iter().map(|mut task| {
        task.demonstrations[0].text.push_str("1111111111111111111111");
        task
    });
    let (_, report) = admit(broken.collect(), &addition::codec(), &settings(), None).unwrap();
    let tally = &report.demonstrations_dropped[&DemonstrationFault::TooLong];
    assert_eq!(tally.count, 500);
    let first: Vec<String> = (0..5).map(|i| format!("addition-train:{i}")).collect();
    assert_eq!(tally.examples, first);
}

#[test]
fn nothing_left_and_unreadable_text_are_errors() {
    let codec = addition::codec();
    let error = admit(Vec::new(), &codec, &settings(), None).unwrap_err().to_string();
    assert!(error.starts_with("no prompt was admitted\nprompts: 0 of 0"), "{error}");
    let error = admit(vec![task("a", "hello", &[])], &codec, &settings(), None).unwrap_err();
    assert!(error.to_string().starts_with("task a: cannot tokenise: "), "{error}");
    let error = admit(vec![task("a", "1", &["what?"])], &codec, &settings(), None).unwrap_err();
    assert!(error.to_string().starts_with("task a: cannot tokenise: "), "{error}");
}

#[test]
fn a_codec_must_end_responses_and_an_empty_prompt_is_dropped() {
    /// Renders nothing.
    #[derive(Debug)]
    struct Silent(Vec<u32>);
    impl TextCodec for Silent {
        fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError> {
            Ok(text.bytes().map(u32::from).collect())
        }
        fn decode(&self, tokens: &[u32]) -> String {
            tokens.iter().filter_map(|token| char::from_u32(*token)).collect()
        }
        fn render(&self, _: &[Message]) -> Result<String, CodecError> {
            Ok(String::new())
        }
        fn end_tokens(&self) -> &[u32] {
            &self.0
        }
    }
    let tasks = || vec![task("a", "q", &[])];
    let error = admit(tasks(), &Silent(Vec::new()), &settings(), None).unwrap_err();
    assert!(matches!(error, DataError::NoEndToken), "{error}");
    let error = admit(tasks(), &Silent(vec![0]), &settings(), None).unwrap_err();
    let DataError::NoPrompts(report) = error else { panic!("{error}") };
    assert_eq!(report.prompts_dropped[&PromptDrop::Empty].examples, ["a"]);
}

#[test]
fn settings_and_report_are_plain_data() {
    let json =
        r#"{"max-prompt-tokens":1,"max-response-tokens":2,"context-len":3,"admission":"keep"}"#;
    let read: AdmissionSettings = serde_json::from_str(json).unwrap();
    let expected =
        AdmissionSettings { admission: Admission::Keep, ..AdmissionSettings::new(1, 2, 3) };
    assert_eq!(read, expected);
    let tasks = vec![task("a", "05+07=", &["\\boxed{1}", "+"])];
    let (_, report) = admit(tasks, &addition::codec(), &settings(), Some(&Boxed)).unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert!(
        json.contains(r#""outcomes":{"incorrect":{"count":1,"examples":["a"]},"malformed""#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<AdmissionReport>(&json).unwrap(), report);
}
