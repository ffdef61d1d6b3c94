//! Reads the notation of `tests/vectors` (its README.md).

#![allow(dead_code, reason = "each test program needs a part of it")]

use gst_plugin_iceoryx2_video::Value;
use serde_json::Value as Json;

/// One vector file.
pub fn load(name: &str) -> Json {
    read(&format!("tests/vectors/{name}.json"))
}

/// A JSON file of the repository.
pub fn read(path: &str) -> Json {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cases of one list of a file, each with words that tell which it is. There is at least one.
pub fn cases<'a>(file: &'a Json, list: &str) -> impl Iterator<Item = (String, &'a Json)> {
    let cases = array(&file[list]);
    assert!(!cases.is_empty(), "the list {list} is empty");
    let list = list.to_owned();
    cases.iter().enumerate().map(move |(index, case)| (format!("{list}[{index}] {}", case["name"]), case))
}

pub fn array(json: &Json) -> &Vec<Json> {
    json.as_array().unwrap_or_else(|| panic!("{json} is no list"))
}

pub fn string(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} is no string"))
}

/// A number that fits its type.
pub fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(json: &Json) -> T {
    T::try_from(json.as_u64().unwrap_or_else(|| panic!("{json} is no number"))).unwrap()
}

/// The bytes of `00ff 61*3`.
pub fn unhex(groups: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in groups.split_whitespace() {
        let (digits, times) = group.split_once('*').unwrap_or((group, "1"));
        assert!(digits.len().is_multiple_of(2), "{group}");
        let once = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        let once: Vec<u8> = once.collect();
        bytes.extend(once.repeat(times.parse().unwrap()));
    }
    bytes
}

pub fn records(json: &Json) -> Vec<Vec<u8>> {
    array(json).iter().map(|record| unhex(string(record))).collect()
}

/// A text that may be given in hex.
pub fn text(case: &Json, key: &str) -> String {
    match &case[key] {
        Json::String(text) => text.clone(),
        _ => String::from_utf8(unhex(string(&case[format!("{key}_hex")]))).unwrap(),
    }
}

/// The value that a case describes; `None` if Rust's types cannot hold it.
pub fn value(json: &Json) -> Option<Value> {
    let items = || array(&json["value"]).iter().map(value).collect::<Option<Vec<_>>>();
    Some(match string(&json["type"]) {
        "bool" => Value::Bool(json["value"].as_bool().unwrap()),
        "int" => Value::Int(json["value"].as_i64()?.try_into().ok()?),
        "int64" => Value::Int64(json["value"].as_i64()?),
        "double" => Value::Double(string(&json["value"]).parse().unwrap()),
        "string" => Value::Str(text(json, "value")),
        "fraction" => {
            let (numerator, denominator) = string(&json["value"]).split_once('/').unwrap();
            Value::Fraction(numerator.parse().ok()?, denominator.parse().ok()?)
        }
        "list" => Value::List(items()?),
        "array" => Value::Array(items()?),
        "raw" => Value::Raw(string(&json["value"]).to_owned()),
        other => panic!("type {other}"),
    })
}

/// The fields of a structure; `None` if Rust's types cannot hold one.
pub fn fields(case: &Json) -> Option<Vec<(String, Value)>> {
    array(&case["fields"]).iter().map(|pair| Some((string(&pair[0]).to_owned(), value(&pair[1])?))).collect()
}

/// A form in which NaN equals itself and 0.0 is not -0.0.
pub fn exactly(fields: &[(String, Value)]) -> String {
    format!("{fields:?}")
}
