//! Makes Rust of `contract/`, the data that the Python package reads as well: constants and texts.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

fn main() {
    println!("cargo::rerun-if-changed=contract");
    let code = limits(&read("limits")) + &layout(&read("layout"));
    let target = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&target).join("contract.rs"), code).expect("the build folder can be written");
}

fn read(name: &str) -> Value {
    let path = format!("contract/{name}.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Numbers are `usize`; times, whose names end in `_ms`, are `Duration`.
fn limits(data: &Value) -> String {
    let mut code = String::from("/// `limits.json`.\npub mod limits {\n    use std::time::Duration;\n");
    for (name, entry) in entries(data) {
        let (value, why) = (&entry[0], entry[1].as_str().expect("each limit has its reason"));
        let (name, kind, value) = match name.strip_suffix("_ms") {
            Some(time) => (time, "Duration", format!("Duration::from_millis({value})")),
            None if value.is_boolean() => (name, "bool", value.to_string()),
            None => (name, "usize", value.to_string()),
        };
        writeln!(code, "    /// {why}\n    pub const {}: {kind} = {value};", name.to_uppercase()).unwrap();
    }
    code + "}\n"
}

fn layout(data: &Value) -> String {
    let mut code = String::from("/// `layout.json`.\npub mod layout {\n");
    for (name, value) in entries(&data["constants"]) {
        let kind = if value.is_string() { "&str" } else { "u64" };
        writeln!(code, "    pub const {name}: {kind} = {value};").unwrap();
    }
    writeln!(code, "    pub const FLAGS_MASK: u64 = {};", data["flags"]["mask"]).unwrap();
    code + "}\n"
}

fn entries(data: &Value) -> impl Iterator<Item = (&str, &Value)> {
    data.as_object().expect("an object").iter().map(|(name, value)| (name.as_str(), value))
}
