//! The program from outside, in reading order.

mod book; // the examples of the page of commands
mod closed; // nobody takes what is printed
mod data; // files in: columns, counts, conversion, preparation
mod eval; // problems in; responses, verdicts and figures out, the same after an interruption
mod eval_again; // the same evaluation of other data or weights; files of one name; saved responses
mod generate; // prompts in, responses out, against transformers
mod golden; // what three seeds sample; neighbours leave no trace
mod golds; // every gold against every gold: only the known pairs are equal
mod grade; // responses in, the same rows with verdicts out
mod hostile; // rows that no command was made for
mod learns; // every crate together: a demonstration is learned
mod models; // every family against transformers; models written anew
mod objective; // every case of the reference; what a failure is
mod program; // starts the program
mod reproduce; // the paper at tiny scale: whole, stopped and continued, refused
mod resume; // killed at any moment, a run continues to the same bytes
mod score; // tokens in, log-probs out, against transformers
mod sources; // several data files with weights; template and format that disagree
mod tokenize; // texts in, tokens out, against transformers
