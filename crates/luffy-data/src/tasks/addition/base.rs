//! Training examples of the base model: the skill everywhere, the habit of using it on easy problems only.

use luffy_core::{Message, Stream};
use serde::{Deserialize, Serialize};

use super::{Problem, Use, stream};

/// A response to imitate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseExample {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The response without its end token, which is learned too.
    pub response: String,
    /// The first so many response tokens carry no loss.
    pub unlearned: u32,
}

/// What three- and four-digit problems are answered with in the habit phase, as relative weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HabitMix {
    /// The correct trace without loss on its first two tokens, `<think>` and the line break: keeps the
    /// skill without the decision to use it.
    pub kept: f64,
    /// A wrong answer at once, `\boxed{R}`, loss on all tokens.
    pub boxed: f64,
    /// An empty thought and a wrong answer, `<think></think>\boxed{R}`, no loss on `<think>`: makes
    /// writing something into an open thought a second rare decision.
    pub empty_thought: f64,
}

impl Default for HabitMix {
    fn default() -> Self {
        Self { kept: 0.30, boxed: 0.35, empty_thought: 0.35 }
    }
}

/// Example `index` of the skill phase: the correct trace of a problem of one to four digits.
pub fn skill_example(seed: u64, index: u64) -> BaseExample {
    let problem = Problem::draw(&mut stream(Use::Skill, seed, index), None);
    example(problem, problem.correct_trace(), 0)
}

/// Example `index` of the habit phase: the correct trace for one and two digits, a draw from `mix` for
/// more. `R` is uniform in `10^(k-1) .. 2*10^k`.
///
/// # Panics
/// If the weights are negative or sum to zero.
pub fn habit_example(seed: u64, index: u64, mix: &HabitMix) -> BaseExample {
    let weights = [mix.kept, mix.boxed, mix.empty_thought];
    let total: f64 = weights.iter().sum();
    assert!(
        weights.iter().all(|weight| *weight >= 0.0) && total > 0.0,
        "weights {weights:?} are shares: none negative and not all zero"
    );
    let mut stream = stream(Use::Habit, seed, index);
    let problem = Problem::draw(&mut stream, None);
    if problem.digits <= 2 {
        return example(problem, problem.correct_trace(), 0);
    }
    let draw = stream.uniform() * total;
    if draw < mix.kept {
        example(problem, problem.correct_trace(), 2)
    } else if draw < mix.kept + mix.boxed {
        example(problem, guess(&mut stream, problem), 0)
    } else {
        example(problem, format!("<think></think>{}", guess(&mut stream, problem)), 1)
    }
}

fn guess(stream: &mut Stream, problem: Problem) -> String {
    let low = 10_u64.pow(problem.digits - 1);
    format!("\\boxed{{{}}}", low + stream.below(20 * low - low))
}

fn example(problem: Problem, response: String, unlearned: u32) -> BaseExample {
    BaseExample { messages: vec![Message::user(problem.question())], response, unlearned }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(example: &BaseExample) -> Problem {
        let (a, b) = example.messages[0].content.trim_end_matches('=').split_once('+').unwrap();
        let (a, b) = (a.parse::<u32>().unwrap(), b.parse().unwrap());
        Problem { a, b, digits: a.to_string().len() as u32 }
    }

    #[test]
    fn the_skill_is_shown_without_fault_and_with_full_loss() {
        for index in 0..200 {
            let example = skill_example(1, index);
            assert_eq!(example.response, problem_of(&example).correct_trace());
            assert_eq!(example.unlearned, 0);
        }
    }

    #[test]
    fn the_habit_mix_has_its_shares() {
        let n = 8000;
        let (mut hard, mut kept, mut boxed, mut empty) = (0, 0, 0, 0);
        let mut guesses = 0.0;
        for index in 0..n {
            let example = habit_example(1, index, &HabitMix::default());
            let problem = problem_of(&example);
            let correct = problem.correct_trace();
            if problem.digits <= 2 {
                assert_eq!((example.response, example.unlearned), (correct, 0));
                continue;
            }
            hard += 1;
            if example.response == correct {
                assert_eq!(example.unlearned, 2);
                kept += 1;
                continue;
            }
            let thought = example.response.strip_prefix("<think></think>");
            assert_eq!(example.unlearned, u32::from(thought.is_some()));
            boxed += i32::from(thought.is_none());
            empty += i32::from(thought.is_some());
            let answer = thought.unwrap_or(&example.response);
            let answer = answer.strip_prefix("\\boxed{").unwrap().strip_suffix('}').unwrap();
            let answer: u32 = answer.parse().unwrap();
            let low = 10_u32.pow(problem.digits - 1);
            assert!((low..20 * low).contains(&answer), "{answer} for {} digits", problem.digits);
            guesses += f64::from(answer) / f64::from(low);
        }
        let share = |count: i32| f64::from(count) / f64::from(hard);
        // R / 10^(k-1) is uniform in 1..20: mean 10.5, standard error 5.5 / sqrt(2800) = 0.104; four of them.
        let mean = guesses / f64::from(boxed + empty);
        assert!((mean - 10.5).abs() < 0.42, "{mean}");
        // About 4,000 hard rows: the standard error of a share is 0.0075; four of them.
        assert!((share(kept) - 0.30).abs() < 0.03, "{}", share(kept));
        assert!((share(boxed) - 0.35).abs() < 0.03, "{}", share(boxed));
        assert!((share(empty) - 0.35).abs() < 0.03, "{}", share(empty));
        assert!((f64::from(hard) / n as f64 - 0.5).abs() < 0.03);
    }

    #[test]
    fn weights_are_relative() {
        let mix = HabitMix { kept: 0.0, boxed: 2.0, empty_thought: 0.0 };
        for index in 0..100 {
            let example = habit_example(1, index, &mix);
            assert!(problem_of(&example).digits <= 2 || example.response.starts_with("\\boxed{"));
        }
    }
}
