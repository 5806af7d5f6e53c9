//! The schema against the plans that ship, and against every mistake that a form can show.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

use super::schema;

/// What the reader says of a value by itself; all else rests on two keys, or on the cluster.
const OF_THE_FORM: [&str; 6] =
    ["unknown key", " is unknown; known", "did you mean", "missing; write", " is no ", "a date does not fit"];

fn validator() -> Validator {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema), "the schema is one");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn as_json(plan: &str) -> Option<Value> {
    let plan: toml::Table = plan.parse().ok()?;
    serde_json::to_value(plan).ok()
}

#[test]
fn every_plan_that_ships_is_of_the_form() {
    let validator = validator();
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    for plan in fs::read_dir(plans).expect("plans") {
        let path = plan.expect("a plan").path();
        let plan = as_json(&fs::read_to_string(&path).expect("a text")).expect("TOML");
        let errors: Vec<_> = validator
            .iter_errors(&plan)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// Every block of `mistakes.txt`: what can be run, or could be elsewhere, is of the form; what is told of a form is not.
#[test]
fn the_schema_says_of_forms_what_the_reader_says() {
    let validator = validator();
    let blocks = include_str!("../mistakes.txt").trim_end().split("\n\n").skip(1);
    let (mut taken, mut refused) = (0, 0);
    for block in blocks {
        let (plan, told) = block.split_once("\n----\n").expect("a plan and dashes");
        let Some(json) = as_json(&format!("schema = 1\nname = \"p\"\n{plan}\n")) else { continue };
        let fits = validator.is_valid(&json);
        if told.starts_with("64") {
            // Which events there are is no matter of form.
            let lines = || told.lines().filter(|line| !line.contains(".when.event: "));
            let of_the_form = OF_THE_FORM.iter().any(|words| lines().any(|line| line.contains(words)));
            assert!(!of_the_form || !fits, "{plan}\n----\n{told}");
            refused += u32::from(!fits);
        } else {
            assert!(fits, "{plan}\n----\n{told}");
            taken += 1;
        }
    }
    assert!(taken > 30 && refused > 90, "{taken} are taken, {refused} refused");
}
