//! Addition with a scratchpad: the default job.
//!
//! Two numbers of `k` = 1 to 4 digits are added. The trace writes, from the right, each digit of the sum
//! with a mark `c` (carry) or `,` (none), then the answer:
//!
//! ```
//! use luffy_data::tasks::addition::Problem;
//!
//! let problem = Problem { a: 437, b: 285, digits: 3 };
//! assert_eq!(problem.question(), "0437+0285=");
//! assert_eq!(problem.correct_trace(), "<think>\n2c2c7,</think>\\boxed{722}");
//! assert_eq!(problem.faulty_trace(), "<think>\n2,1,6,</think>\\boxed{612}");
//! ```
//!
//! The demonstrator is faulty: in most traces it forgets every carry. Where no carry occurs such a trace
//! is right, so the mean reward of its traces is about 0.4 at the default rate. The base model knows the
//! skill ([`skill_example`]) but on three and four digits has the habit of answering at once, wrongly
//! ([`habit_example`]).
//!
//! Everything is a pure function of a seed and an index; training, test and base problems come from
//! streams of their own.

mod base;
mod files;

use luffy_core::{Demonstration, Message, Purpose, Stream, StreamKey, Task};
use serde_json::Value;

pub use base::{BaseExample, HabitMix, habit_example, skill_example};
pub use files::{
    VOCABULARY, chat_template, codec, generation_config_json, model_config_json,
    tokenizer_config_json, tokenizer_json, write_side_files,
};

/// Most digits of an operand; operands are padded to this with zeros so that all prompts are as long.
pub const MAX_DIGITS: u32 = 4;

/// Share of demonstrations in which all carries are forgotten.
pub const FAULT_RATE: f64 = 0.7;

/// Two numbers to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// First operand, in `10^(digits-1)..10^digits`.
    pub a: u32,
    /// Second operand, in the same range.
    pub b: u32,
    /// Digits of both operands, 1 to 4: the level.
    pub digits: u32,
}

impl Problem {
    /// The user's message: both operands in four digits.
    pub fn question(&self) -> String {
        format!("{:04}+{:04}=", self.a, self.b)
    }

    /// The right answer.
    pub fn sum(&self) -> u32 {
        self.a + self.b
    }

    /// The trace with every carry done, without the end token.
    pub fn correct_trace(&self) -> String {
        self.trace(true)
    }

    /// The trace with every carry forgotten, consistent to the end: its answer is the number its digits
    /// make, without leading zeros. Equal to the correct trace where no carry occurs.
    pub fn faulty_trace(&self) -> String {
        self.trace(false)
    }

    fn trace(&self, with_carry: bool) -> String {
        let mut scratchpad = String::new();
        let (mut carry, mut answer) = (0, 0);
        for place in (0..self.digits).map(|i| 10_u32.pow(i)) {
            let digit_sum = self.a / place % 10 + self.b / place % 10 + carry;
            carry = u32::from(with_carry && digit_sum > 9);
            answer += digit_sum % 10 * place;
            scratchpad.extend(char::from_digit(digit_sum % 10, 10));
            scratchpad.push(if carry == 1 { 'c' } else { ',' });
        }
        answer += carry * 10_u32.pow(self.digits);
        format!("<think>\n{scratchpad}</think>\\boxed{{{answer}}}")
    }

    /// Draws the digits uniformly from 1 to 4, unless `level` fixes them, and both operands uniformly.
    fn draw(stream: &mut Stream, level: Option<u32>) -> Self {
        let drawn = stream.below(u64::from(MAX_DIGITS)) as u32 + 1;
        let digits = level.unwrap_or(drawn);
        assert!((1..=MAX_DIGITS).contains(&digits), "level {digits} is not in 1..={MAX_DIGITS}");
        let low = 10_u32.pow(digits - 1);
        let mut operand = || low + stream.below(u64::from(9 * low)) as u32;
        Self { a: operand(), b: operand(), digits }
    }
}

