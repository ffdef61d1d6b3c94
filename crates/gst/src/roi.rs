//! Reads and writes GstVideoRegionOfInterestMeta, which every GStreamer has.

use gst_plugin_iceoryx2_video::wire::result_payload::{ResultBox, Results};
use gst_video::VideoRegionOfInterestMeta;

use crate::{analytics, trust};

/// Name of the parameter with score and track; the name and the field `confidence` are the ones that other detectors use.
const PARAM: &str = "detection";
const SCORE: &str = "confidence";
const TRACK: &str = "track-id";
/// Largest number of metas that a buffer gets: GStreamer searches them one after the other.
const MAX_BOXES: usize = 1000;
/// Longest label in bytes (SPEC §11).
const MAX_LABEL: usize = 4096;
/// Largest distance from the picture's corner, so that GStreamer can multiply it with a size.
const FAR: f32 = 32768.0;

/// Adds a meta for each box to a buffer. Boxes are cut off at the edges of the picture, and left out if they are outside.
///
/// Coordinates are in pixels of the buffer.
pub fn attach(buffer: &mut gst::BufferRef, results: &Results, size: (u32, u32)) {
    for found in results.boxes.iter().take(MAX_BOXES) {
        let Some(rect) = inside(found, size) else { continue };
        let label = trust::label(results.text(found.label)).unwrap_or_default();
        let mut meta = VideoRegionOfInterestMeta::add(buffer, label, rect);
        let mut param = gst::Structure::builder(PARAM).field(SCORE, f64::from(found.score));
        if let Some(track) = found.track {
            param = param.field(TRACK, track);
        }
        meta.add_param(param.build());
    }
}

/// Adds a buffer's metas to the results. A meta for a box that is there already is left out.
pub fn read(buffer: &gst::BufferRef, results: &mut Results) {
    let known = results.boxes.len();
    for meta in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        let (x, y, width, height) = meta.rect();
        let param = meta.param(PARAM);
        let number = |field| param.and_then(|param| param.get::<f64>(field).ok());
        // SAFETY: the pointer refers to the meta of a living buffer.
        let label = analytics::label_of(unsafe { (*meta.as_ptr()).roi_type }, results);
        let [x, y, width, height] = [x, y, width, height].map(|side| side as f32);
        let score = number(SCORE).map(|score| score as f32).filter(|score| score.is_finite()).unwrap_or(1.0);
        let track = param.and_then(|param| param.get::<u64>(TRACK).ok()).filter(|&track| track != u64::MAX);
        let found = ResultBox { x, y, width, height, score, label, track };
        if !results.boxes[..known].iter().any(|other| is_same(other, &found)) {
            results.boxes.push(found);
        }
    }
}

/// Returns the index of a label, which is added if it is new; `None` for an empty text.
pub fn label(text: &str, results: &mut Results) -> Option<u32> {
    let end = (0..=text.len().min(MAX_LABEL)).rev().find(|&end| text.is_char_boundary(end))?;
    (end > 0).then(|| results.label(&text[..end]))
}

/// Returns x, y, width and height in whole pixels, at most 32768 pixels from the picture's corner.
pub fn whole(found: &ResultBox) -> [i32; 4] {
    let near = |place: f32| place.clamp(-FAR, FAR).round() as i32;
    let [left, top] = [near(found.x), near(found.y)];
    let [right, bottom] = [near(found.x + found.width), near(found.y + found.height)];
    [left, top, right - left, bottom - top]
}

/// Returns the part of a box that is in a picture of this size; `None` if the box is outside.
fn inside(found: &ResultBox, size: (u32, u32)) -> Option<(u32, u32, u32, u32)> {
    let [left, top, width, height] = whole(found);
    let cut = |place: i32, most: u32| place.clamp(0, most as i32) as u32;
    let (x, y) = (cut(left, size.0), cut(top, size.1));
    let (right, bottom) = (cut(left + width, size.0), cut(top + height, size.1));
    (right > x && bottom > y).then_some((x, y, right - x, bottom - y))
}

/// Whether a box from this meta is the same as one from a GstAnalyticsRelationMeta, apart from parts outside the picture.
fn is_same(other: &ResultBox, found: &ResultBox) -> bool {
    let ends = |found: &ResultBox| [found.x.max(0.0), found.y.max(0.0), found.x + found.width, found.y + found.height];
    let pairs = ends(other).into_iter().zip(ends(found));
    // The metas are scaled separately, and rounded differently.
    other.label == found.label && pairs.enumerate().all(|(i, (a, b))| (a - b).abs() <= 1.0 || i >= 2 && a > b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(x: f32, y: f32, width: f32, height: f32) -> ResultBox {
        ResultBox { x, y, width, height, score: 0.5, label: None, track: Some(7) }
    }

    #[test]
    fn boxes_are_rounded_and_cut_off_at_the_edges() {
        let size = (64, 48);
        assert_eq!(inside(&found(1.4, 2.6, 10.0, 10.0), size), Some((1, 3, 10, 10)));
        assert_eq!(inside(&found(-5.0, 40.0, 10.0, 100.0), size), Some((0, 40, 5, 8)));
        assert_eq!(inside(&found(-3e38, -3e38, f32::MAX, f32::MAX), size), Some((0, 0, 64, 48)));
        assert_eq!(inside(&found(-1e6, -1e6, 1e7, 1e7), size), Some((0, 0, 64, 48)));
        assert_eq!(inside(&found(64.0, 0.0, 5.0, 5.0), size), None);
        assert_eq!(inside(&found(5.0, 5.0, 0.0, 5.0), size), None);
    }

    #[test]
    fn metas_come_back_as_boxes() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.get_mut().unwrap();
        let mut results = Results::default();
        let label = label("person", &mut results);
        results.boxes = vec![ResultBox { label, ..found(1.0, 2.0, 3.0, 4.0) }, found(-5.0, 0.0, 10.0, 10.0)];
        attach(buffer, &results, (64, 48));
        let mut back = Results::default();
        read(buffer, &mut back);
        assert_eq!(back.boxes, [results.boxes[0], found(0.0, 0.0, 5.0, 10.0)]);
        // Nothing is doubled.
        read(buffer, &mut results);
        assert_eq!(results.boxes.len(), 2);
    }
}
