//! Transparent paths as parts of names.

use crate::engine::config::Transparent;

/// Each path as `a-z0-9-`, none twice, in the order of the file.
pub(super) fn slugs(entries: &[Transparent]) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::with_capacity(entries.len());
    for entry in entries {
        let slug = slug(&entry.path);
        let numbered = (2_u32..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered);
        slugs.extend(free.into_iter().find(|slug| !slugs.contains(slug)));
    }
    slugs
}

fn slug(path: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let words: String = path.chars().map(plain).collect();
    let words = words.trim_matches('-');
    // Names are cut nowhere else: 63 leave room for what stands before.
    let short: String = words.chars().take(63).collect();
    match short.trim_end_matches('-') {
        "" => "root".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_read_alike_have_names_of_their_own() {
        let entry = |path: &str| Transparent {
            path: path.to_owned(),
            upstream: String::new(),
            input_headers: Vec::new(),
            opaque: false,
        };
        let entries = ["/", "/a/B", "/a_b", "/a-b"].map(entry);
        assert_eq!(slugs(&entries), ["root", "a-b", "a-b-2", "a-b-3"]);
    }
}
