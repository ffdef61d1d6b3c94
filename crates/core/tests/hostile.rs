//! A second process that goes on writing into the frames that it has sent, while a subscriber reads them.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gst_plugin_iceoryx2_video::{
    Caps, Domain, FrameParams, MetaRef, ReferenceTimestamp, VideoFrameHeader, VideoFrameSubscriber, build_aux,
    create_node_in,
};
use iceoryx2::prelude::*;

const NAME: &str = "video/hostile";
/// Where the writing process finds its domain.
const VARIABLE: &str = "IOX2_TEST_HOSTILE";
const NOTE: usize = 12_000;
/// Refused frames, each of which arrived changed.
const CHANGED: u64 = 50;

fn domain(place: &str) -> Domain {
    Domain::at(&format!("/tmp/{place}"), &format!("{place}_")).unwrap()
}

fn caps(count: u32) -> String {
    let note = "x".repeat(NOTE);
    format!("video/x-raw, format=(string)BGR, width=(int)16, height=(int)8, count=(int){count}, note=(string){note}")
}

fn blob(count: u32) -> Vec<u8> {
    let reference = format!("timestamp/x-unix, note=(string){}", "x".repeat(NOTE));
    let record = ReferenceTimestamp { reference, timestamp: 1, duration: None, info: None }.encode().unwrap();
    build_aux(&caps(count), &[record], None)
}

/// Places in a chunk, counted from the payload, and what is written there, the right content last.
fn changes(pixels: usize, header: &VideoFrameHeader, blob: &[u8]) -> Vec<(isize, [Vec<u8>; 2])> {
    let caps_end = pixels + 4 + caps(10_000_000).len();
    let end = pixels + blob.len();
    let user_header = -(size_of::<VideoFrameHeader>() as isize);
    let bytes = header.to_bytes();
    let half_characters = "é".repeat(NOTE / 2).into_bytes();
    let field =
        |at: usize, wrong: &[u8]| (user_header + at as isize, [wrong.to_vec(), bytes[at..at + wrong.len()].to_vec()]);
    let at = |at: usize, wrong: &[u8]| {
        (at as isize, [wrong.to_vec(), blob[at - pixels..at - pixels + wrong.len()].to_vec()])
    };
    let len = (pixels + blob.len()) as u64;
    vec![
        at(caps_end - 1, b"("),
        at(caps_end - 1, b"\x80"),
        at(caps_end - NOTE, &half_characters),
        at(pixels, b"\xff\xff\xff\x7f"),
        at(end - NOTE, &half_characters[..NOTE - 1]),
        at(end - 1, b"\x80"),
        field(44, &[0xff; 4]),
        field(52, &[0xff; 4]),
        field(36, &[1]),
        field(88 + 3, &[0xff]),
        // iceoryx2's own header ends with the number of elements and an offset.
        (user_header - 16, [(1u64 << 40).to_le_bytes().into(), len.to_le_bytes().into()]),
    ]
}

/// The writing process; as a test of its own it has nothing to do.
#[test]
fn writer() {
    let Ok(place) = std::env::var(VARIABLE) else { return };
    let node = create_node_in(&domain(&place)).unwrap();
    let name = ServiceName::new(NAME).unwrap();
    let builder = node.service_builder(&name).publish_subscribe::<[u8]>().user_header::<VideoFrameHeader>();
    let service = builder.subscriber_max_buffer_size(10).open_or_create().unwrap();
    let publisher = service.publisher_builder().initial_max_slice_len(1 << 15).create().unwrap();
    let (mut header, pixels) = FrameParams { width: 16, height: 8, ..FrameParams::default() }.header().unwrap();
    let content = blob(10_000_000);
    header.aux_size = content.len().try_into().unwrap();
    let changes = changes(pixels, &header, &content);

    // Ends with its standard input.
    let ended = std::thread::spawn(|| std::io::stdin().read(&mut [0]).unwrap());
    let mut chunks = std::collections::BTreeSet::new();
    for count in 0.. {
        if ended.is_finished() {
            break;
        }
        for number in 0..10 {
            let mut sample = publisher.loan_slice(pixels + content.len()).unwrap();
            *sample.user_header_mut() = header;
            // Caps that were not judged before.
            sample.payload_mut()[pixels..].copy_from_slice(&blob(10_000_000 + 10 * count + number));
            chunks.insert(sample.payload().as_ptr().expose_provenance());
            sample.send().unwrap();
        }
        let (at, contents) = &changes[count as usize % changes.len()];
        let end = Instant::now() + Duration::from_millis(1);
        while Instant::now() < end {
            for (content, chunk) in contents.iter().flat_map(|content| chunks.iter().map(move |chunk| (content, chunk)))
            {
                let place = std::ptr::with_exposed_provenance_mut::<u8>(chunk.wrapping_add_signed(*at));
                // SAFETY: within a chunk of this publisher, which no other code of this process uses now.
                unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), place, content.len()) };
            }
        }
    }
}

#[test]
// proves: H10, H11
fn a_subscriber_survives_frames_that_change_while_it_reads_them() {
    let place = format!("iox2h{}", std::process::id());
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact"])
        .env(VARIABLE, &place)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let subscriber = VideoFrameSubscriber::with_node(create_node_in(&domain(&place)).unwrap(), NAME).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while subscriber.stats().invalid < CHANGED {
        assert!(Instant::now() < deadline, "{:?}", subscriber.stats());
        let Some(frame) = subscriber.receive_blocking(Some(100)).unwrap() else { continue };
        let parts = frame.parse_aux();
        if !frame.is_eos() {
            assert_eq!((frame.header().width, frame.header().height), (16, 8));
            assert!(frame.pixels().len() >= 16 * 8 * 3);
            assert!(parts.caps.is_none_or(|caps| Caps::parse(&caps).is_ok()));
            let _ = parts.metas.iter().filter_map(|record| MetaRef::read(record)).count();
        }
    }
    assert!(subscriber.stats().received > 0);
    drop(writer.stdin.take());
    assert!(writer.wait().unwrap().success());
    drop(subscriber);
    std::fs::remove_dir_all(format!("/tmp/{place}")).unwrap();
    for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&format!("{place}_"))) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}
