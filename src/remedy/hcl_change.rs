//! The one line of HCL that a resize changes, as a unified diff.

/// Where kgen renders the cluster.
const FILE: &str = "terraform/msk.tf";

/// The block and attribute that the rendered cluster has, for when there is no file to show.
const BLOCK: &str = "  broker_node_group_info {\n    instance_type = \"FROM\"\n";

/// The change of `instance_type` from `from` to `to`: in `text` if it has such a line, else in the block as kgen renders it.
pub fn instance_type_diff(text: Option<&str>, from: &str, to: &str) -> String {
    let (from, to) = (format!("\"{from}\""), format!("\"{to}\""));
    let changed = text.and_then(|text| Some((text.to_owned(), with_type(text, &from, &to)?)));
    let (before, after) = changed.unwrap_or_else(|| (BLOCK.replace("\"FROM\"", &from), BLOCK.replace("\"FROM\"", &to)));
    let diff = similar::TextDiff::from_lines(&before, &after);
    diff.unified_diff().context_radius(1).header(&format!("a/{FILE}"), &format!("b/{FILE}")).to_string()
}

/// `text` with the value `from` of `instance_type` changed to `to`; nothing unless exactly one line has it.
fn with_type(text: &str, from: &str, to: &str) -> Option<String> {
    let is_it = |line: &str| {
        let value = line.trim_start().strip_prefix("instance_type").map(str::trim_start);
        value.and_then(|rest| rest.strip_prefix('=')).is_some_and(|value| value.trim_start().starts_with(from))
    };
    let mut found = text.lines().filter(|line| is_it(line));
    let (line, None) = (found.next()?, found.next()) else { return None };
    Some(text.replacen(line, &line.replacen(from, to, 1), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "--- a/terraform/msk.tf\n+++ b/terraform/msk.tf\n@@ -1,2 +1,2 @@\n   broker_node_group_info {\n\
                            -    instance_type = \"kafka.t3.small\"\n+    instance_type = \"kafka.m5.large\"\n";

    #[test]
    fn the_line_is_shown_as_it_stands_in_the_file() {
        let file = "resource \"aws_msk_cluster\" \"x\" {\n  broker_node_group_info {\n    \
                    instance_type   = \"kafka.t3.small\" # why\n    az = 1\n  }\n}\n";
        let diff = "--- a/terraform/msk.tf\n+++ b/terraform/msk.tf\n@@ -2,3 +2,3 @@\n   broker_node_group_info {\n\
                    -    instance_type   = \"kafka.t3.small\" # why\n+    instance_type   = \"kafka.m5.large\" # why\n     az = 1\n";
        let rows = [
            (Some(file), diff),
            (None, RENDERED),
            (Some("instance_type = var.broker_type\n"), RENDERED),
            (Some("instance_type = \"kafka.t3.small\"\ninstance_type = \"kafka.t3.small\"\n"), RENDERED),
        ];
        for (text, expected) in rows {
            assert_eq!(instance_type_diff(text, "kafka.t3.small", "kafka.m5.large"), expected, "{text:?}");
        }
    }
}
