//! Every parser answers any bytes with a value or an error, and reads what this crate wrote as the same value.

mod cases;

use cases::cases;
use gst_plugin_iceoryx2_video as video;
use proptest::collection::vec;
use proptest::prelude::*;
use video::wire::auxblob::MAX_METAS;
use video::{
    AuxRef, AuxTemplate, Caps, CustomMeta, Meta, MetaRef, ReferenceTimestamp, Stamp, Structure, Value,
    VideoFrameHeader, build_aux, check_caps, decode_meta, parse_aux,
};

/// Text made of the pieces that structures are made of, mostly in the wrong order.
fn scrambled_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("video/x-raw".to_owned()),
        Just("format=(string)BGR".to_owned()),
        Just("a=(int){ 1, 2 }".to_owned()),
        Just("\"x\\,\\303\\251\"".to_owned()),
        "[ ,;=\"\\\\()\\[\\]{}<>0-9a-z/.+*\\-]{1,3}",
        "\\((int|gint64|double|string|fraction|boolean|uint|memory:DMABuf)\\)",
        Just("(structure)\"y, b=(caps)\\\"z\\\"\"".to_owned()),
        Just("(structure)[y, b=(string)".to_owned()),
        Just("{ < 1 > }".to_owned()),
        ".",
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A structure with up to six fields, some of which are damaged.
fn damaged_structure() -> impl Strategy<Value = String> {
    (fields(), any::<prop::sample::Index>(), scrambled_text()).prop_map(|(fields, at, noise)| {
        let mut text = Structure { name: "FrameInfo".to_owned(), fields }.to_text().unwrap();
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        text.insert_str(*at.get(&places), &noise);
        text
    })
}

fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int64),
        any::<f64>().prop_map(Value::Double),
        "[^\0]{0,12}".prop_map(Value::Str),
        (-1000..1000, 1..1000).prop_map(|(n, d)| reduced(n, d)),
    ]
}

/// A fraction in lowest terms: that is how it comes back.
fn reduced(numerator: i32, denominator: i32) -> Value {
    let divisor = (1..=denominator).rev().find(|d| numerator % d == 0 && denominator % d == 0).unwrap();
    Value::Fraction(numerator / divisor, denominator / divisor)
}

fn value() -> impl Strategy<Value = Value> {
    let items = prop_oneof![
        vec(any::<i32>().prop_map(Value::Int), 0..5),
        vec("[^\0]{0,12}".prop_map(Value::Str), 1..5),
        vec(any::<f64>().prop_map(Value::Double), 1..5),
        vec((-50..50, 1..50).prop_map(|(n, d)| reduced(n, d)), 1..5),
    ];
    prop_oneof![
        4 => plain_value(),
        1 => items.clone().prop_map(Value::List),
        1 => items.prop_map(Value::Array),
        1 => Just(Value::Raw("(GstCaps)\"video\\/x-raw\\,\\ width\\=\\[\\ 1\\,\\ 2\\ \\]\"".to_owned())),
    ]
}

fn fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    // Names that differ: of two of one name the last would count.
    vec(("[A-Za-z0-9_./:+-]{0,8}", value()), 0..6).prop_map(|fields| {
        let named = fields.into_iter().enumerate();
        named.map(|(index, (name, value))| (format!("{name}.{index}"), value)).collect()
    })
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    let custom = fields().prop_map(|fields| CustomMeta { name: "FrameInfo".to_owned(), fields }.encode().unwrap());
    prop_oneof![vec(any::<u8>(), 0..60), custom, stamp().prop_map(|stamp| stamp.record().to_vec())]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u8; 16]>(), any::<[Option<u64>; 4]>()).prop_map(|(boot_id, numbers)| {
        let [publisher, sequence, capture, due] = numbers.map(|number| number.filter(|&number| number != u64::MAX));
        Stamp { boot_id, publisher, sequence, capture, due }
    })
}