/// What problems are drawn for. Each has streams of its own, so no seed makes one repeat another.
#[derive(Debug, Clone, Copy)]
enum Use {
    Training = 0,
    Test = 1,
    Skill = 2,
    Habit = 3,
}

fn stream(purpose: Use, seed: u64, index: u64) -> Stream {
    let step = purpose as u64;
    StreamKey { seed, purpose: Purpose::Generate, step, prompt: index, member: 0 }.stream()
}

/// Training task `index`: a problem with one demonstration, faulty with probability `fault_rate`
/// ([`FAULT_RATE`] by default). `level` fixes the number of digits; `None` draws it.
///
/// Source `addition`, gold the sum, `extra.level` the number of digits as text.
///
/// # Panics
/// If `level` is not in 1 to 4.
pub fn task(seed: u64, index: u64, fault_rate: f64, level: Option<u32>) -> Task {
    let mut stream = stream(Use::Training, seed, index);
    let problem = Problem::draw(&mut stream, level);
    let text = demonstrate(problem, &mut stream, fault_rate);
    let demonstration = Demonstration { text, behavior_probs: None };
    to_task(format!("addition-train:{index}"), problem, vec![demonstration])
}

/// Test task `index`: a problem without demonstration, from a stream that training never uses.
/// [`demonstrated_test_task`] is the same problem with one.
///
/// A test problem may still equal a training problem: there are only 81 with one digit.
///
/// # Panics
/// If `level` is not in 1 to 4.
pub fn test_task(seed: u64, index: u64, level: Option<u32>) -> Task {
    let problem = Problem::draw(&mut stream(Use::Test, seed, index), level);
    to_task(format!("addition-test:{index}"), problem, Vec::new())
}

/// [`test_task`] with what the teacher of [`task`] writes for it, so that answers can be compared with it.
///
/// # Panics
/// If `level` is not in 1 to 4.
pub fn demonstrated_test_task(seed: u64, index: u64, fault_rate: f64, level: Option<u32>) -> Task {
    let mut stream = stream(Use::Test, seed, index);
    let problem = Problem::draw(&mut stream, level);
    let text = demonstrate(problem, &mut stream, fault_rate);
    let demonstrations = vec![Demonstration { text, behavior_probs: None }];
    to_task(format!("addition-test:{index}"), problem, demonstrations)
}

/// The teacher's trace: without carries with probability `fault_rate`.
fn demonstrate(problem: Problem, stream: &mut Stream, fault_rate: f64) -> String {
    if stream.uniform() < fault_rate { problem.faulty_trace() } else { problem.correct_trace() }
}

