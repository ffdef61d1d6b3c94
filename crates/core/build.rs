//! Generates constants, texts and the format table from `contract/`, which the Python package also reads.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

fn main() {
    println!("cargo::rerun-if-changed=contract");
    let contract = limits(&read("limits")) + &layout(&read("layout")) + &messages(&read("messages"));
    write("contract.rs", &contract);
    write("formats.rs", &formats(&read("formats")));
}

fn read(name: &str) -> Value {
    let path = format!("contract/{name}.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn write(name: &str, code: &str) {
    let folder = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join(name), code).expect("the build folder can be written");
}

/// Generates the limits. Numbers become `usize`; times, which have names ending in `_ms`, become `Duration`.
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

/// Generates a function for each text, with an argument for each placeholder. Names and `text` are written in quotes.
fn messages(data: &Value) -> String {
    let mut code = String::from("/// `messages.json`.\npub mod messages {\n    use std::fmt::{Debug, Display};\n");
    for (name, text) in entries(data) {
        let mut text = text.as_str().expect("a text").to_owned();
        let mut arguments = Vec::new();
        for placeholder in text.clone().split('{').skip(1).filter_map(|part| part.split_once('}')).map(|part| part.0) {
            let is_quoted = ["name", "service", "text", "character"].contains(&placeholder);
            let argument = format!("{placeholder}: impl {}", if is_quoted { "Debug" } else { "Display" });
            if is_quoted {
                text = text.replace(&format!("{{{placeholder}}}"), &format!("{{{placeholder}:?}}"));
            }
            if !arguments.contains(&argument) {
                arguments.push(argument);
            }
        }
        let make = if arguments.is_empty() { "String::from" } else { "format!" };
        let arguments = arguments.join(", ");
        writeln!(code, "    pub fn {name}({arguments}) -> String {{\n        {make}({text:?})\n    }}").unwrap();
    }
    code + "}\n"
}

/// Generates the rows of the format table.
fn formats(data: &Value) -> String {
    let mut code = String::from("[\n");
    for row in data["formats"].as_array().expect("a list") {
        let kind = row["kind"].as_str().expect("a word");
        let sample = match row["dtype"].as_str().expect("a word") {
            "" | "u1" => "U8",
            "<u2" => "U16Le",
            ">u2" => "U16Be",
            "<u4" => "U32Le",
            ">u4" => "U32Be",
            "<f2" => "F16Le",
            ">f2" => "F16Be",
            "<f4" => "F32Le",
            ">f4" => "F32Be",
            other => panic!("dtype {other}"),
        };
        let mut planes = String::new();
        for plane in row["planes"].as_array().expect("a list") {
            let [first, second, third] = [0, 1, 2].map(|index| &plane[index]);
            // For opaque formats, the entries are the pixels per group, the bytes per group and the vertical subsampling.
            let [w_shift, h_shift, channels, group] = match kind {
                "opaque" => [&Value::from(0), third, second, first],
                _ => [first, second, third, &Value::from(1)],
            };
            write!(
                planes,
                "Plane {{ w_shift: {w_shift}, h_shift: {h_shift}, channels: {channels}, group: {group} }}, "
            )
            .unwrap();
        }
        if kind == "tiled" {
            let tiled = "Plane { w_shift: 0, h_shift: 0, channels: 0, group: 1 }, ";
            planes = tiled.repeat(row["n_planes"].as_u64().expect("a number") as usize);
        }
        let kind = kind[..1].to_uppercase() + &kind[1..];
        writeln!(
            code,
            "    VideoFormat {{ name: {}, kind: Kind::{kind}, sample: Sample::{sample}, align: {}, planes: &[{planes}] }},",
            row["name"], row["align"]
        )
        .unwrap();
    }
    code + "]\n"
}

fn entries(data: &Value) -> impl Iterator<Item = (&str, &Value)> {
    data.as_object().expect("an object").iter().map(|(name, value)| (name.as_str(), value))
}
