//! Rendered files, and how to detect that a file was edited since.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

const MADE_BY: &str = "# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.";
const CHECKSUM: &str = "# kgen:sha256=";

/// Names of files, and the text of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered(BTreeMap<String, String>);

/// Who wrote a file last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// kgen, and the file is as kgen left it.
    Kgen,
    /// kgen, but the file was edited since.
    Edited,
    /// Not kgen.
    Foreign,
}

impl Rendered {
    pub(super) fn new<'a>(files: impl IntoIterator<Item = (&'a str, String)>) -> Rendered {
        Rendered(files.into_iter().map(|(name, text)| (name.to_owned(), signed(&text))).collect())
    }

    /// In the order of the names.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// `text` below a header that names kgen and carries the checksum of everything but its own line.
fn signed(text: &str) -> String {
    // `#!` must stay the first line.
    let (first, rest) = match text.split_once('\n') {
        Some((shebang, rest)) if shebang.starts_with("#!") => (format!("{shebang}\n"), rest),
        _ => (String::new(), text),
    };
    let above = format!("{first}{MADE_BY}\n");
    let below = format!("\n{rest}");
    format!("{above}{CHECKSUM}{}\n{below}", checksum(&above, &below))
}

/// Who wrote `text` last, by its checksum. Line ends do not count: git may change them.
pub fn provenance(text: &str) -> Provenance {
    let text = text.replace("\r\n", "\n");
    let Some(start) = text.lines().take(3).find(|line| line.starts_with(CHECKSUM)).and_then(|line| text.find(line))
    else {
        return Provenance::Foreign;
    };
    let (above, from) = text.split_at(start);
    let (line, below) = from.split_once('\n').unwrap_or((from, ""));
    match line.strip_prefix(CHECKSUM) == Some(&checksum(above, below)) {
        true => Provenance::Kgen,
        false => Provenance::Edited,
    }
}

fn checksum(above: &str, below: &str) -> String {
    let digest = Sha256::new().chain_update(above).chain_update(below).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_shows() {
        for text in ["a = 1\n", "#!/bin/bash\necho\n", ""] {
            let signed = signed(text);
            assert_eq!(provenance(&signed), Provenance::Kgen, "{signed}");
            assert_eq!(provenance(&signed.replace('\n', "\r\n")), Provenance::Kgen);
            assert_eq!(provenance(&format!("{signed} ")), Provenance::Edited);
            assert_eq!(provenance(text), Provenance::Foreign);
        }
        assert!(signed("#!/bin/bash\necho\n").starts_with("#!/bin/bash\n# Rendered"));
    }
}
