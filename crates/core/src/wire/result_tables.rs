//! Reads and writes the sections of results (SPEC §11).

use std::fmt::Display;

use crate::contract::{limits, messages};
use crate::wire::header::MAX_DIMENSION;
use crate::wire::result_payload::{Classification, Keypoint, Mask, NO_INDEX, ResultBox, Tensor};
use crate::wire::results::MAX_RESULTS_BYTES;

/// Bytes of an element for each dtype, beginning with dtype 1.
const ITEM_BYTES: [usize; 11] = [1, 1, 2, 2, 4, 4, 8, 8, 2, 4, 8];
const PAD: usize = 8;
const TENSOR_HEAD: usize = 16;
const MASK_BYTES: usize = 40;

/// Result of reading a section; an error is the reason in words.
pub(super) type Read<T> = Result<T, String>;

/// One row of a table.
pub(super) struct Row<'a> {
    bytes: &'a [u8],
    index: usize,
}

impl Row<'_> {
    fn refuse<T>(&self, field: &str, value: impl Display, expected: impl Display) -> Read<T> {
        Err(messages::fault_section_value(field, self.index, value, expected))
    }

    pub fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(bytes(self.bytes, at))
    }

    pub fn float(&self, field: &str, at: usize) -> Read<f32> {
        let number = f32::from_le_bytes(bytes(self.bytes, at));
        if number.is_finite() { Ok(number) } else { self.refuse(field, number, "finite") }
    }

    /// Reads x, y, width and height.
    pub fn rect(&self, at: usize) -> Read<[f32; 4]> {
        let [x, y] = [self.float("x", at)?, self.float("y", at + 4)?];
        Ok([x, y, self.side("width", at + 8)?, self.side("height", at + 12)?])
    }

    fn side(&self, field: &str, at: usize) -> Read<f32> {
        let side = self.float(field, at)?;
        if side >= 0.0 { Ok(side) } else { self.refuse(field, side, "at least 0") }
    }

    /// Reads the index of one of `count` labels.
    pub fn label(&self, at: usize, count: usize) -> Read<Option<u32>> {
        self.reference("label", at, count)
    }

    /// Reads the index of one of `count` boxes.
    pub fn of_box(&self, at: usize, count: usize) -> Read<Option<u32>> {
        self.reference("box", at, count)
    }

    fn reference(&self, field: &str, at: usize, count: usize) -> Read<Option<u32>> {
        match word(self.bytes, at) {
            NO_INDEX => Ok(None),
            index if (index as usize) < count => Ok(Some(index)),
            index => self.refuse(field, index, format!("less than {count}, or {NO_INDEX} for none")),
        }
    }
}

