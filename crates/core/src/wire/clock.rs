//! The meta `Iox2Clock` of frames that crossed a bridge: their first publisher (SPEC §10).

use crate::wire::metas::MetaRef;
use crate::wire::rendition::id;
use crate::wire::text::Structure;

/// Name of the meta.
pub const CLOCK_META: &str = "Iox2Clock";

/// Returns publisher and sequence in the last meta of this kind among the records of a frame; `None` if there is none, or if they are unknown.
pub fn first_publisher<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Option<(u64, u64)> {
    let texts = records.into_iter().filter_map(|record| match MetaRef::read(record) {
        Some(MetaRef::Custom { name: CLOCK_META, structure }) => Some(structure),
        _ => None,
    });
    let fields = Structure::parse(texts.last()?).ok()?;
    id(&fields, "publisher").zip(id(&fields, "sequence"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metas::CustomMeta;
    use crate::wire::value::Value;

    fn record(fields: &[(&str, &str)]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::Str((*text).to_owned()))).collect();
        CustomMeta { name: CLOCK_META.into(), fields }.encode().unwrap()
    }

    #[test]
    fn the_last_meta_counts_if_both_numbers_are_known() {
        let known = [("publisher", "00000000000000ff"), ("sequence", "0000000000000007")];
        let records = [record(&[]), record(&known)];
        assert_eq!(first_publisher(records.iter().map(Vec::as_slice)), Some((255, 7)));
        for fields in [&known[..1], &[known[0], ("sequence", "7")], &[]] {
            let records = [record(&known), record(fields)];
            assert_eq!(first_publisher(records.iter().map(Vec::as_slice)), None, "{fields:?}");
        }
    }
}
