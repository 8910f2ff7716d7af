//! The commands of this repository: `cargo xtask help` lists them.
//!
//! Std only, so that the first `cargo xtask train` on a fresh machine builds it in a second. It sets up
//! what a command needs and then starts cargo or the `luffy` program; it never links either.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line program that prints, times its steps and sets up the environment of others"
)]

mod backend;
mod bench;
mod check;
mod conformance;
mod help;
mod libtorch;
mod luffy;
mod paths;
mod process;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use process::Failure;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest.to_vec()),
        None => ("help", Vec::new()),
    };
    match dispatch(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("error: {message}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: &str, args: Vec<String>) -> Result<(), Failure> {
    match command {
        "train" | "recipes" => luffy::run_subcommand(command, args),
        "reproduce" => luffy::run_subcommand(command, luffy::with_page(args)),
        "luffy" => luffy::run(args),
        "conformance" => conformance::run(args),
        "bench" => bench::run(args),
        "test" => test::run(args),
        "check" => check::run(&args),
        "tidy" => tidy::run(&args),
        "help" | "-h" | "--help" => {
            print!("{}", help::TEXT);
            Ok(())
        }
        unknown => Err(help::unknown_command(unknown)),
    }
}