pub(super) fn read_rows<T, const N: usize>(
    count: u32,
    body: &[u8],
    mut read: impl FnMut(Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    check_size(count, u64::from(count) * N as u64, body)?;
    body.chunks_exact(N).enumerate().map(|(index, bytes)| read(Row { bytes, index })).collect()
}

pub(super) fn read_labels(count: u32, body: &[u8]) -> Read<Vec<String>> {
    let (table, mut texts) = split_table(count, 4, body)?;
    let lengths = || table.chunks_exact(4).map(|entry| word(entry, 0));
    check_size(count, table.len() as u64 + lengths().map(u64::from).sum::<u64>(), body)?;
    let mut labels = Vec::with_capacity(count as usize);
    for (index, len) in lengths().enumerate() {
        let row = Row { bytes: table, index };
        let (text, rest) = texts.split_at(len as usize);
        if text.len() > limits::MAX_LABEL_BYTES {
            return row.refuse("length", len, format!("at most {} bytes", limits::MAX_LABEL_BYTES));
        }
        labels.push(read_text(&row, "text", text)?);
        texts = rest;
    }
    Ok(labels)
}

pub(super) fn read_masks(count: u32, body: &[u8], labels: usize, boxes: usize) -> Read<Vec<Mask>> {
    let (table, mut runs) = split_table(count, MASK_BYTES, body)?;
    let counts: u64 = table.chunks_exact(MASK_BYTES).map(|row| u64::from(word(row, 32))).sum();
    check_size(count, table.len() as u64 + 4 * counts, body)?;
    read_rows::<_, MASK_BYTES>(count, table, |row| {
        let (of_box, label, rect) = (row.of_box(0, boxes)?, row.label(4, labels)?, row.rect(8)?);
        let [columns, rows, count] = [24, 28, 32].map(|at| word(row.bytes, at));
        for (field, side) in [("columns", columns), ("rows", rows)] {
            if !(1..=MAX_DIMENSION).contains(&side) {
                return row.refuse(field, side, format!("1 to {MAX_DIMENSION}"));
            }
        }
        let cells = u64::from(columns) * u64::from(rows);
        if cells > limits::MAX_MASK_CELLS as u64 {
            return row.refuse("columns x rows", cells, format!("at most {}", limits::MAX_MASK_CELLS));
        }
        let (own, rest) = runs.split_at(4 * count as usize);
        runs = rest;
        let runs: Vec<_> = own.chunks_exact(4).map(|run| word(run, 0)).collect();
        let sum: u64 = runs.iter().map(|&run| u64::from(run)).sum();
        if sum != cells {
            return row.refuse("sum of the runs", sum, format!("{cells} (columns x rows)"));
        }
        Ok(Mask { of_box, label, rect, columns, rows, runs })
    })
}

pub(super) fn read_tensor(body: &[u8]) -> Read<Tensor> {
    let row = Row { bytes: body, index: 0 };
    let short = |needed: usize| messages::fault_section_bytes(1, needed, body.len());
    let (head, _) = body.split_at_checked(TENSOR_HEAD).ok_or_else(|| short(TENSOR_HEAD))?;
    let (dtype, dimensions, name_len) = (word(head, 0), word(head, 4) as usize, word(head, 8) as usize);
    let Some(&item) = (dtype as usize).checked_sub(1).and_then(|index| ITEM_BYTES.get(index)) else {
        return row.refuse("dtype", dtype, format!("1 to {}", ITEM_BYTES.len()));
    };
    if dimensions > limits::MAX_TENSOR_DIMENSIONS {
        return row.refuse("dimensions", dimensions, format!("at most {}", limits::MAX_TENSOR_DIMENSIONS));
    }
    if name_len > limits::MAX_TENSOR_NAME_BYTES {
        return row.refuse("name", name_len, format!("at most {} bytes", limits::MAX_TENSOR_NAME_BYTES));
    }
    let name_at = TENSOR_HEAD + 8 * dimensions;
    let data_at = (name_at + name_len).next_multiple_of(PAD);
    let data = body.get(data_at..).ok_or_else(|| short(data_at))?;
    let shape: Vec<_> = (0..dimensions).map(|index| row.long(TENSOR_HEAD + 8 * index)).collect();
    let name = read_text(&row, "name", &body[name_at..name_at + name_len])?;
    let most = shape.iter().filter(|&&side| side > 0).try_fold(item as u64, |size, &side| size.checked_mul(side));
    let Some(most) = most.filter(|&size| size <= MAX_RESULTS_BYTES as u64) else {
        return row.refuse("shape", format!("{shape:?}"), format!("at most {MAX_RESULTS_BYTES} bytes"));
    };
    let size = if shape.contains(&0) { 0 } else { most };
    check_size(1, data_at as u64 + size, body)?;
    Ok(Tensor { dtype, shape, name, data: data.to_vec() })
}

pub(super) fn read_json(body: &[u8]) -> Read<String> {
    let row = Row { bytes: body, index: 0 };
    if body.len() > limits::MAX_RESULTS_JSON_BYTES {
        return row.refuse("length", body.len(), format!("at most {} bytes", limits::MAX_RESULTS_JSON_BYTES));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => row.refuse("text", error, "UTF-8"),
    }
}

fn read_text(row: &Row<'_>, field: &str, text: &[u8]) -> Read<String> {
    match std::str::from_utf8(text).ok().filter(|text| !text.contains('\0')) {
        Some(text) => Ok(text.to_owned()),
        None => row.refuse(field, format!("{:?}", String::from_utf8_lossy(text)), "UTF-8 without NUL"),
    }
}

/// Splits a body after its first `count` entries of `bytes` bytes.
fn split_table(count: u32, bytes: usize, body: &[u8]) -> Read<(&[u8], &[u8])> {
    let size = u64::from(count) * bytes as u64;
    let fitting = usize::try_from(size).ok().and_then(|size| body.split_at_checked(size));
    fitting.ok_or_else(|| messages::fault_section_bytes(count, size, body.len()))
}

fn check_size(count: u32, needed: u64, body: &[u8]) -> Read<()> {
    if needed == body.len() as u64 { Ok(()) } else { Err(messages::fault_section_bytes(count, needed, body.len())) }
}

pub(super) fn word(row: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(row, at))
}

pub(super) fn bytes<const N: usize>(row: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| row[at + i])
}

pub(super) fn write_labels(labels: &[String]) -> Vec<u8> {
    let lengths = labels.iter().flat_map(|label| u32::try_from(label.len()).unwrap_or(u32::MAX).to_le_bytes());
    lengths.chain(labels.iter().flat_map(|label| label.bytes())).collect()
}

pub(super) fn write_box(item: &ResultBox) -> Vec<u8> {
    let floats = [item.x, item.y, item.width, item.height, item.score].map(f32::to_le_bytes);
    [floats.as_flattened(), &write_index(item.label), &item.track.unwrap_or(u64::MAX).to_le_bytes()].concat()
}

pub(super) fn write_keypoint(item: &Keypoint) -> Vec<u8> {
    let floats = [item.x, item.y, item.score].map(f32::to_le_bytes);
    [&write_index(item.of_box)[..], &write_index(item.label), floats.as_flattened(), &[0; 4]].concat()
}

pub(super) fn write_classification(item: &Classification) -> Vec<u8> {
    [write_index(item.of_box), write_index(item.label), item.score.to_le_bytes(), [0; 4]].concat()
}

pub(super) fn write_masks(masks: &[Mask]) -> Vec<u8> {
    let rows = masks.iter().flat_map(|mask| {
        let runs = u32::try_from(mask.runs.len()).unwrap_or(u32::MAX);
        let words = [mask.columns, mask.rows, runs, 0].map(u32::to_le_bytes);
        let rect = mask.rect.map(f32::to_le_bytes);
        [&write_index(mask.of_box)[..], &write_index(mask.label), rect.as_flattened(), words.as_flattened()].concat()
    });
    rows.chain(masks.iter().flat_map(|mask| &mask.runs).flat_map(|run| run.to_le_bytes())).collect()
}

pub(super) fn write_tensor(tensor: &Tensor) -> Vec<u8> {
    let head = [tensor.dtype, tensor.shape.len() as u32, tensor.name.len() as u32, 0].map(u32::to_le_bytes);
    let mut body = head.as_flattened().to_vec();
    body.extend(tensor.shape.iter().flat_map(|side| side.to_le_bytes()));
    body.extend(tensor.name.bytes());
    body.resize(body.len().next_multiple_of(PAD), 0);
    body.extend(&tensor.data);
    body
}

fn write_index(index: Option<u32>) -> [u8; 4] {
    index.unwrap_or(NO_INDEX).to_le_bytes()
}
