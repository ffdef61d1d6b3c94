//! Registers the meta of a rendition's frames (SPEC §8) with GStreamer.
//!
//! The meta says which rectangle of the source fills which rectangle of the frame. Its tags tell GStreamer that this is wrong once a frame is
//! scaled, cropped or turned, so that such elements do not copy it.

use std::ptr::null_mut;
use std::sync::Once;

use gst::glib;
use gst::glib::translate::{IntoGlib, ToGlibPtr, from_glib};
use gst::meta::{CustomMeta, MetaTransform, MetaTransformCopy};
use gst_video::VideoInfo;
use gst_video::video_meta::VideoMetaTransformScale;

/// Name of the meta.
pub const NAME: &str = "Iox2Rendition";

const TAGS: &[&str] = &["video", "size", "orientation"];

/// Registers the meta, unless it is registered already.
pub fn register() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // GLib logs a critical if a name is registered twice.
        if glib::Type::from_name(NAME).is_some() {
            return;
        }
        let (name, tags) = (NAME.to_glib_none(), TAGS.to_glib_none());
        // SAFETY: GStreamer is initialised, because it loaded this plugin. It copies the name and the tags. The function has no user data.
        unsafe { gst::ffi::gst_meta_register_custom(name.0, tags.0, Some(transform), null_mut(), None) };
    });
}

/// Copies the meta to another buffer if the picture there has the same geometry.
///
/// videoconvert asks this function even if it only changes the format, because its code also scales. GStreamer's own function for custom
/// metas refuses every such request.
unsafe extern "C" fn transform(
    target: *mut gst::ffi::GstBuffer,
    meta: *mut gst::ffi::GstCustomMeta,
    _source: *mut gst::ffi::GstBuffer,
    kind: glib::ffi::GQuark,
    data: glib::ffi::gpointer,
    _: glib::ffi::gpointer,
) -> glib::ffi::gboolean {
    // SAFETY: a quark of GStreamer.
    let kind: glib::Quark = unsafe { from_glib(kind) };
    let is_kept = if kind == MetaTransformCopy::quark() {
        true
    } else if kind == VideoMetaTransformScale::quark() && !data.is_null() {
        // SAFETY: the data of this kind is a GstVideoMetaTransform, of which this type is a transparent wrapper.
        let change = unsafe { &*data.cast::<VideoMetaTransformScale>() };
        geometry(change.in_info()) == geometry(change.out_info())
    } else {
        // Since 1.28, elements also offer matrices. If this function refuses one, videoconvert asks again with both sizes.
        false
    };
    if !is_kept {
        return glib::ffi::GFALSE;
    }
    // SAFETY: GStreamer passes a writable buffer and the meta of another buffer, for the time of this call.
    let (target, meta) = unsafe { (gst::BufferRef::from_mut_ptr(target), &*meta.cast::<CustomMeta>()) };
    let Ok(mut copy) = CustomMeta::add(target, NAME) else { return glib::ffi::GFALSE };
    let structure = copy.mut_structure();
    for (field, value) in meta.structure().iter() {
        structure.set_value(field, value.clone());
    }
    true.into_glib()
}

/// Size and pixel aspect ratio. If both stay the same, no element adds borders.
fn geometry(info: &VideoInfo) -> (u32, u32, gst::Fraction) {
    (info.width(), info.height(), info.par())
}
