//! The aux blob, metas, times and caps against the vectors that the Python package is tested with.

mod notation;

use gst_plugin_iceoryx2_video as video;
use notation::{array, cases, exactly, fields, load, number, records, string, text, unhex};
use serde_json::Value as Json;
use video::{
    AuxRef, Caps, CustomMeta, Meta, MetaRef, ReferenceTimestamp, Stamp, Structure, VideoFrameHeader, build_aux,
    check_caps, decode_meta, parse_aux, video_caps_with,
};

fn optional(json: &Json) -> Option<u64> {
    (!json.is_null()).then(|| number(json))
}

#[test]
fn blobs_decode_and_encode() {
    let file = load("aux");
    for (name, case) in cases(&file, "exact") {
        let (caps, metas, blob) = (case["caps"].as_str(), records(&case["metas"]), unhex(string(&case["blob"])));
        assert_eq!(build_aux(caps.unwrap_or_default(), &metas, None), blob, "{name}");
        let parsed = parse_aux(&blob);
        assert_eq!((parsed.caps.as_deref(), parsed.metas), (caps, metas), "{name}");
    }
}

#[test]
fn a_blob_that_is_cut_off_gives_the_parts_before_the_cut() {
    let file = load("aux");
    let case = &file["truncated"];
    let (caps, metas) = (case["caps"].as_str(), records(&case["metas"]));
    let blob = unhex(string(&case["blob"]));
    for cut in array(&case["cuts"]) {
        let parsed = parse_aux(&blob[..number::<usize>(&cut["length"])]);
        assert_eq!(parsed.caps.as_deref(), caps.filter(|_| cut["caps"] == true), "{cut}");
        assert_eq!(parsed.metas, metas[..number::<usize>(&cut["metas"])], "{cut}");
    }
}

#[test]
fn blobs_of_strangers_decode_alike() {
    let file = load("aux");
    for (name, case) in cases(&file, "decode") {
        let parsed = parse_aux(&unhex(string(&case["blob"])));
        assert_eq!((parsed.caps.as_deref(), parsed.metas), (case["caps"].as_str(), records(&case["metas"])), "{name}");
    }
}

#[test]
fn records_that_do_not_fit_the_limit_are_left_out() {
    let file = load("aux");
    for (name, case) in cases(&file, "limit") {
        let blob = build_aux(
            case["caps"].as_str().unwrap_or_default(),
            &records(&case["metas"]),
            Some(number(&case["limit"])),
        );
        assert_eq!(blob, unhex(string(&case["blob"])), "{name}");
    }
}

fn reference_timestamp(case: &Json) -> ReferenceTimestamp {
    ReferenceTimestamp {
        reference: text(case, "reference"),
        timestamp: number(&case["timestamp"]),
        duration: optional(&case["duration"]),
        info: case["info"].as_str().map(str::to_owned),
    }
}

#[test]
fn reference_timestamps_decode_and_encode() {
    let file = load("meta");
    for (name, case) in cases(&file, "reference_timestamp") {
        let (record, expected) = (unhex(string(&case["record"])), reference_timestamp(case));
        assert_eq!(expected.encode().as_deref(), Ok(&record[..]), "{name}");
        assert_eq!(decode_meta(&record), Meta::ReferenceTimestamp(expected), "{name}");
    }
    for (name, case) in cases(&file, "reference_timestamp_decode_only") {
        let record = unhex(string(&case["record"]));
        assert_eq!(decode_meta(&record), Meta::ReferenceTimestamp(reference_timestamp(case)), "{name}");
    }
}

#[test]
fn custom_metas_decode_and_encode() {
    let file = load("meta");
    for (name, case) in cases(&file, "custom") {
        let record = unhex(string(&case["record"]));
        let expected = CustomMeta { name: string(&case["meta"]).to_owned(), fields: fields(case).unwrap() };
        assert_eq!(expected.encode().as_deref(), Ok(&record[..]), "{name}");
        assert_custom(&name, case, &record, &expected);
    }
    for (name, case) in cases(&file, "custom_decode_only") {
        let expected = CustomMeta { name: string(&case["meta"]).to_owned(), fields: fields(case).unwrap() };
        assert_custom(&name, case, &unhex(string(&case["record"])), &expected);
    }
}