/// A record of which some bytes were changed, most often one of its sizes.
fn damaged_record() -> impl Strategy<Value = Vec<u8>> {
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let sizes = prop::option::of((0usize..8, any::<u8>()));
    (record(), damage, sizes).prop_map(|(mut record, damage, sizes)| {
        for (at, byte) in damage {
            if !record.is_empty() {
                let at = at.index(record.len());
                record[at] = byte;
            }
        }
        if let Some((at, byte)) = sizes
            && at < record.len()
        {
            record[at] = byte;
        }
        record
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_blob_gives_parts_of_itself(blob in vec(any::<u8>(), 0..300)) {
        let inside = |part: &[u8]| blob.as_ptr_range().contains(&part.as_ptr()) || part.is_empty();
        let aux = AuxRef::new(&blob);
        prop_assert!(aux.caps_bytes().is_none_or(inside));
        prop_assert!(aux.records().all(inside));
        let parsed = parse_aux(&blob);
        prop_assert!(parsed.metas.len() <= MAX_METAS);
        let parts: usize = parsed.metas.iter().map(Vec::len).sum::<usize>() + parsed.caps.map_or(0, |caps| caps.len());
        prop_assert!(parts <= blob.len());
    }

    #[test]
    fn a_blob_with_small_numbers_gives_parts_of_itself(
        words in vec(prop_oneof![0u32..40, any::<u32>()], 0..60),
        tail in vec(any::<u8>(), 0..4),
    ) {
        let blob = [words.iter().flat_map(|word| word.to_le_bytes()).collect(), tail].concat();
        let parsed = parse_aux(&blob);
        let parts: usize = parsed.metas.iter().map(|meta| 4 + meta.len()).sum();
        prop_assert!(parts + parsed.caps.map_or(0, |caps| caps.len()) <= blob.len());
    }

    #[test]
    fn what_build_aux_writes_parse_aux_reads(caps in "[^\0]{1,40}", metas in vec(vec(any::<u8>(), 0..40), 0..MAX_METAS)) {
        let blob = build_aux(&caps, &metas, None);
        let parsed = parse_aux(&blob);
        prop_assert_eq!(parsed.caps, Some(caps));
        prop_assert_eq!(parsed.metas, metas);
    }

    #[test]
    fn a_limited_blob_holds_the_records_that_fit(metas in vec(vec(any::<u8>(), 0..40), 0..20), limit in 0usize..400) {
        let blob = build_aux("video/x-raw", &metas, Some(limit));
        let least = build_aux("video/x-raw", &[] as &[&[u8]], None).len();
        prop_assert!(blob.len() <= limit.max(least));
        let written = parse_aux(&blob).metas;
        let mut left = metas.iter();
        prop_assert!(written.iter().all(|meta| left.any(|given| given == meta)), "other records, or in another order");
    }

    #[test]
    fn a_template_writes_what_build_aux_writes(
        caps in "[^\0]{0,40}",
        moments in any::<[u32; 3]>(),
        known in any::<[bool; 3]>(),
        extra in vec(vec(any::<u8>(), 0..40), 0..5),
        room in 0usize..900,
    ) {
        let [due, capture, sequence] =
            std::array::from_fn(|i| known[i].then_some(u64::from(moments[i])));
        let stamp = Stamp { boot_id: video::boot_id(), publisher: Some(11), sequence, capture, due };
        let mut records = vec![stamp.record().to_vec()];
        records.extend(extra.iter().cloned());
        let expected = build_aux(&caps, &records, Some(room));
        let template = AuxTemplate::new(&caps, 11);
        let mut target = vec![0xa5; room];
        let written = template.write_into(&mut target, due, capture, sequence, &extra);
        if expected.len() <= room {
            prop_assert_eq!(&target[..written], &expected[..]);
        } else {
            prop_assert_eq!(written, 0);
        }
        prop_assert!(target[written..].iter().all(|&byte| byte == 0xa5), "the rest was touched");
        let full = build_aux(&caps, &records, None);
        prop_assert_eq!(template.len_with(&extra), full.len());
        prop_assert_eq!(AuxRef::new(&full).stamp(), stamp);
    }

    #[test]
    fn any_text_is_caps_or_not(text in prop_oneof![scrambled_text(), damaged_structure(), ".{0,40}"]) {
        let _ = Caps::parse(&text);
        let _ = check_caps(&text, &VideoFrameHeader::default());
        if let Ok(structure) = Structure::parse(&text) {
            // What could be read can be written, and is read as the same. Names with an asterisk are read only.
            let portable = |name: &str| !name.contains('*');
            prop_assume!(portable(&structure.name) && structure.fields.iter().all(|(name, _)| portable(name)));
            let written = structure.to_text().unwrap();
            let again = Structure::parse(&written).unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{structure:?}"), "{} {}", text, written);
        }
    }

    #[test]
    fn values_that_are_not_flat_are_refused_wherever_they_are(
        inner in prop_oneof![Just("1"), Just("\"x\""), Just("(int)1")],
        open in prop_oneof![Just(["{ ", " }"]), Just(["< ", " >"]), Just(["[ ", " ]"])],
        outer in prop_oneof![Just(["{ ", " }"]), Just(["< ", " >"]), Just(["(structure)[x, b=", "]"]), Just(["(int)[ ", ", 2 ]"])],
        fields in fields(),
    ) {
        let value = format!("{}{}{inner}{}{}", outer[0], open[0], open[1], outer[1]);
        let text = Structure { name: "FrameInfo".to_owned(), fields }.to_text().unwrap();
        let text = text.replacen("FrameInfo", &format!("FrameInfo, nested={value}"), 1);
        prop_assert!(Structure::parse(&text).is_err(), "{}", text);
        prop_assert!(Caps::parse(&text).is_err(), "{}", text);
        let record = video::encode_record("FrameInfo", 0, format!("{text}\0").as_bytes());
        prop_assert!(matches!(MetaRef::read(&record), None | Some(MetaRef::Other { .. })), "{}", text);
        prop_assert!(Value::Raw(value).to_text().is_err(), "written what cannot be read");
    }

    #[test]
    fn any_record_is_a_meta_or_bytes(record in damaged_record()) {
        match decode_meta(&record) {
            Meta::Other(bytes) => prop_assert_eq!(&bytes, &record),
            Meta::Custom(_) => {
                let borrowed = matches!(MetaRef::read(&record), Some(MetaRef::Custom { .. }));
                prop_assert!(borrowed);
            }
            Meta::ReferenceTimestamp(_) => {
                let borrowed = matches!(MetaRef::read(&record), Some(MetaRef::ReferenceTimestamp { .. }));
                prop_assert!(borrowed);
            }
        }
        let _ = Stamp::read(&record);
    }

    #[test]
    fn custom_metas_come_back(name in "[A-Za-z][A-Za-z0-9_]{2,63}", fields in fields()) {
        let meta = CustomMeta { name, fields };
        let decoded = decode_meta(&meta.encode().unwrap());
        prop_assert_eq!(format!("{decoded:?}"), format!("{:?}", Meta::Custom(meta)));
    }

    #[test]
    fn reference_timestamps_come_back(
        clock in "timestamp/x-[a-z]{1,8}",
        timestamp in 0..u64::MAX,
        duration in prop::option::of(0..u64::MAX),
        info in prop::option::of(fields()),
    ) {
        let info = info.map(|fields| Structure { name: "info".to_owned(), fields }.to_text().unwrap());
        let meta = ReferenceTimestamp { reference: clock, timestamp, duration, info };
        prop_assert_eq!(decode_meta(&meta.encode().unwrap()), Meta::ReferenceTimestamp(meta));
    }

    #[test]
    fn stamps_come_back(stamp in stamp()) {
        prop_assert_eq!(Stamp::read(&stamp.record()), Some(stamp));
    }

    #[test]
    fn headers_come_back(bytes in vec(any::<u8>(), video::HEADER_SIZE)) {
        let bytes: [u8; video::HEADER_SIZE] = bytes.try_into().unwrap();
        prop_assert_eq!(VideoFrameHeader::from_bytes(&bytes).to_bytes(), bytes);
    }
}
