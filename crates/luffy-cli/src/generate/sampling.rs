//! How tokens are chosen, on the command line.

use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use luffy_core::Sampling;

/// How tokens are chosen.
#[derive(Debug, Clone, Args)]
pub(crate) struct SamplingArgs {
    /// Take the most likely token, every time.
    #[arg(long, conflicts_with_all = ["temperature", "top_k", "top_p", "min_p"])]
    greedy: bool,
    /// Draw from `softmax(logits / T)`; 0 is greedy.
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = not_negative)]
    temperature: Option<f32>,
    /// Keep this many of the most likely tokens; 0 keeps all.
    #[arg(long, value_name = "K", default_value_t = 0, allow_negative_numbers = true, value_parser = whole::<u32>)]
    top_k: u32,
    /// Keep the fewest most likely tokens that reach this probability together.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true, value_parser = share)]
    top_p: f32,
    /// Drop tokens less likely than this share of the most likely one.
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true, value_parser = share)]
    min_p: f32,
    /// Keys the random streams: the same seed and row give the same response.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) seed: u64,
    /// End a response before this text; may be given several times.
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    stop: Vec<String>,
    /// Sequences side by side; memory grows with it.
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true, value_parser = count::<usize>)]
    pub(crate) max_rows: usize,
}

impl SamplingArgs {
    /// The rule that was asked for.
    pub(crate) fn sampling(&self, default_temperature: f32) -> Sampling {
        let temperature = self.temperature.unwrap_or(default_temperature);
        if self.greedy || temperature <= 0.0 {
            return Sampling::Greedy;
        }
        let top_k = (self.top_k > 0).then_some(self.top_k);
        Sampling::Random { temperature, top_k, top_p: self.top_p, min_p: self.min_p }
    }

    /// The texts that end a response.
    pub(crate) fn stop(&self) -> Arc<[String]> {
        self.stop.clone().into()
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("`{text}` is no number"))
}

fn not_negative(text: &str) -> Result<f32, String> {
    let number = number(text)? as f32;
    if number < 0.0 { Err(format!("{number} is below 0")) } else { Ok(number) }
}

/// A number above zero.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if number <= 0.0 { Err(format!("{number} is not above 0")) } else { Ok(number) }
}

fn share(text: &str) -> Result<f32, String> {
    let number = number(text)?;
    if (0.0..=1.0).contains(&number) {
        Ok(number as f32)
    } else {
        Err(format!("{number} is no share, which lies in 0..=1"))
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("an empty text ends nothing".into()) } else { Ok(text.to_owned()) }
}

/// A number of things, at least one.
pub(crate) fn count<T: FromStr + PartialEq + Default>(text: &str) -> Result<T, String> {
    let number = parse(text, "above 0")?;
    if number == T::default() {
        Err(format!("`{text}` is no whole number above 0"))
    } else {
        Ok(number)
    }
}

/// A number of things, or none.
pub(crate) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    parse(text, "from 0 on")
}

fn parse<T: FromStr>(text: &str, range: &str) -> Result<T, String> {
    text.parse().map_err(|_| {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("`{text}` is too large")
        } else {
            format!("`{text}` is no whole number {range}")
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        sampling: SamplingArgs,
    }

    fn parse(args: &[&str]) -> Result<SamplingArgs, String> {
        let command = Command::try_parse_from([&["x"], args].concat());
        command.map(|command| command.sampling).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_rule() {
        let random = |temperature, top_k, top_p, min_p| Sampling::Random {
            temperature,
            top_k,
            top_p,
            min_p,
        };
        for (args, expected) in [
            (&[][..], random(0.6, None, 1.0, 0.0)),
            (&["--greedy"], Sampling::Greedy),
            (&["--temperature", "0"], Sampling::Greedy),
            (
                &["--temperature", "2", "--top-k", "5", "--top-p", "0.5", "--min-p", "0.1"],
                random(2.0, Some(5), 0.5, 0.1),
            ),
            (&["--top-k", "0"], random(0.6, None, 1.0, 0.0)),
        ] {
            assert_eq!(parse(args).unwrap().sampling(0.6), expected, "{args:?}");
        }
        let args = parse(&["--stop", "a", "--stop", "\n"]).unwrap();
        assert_eq!(*args.stop(), ["a", "\n"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            &["--temperature", "-1"][..],
            &["--temperature", "warm"],
            &["--temperature", "NaN"],
            &["--top-p", "1.5"],
            &["--min-p", "-0.1"],
            &["--greedy", "--temperature", "1"],
            &["--stop", ""],
            &["--max-rows", "0"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
        assert!(positive("0").is_err());
    }
}
