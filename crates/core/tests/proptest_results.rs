//! Results that are sound, damaged or random: they come back as they were sent, or are refused without a panic and at little cost.

mod counting;

use counting::asked;
use gst_plugin_iceoryx2_video as video;
use proptest::collection::vec;
use proptest::prelude::*;
use video::wire::result_payload::{Classification, Keypoint, Mask, ResultBox, Results, Tensor};

/// Bytes that decoding may allocate for each byte of its input: an empty label is 4 bytes in a payload, and 24 bytes in memory.
const COST_PER_BYTE: usize = 40;
const COST: usize = 4096;

const LABELS: usize = 3;
const BOXES: usize = 4;

fn index(count: usize) -> impl Strategy<Value = Option<u32>> {
    prop::option::of(0..count as u32)
}

fn place() -> BoxedStrategy<f32> {
    prop_oneof![-1e6f32..1e6, Just(0.0), Just(f32::MAX), Just(f32::MIN)].boxed()
}

fn side() -> BoxedStrategy<f32> {
    prop_oneof![0f32..1e6, Just(0.0), Just(f32::MAX)].boxed()
}

fn a_box() -> impl Strategy<Value = ResultBox> {
    let track = prop::option::of(0..u64::MAX);
    (place(), place(), side(), side(), place(), index(LABELS), track)
        .prop_map(|(x, y, width, height, score, label, track)| ResultBox { x, y, width, height, score, label, track })
}

fn mask() -> impl Strategy<Value = Mask> {
    let cells = (1u32..40, 1u32..40).prop_flat_map(|(columns, rows)| (Just(columns), Just(rows), 0..=columns * rows));
    (index(BOXES), index(LABELS), [place(), place(), side(), side()], cells).prop_map(
        |(of_box, label, rect, (columns, rows, off))| Mask {
            of_box,
            label,
            rect,
            columns,
            rows,
            runs: vec![off, columns * rows - off],
        },
    )
}

fn results() -> impl Strategy<Value = Results> {
    let points = (index(BOXES), index(LABELS), place(), place(), place())
        .prop_map(|(of_box, label, x, y, score)| Keypoint { of_box, label, x, y, score });
    let classes = (index(BOXES), index(LABELS), place()).prop_map(|(of_box, label, score)| Classification {
        of_box,
        label,
        score,
    });
    let tensor = vec(0u64..5, 0..4).prop_map(|shape| {
        let data = vec![7; 2 * shape.iter().product::<u64>() as usize];
        Tensor { dtype: 4, shape, name: "é".into(), data }
    });
    (vec("[^\0]{0,9}", LABELS), vec(a_box(), BOXES), vec(points, 0..5), vec(classes, 0..5), vec(mask(), 0..3))
        .prop_flat_map(move |(labels, boxes, keypoints, classifications, masks)| {
            (prop::option::of(tensor.clone()), prop::option::of(".{0,20}")).prop_map(move |(tensor, json)| Results {
                labels: labels.clone(),
                boxes: boxes.clone(),
                keypoints: keypoints.clone(),
                classifications: classifications.clone(),
                masks: masks.clone(),
                tensor,
                json,
            })
        })
}

/// Decodes a payload; checks that it costs in proportion to its size.
fn decode(payload: &[u8], entries: u32) -> Result<Results, video::Fault> {
    let before = asked();
    let decoded = Results::decode(payload, entries);
    let cost = asked() - before;
    assert!(cost <= COST + COST_PER_BYTE * payload.len(), "{cost} bytes for {}", payload.len());
    decoded
}

proptest! {
    #[test]
    fn sound_results_come_back(results in results()) {
        let (payload, entries) = results.encode().unwrap();
        prop_assert_eq!(decode(&payload, entries).unwrap(), results);
    }

    #[test]
    fn damaged_results_are_refused_or_sound(
        results in results(),
        damage in vec((any::<prop::sample::Index>(), prop_oneof![0u32..40, Just(u32::MAX), any::<u32>()]), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut payload, entries) = results.encode().unwrap();
        for (at, number) in damage {
            let at = at.index(payload.len() / 4) * 4;
            payload[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        if let Ok(read) = decode(&payload, entries) {
            let (payload, entries) = read.encode().unwrap();
            prop_assert_eq!(decode(&payload, entries).unwrap(), read);
        }
    }

    #[test]
    fn random_bytes_are_refused_or_sound(payload in vec(any::<u8>(), 0..400), entries in 0u32..70) {
        let _ = decode(&payload, entries);
    }
}
