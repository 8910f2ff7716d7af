//! `luffy tokenize`: texts or conversations in, token ids out.

use clap::Args;
use luffy_core::TextCodec;
use luffy_data::HfCodec;

use crate::model::ModelArgs;
use crate::rows::{Fields, Given, IoArgs, RowWriter, Rows, Words, Worked};

/// Lines per chunk; tokenising is quick.
const CHUNK_LINES: usize = 1024;

/// The fields that are written anew.
const ADDED: [&str; 3] = ["text", "ids", "n_tokens"];

/// What to tokenise.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    io: IoArgs,
    /// End a conversation with its last message, without the opening of an answer.
    #[arg(long)]
    no_generation_prompt: bool,
}

/// Tokenises the rows: `messages`, `prompt` or `text` give `text` as the model reads it, `ids` and
/// `n_tokens`; a row with `ids` alone is decoded.
///
/// # Errors
/// If the model's tokenizer or the input cannot be read, or the output not written.
pub(crate) fn tokenize(args: &TokenizeArgs, bar: bool) -> anyhow::Result<()> {
    let codec = args.model.codec()?;
    Rows::run(&args.io, bar, CHUNK_LINES, |lines| {
        Ok(lines.iter().map(|line| row(&line.bytes, &codec, !args.no_generation_prompt)).collect())
    })
}

fn row(line: &[u8], codec: &HfCodec, generation: bool) -> Worked {
    let fields = Fields::parse(line)?;
    let is_text = ["messages", "prompt", "text"].iter().any(|name| fields.has(name));
    // Ids are what this command makes: they are read only where there is nothing to make them of.
    let ids = (!is_text).then_some("ids");
    let given = Given::read(&fields, &Words { ids, text: "text" })
        .map_err(|error| if is_text { error } else { with_ids(&fields, error) })?;
    let text = given.render(codec, generation)?;
    let ids = match given {
        Given::Ids(ids) => ids,
        Given::Messages(_) | Given::Text(_) => {
            codec.encode(&text).map_err(|error| error.to_string())?
        }
    };
    let n_tokens = ids.len() as u64;
    let row = RowWriter::pass(&fields, &ADDED)
        .add("text", &text)
        .add("ids", &ids)
        .add("n_tokens", &n_tokens);
    Ok((row.finish(), n_tokens))
}

/// The error of a row without any text: about its ids where it has some.
fn with_ids(fields: &Fields<'_>, error: String) -> String {
    if fields.has("ids") {
        return error;
    }
    "expected `messages`, `prompt`, `text` or `ids`, found none of them".to_owned()
}
