//! Texts that end a response.

use luffy_core::TextCodec;

/// Most bytes by which the text of a run of tokens is longer alone than within a whole: three bytes of a
/// character that began before it, each shown as one replacement character.
const MAX_BROKEN_START: usize = 9;

/// The text before the first stop string, if the last of `tokens` completes one.
///
/// Call it after every token. It decodes the end of the response only, as much as the longest stop string
/// can reach back, and the whole of it once a stop string is there.
pub(crate) fn text_before_stop(
    codec: &dyn TextCodec,
    tokens: &[u32],
    stop: &[String],
) -> Option<String> {
    let longest = stop.iter().map(String::len).max().filter(|len| *len > 0)?;
    let first_in = |text: &str| {
        stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min()
    };
    let end = codec.decode(tail(codec, tokens, longest));
    first_in(&end)?;
    let mut text = codec.decode(tokens);
    let at = first_in(&text)?;
    text.truncate(at);
    Some(text)
}

/// The last tokens, so many that at least `longest` bytes of text stand before the last one. A decoder may
/// treat the first token of a text in its own way, so one more is taken.
fn tail<'a>(codec: &dyn TextCodec, tokens: &'a [u32], longest: usize) -> &'a [u32] {
    let mut n = longest + MAX_BROKEN_START + 2;
    while n < tokens.len() {
        let tail = &tokens[tokens.len() - n..];
        // Tokens without any text are rare; then further ones are needed.
        if codec.decode(&tail[1..n - 1]).len() >= longest + MAX_BROKEN_START {
            return tail;
        }
        n *= 2;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use luffy_core::{CodecError, Message};
    use proptest::prelude::*;

    use super::*;

    /// A token is a piece of bytes, as in byte-level tokenizers: characters may be split.
    #[derive(Debug)]
    struct Pieces;

    const PIECES: [&[u8]; 14] = [
        b"",
        b"a",
        b"b",
        b"ab",
        b"\n",
        b"\n\n",
        b"\xc3",
        b"\xa9",
        b"\xf0\x9f",
        b"\x98\x80",
        b"\xf0",
        b"\x9f",
        b"\x98",
        b"\x80",
    ];

    impl TextCodec for Pieces {
        fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError> {
            Err(CodecError::Tokenize(text.to_owned()))
        }

        fn decode(&self, tokens: &[u32]) -> String {
            let bytes: Vec<u8> =
                tokens.iter().flat_map(|token| PIECES[*token as usize]).copied().collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }

        fn render(&self, _messages: &[Message]) -> Result<String, CodecError> {
            Ok(String::new())
        }

        fn end_tokens(&self) -> &[u32] {
            &[]
        }
    }

    fn check(tokens: &[u32], stop: &[&str], expected: Option<&str>) {
        let stop: Vec<String> = stop.iter().map(|stop| (*stop).to_owned()).collect();
        assert_eq!(text_before_stop(&Pieces, tokens, &stop).as_deref(), expected, "{tokens:?}");
    }

    #[test]
    fn a_stop_string_may_span_tokens() {
        check(&[1, 4], &["\n\n"], None);
        check(&[1, 4, 4], &["\n\n"], Some("a"));
        check(&[1, 5], &["\n\n"], Some("a"));
        check(&[2, 3, 3], &["aba"], Some("b"));
    }

    #[test]
    fn a_character_counts_when_its_last_byte_is_there() {
        check(&[1, 6], &["\u{e9}"], None);
        check(&[1, 6, 7], &["\u{e9}"], Some("a"));
        check(&[1, 8, 9], &["\u{1f600}"], Some("a"));
    }

    #[test]
    fn of_two_the_earlier_one_counts() {
        // One token completes both.
        check(&[2, 3], &["b", "bab"], Some(""));
        check(&[1, 3], &["b", "ab"], Some("a"));
    }

    #[test]
    fn nothing_and_empty_texts_stop_nothing() {
        check(&[1, 2], &[], None);
        check(&[1, 2], &[""], None);
        check(&[1, 2], &["", "b"], Some("a"));
        check(&[], &["a"], None);
    }

    #[test]
    fn tokens_without_text_do_not_hide_a_stop_string() {
        let mut tokens = vec![2, 1];
        tokens.extend([0; 200]);
        tokens.push(2);
        check(&tokens, &["ab"], Some("b"));
    }

    #[test]
    fn the_rest_of_a_character_does_not_pass_for_enough_text() {
        // Alone, each of the last three bytes of the character is shown as three.
        let mut tokens = vec![2; 20];
        tokens.extend([10, 11, 12, 13, 0, 0, 0, 1]);
        check(&tokens, &["\u{1f600}a"], Some(&"b".repeat(20)));
    }

    proptest! {
        #[test]
        fn looking_at_the_end_is_looking_at_everything(
            tokens in proptest::collection::vec(0_u32..14, 0..60),
            stop in proptest::collection::vec("[ab\n\u{e9}]{1,4}", 1..3),
        ) {
            let first = (0..=tokens.len()).find_map(|n| {
                let text = Pieces.decode(&tokens[..n]);
                let at = stop.iter().filter_map(|stop| text.find(stop)).min()?;
                Some((n, text.get(..at)?.to_owned()))
            });
            let found = (0..=tokens.len())
                .find_map(|n| Some((n, text_before_stop(&Pieces, &tokens[..n], &stop)?)));
            prop_assert_eq!(found, first);
        }
    }
}
