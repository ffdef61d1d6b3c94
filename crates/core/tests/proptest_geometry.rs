//! Planes of a header that passes the validator lie within the pixels.

mod cases;

use cases::cases;
use gst_plugin_iceoryx2_video as video;
use proptest::prelude::*;
use video::wire::formats::{FORMATS, Kind};
use video::{FrameParams, MAX_PLANES, VideoFormat, VideoFrameHeader, validate_aux_size, validate_geometry};

fn format() -> impl Strategy<Value = &'static VideoFormat> {
    (0..FORMATS.len()).prop_map(|index| &FORMATS[index])
}

/// A number near `around`, or any number.
fn near(around: u32) -> impl Strategy<Value = u32> {
    prop_oneof![4 => around.saturating_sub(2)..=around.saturating_add(70), 1 => any::<u32>()]
}

/// A header that is sound or nearly so, and the bytes of its payload.
fn nearly_valid() -> impl Strategy<Value = (VideoFrameHeader, usize)> {
    (format(), 1u32..70, 1u32..70).prop_flat_map(|(format, width, height)| {
        let layout = format.tight_layout(width, height, None).unwrap_or_default();
        let strides = layout.strides.map(near);
        let offsets = layout.offsets.map(near);
        let n_planes = near(format.n_planes() as u32);
        let payload = prop_oneof![0..=layout.size * 2, Just(usize::MAX)];
        let aux = prop_oneof![3 => Just(0), 1 => near(64)];
        (strides, offsets, n_planes, near(width), near(height), payload, aux).prop_map(move |parts| {
            let (stride, plane_offsets, n_planes, width, height, payload, aux_size) = parts;
            let sizes = VideoFrameHeader { width, height, n_planes, aux_size, ..VideoFrameHeader::default() };
            let mut header = VideoFrameHeader { stride, plane_offsets, ..sizes };
            header.set_format(format.name).unwrap();
            (header, payload)
        })
    })
}

/// Every row of every plane lies within the pixels, computed the long way.
fn assert_inside(header: &VideoFrameHeader, pixels: usize) -> Result<(), TestCaseError> {
    let format = VideoFormat::get(header.format_name()).unwrap();
    for plane in 0..header.n_planes as usize {
        prop_assert!((header.plane_offsets[plane] as usize) < pixels);
        if format.kind == Kind::Tiled {
            continue;
        }
        for row in 0..format.rows(plane, header.height) {
            let start = u128::from(header.plane_offsets[plane]) + u128::from(header.stride[plane]) * row as u128;
            let end = start + format.row_bytes(plane, header.width) as u128;
            prop_assert!(end <= pixels as u128, "row {} of plane {} ends at {}", row, plane, end);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn valid_frames_stay_within_the_pixels((header, payload) in nearly_valid()) {
        if let Ok(pixels) = validate_aux_size(&header, payload)
            && validate_geometry(&header, pixels).is_ok()
        {
            assert_inside(&header, pixels)?;
        }
    }

    #[test]
    fn any_bytes_are_checked(bytes in prop::collection::vec(any::<u8>(), video::HEADER_SIZE), payload in any::<usize>()) {
        let bytes: [u8; video::HEADER_SIZE] = bytes.try_into().unwrap();
        let header = VideoFrameHeader::from_bytes(&bytes);
        if let Ok(pixels) = validate_aux_size(&header, payload)
            && validate_geometry(&header, pixels).is_ok()
            && !header.is_eos()
        {
            assert_inside(&header, pixels)?;
        }
    }

    #[test]
    fn a_computed_layout_is_valid_and_needs_its_last_byte(
        format in format(), width in 1u32..300, height in 1u32..300, padding in prop::option::of(0u32..100),
    ) {
        prop_assume!(format.kind != Kind::Tiled);
        let stride0 = padding.map(|padding| format.row_bytes(0, width) as u32 + padding);
        let params = FrameParams { width, height, format: format.name, stride0, ..Default::default() };
        let (header, size) = params.header().unwrap();
        prop_assert_eq!(validate_geometry(&header, size), Ok(()));
        let last = format.n_planes() - 1;
        let slack = header.stride[last] as usize - format.row_bytes(last, width);
        prop_assert_eq!(validate_geometry(&header, size - slack), Ok(()));
        prop_assert!(validate_geometry(&header, size - slack - 1).is_err());
        prop_assert!(header.stride[format.n_planes()..MAX_PLANES].iter().all(|&stride| stride == 0));
    }
}
