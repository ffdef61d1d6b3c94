//! The header, the format table and the validator against the golden data that the Python package is tested with.

mod notation;

use gst_plugin_iceoryx2_video as video;
use notation::{array, cases, load, number, read, string, unhex};
use serde_json::Value as Json;
use video::wire::packet::{PACKET_HEADER_SIZE, VideoPacketHeader, validate_packet};
use video::{Fault, VideoFormat, VideoFrameHeader, validate_geometry};

const LAYOUT: &str = "python/gst_iceoryx2/contract/layout.json";

fn header(fields: &Json) -> VideoFrameHeader {
    let four = |json: &Json| std::array::from_fn(|plane| number(&json[plane]));
    let time = |name: &str| {
        if fields[name].is_null() { video::NONE } else { number(&fields[name]) }
    };
    VideoFrameHeader {
        pts: time("pts"),
        dts: time("dts"),
        duration: time("duration"),
        offset: time("offset"),
        flags: number(&fields["flags"]),
        width: number(&fields["width"]),
        height: number(&fields["height"]),
        n_planes: number(&fields["n_planes"]),
        aux_size: number(&fields["aux_size"]),
        stride: four(&fields["stride"]),
        plane_offsets: four(&fields["plane_offsets"]),
        format: unhex(string(&fields["format_hex"])).try_into().unwrap(),
    }
}

#[test]
fn headers_decode_and_encode() {
    let file = load("header");
    for (name, case) in cases(&file, "headers") {
        let bytes: [u8; video::HEADER_SIZE] = unhex(string(&case["hex"])).try_into().unwrap();
        let expected = header(&case["fields"]);
        assert_eq!(VideoFrameHeader::from_bytes(&bytes), expected, "{name}");
        assert_eq!(expected.to_bytes(), bytes, "{name}");
        assert_eq!(expected.format_name(), case["format_name"].as_str().unwrap_or_default(), "{name}");
    }
    let eos = array(&file["headers"]).iter().find(|case| case["name"] == "end of stream").unwrap();
    assert_eq!(VideoFrameHeader::eos(), header(&eos["fields"]));
}

#[test]
fn only_flags_of_the_picture_cross() {
    let file = load("header");
    for (name, case) in cases(&file, "flags") {
        let flags: u64 = number(&case["flags"]);
        assert_eq!(flags & video::FLAGS_MASK, number::<u64>(&case["masked"]), "{name}");
    }
}

#[test]
fn fields_lie_where_the_layout_says() {
    let layout = read(LAYOUT);
    // Each field's bytes, found by setting nothing but them, stand where the layout says.
    for field in array(&layout["header"]["fields"]) {
        let name = string(&field["name"]);
        let (offset, size): (usize, usize) = (number(&field["offset"]), number(&field["size"]));
        let mut bytes = [0; video::HEADER_SIZE];
        bytes[offset..offset + size].fill(0xff);
        let header = VideoFrameHeader::from_bytes(&bytes);
        let full = match name {
            "pts" => header.pts == u64::MAX,
            "dts" => header.dts == u64::MAX,
            "duration" => header.duration == u64::MAX,
            "offset" => header.offset == u64::MAX,
            "flags" => header.flags == u64::MAX,
            "width" => header.width == u32::MAX,
            "height" => header.height == u32::MAX,
            "n_planes" => header.n_planes == u32::MAX,
            "aux_size" => header.aux_size == u32::MAX,
            "stride" => header.stride == [u32::MAX; 4],
            "plane_offsets" => header.plane_offsets == [u32::MAX; 4],
            "format" => header.format == [0xff; 16],
            other => panic!("field {other}"),
        };
        assert!(full, "{name}");
    }
}

