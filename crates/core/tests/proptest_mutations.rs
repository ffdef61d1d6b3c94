//! Sound frames, damaged in a few places: what a receiver does with them stays within their bytes and costs in proportion.

mod cases;
mod counting;

use cases::cases;
use counting::asked;
use gst_plugin_iceoryx2_video as video;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use video::wire::auxblob::MAX_METAS;
use video::wire::formats::{FORMATS, Kind};
use video::wire::text::MAX_TEXT;
use video::{
    AuxRef, AuxTemplate, Caps, CustomMeta, Meta, MetaRef, ReferenceTimestamp, Structure, Value, VideoFormat,
    VideoFrameHeader, check_caps, decode_meta, validate_aux_size, validate_geometry,
};

/// Bytes that a parser may allocate for each byte of its input.
const COST_PER_BYTE: usize = 200;
const COST: usize = 8 * MAX_TEXT;

/// One thing that goes wrong with bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    /// A length or count becomes another.
    Number(Index, u32),
    Cut(Index),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Insert(Index, &'static [u8]),
}

/// Pieces that parsers look for.
const PIECES: [&[u8]; 14] = [
    b"{",
    b"<<<<<<<<<",
    b"[[[[[[[[[",
    b"\"",
    b"\\",
    b"\0",
    b";",
    b", a=(int)1",
    b"=(string)\"\\303\"",
    b"(memory:DMABuf)",
    b"\xff\xfe",
    b"(structure)\"x, a=[a,a=[a\"",
    b"nan",
    b"-9223372036854775809",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    let number = prop_oneof![0u32..9, 0u32..500, Just(u32::MAX), Just(i32::MAX as u32), any::<u32>()];
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        3 => (at(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1usize..20).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (at(), 1usize..300, 1usize..12).prop_map(|(at, count, times)| Damage::Repeat(at, count, times)),
        3 => (at(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, PIECES[piece])),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match damage {
        Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
        Damage::Number(at, number) => {
            let at = at.index(len);
            let end = (at + 4).min(len);
            bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
        }
        Damage::Cut(at) => bytes.truncate(at.index(len)),
        Damage::Remove(at, count) => {
            let at = at.index(len);
            bytes.drain(at..(at + count).min(len));
        }
        Damage::Repeat(at, count, times) => {
            let at = at.index(len);
            let end = (at + count).min(len);
            let more = bytes[at..end].repeat(*times);
            bytes.splice(end..end, more);
        }
        Damage::Insert(at, piece) => {
            let at = at.index(len);
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// The header of a small frame of any format that has rows.
fn header() -> impl Strategy<Value = VideoFrameHeader> {
    let formats: Vec<&'static VideoFormat> = FORMATS.iter().filter(|format| format.kind != Kind::Tiled).collect();
    (prop::sample::select(formats), 1u32..50, 1u32..50).prop_map(|(format, width, height)| {
        let params = video::FrameParams { width, height, format: format.name, ..Default::default() };
        params.header().unwrap().0
    })
}

/// The blob of such a frame, as our publishers write it, with metas of every kind.
fn blob(header: &VideoFrameHeader) -> Vec<u8> {
    let format = header.format_name();
    let (width, height) = (header.width, header.height);
    let caps = format!(
        "video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}, framerate=(fraction)30/1, \
         colorimetry=(string)bt709, note=(string)\"a\\ \\\"b\\\"\\303\\251\""
    );
    let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
    let fields = [("speed", Value::Double(0.5)), ("name", Value::Str("a b".into())), ("list", list)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
    let info = Some("info, a=(int)1;".to_owned());
    let metas = [
        CustomMeta { name: "FrameInfo".into(), fields }.encode().unwrap(),
        ReferenceTimestamp { reference: "timestamp/x-unix".into(), timestamp: 5, duration: Some(1), info }
            .encode()
            .unwrap(),
        // Caps as another program may write them.
        ReferenceTimestamp {
            reference: "timestamp/x-monotonic,kind=(string)due, boot-id=\"x\"".into(),
            timestamp: 6,
            duration: None,
            info: None,
        }
        .encode()
        .unwrap(),
        video::encode_record("GstVideoCaptionMeta", 0, b"\x01\0\0\0\x04\0\0\0abcd"),
    ];
    let template = AuxTemplate::new(&caps, 7);
    let mut blob = vec![0; template.len_with(&metas)];
    assert_eq!(template.write_into(&mut blob, 1, 2, 3, &metas), blob.len());
    blob
}

/// Reads all that a blob says, as subscriber, source element and user's program do; answers bytes asked for.
fn read_all(header: &VideoFrameHeader, blob: &[u8], copy: &mut Vec<u8>) -> Result<usize, TestCaseError> {
    copy.reserve(blob.len());
    let before = asked();
    let aux = AuxRef::copied(blob.into(), copy);
    let mut parts = 0;
    if let Some(caps) = aux.caps() {
        parts += caps.len();
        let judged = check_caps(caps, header);
        let parsed = Caps::parse(caps);
        prop_assert!(judged.is_err() || parsed.is_ok());
    }
    let _ = aux.stamp().here();
    let mut count = 0;
    for record in aux.records() {
        (parts, count) = (parts + record.len(), count + 1);
        let inside = |text: &str| record.as_ptr_range().contains(&text.as_ptr()) || text.is_empty();
        match MetaRef::read(record) {
            Some(MetaRef::ReferenceTimestamp { reference, info, .. }) => {
                prop_assert!(inside(reference) && info.is_none_or(inside));
                prop_assert!(reference.len() <= MAX_TEXT);
            }
            Some(MetaRef::Custom { name, structure }) => {
                prop_assert!(inside(name) && inside(structure));
                prop_assert!((3..=64).contains(&name.len()) && structure.len() <= MAX_TEXT);
            }
            Some(MetaRef::Other { name, .. }) => prop_assert!(inside(name)),
            None => {}
        }
        if let Meta::Custom(custom) = decode_meta(record) {
            prop_assert!(custom.fields.len() <= record.len());
        }
    }
    let asked = asked() - before;
    prop_assert!(parts <= blob.len() && count <= MAX_METAS);
    Ok(asked)
}

/// The rule of SPEC §7 that a header breaks first, worked out the long way.
fn first_broken_rule(header: &VideoFrameHeader, payload: u128) -> Option<&'static str> {
    let Some(pixels) = payload.checked_sub(header.aux_size.into()) else { return Some("aux-size") };
    if header.is_eos() {
        return None;
    }
    let Some(nul) = header.format.iter().position(|&byte| byte == 0) else { return Some("format") };
    let known = FORMATS.iter().find(|format| format.name.as_bytes() == &header.format[..nul]);
    let Some(format) = known else { return Some("format") };
    let dimensions = 1..=32768;
    if !dimensions.contains(&header.width) || !dimensions.contains(&header.height) || pixels == 0 {
        return Some("size");
    }
    if header.n_planes as usize != format.n_planes() {
        return Some("planes");
    }
    let planes = 0..format.n_planes();
    let row = |plane| format.row_bytes(plane, header.width) as u128;
    if format.kind != Kind::Tiled && planes.clone().any(|plane| u128::from(header.stride[plane]) < row(plane)) {
        return Some("stride");
    }
    let end = |plane: usize| {
        let offset = u128::from(header.plane_offsets[plane]);
        match format.kind {
            Kind::Tiled => offset + 1,
            _ => {
                let rows = format.rows(plane, header.height) as u128;
                offset + u128::from(header.stride[plane]) * (rows - 1) + row(plane)
            }
        }
    };
    planes.map(end).any(|end| end > pixels).then_some("bounds")
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    // proves: H2
    fn a_damaged_blob_is_read_within_its_bounds_and_cheaply(header in header(), damages in vec(damage(), 0..6)) {
        let mut blob = blob(&header);
        damages.iter().for_each(|damage| apply(&mut blob, damage));
        let asked = read_all(&header, &blob, &mut Vec::new())?;
        prop_assert!(asked <= COST_PER_BYTE * blob.len() + COST, "{} bytes for {}", asked, blob.len());
    }

    #[test]
    fn damaged_caps_agree_with_the_header_or_are_refused(header in header(), damages in vec(damage(), 1..4)) {
        let blob = blob(&header);
        let mut caps = AuxRef::new(&blob).caps_bytes().unwrap().to_vec();
        prop_assert_eq!(check_caps(&caps, &header), Ok(()));
        damages.iter().for_each(|damage| apply(&mut caps, damage));
        if check_caps(&caps, &header).is_ok() {
            let caps = Caps::parse(std::str::from_utf8(&caps).unwrap()).unwrap();
            prop_assert_eq!(&caps.media, "video/x-raw");
            prop_assert_eq!(caps.get("format"), Some(&Value::Str(header.format_name().to_owned())));
            prop_assert_eq!(caps.get("width"), Some(&Value::Int(header.width.cast_signed())));
            prop_assert_eq!(caps.get("height"), Some(&Value::Int(header.height.cast_signed())));
        }
    }

    #[test]
    fn a_damaged_custom_meta_is_written_as_it_was_read(damages in vec(damage(), 0..4)) {
        let fields = vec![("a".to_owned(), Value::Double(0.5)), ("b".to_owned(), Value::Str("x y".into()))];
        let mut text = Structure { name: "FrameInfo".into(), fields }.to_text().unwrap().into_bytes();
        damages.iter().for_each(|damage| apply(&mut text, damage));
        let record = video::encode_record("FrameInfo", 0, &[&text[..], b"\0"].concat());
        if let Meta::Custom(custom) = decode_meta(&record) {
            // Names with an asterisk are read only; a text may grow beyond what is read when it is spelt out.
            if let Ok(written) = custom.encode() {
                prop_assert_eq!(format!("{:?}", decode_meta(&written)), format!("{:?}", Meta::Custom(custom)));
            }
        }
    }

    #[test]
    // proves: H1
    fn a_damaged_header_breaks_the_rule_that_it_breaks(
        header in header(),
        damages in vec(damage(), 0..3),
        payload in prop_oneof![3 => 0usize..12_000, 1 => any::<usize>()],
    ) {
        let mut bytes = header.to_bytes().to_vec();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        bytes.resize(video::HEADER_SIZE, 0);
        let header = VideoFrameHeader::from_bytes(&bytes.try_into().unwrap());
        let judged = validate_aux_size(&header, payload).and_then(|pixels| validate_geometry(&header, pixels));
        prop_assert_eq!(judged.err().map(|fault| fault.rule()), first_broken_rule(&header, payload as u128));
    }
}

#[cfg(feature = "ndarray")]
proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_view_of_a_damaged_frame_lies_within_its_pixels(
        header in header(), damages in vec(damage(), 0..2), size in 0usize..12_000,
    ) {
        let mut bytes = header.to_bytes().to_vec();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        bytes.resize(video::HEADER_SIZE, 0);
        let header = VideoFrameHeader::from_bytes(&bytes.try_into().unwrap());
        let pixels = vec![1; size];
        for plane in 0..5 {
            if let Ok(view) = video::view::plane_view(&header, &pixels, plane) {
                let sum: usize = view.iter().map(|&byte| usize::from(byte)).sum();
                prop_assert_eq!(sum, view.len());
                let last = view.last().map(std::ptr::from_ref);
                prop_assert!(last.is_none_or(|last| pixels.as_ptr_range().contains(&last)));
            }
        }
    }
}
