//! The payload of a sample of results: labels, boxes, keypoints, classifications, masks, a tensor and JSON (SPEC §11).

use crate::contract::{limits, messages};
use crate::wire::fault::Fault;
use crate::wire::metas::{encode_record, split_record};
use crate::wire::result_tables::{
    Read, bytes, read_json, read_labels, read_masks, read_rows, read_tensor, word, write_box, write_classification,
    write_keypoint, write_labels, write_masks, write_tensor,
};
use crate::wire::results::{MAX_RESULTS_BYTES, RESULTS_VERSION};

/// Largest number of sections.
pub const MAX_SECTIONS: usize = limits::MAX_RESULTS_SECTIONS;
/// Name of the meta record with which a frame carries its own results.
pub const RESULTS_META: &str = "Iox2Results";
/// Index that means "none".
pub const NO_INDEX: u32 = u32::MAX;

/// Names of the known kinds, in their order. Kind 1 is the first one.
const KINDS: [&str; 7] = ["labels", "boxes", "keypoints", "classifications", "masks", "tensor", "json"];
const PAD: usize = 8;
const RECORD_HEAD: usize = 16;
const SECTION_HEAD: usize = 16;

/// What a detector found in one frame. Coordinates are in pixels of the source's frame.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::wire::result_payload::{ResultBox, Results};
///
/// let mut results = Results { labels: vec!["person".into()], ..Results::default() };
/// results.boxes.push(ResultBox { x: 10.0, y: 20.0, width: 30.0, height: 40.0, score: 0.9, label: Some(0), track: None });
/// let (payload, entries) = results.encode()?;
/// assert_eq!(Results::decode(&payload, entries)?, results);
/// # Ok::<(), gst_plugin_iceoryx2_video::Fault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    /// Texts to which the other tables refer.
    pub labels: Vec<String>,
    /// The boxes.
    pub boxes: Vec<ResultBox>,
    /// The keypoints.
    pub keypoints: Vec<Keypoint>,
    /// What boxes or the whole picture show.
    pub classifications: Vec<Classification>,
    /// The masks.
    pub masks: Vec<Mask>,
    /// A tensor.
    pub tensor: Option<Tensor>,
    /// The text of one JSON value, which is not parsed.
    pub json: Option<String>,
}

/// A rectangle around an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResultBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
    /// Any finite number, usually from 0 to 1.
    pub score: f32,
    /// Index of a label.
    pub label: Option<u32>,
    /// Number that the object keeps from frame to frame.
    pub track: Option<u64>,
}

/// A point of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// Index of the box that the point belongs to.
    pub of_box: Option<u32>,
    /// Index of a label.
    pub label: Option<u32>,
    /// Distance from the left edge of the picture.
    pub x: f32,
    /// Distance from the top edge of the picture.
    pub y: f32,
    /// Any finite number, usually from 0 to 1.
    pub score: f32,
}

/// What a box or the whole picture shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classification {
    /// Index of the box; `None` for the whole picture.
    pub of_box: Option<u32>,
    /// Index of a label.
    pub label: Option<u32>,
    /// Any finite number, usually from 0 to 1.
    pub score: f32,
}

/// The cells of a rectangle that belong to an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// Index of the box that the mask belongs to.
    pub of_box: Option<u32>,
    /// Index of a label.
    pub label: Option<u32>,
    /// x, y, width and height of the rectangle that the mask covers.
    pub rect: [f32; 4],
    /// Number of cells in a row.
    pub columns: u32,
    /// Number of rows.
    pub rows: u32,
    /// Lengths of alternating cells that are off and on, row by row, beginning with off.
    pub runs: Vec<u32>,
}

/// An array of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Code of the element type (SPEC §11).
    pub dtype: u32,
    /// Number of elements in each dimension.
    pub shape: Vec<u64>,
    /// Name of the tensor; may be empty.
    pub name: String,
    /// The elements in C order, little-endian.
    pub data: Vec<u8>,
}

impl Results {
    /// Reads `entries` sections from a private copy of a payload.
    ///
    /// # Errors
    /// A [`Fault`] for the first rule of SPEC §11 that the payload breaks.
    pub fn decode(payload: &[u8], entries: u32) -> Result<Self, Fault> {
        let sections = split(payload, entries).map_err(|reason| Fault::ResultsPayload { rule: "sections", reason })?;
        let mut results = Self::default();
        for (index, section) in sections.iter().enumerate() {
            let Some((count, body)) = *section else { continue };
            results.read(index, count, body).map_err(|reason| Fault::ResultsPayload { rule: KINDS[index], reason })?;
        }
        Ok(results)
    }

