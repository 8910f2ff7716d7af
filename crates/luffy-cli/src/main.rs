//! The `luffy` program.
#![allow(clippy::print_stderr, reason = "the program's last word goes to stderr")]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: luffy_kernels::LineAllocator = luffy_kernels::LineAllocator;

fn main() -> ExitCode {
    luffy_kernels::keep_large_blocks();
    match luffy_cli::commands::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if luffy_cli::stdout::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(luffy_cli::exit::code_of(&error) as u8)
        }
    }
}
