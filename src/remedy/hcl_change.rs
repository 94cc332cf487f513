//! The one line of HCL that a resize changes, as a unified diff.

use crate::hcl::{
    edit::{find_string, set_string},
    escape,
};

const RESOURCE: [&str; 2] = ["resource", "aws_msk_cluster"];
const ATTRIBUTE: [&str; 2] = ["broker_node_group_info", "instance_type"];

/// Where kgen renders the cluster.
const FILE: &str = "terraform/msk.tf";

/// The block and attribute that the rendered cluster has, for when there is no file to show.
const BLOCK: &str = "  broker_node_group_info {\n    instance_type = \"FROM\"\n";

/// The change of `instance_type` from `from` to `to`: in `text` if its cluster has that literal, else in the block as kgen renders it.
pub fn instance_type_diff(text: Option<&str>, from: &str, to: &str) -> String {
    let changed = text.and_then(|text| {
        find_string(text, &RESOURCE, &ATTRIBUTE).ok().filter(|found| found.value == from)?;
        Some((text.to_owned(), set_string(text, &RESOURCE, &ATTRIBUTE, to).ok()?))
    });
    let (from, to) = (format!("\"{}\"", escape(from)), format!("\"{}\"", escape(to)));
    let (before, after) = changed.unwrap_or_else(|| (BLOCK.replace("\"FROM\"", &from), BLOCK.replace("\"FROM\"", &to)));
    diff(&before, &after)
}

/// The change of `volume_size`, GiB: in `text` if it has that number on a line of its own, else as kgen renders it.
pub fn volume_size_diff(text: Option<&str>, from_gib: u32, to_gib: u32) -> String {
    number_diff(text, ("        ", "volume_size"), from_gib, to_gib)
}

/// The change of `number_of_broker_nodes`, likewise.
pub fn broker_count_diff(text: Option<&str>, from: u32, to: u32) -> String {
    number_diff(text, ("  ", "number_of_broker_nodes"), from, to)
}

fn number_diff(text: Option<&str>, (indent, name): (&str, &str), from: u32, to: u32) -> String {
    let is_it = |line: &&str| {
        line.trim()
            .strip_prefix(name)
            .and_then(|rest| rest.trim_start().strip_prefix('='))
            .is_some_and(|value| value.trim() == from.to_string())
    };
    let rendered = format!("{indent}{name} = {from}\n");
    let before = text.filter(|text| text.lines().filter(is_it).count() == 1).unwrap_or(&rendered);
    let after: String =
        before
            .split_inclusive('\n')
            .map(|line| {
                if is_it(&line.trim_end()) { line.replace(&from.to_string(), &to.to_string()) } else { line.to_owned() }
            })
            .collect();
    diff(before, &after)
}

fn diff(before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(1).header(&format!("a/{FILE}"), &format!("b/{FILE}")).to_string()
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