    /// Returns the payload and its number of sections.
    ///
    /// # Errors
    /// A [`Fault`] for the first rule of SPEC §11 that the results break.
    pub fn encode(&self) -> Result<(Vec<u8>, u32), Fault> {
        let mut payload = Vec::new();
        let mut entries = 0;
        for index in 0..KINDS.len() {
            if let Some((count, body)) = self.body(index) {
                entries += 1;
                payload.extend((index as u32 + 1).to_le_bytes());
                payload.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
                payload.extend((body.len() as u64).to_le_bytes());
                payload.extend(&body);
                payload.resize(payload.len().next_multiple_of(PAD), 0);
            }
            if payload.len() > MAX_RESULTS_BYTES {
                return Err(Fault::ResultsBytes { payload: payload.len() });
            }
        }
        payload.resize(payload.len().max(PAD), 0);
        // What a reader would refuse is refused here, by the same rules.
        Self::decode(&payload, entries)?;
        Ok((payload, entries))
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the meta record with which a frame of `size` pixels carries its own results (SPEC §11).
    ///
    /// # Errors
    /// The errors of [`encode`](Self::encode).
    pub fn record(&self, size: (u32, u32)) -> Result<Vec<u8>, Fault> {
        let (payload, entries) = self.encode()?;
        let head = [size.0, size.1, entries, 0].map(u32::to_le_bytes);
        Ok(encode_record(RESULTS_META, RESULTS_VERSION as u8, &[head.as_flattened(), &payload].concat()))
    }

    /// Reads such a record: width and height of the frame that the results were found in, and the results. `None` if the record is of another
    /// kind, or breaks SPEC §11.
    pub fn read_record(record: &[u8]) -> Option<((u32, u32), Self)> {
        let (name, version, payload) = split_record(record)?;
        let (head, payload) = payload.split_at_checked(RECORD_HEAD)?;
        let is_known = name == RESULTS_META && u32::from(version) == RESULTS_VERSION;
        let results = is_known.then(|| Self::decode(payload, word(head, 8)).ok()).flatten()?;
        Some(((word(head, 0), word(head, 4)), results))
    }

    /// Returns the index of a label, which is added if it is new.
    pub fn label(&mut self, text: &str) -> u32 {
        let known = self.labels.iter().position(|label| label == text);
        known.unwrap_or_else(|| {
            self.labels.push(text.to_owned());
            self.labels.len() - 1
        }) as u32
    }

    /// Returns the text of a label.
    pub fn text(&self, label: Option<u32>) -> Option<&str> {
        self.labels.get(usize::try_from(label?).ok()?).map(String::as_str)
    }

    fn read(&mut self, index: usize, count: u32, body: &[u8]) -> Read<()> {
        let (labels, boxes) = (self.labels.len(), self.boxes.len());
        match index {
            0 => self.labels = read_labels(count, body)?,
            1 => {
                self.boxes = read_rows::<_, 32>(count, body, |row| {
                    let [x, y, width, height] = row.rect(0)?;
                    let (score, label) = (row.float("score", 16)?, row.label(20, labels)?);
                    let track = Some(row.long(24)).filter(|&track| track != u64::MAX);
                    Ok(ResultBox { x, y, width, height, score, label, track })
                })?;
            }
            2 => {
                self.keypoints = read_rows::<_, 24>(count, body, |row| {
                    let (of_box, label) = (row.of_box(0, boxes)?, row.label(4, labels)?);
                    let (x, y, score) = (row.float("x", 8)?, row.float("y", 12)?, row.float("score", 16)?);
                    Ok(Keypoint { of_box, label, x, y, score })
                })?;
            }
            3 => {
                self.classifications = read_rows::<_, 16>(count, body, |row| {
                    let (of_box, label) = (row.of_box(0, boxes)?, row.label(4, labels)?);
                    Ok(Classification { of_box, label, score: row.float("score", 8)? })
                })?;
            }
            4 => self.masks = read_masks(count, body, labels, boxes)?,
            5 => self.tensor = Some(read_tensor(body)?),
            _ => self.json = Some(read_json(body)?),
        }
        Ok(())
    }

    /// Returns the count and the body of a section; `None` if it is left out.
    fn body(&self, index: usize) -> Option<(usize, Vec<u8>)> {
        let (count, body) = match index {
            0 => (self.labels.len(), write_labels(&self.labels)),
            1 => (self.boxes.len(), self.boxes.iter().flat_map(write_box).collect()),
            2 => (self.keypoints.len(), self.keypoints.iter().flat_map(write_keypoint).collect()),
            3 => (self.classifications.len(), self.classifications.iter().flat_map(write_classification).collect()),
            4 => (self.masks.len(), write_masks(&self.masks)),
            5 => (1, write_tensor(self.tensor.as_ref()?)),
            _ => (1, self.json.as_ref()?.as_bytes().to_vec()),
        };
        (count > 0).then_some((count, body))
    }
}

/// A section's count and body.
type Section<'a> = Option<(u32, &'a [u8])>;

/// Finds the sections of known kinds.
fn split(payload: &[u8], entries: u32) -> Read<[Section<'_>; KINDS.len()]> {
    let mut sections = [None; KINDS.len()];
    let mut rest = payload;
    for number in 0..entries {
        let left = rest.len();
        let (head, after) = rest.split_at(left.min(SECTION_HEAD));
        let [kind, count] = [0, 4].map(|at| head.get(at..at + 4).map_or(0, |_| word(head, at)));
        let size = head.get(8..SECTION_HEAD).map_or(0, |size| u64::from_le_bytes(bytes(size, 0)));
        let refused = || messages::fault_sections(number, entries, kind, count, size, left, MAX_SECTIONS);
        let fitting = usize::try_from(size).ok().filter(|_| left >= SECTION_HEAD && entries as usize <= MAX_SECTIONS);
        let (body, after) = fitting.and_then(|size| after.split_at_checked(size)).ok_or_else(refused)?;
        // The padding of the last section may be missing.
        rest = after.get(body.len().next_multiple_of(PAD) - body.len()..).unwrap_or_default();
        let Some(place) = (kind as usize).checked_sub(1).and_then(|index| sections.get_mut(index)) else { continue };
        let is_single = kind >= 6;
        if place.replace((count, body)).is_some() || is_single && count != 1 {
            return Err(refused());
        }
    }
    Ok(sections)
}
