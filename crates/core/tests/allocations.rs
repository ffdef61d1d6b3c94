//! The hot path allocates nothing, and no input makes a parser allocate more than in proportion to its size.

mod counting;

use counting::asked;
use gst_plugin_iceoryx2_video as video;
use video::wire::auxblob::MAX_AUX;
use video::wire::text::MAX_TEXT;
use video::{AuxRef, AuxTemplate, Caps, MetaRef, decode_meta, parse_aux};

/// Bytes that a call asks the allocator for.
fn asked_by<T>(call: impl FnOnce() -> T) -> usize {
    let before = asked();
    let result = call();
    let after = asked();
    drop(result);
    after - before
}

fn blob() -> Vec<u8> {
    let template = AuxTemplate::new("video/x-raw, format=(string)BGR, width=(int)640, height=(int)480", 7);
    let custom = r#"FrameInfo, count=(int)7, who=(string)"J\303\274rgen\ \(left\)", list=(int){ 1, 2 };"#;
    let custom = video::encode_record("FrameInfo", 0, format!("{custom}\0").as_bytes());
    let mut blob = vec![0; 4096];
    assert!(template.write_into(&mut blob, 1, 2, 3, &[custom]) > 0);
    blob
}

#[test]
fn reading_a_frame_of_ours_allocates_nothing() {
    let blob = blob();
    let mut copy = Vec::with_capacity(blob.len());
    let layout = video::FrameParams { width: 640, height: 480, ..Default::default() }.header().unwrap();
    // The first call reads the boot id.
    video::boot_id();
    let asked = asked_by(|| {
        let (header, pixels) = &layout;
        assert!(video::validate_geometry(header, *pixels).is_ok());
        assert!(header.same_layout(header));
        let aux = AuxRef::copied(blob.as_slice().into(), &mut copy);
        assert!(aux.caps().is_some());
        let stamp = aux.stamp().here();
        assert_eq!((stamp.due, stamp.capture, stamp.sequence), (Some(1), Some(2), Some(3)));
        assert_eq!(aux.records().filter_map(MetaRef::read).count(), 2);
    });
    assert_eq!(asked, 0);
}

#[test]
fn writing_a_blob_allocates_nothing() {
    let template = AuxTemplate::new("video/x-raw, format=(string)BGR, width=(int)640, height=(int)480", 7);
    let record = video::encode_record("FrameInfo", 0, b"FrameInfo;\0");
    let mut target = vec![0; 4096];
    let asked = asked_by(|| template.write_into(&mut target, 1, 2, 3, std::slice::from_ref(&record)));
    assert_eq!(asked, 0);
}

#[test]
fn lengths_that_are_not_there_are_not_allocated() {
    let large = u32::MAX.to_le_bytes();
    let blobs = [large.to_vec(), [[0; 4], large].concat(), [[0; 4], large, large].concat()];
    for blob in blobs {
        let asked = asked_by(|| parse_aux(&blob));
        assert!(asked < 1024, "{asked} bytes for {blob:?}");
    }
    let mut copy = Vec::new();
    let caps = u32::try_from(MAX_AUX - 4).unwrap().to_le_bytes();
    let whole = [&caps[..], &vec![b'x'; 2 * MAX_AUX]].concat();
    let asked = asked_by(|| AuxRef::copied(whole.as_slice().into(), &mut copy).caps().is_some());
    assert!((MAX_AUX..=2 * MAX_AUX).contains(&asked), "{asked} bytes copied");
    let record = [large, large].concat();
    let asked = asked_by(|| decode_meta(&record));
    assert!(asked < 1024, "{asked} bytes");
}

#[test]
fn text_costs_memory_in_proportion() {
    let fill = |head: &str, piece: &str, tail: &str| {
        let times = (MAX_TEXT - head.len() - tail.len()) / piece.len();
        format!("{head}{}{tail}", piece.repeat(times))
    };
    let texts = [
        fill("video/x-raw", ",a=1", ""),
        fill("video/x-raw,a={", "1,", "1}"),
        fill("video/x-raw,a=\"", "\\0011", "\""),
        fill("video/x-raw,a=(int)<", "(int)1,", "1>"),
        fill("video/x-raw", ",a=(caps)\"x\"", ""),
        fill("video/x-raw,a=(string)\"", "[", "\""),
    ];
    for text in texts {
        assert!(Caps::parse(&text).is_ok(), "{}", &text[..40]);
        let asked = asked_by(|| Caps::parse(&text));
        assert!(asked < 64 * MAX_TEXT, "{asked} bytes for {}…", &text[..40]);
    }
    let too_long = fill("video/x-raw", ",a=1", "") + ",b=2,c=3,d=4,e=5";
    assert_eq!(asked_by(|| Caps::parse(&too_long)), 0);
}
