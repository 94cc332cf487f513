//! A kgen.toml with every key in it: those that were chosen as they are, the others as comments with their defaults. Pure.

/// The example, which shows every key with its default.
const EXAMPLE: &str = include_str!("../../kgen.example.toml");

const HEAD: &str = "# Written by `kgen init`. A line that begins with # shows a default, or an example: remove the # to set it.\n\
                    # `kgen config` shows every setting and where it comes from; docs/stack.md says what goes together.\n";

/// The text of a kgen.toml that sets each of `chosen`: key with its table, such as `cluster.name`, and value as TOML.
///
/// Returns `None` if a key is not in the example.
pub fn commented(chosen: &[(&str, String)]) -> Option<String> {
    let mut left: Vec<&str> = chosen.iter().map(|(key, _)| *key).collect();
    let mut text = HEAD.to_owned();
    let mut table = String::new();
    // The first line is about the example itself.
    for line in EXAMPLE.lines().skip(1) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            table = format!("{}.", name.0);
        }
        let setting = line.strip_prefix("# ").unwrap_or(line);
        let written = match key(setting) {
            None => line.to_owned(),
            Some(key) => {
                let full = format!("{table}{key}");
                match chosen.iter().find(|(chosen, _)| *chosen == full) {
                    Some((_, value)) => {
                        left.retain(|key| *key != full);
                        format!("{key} = {value}{}", remark(setting))
                    }
                    None => format!("# {setting}"),
                }
            }
        };
        text += &written;
        text.push('\n');
    }
    left.is_empty().then_some(text)
}

/// The key of a line that sets one.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    let is_bare = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_quoted = key.starts_with('"') && key.ends_with('"');
    (!key.is_empty() && (key.chars().all(is_bare) || key == "Owner" || is_quoted)).then_some(key)
}

/// The remark after a value, with the space before it.
fn remark(line: &str) -> &str {
    line.rfind(" # ").map_or("", |at| &line[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    #[test]
    fn what_is_chosen_is_set_and_the_rest_is_shown() {
        let chosen = [
            ("region", "\"eu-west-1\"".to_owned()),
            ("cluster.name", "\"orders\"".to_owned()),
            ("cluster.broker_count", "6".to_owned()),
        ];
        let text = commented(&chosen).unwrap();
        assert!(text.contains("\nregion = \"eu-west-1\"\n"), "{text}");
        assert!(text.contains("\nname = \"orders\" # Also in the names"), "{text}");
        assert!(text.contains("\nbroker_count = 6 # A multiple"), "{text}");
        // The topic has a name too.
        assert!(text.contains("\n# name = \"stress-demo\"\n"), "{text}");
        let set = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()).count();
        assert_eq!(set, chosen.len(), "{text}");
        let stack = Stack::parse(&text).unwrap();
        assert_eq!(
            (stack.region(), stack.cluster().name.as_str(), stack.cluster().broker_count),
            ("eu-west-1", "orders", 6)
        );
    }

    #[test]
    fn with_nothing_chosen_it_is_the_default_stack() {
        let stack = Stack::parse(&commented(&[]).unwrap()).unwrap();
        assert_eq!(stack, Stack::default());
    }

    #[test]
    fn a_key_that_there_is_not_is_noticed() {
        assert_eq!(commented(&[("cluster.colour", "\"red\"".to_owned())]), None);
    }
}
