//! Whether prompts and models are the ones of before.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

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

/// FNV-1a with 64 bits: it finds accidents and no forgeries.
struct Digest(u64);

impl Digest {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

/// The digest of a prompt.
pub(super) fn prompt(ids: &[u32]) -> String {
    let mut digest = Digest::new();
    for id in ids {
        digest.add(&id.to_le_bytes());
    }
    digest.text()
}

/// The digest of a model's folder: names and sizes, small files whole, of weights a sample.
pub(super) fn model(dir: &Path) -> io::Result<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    let mut digest = Digest::new();
    for name in names {
        let text = name.to_string_lossy();
        if FILES.contains(&&*text) || text.contains(".safetensors") {
            digest.add(text.as_bytes());
            add_file(&mut digest, &dir.join(&name))?;
        }
    }
    Ok(digest.text())
}

fn add_file(digest: &mut Digest, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    digest.add(&len.to_le_bytes());
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
        digest.add(&buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_fnv() {
        // From the test vectors of its authors.
        for (text, expected) in
            [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")]
        {
            let mut digest = Digest::new();
            digest.add(text.as_bytes());
            assert_eq!(digest.text(), expected, "{text}");
        }
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
