//! Each setting with its value and where it comes from.

use comfy_table::Table;

use crate::{
    documents::Other,
    stack::settings::{Origin, Setting},
    visible,
};

/// A table: those of kgen.toml, then the `others`.
pub fn table(settings: &[Setting], others: &[Other]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["key", "value", "from", "variable"]);
    let or_dash = |text: Option<&String>| text.map_or("-".to_owned(), |text| visible::line(text).into_owned());
    for setting in settings {
        let origin = match &setting.origin {
            Origin::Default => "default".to_owned(),
            Origin::KgenToml { line: Some(line) } => format!("kgen.toml:{line}"),
            Origin::KgenToml { line: None } => "kgen.toml".to_owned(),
            Origin::Environment => "environment".to_owned(),
        };
        table.add_row([
            visible::line(&setting.key).into_owned(),
            or_dash(setting.value.as_ref()),
            origin,
            or_dash(setting.variable.as_ref()),
        ]);
    }
    for other in others {
        let option = format!("--{}", other.name);
        let name = if ["project", "redact", "terraform-bin", "bootstrap-servers"].contains(&other.name.as_str()) {
            option
        } else {
            other.name.clone()
        };
        table.add_row([name, or_dash(other.value.as_ref()), other.origin.to_owned(), other.variable.to_owned()]);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