fn packet(fields: &Json) -> VideoPacketHeader {
    let long = |name: &str| number::<u64>(&fields[name]);
    let word = |name: &str| number::<u32>(&fields[name]);
    VideoPacketHeader {
        pts: long("pts"),
        dts: long("dts"),
        duration: long("duration"),
        stream: long("stream"),
        sequence: long("sequence"),
        boot_id: unhex(string(&fields["boot_id_hex"])).try_into().unwrap(),
        frame_publisher: long("frame_publisher"),
        frame_sequence: long("frame_sequence"),
        capture: long("capture"),
        due: long("due"),
        width: word("width"),
        height: word("height"),
        flags: word("flags"),
        version: word("version"),
        codec: unhex(string(&fields["codec_hex"])).try_into().unwrap(),
    }
}

#[test]
fn headers_of_packets_decode_and_encode() {
    let file = load("packet");
    for (name, case) in cases(&file, "headers") {
        let bytes: [u8; PACKET_HEADER_SIZE] = unhex(string(&case["hex"])).try_into().unwrap();
        let expected = packet(&case["fields"]);
        assert_eq!(VideoPacketHeader::from_bytes(&bytes), expected, "{name}");
        assert_eq!(expected.to_bytes(), bytes, "{name}");
        assert_eq!(expected.codec_name(), case["codec_name"].as_str().unwrap_or_default(), "{name}");
    }
}

#[test]
fn the_first_rule_that_a_packet_breaks_is_named() {
    let file = load("packet");
    for (name, case) in cases(&file, "validate") {
        let judged = validate_packet(&packet(&case["header"]), number(&case["payload_size"]), string(&case["codec"]));
        assert_eq!(judged.as_ref().err().map(Fault::rule), case["rule"].as_str(), "{name}: {judged:?}");
    }
}

#[test]
fn geometry_is_computed_alike() {
    let file = load("geometry");
    for (name, case) in cases(&file, "tight").chain(cases(&file, "padded")) {
        let name = format!("{name} {case}");
        let format = VideoFormat::get(string(&case["format"])).unwrap();
        let (width, height) = (number(&case["width"]), number(&case["height"]));
        let stride0 = (!case["stride0"].is_null()).then(|| number(&case["stride0"]));
        for plane in 0..format.n_planes() {
            assert_eq!(format.row_bytes(plane, width), number::<usize>(&case["row_bytes"][plane]), "{name}");
            assert_eq!(format.rows(plane, height), number::<usize>(&case["rows"][plane]), "{name}");
        }
        let layout = format.tight_layout(width, height, stride0);
        let expected = &case["layout"];
        assert_eq!(layout.is_ok(), !expected.is_null(), "{name}: {layout:?}");
        let Ok(layout) = layout else { continue };
        let planes = format.n_planes();
        let numbers = |json: &Json| array(json).iter().map(number).collect::<Vec<u32>>();
        assert_eq!(layout.strides[..planes], numbers(&expected["strides"]), "{name}");
        assert_eq!(layout.offsets[..planes], numbers(&expected["offsets"]), "{name}");
        assert_eq!(layout.size, number::<usize>(&expected["size"]), "{name}");
        assert!(layout.strides[planes..].iter().chain(&layout.offsets[planes..]).all(|&entry| entry == 0), "{name}");
    }
    for tiled in array(&file["tiled"]) {
        let format = VideoFormat::get(string(&tiled[0])).unwrap();
        assert_eq!(format.n_planes(), number::<usize>(&tiled[1]), "{tiled}");
        assert!(matches!(format.tight_layout(64, 64, None), Err(Fault::Tiled { .. })), "{tiled}");
    }
}

#[test]
fn the_validator_names_the_first_rule_that_fails() {
    let file = load("validate");
    for (name, case) in cases(&file, "cases") {
        let header = header(&case["header"]);
        let payload: usize = number(&case["payload_size"]);
        let judged = video::validate_aux_size(&header, payload).and_then(|pixels| validate_geometry(&header, pixels));
        assert_eq!(judged.as_ref().err().map(Fault::rule), case["rule"].as_str(), "{name}: {judged:?}");
    }
}
