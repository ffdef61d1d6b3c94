//! The meta `Iox2Rendition`: the source's frame that a frame was made from, and the part of it that is shown (SPEC §8).

use crate::wire::header::MAX_DIMENSION;
use crate::wire::metas::MetaRef;
use crate::wire::result_payload::Results;
use crate::wire::text::Structure;
use crate::wire::value::Value;

/// Name of the meta.
pub const RENDITION_META: &str = "Iox2Rendition";

/// x, y, width and height in pixels.
pub type Rect = [u32; 4];

/// The source's frame that a frame was made from, and the part of it that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Name of the source's service.
    pub service: String,
    /// Boot ID in the stamp of the source's frame.
    pub boot_id: [u8; 16],
    /// Publisher in this stamp.
    pub publisher: Option<u64>,
    /// Sequence in this stamp.
    pub sequence: Option<u64>,
    /// Capture time in this stamp.
    pub capture: Option<u64>,
    /// Due time in this stamp.
    pub due: Option<u64>,
    /// Width and height of the source's frame in pixels.
    pub source_size: (u32, u32),
    /// How both pictures correspond.
    pub mapping: Mapping,
}

/// A rectangle that fills another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The part of the source that is shown.
    pub source_rect: Rect,
    /// The part of the frame that shows it.
    pub rect: Rect,
}

impl Rendition {
    /// Reads the last meta of this kind among the records of a frame of `size` pixels; `None` if there is none, or if it is invalid.
    pub fn find<'a>(records: impl IntoIterator<Item = &'a [u8]>, size: (u32, u32)) -> Option<Self> {
        let texts = records.into_iter().filter_map(|record| match MetaRef::read(record) {
            Some(MetaRef::Custom { name: RENDITION_META, structure }) => Some(structure),
            _ => None,
        });
        Self::read(&Structure::parse(texts.last()?).ok()?, size)
    }

    fn read(fields: &Structure, size: (u32, u32)) -> Option<Self> {
        let Some(Value::Str(service)) = fields.get("service") else { return None };
        let Some(Value::Str(boot_id)) = fields.get("boot-id") else { return None };
        let [width, height] = numbers(fields, "source-size")?;
        let is_size = |side: &u32| (1..=MAX_DIMENSION).contains(side);
        let mapping = Mapping { source_rect: numbers(fields, "source-rect")?, rect: numbers(fields, "rect")? };
        let is_valid = is_size(&width)
            && is_size(&height)
            && is_inside(mapping.source_rect, (width, height))
            && is_inside(mapping.rect, size);
        is_valid.then_some(Self {
            service: service.clone(),
            boot_id: u128::from_str_radix(boot_id, 16).ok().filter(|_| boot_id.len() == 32)?.to_be_bytes(),
            publisher: id(fields, "publisher"),
            sequence: id(fields, "sequence"),
            capture: time(fields, "capture"),
            due: time(fields, "due"),
            source_size: (width, height),
            mapping,
        })
    }
}

impl Mapping {
    /// Returns the mapping of a picture to itself in another size.
    pub fn scale(source: (u32, u32), size: (u32, u32)) -> Self {
        Self { source_rect: [0, 0, source.0, source.1], rect: [0, 0, size.0, size.1] }
    }

    /// Returns the opposite mapping.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { source_rect: self.rect, rect: self.source_rect }
    }

    /// Converts coordinates in the source to coordinates in the frame. Nothing is cut off.
    pub fn apply(&self, results: &mut Results) {
        if self.source_rect == self.rect {
            return;
        }
        for found in &mut results.boxes {
            (found.x, found.y) = self.point(found.x, found.y);
            (found.width, found.height) = self.extent(found.width, found.height);
        }
        for point in &mut results.keypoints {
            (point.x, point.y) = self.point(point.x, point.y);
        }
        for mask in &mut results.masks {
            let [x, y, width, height] = &mut mask.rect;
            (*x, *y) = self.point(*x, *y);
            (*width, *height) = self.extent(*width, *height);
        }
    }

    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        let [from_x, from_y, ..] = self.source_rect.map(f64::from);
        let [to_x, to_y, ..] = self.rect.map(f64::from);
        let (x_scale, y_scale) = self.factors();
        narrowed((f64::from(x) - from_x) * x_scale + to_x, (f64::from(y) - from_y) * y_scale + to_y)
    }

    fn extent(&self, width: f32, height: f32) -> (f32, f32) {
        let (x_scale, y_scale) = self.factors();
        narrowed(f64::from(width) * x_scale, f64::from(height) * y_scale)
    }

    fn factors(&self) -> (f64, f64) {
        let ratio = |side: usize| f64::from(self.rect[side]) / f64::from(self.source_rect[side]);
        (ratio(2), ratio(3))
    }
}