fn to_task(id: String, problem: Problem, demonstrations: Vec<Demonstration>) -> Task {
    let level = Value::String(problem.digits.to_string());
    Task {
        id,
        source: "addition".into(),
        messages: vec![Message::user(problem.question())],
        golds: vec![problem.sum().to_string()],
        demonstrations,
        extra: std::iter::once(("level".to_owned(), level)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: u32, b: u32, digits: u32, correct: &str, faulty: &str) {
        let problem = Problem { a, b, digits };
        assert_eq!(problem.correct_trace(), correct);
        assert_eq!(problem.faulty_trace(), faulty);
    }

    // Traces computed by hand.

    #[test]
    fn carries_run_through_and_are_forgotten() {
        check(
            437,
            285,
            3,
            "<think>\n2c2c7,</think>\\boxed{722}",
            "<think>\n2,1,6,</think>\\boxed{612}",
        );
        check(
            9999,
            9999,
            4,
            "<think>\n8c9c9c9c</think>\\boxed{19998}",
            "<think>\n8,8,8,8,</think>\\boxed{8888}",
        );
    }

    #[test]
    fn the_last_carry_is_a_digit_of_the_answer() {
        check(5, 7, 1, "<think>\n2c</think>\\boxed{12}", "<think>\n2,</think>\\boxed{2}");
        check(50, 60, 2, "<think>\n0,1c</think>\\boxed{110}", "<think>\n0,1,</think>\\boxed{10}");
    }

    #[test]
    fn a_faulty_answer_has_no_leading_zeros() {
        check(5, 5, 1, "<think>\n0c</think>\\boxed{10}", "<think>\n0,</think>\\boxed{0}");
        check(
            512,
            523,
            3,
            "<think>\n5,3,0c</think>\\boxed{1035}",
            "<think>\n5,3,0,</think>\\boxed{35}",
        );
    }

    #[test]
    fn traces_are_equal_without_carry() {
        check(
            1234,
            4321,
            4,
            "<think>\n5,5,5,5,</think>\\boxed{5555}",
            "<think>\n5,5,5,5,</think>\\boxed{5555}",
        );
    }

    #[test]
    fn a_task_carries_gold_level_and_one_trace() {
        for index in 0..50 {
            let task = task(7, index, FAULT_RATE, Some(3));
            let question = &task.messages[0].content;
            let (a, b) = question.trim_end_matches('=').split_once('+').unwrap();
            let (a, b) = (a.parse::<u32>().unwrap(), b.parse::<u32>().unwrap());
            assert!((100..1000).contains(&a) && (100..1000).contains(&b), "{question}");
            assert_eq!(task.golds, [(a + b).to_string()]);
            assert_eq!(task.extra["level"], "3");
            let problem = Problem { a, b, digits: 3 };
            let trace = &task.demonstrations[0].text;
            assert!(*trace == problem.correct_trace() || *trace == problem.faulty_trace());
        }
    }

    #[test]
    fn levels_are_uniform_and_faults_have_their_rate() {
        let n = 8000;
        let mut levels = [0_u32; 4];
        let (mut carrying, mut faulty, mut right) = (0, 0, 0);
        for index in 0..n {
            let task = task(3, index, FAULT_RATE, None);
            let level: usize = task.extra["level"].as_str().unwrap().parse().unwrap();
            levels[level - 1] += 1;
            let (a, b) = task.messages[0].content.trim_end_matches('=').split_once('+').unwrap();
            let problem =
                Problem { a: a.parse().unwrap(), b: b.parse().unwrap(), digits: level as u32 };
            let trace = &task.demonstrations[0].text;
            right += u32::from(*trace == problem.correct_trace());
            if problem.correct_trace() != problem.faulty_trace() {
                carrying += 1;
                faulty += u32::from(*trace == problem.faulty_trace());
            }
        }
        // Binomial standard error of a level's share is 0.005; four of them.
        for count in levels {
            assert!((f64::from(count) / n as f64 - 0.25).abs() < 0.02, "{levels:?}");
        }
        let share = f64::from(faulty) / f64::from(carrying);
        assert!((share - FAULT_RATE).abs() < 0.025, "{share}");
        // About 0.4, says the recipe; a carry is missing in some level-1 and level-2 problems only.
        let reward = f64::from(right) / n as f64;
        assert!((0.38..0.50).contains(&reward), "{reward}");
    }

    #[test]
    fn training_and_test_problems_come_from_different_streams() {
        let question = |task: Task| task.messages[0].content.clone();
        let train: Vec<_> = (0..40).map(|i| question(task(5, i, 0.0, Some(4)))).collect();
        let test: Vec<_> = (0..40).map(|i| question(test_task(5, i, Some(4)))).collect();
        assert!(train.iter().zip(&test).all(|(a, b)| a != b));
        assert_eq!(train[3], question(task(5, 3, 0.7, Some(4))), "the fault changes no problem");
        assert!(test_task(5, 0, None).demonstrations.is_empty());
        for (rate, is_right) in [(0.0, true), (1.0, false)] {
            let plain = test_task(5, 1, Some(4));
            let task = demonstrated_test_task(5, 1, rate, Some(4));
            assert_eq!(Task { demonstrations: vec![], ..task.clone() }, plain);
            let answer = format!("\\boxed{{{}}}", plain.golds[0]);
            assert_eq!(task.demonstrations[0].text.ends_with(&answer), is_right, "{task:?}");
        }
    }
}
