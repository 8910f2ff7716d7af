//! The tokens that a row asks about.

use luffy_core::{Row, TextCodec};
use luffy_data::HfCodec;
use luffy_policy::ModelConfig;

use crate::model::check_ids;
use crate::rows::{Fields, Given, Words};

/// Prompt and response of a row. What `generate` wrote is taken by its tokens: text tokenised again may be
/// other tokens.
pub(super) fn asked(
    fields: &Fields<'_>,
    codec: &HfCodec,
    config: &ModelConfig,
    end_token: bool,
) -> Result<Row, String> {
    const WORDS: Words = Words { ids: Some("ids"), text: "text" };
    let given = Given::read(fields, &WORDS)?;
    let mut ids = given.tokens(codec)?;
    let stored_len: Option<usize> = fields.read("prompt_len", "a number of tokens")?;
    // Ids that go beyond the prompt are prompt and response already, as `score` itself writes them.
    let is_whole =
        matches!(given, Given::Ids(_)) && stored_len.is_some_and(|stored| stored != ids.len());
    let response = if is_whole { None } else { response(fields, codec, &ids, stored_len)? };
    let prompt_len = match response {
        Some(response) => {
            let prompt_len = ids.len();
            ids.extend(response);
            let end_tokens = codec.end_tokens();
            let has_end = ids[prompt_len..].last().is_some_and(|last| end_tokens.contains(last));
            ids.extend(end_tokens.first().filter(|_| end_token && !has_end));
            prompt_len
        }
        None if matches!(given, Given::Ids(_)) => stored_len.unwrap_or(1),
        None if matches!(given, Given::Messages(_)) || fields.has("prompt") => {
            return Err(
                "no `response` to the prompt, and no `response_ids`; a `text` is scored as a \
                        whole"
                    .into(),
            );
        }
        None if ids.len() < 2 => {
            let tokens = if ids.len() == 1 { "token" } else { "tokens" };
            return Err(format!(
                "nothing to score: the text has {} {tokens}, and nothing predicts the first",
                ids.len()
            ));
        }
        None => 1,
    };
    check_ids(&ids, config)?;
    let context = config.max_position_embeddings;
    if ids.len() > context {
        return Err(format!("{} tokens, the context of the model holds {context}", ids.len()));
    }
    if prompt_len == 0 || prompt_len >= ids.len() {
        return Err(format!(
            "{prompt_len} of {} tokens are the prompt: expected one at least before and one behind the \
             border",
            ids.len()
        ));
    }
    Ok(row(&ids, prompt_len))
}

/// The response of a row, by its tokens or else by its text.
fn response(
    fields: &Fields<'_>,
    codec: &HfCodec,
    prompt: &[u32],
    stored_len: Option<usize>,
) -> Result<Option<Vec<u32>>, String> {
    if let Some(ids) = fields.read("response_ids", "a list of token ids")? {
        let len = prompt.len();
        return match stored_len {
            Some(stored) if stored != len => Err(format!(
                "the prompt has {len} tokens, and `prompt_len` is {stored}: `response_ids` are of another \
                 model or chat template"
            )),
            _ => Ok(Some(ids)),
        };
    }
    let text: Option<String> = fields.read("response", "a text")?;
    text.map(|text| codec.encode(&text)).transpose().map_err(|error| error.to_string())
}

/// A row as the learner has it; only its tokens matter here.
fn row(ids: &[u32], prompt_len: usize) -> Row {
    let (prompt, response) = ids.split_at(prompt_len);
    Row::given(prompt.into(), response.to_vec())
}