/// Rounds to the nearest finite numbers.
fn narrowed(x: f64, y: f64) -> (f32, f32) {
    let narrow = |number: f64| number.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    (narrow(x), narrow(y))
}

fn numbers<const N: usize>(fields: &Structure, name: &str) -> Option<[u32; N]> {
    let Some(Value::Array(items)) = fields.get(name) else { return None };
    let number = |item: &Value| if let Value::Int(number) = item { u32::try_from(*number).ok() } else { None };
    items.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn is_inside([x, y, width, height]: Rect, size: (u32, u32)) -> bool {
    let ends =
        |start: u32, extent: u32, most: u32| extent > 0 && start.checked_add(extent).is_some_and(|end| end <= most);
    ends(x, width, size.0) && ends(y, height, size.1)
}

/// Reads 16 hex digits.
pub(super) fn id(fields: &Structure, name: &str) -> Option<u64> {
    let Some(Value::Str(digits)) = fields.get(name) else { return None };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() == 16 && digits.bytes().all(is_digit)).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn time(fields: &Structure, name: &str) -> Option<u64> {
    match fields.get(name) {
        Some(Value::Int64(time)) => u64::try_from(*time).ok(),
        Some(Value::Int(time)) => u64::try_from(*time).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metas::CustomMeta;
    use crate::wire::result_payload::ResultBox;

    fn meta(rect: Rect) -> CustomMeta {
        let text = |text: &str| Value::Str(text.into());
        let array = |numbers: &[u32]| Value::Array(numbers.iter().map(|&number| Value::Int(number as i32)).collect());
        let fields = [
            ("service", text("video/cam 0/frame/v2")),
            ("boot-id", text("0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
            ("publisher", text("0123456789abcdef")),
            ("sequence", text("0000000000000007")),
            ("capture", Value::Int64(5)),
            ("source-size", array(&[1920, 1080])),
            ("source-rect", array(&[0, 0, 1920, 1080])),
            ("rect", array(&rect)),
        ];
        CustomMeta { name: RENDITION_META.into(), fields: fields.map(|(name, value)| (name.into(), value)).into() }
    }

    fn find(rect: Rect) -> Option<Rendition> {
        Rendition::find([&*meta([0, 0, 1, 1]).encode().unwrap(), &*meta(rect).encode().unwrap()], (640, 640))
    }

    #[test]
    fn the_last_meta_counts_if_its_rectangles_are_inside() {
        let read = find([0, 140, 640, 360]).unwrap();
        assert_eq!((read.publisher, read.sequence), (Some(0x0123_4567_89ab_cdef), Some(7)));
        assert_eq!((read.capture, read.due, read.source_size), (Some(5), None, (1920, 1080)));
        assert_eq!(read.boot_id[..2], [0x0f, 0x1e]);
        for rect in [[0, 0, 0, 1], [1, 0, 640, 640], [0, 0, 640, 641], [u32::MAX >> 1, 0, 2, 1]] {
            assert_eq!(find(rect), None, "{rect:?}");
        }
        assert_eq!(Rendition::find([&b"x"[..]], (640, 640)), None);
    }

    #[test]
    fn boxes_are_mapped_to_the_source_and_back() {
        let mapping = find([0, 140, 640, 360]).unwrap().mapping;
        let found = ResultBox { x: 320.0, y: 320.0, width: 64.0, height: 36.0, score: 1.0, label: None, track: None };
        let mut results = Results { boxes: vec![found], ..Results::default() };
        mapping.inverse().apply(&mut results);
        assert_eq!(results.boxes, [ResultBox { x: 960.0, y: 540.0, width: 192.0, height: 108.0, ..found }]);
        mapping.apply(&mut results);
        assert_eq!(results.boxes, [found]);
        // Nothing becomes infinite.
        results.boxes[0].x = f32::MAX;
        mapping.inverse().apply(&mut results);
        assert_eq!(results.boxes[0].x, f32::MAX);
    }
}