/// The record, and the text if the case repeats it, give the expected fields.
fn assert_custom(name: &str, case: &Json, record: &[u8], expected: &CustomMeta) {
    let Meta::Custom(decoded) = decode_meta(record) else { panic!("{name}: no custom meta") };
    assert_eq!((&decoded.name, exactly(&decoded.fields)), (&expected.name, exactly(&expected.fields)), "{name}");
    if let Some(text) = case["text"].as_str() {
        let structure = Structure::parse(text).unwrap();
        assert_eq!(
            (&structure.name, exactly(&structure.fields)),
            (&expected.name, exactly(&expected.fields)),
            "{name}"
        );
    }
}

#[test]
fn records_of_strangers_stay_bytes() {
    let file = load("meta");
    for (name, case) in cases(&file, "opaque") {
        let record = unhex(string(&case["record"]));
        assert_eq!(decode_meta(&record), Meta::Other(record.clone()), "{name}");
        assert!(matches!(MetaRef::read(&record), None | Some(MetaRef::Other { .. })), "{name}");
    }
}

#[test]
fn values_that_cannot_be_read_back_are_not_written() {
    let file = load("meta");
    for (name, case) in cases(&file, "refused") {
        // Values that Rust's types cannot hold cannot be asked for.
        let Some(fields) = fields(case) else { continue };
        let encoded = CustomMeta { name: string(&case["meta"]).to_owned(), fields }.encode();
        assert!(encoded.is_err(), "{name}: {encoded:?}");
    }
}

/// The stamp of a case; without one nothing is known.
fn stamp(case: &Json) -> Stamp {
    if case.is_null() {
        return Stamp::default();
    }
    Stamp {
        boot_id: unhex(string(&case["boot_id"])).try_into().unwrap(),
        publisher: case["publisher"].as_str().map(|digits| u64::from_str_radix(digits, 16).unwrap()),
        sequence: optional(&case["sequence"]),
        capture: optional(&case["capture"]),
        due: optional(&case["due"]),
    }
}

#[test]
fn stamps_decode_and_encode() {
    let file = load("stamp");
    for (name, case) in cases(&file, "exact") {
        let (record, expected) = (unhex(string(&case["record"])), stamp(case));
        assert_eq!(expected.record()[..], record, "{name}");
        assert_eq!(Stamp::read(&record), Some(expected), "{name}");
    }
    for (name, case) in cases(&file, "decode") {
        let blob = build_aux("video/x-raw", &records(&case["records"]), None);
        assert_eq!(AuxRef::new(&blob).stamp(), stamp(&case["stamp"]), "{name}");
    }
}

#[test]
fn caps_are_read_alike() {
    let file = load("caps");
    for (name, case) in cases(&file, "parse") {
        let caps = Caps::parse(&text(case, "text")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let features: Vec<_> = array(&case["features"]).iter().map(string).collect();
        assert_eq!(
            (caps.media.as_str(), caps.features),
            (string(&case["media"]), features.iter().map(|&f| f.to_owned()).collect()),
            "{name}"
        );
        assert_eq!(exactly(&caps.fields), exactly(&fields(case).unwrap()), "{name}");
    }
    for (name, case) in cases(&file, "errors") {
        let caps = Caps::parse(&text(case, "text"));
        assert!(caps.is_err(), "{name}: {caps:?}");
    }
}

#[test]
fn caps_are_written_alike() {
    let file = load("caps");
    for (name, case) in cases(&file, "write") {
        let framerate = case["framerate"].as_str().map(|text| text.split_once('/').unwrap());
        let framerate = framerate.map(|(n, d)| (n.parse().unwrap(), d.parse().unwrap()));
        let (format, width, height) = (string(&case["format"]), number(&case["width"]), number(&case["height"]));
        let written = video_caps_with(format, width, height, framerate, &fields(case).unwrap());
        assert_eq!(written.as_deref(), Ok(string(&case["text"])), "{name}");
        assert!(Caps::parse(string(&case["text"])).is_ok(), "{name}");
    }
}

#[test]
fn caps_agree_with_their_header_or_not() {
    let file = load("caps");
    for (name, case) in cases(&file, "agree") {
        let mut header =
            VideoFrameHeader { width: number(&case["width"]), height: number(&case["height"]), ..Default::default() };
        header.set_format(string(&case["format"])).unwrap();
        let judged = check_caps(text(case, "text"), &header);
        assert_eq!(judged.is_ok(), case["agrees"].as_bool().unwrap(), "{name}: {judged:?}");
    }
}
