//! Whether prompts and models are the ones of before.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::fnv::Fnv;

/// Files of a model that decide what it reads and writes, beside the weights.
const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Bytes of a file of weights that are read: at so many places, so many each. A smaller file is read whole.
const PLACES: u64 = 256;
const BYTES: u64 = 4096;

/// The digest of a prompt.
pub(super) fn prompt(ids: &[u32]) -> String {
    let mut digest = Fnv::new();
    digest.tokens(ids);
    digest.text()
}

/// The digest of a model's folder: names and sizes, small files whole, of weights a sample.
pub(super) fn model(dir: &Path) -> io::Result<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    let mut digest = Fnv::new();
    for name in names {
        let text = name.to_string_lossy();
        if FILES.contains(&&*text) || text.contains(".safetensors") {
            digest.bytes(text.as_bytes());
            add_file(&mut digest, &dir.join(&name))?;
        }
    }
    Ok(digest.text())
}

fn add_file(digest: &mut Fnv, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    digest.number(len);
    let is_sampled = len > PLACES * BYTES && path.extension().is_some_and(|e| e == "safetensors");
    let (places, bytes) = if is_sampled { (PLACES, BYTES) } else { (1, len) };
    let mut buffer = Vec::new();
    for place in 0..places {
        // The first place is the start, with the header, and the last one the end.
        let offset = (len - bytes) / (places - 1).max(1) * place;
        let offset = if place + 1 == places { len - bytes } else { offset };
        file.seek(SeekFrom::Start(offset))?;
        buffer.clear();
        file.by_ref().take(bytes).read_to_end(&mut buffer)?;
        digest.bytes(&buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_tokens_counts() {
        assert_ne!(prompt(&[1, 2]), prompt(&[2, 1]));
    }

    #[test]
    fn a_model_is_the_same_until_its_files_change() {
        let dir = tempfile::tempdir().unwrap();
        let weights = dir.path().join("model.safetensors");
        let mut bytes = vec![7; (3 * PLACES * BYTES) as usize];
        fs::write(&weights, &bytes).unwrap();
        fs::write(dir.path().join("config.json"), "{}").unwrap();
        let first = model(dir.path()).unwrap();
        fs::write(dir.path().join("README.md"), "more").unwrap();
        assert_eq!(model(dir.path()).unwrap(), first);
        fs::write(dir.path().join("config.json"), "[]").unwrap();
        assert_ne!(model(dir.path()).unwrap(), first);
        fs::write(dir.path().join("config.json"), "{}").unwrap();
        for at in [0, bytes.len() - 1] {
            bytes[at] = 8;
            fs::write(&weights, &bytes).unwrap();
            assert_ne!(model(dir.path()).unwrap(), first, "byte {at}");
            bytes[at] = 7;
        }
        fs::write(&weights, &bytes).unwrap();
        assert_eq!(model(dir.path()).unwrap(), first);
    }
}
