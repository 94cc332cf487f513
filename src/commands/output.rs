//! `kgen output`: the outputs of the applied stack.

use std::path::Path;

use anyhow::bail;
use serde_json::Value;

use super::{
    documents::{self, Outputs},
    working_dir::readable,
};
use crate::{
    cli::{Outcome, Output},
    terraform::TerraformError,
    visible::line,
};

pub fn run(project: &Path, args: &Output) -> anyhow::Result<Outcome> {
    let mut outputs = readable(project, &args.terraform)?.1.output()?;
    if let Some(name) = &args.raw {
        let Some(output) = outputs.remove(name) else { return Err(TerraformError::NoOutput(name.clone()).into()) };
        match output.value {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                bail!("output {name} is not text, a number or a truth value: `kgen output --json` prints it");
            }
            value => println!("{}", text(&value)),
        }
    } else if args.json {
        let outputs = outputs.into_iter().map(|(name, output)| (name, output.value)).collect();
        documents::print(Outputs { outputs })?;
    } else if outputs.is_empty() {
        eprintln!("there are no outputs: nothing has been applied yet (`kgen apply`)");
    } else {
        let width = outputs.keys().map(String::len).max().unwrap_or(0);
        for (name, output) in &outputs {
            let value = if output.sensitive { "(sensitive)".to_owned() } else { text(&output.value) };
            println!("{:width$} = {}", line(name), line(&value));
        }
    }
    Ok(Outcome::Done)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
