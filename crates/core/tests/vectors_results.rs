//! Results against the vectors that the Python package is tested with.

mod notation;

use gst_plugin_iceoryx2_video as video;
use notation::{array, cases, load, number, string, text, unhex};
use serde_json::Value as Json;
use video::Fault;
use video::wire::result_payload::{Classification, Keypoint, Mask, ResultBox, Results, Tensor};
use video::wire::results::{RESULTS_HEADER_SIZE, VideoResultsHeader, validate_results};

/// A header with these fields; the others are 0.
fn header(fields: &Json) -> VideoResultsHeader {
    let long = |name: &str| fields[name].as_u64().unwrap_or_default();
    let word = |name: &str| u32::try_from(long(name)).unwrap();
    let boot_id = fields["boot_id_hex"].as_str().map_or([0; 16], |hex| unhex(hex).try_into().unwrap());
    VideoResultsHeader {
        stream: long("stream"),
        sequence: long("sequence"),
        boot_id,
        frame_publisher: long("frame_publisher"),
        frame_sequence: long("frame_sequence"),
        capture: long("capture"),
        due: long("due"),
        width: word("width"),
        height: word("height"),
        entries: word("entries"),
        flags: word("flags"),
        version: word("version"),
        reserved: word("reserved"),
    }
}

fn float(json: &Json, field: &str) -> f32 {
    json[field].as_f64().unwrap() as f32
}

fn listed<'a>(case: &'a Json, table: &str) -> &'a [Json] {
    case[table].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The results that a case describes.
fn results(case: &Json) -> Results {
    let labels: Vec<String> = match &case["labels_hex"] {
        Json::Null => listed(case, "labels").iter().map(|label| string(label).to_owned()).collect(),
        hex => array(hex).iter().map(|label| String::from_utf8(unhex(string(label))).unwrap()).collect(),
    };
    let mut results = Results { labels: labels.clone(), ..Results::default() };
    let label = |row: &Json| {
        let is_none = row["label"].is_null() && row["label_hex"].is_null();
        (!is_none).then(|| labels.iter().position(|known| *known == text(row, "label")).unwrap() as u32)
    };
    let of_box = |row: &Json| row["box"].as_u64().map(|index| index as u32);
    let [x, y, width, height, score] = ["x", "y", "width", "height", "score"];
    let boxes = listed(case, "boxes").iter().map(|row| ResultBox {
        x: float(row, x),
        y: float(row, y),
        width: float(row, width),
        height: float(row, height),
        score: float(row, score),
        label: label(row),
        track: row["track"].as_u64(),
    });
    results.boxes = boxes.collect();
    let keypoints = listed(case, "keypoints").iter().map(|row| {
        let (x, y, score) = (float(row, x), float(row, y), float(row, score));
        Keypoint { of_box: of_box(row), label: label(row), x, y, score }
    });
    results.keypoints = keypoints.collect();
    let classes = listed(case, "classifications").iter();
    let classes =
        classes.map(|row| Classification { of_box: of_box(row), label: label(row), score: float(row, score) });
    results.classifications = classes.collect();
    let masks = listed(case, "masks").iter().map(|row| Mask {
        of_box: of_box(row),
        label: label(row),
        rect: [x, y, width, height].map(|side| float(row, side)),
        columns: number(&row["columns"]),
        rows: number(&row["rows"]),
        runs: listed(row, "runs").iter().map(number).collect(),
    });
    results.masks = masks.collect();
    let layout = notation::read("python/gst_iceoryx2/contract/layout.json");
    let types = string(&layout["constants"]["TENSOR_TYPES"]);
    results.tensor = case["tensor"].as_object().map(|tensor| Tensor {
        dtype: 1 + types.split(' ').position(|name| name == string(&tensor["dtype"])).unwrap() as u32,
        shape: array(&tensor["shape"]).iter().map(number).collect(),
        name: string(&tensor["name"]).to_owned(),
        data: unhex(string(&tensor["data"])),
    });
    results.json = case["json"].as_str().map(str::to_owned);
    results
}

#[test]
fn headers_decode_and_encode() {
    for (name, case) in cases(&load("results"), "headers") {
        let bytes: [u8; RESULTS_HEADER_SIZE] = unhex(string(&case["hex"])).try_into().unwrap();
        let expected = header(&case["fields"]);
        assert_eq!(VideoResultsHeader::from_bytes(&bytes), expected, "{name}");
        assert_eq!(expected.to_bytes(), bytes, "{name}");
    }
}

#[test]
fn the_first_rule_that_a_header_breaks_is_named() {
    for (name, case) in cases(&load("results"), "validate") {
        let judged = validate_results(&header(&case["header"]), number(&case["payload_size"]));
        assert_eq!(judged.as_ref().err().map(Fault::rule), case["rule"].as_str(), "{name}: {judged:?}");
    }
}

#[test]
fn payloads_decode_and_encode() {
    for (name, case) in cases(&load("results"), "exact") {
        let (payload, entries, expected) = (unhex(string(&case["payload"])), number(&case["entries"]), results(case));
        assert_eq!(Results::decode(&payload, entries).unwrap(), expected, "{name}");
        assert_eq!(expected.encode().unwrap(), (payload, entries), "{name}");
    }
}

#[test]
fn the_first_rule_that_a_payload_breaks_is_named() {
    for (name, case) in cases(&load("results"), "decode") {
        let judged = Results::decode(&unhex(string(&case["payload"])), number(&case["entries"]));
        assert_eq!(judged.as_ref().err().map(Fault::rule), case["rule"].as_str(), "{name}: {judged:?}");
    }
}
