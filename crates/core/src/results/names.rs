//! Names of services of results (SPEC §11).

use std::fmt;

use crate::contract::layout;
use crate::error::{Error, Result};

const MAX_DETECTOR: usize = 64;

/// Name of a service of results: `video/SOURCE/results/DETECTOR/v1`.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::results::ResultsName;
///
/// assert_eq!(ResultsName::new("cam0", "yolo")?.to_string(), "video/cam0/results/yolo/v1");
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResultsName {
    source: String,
    detector: String,
}

impl ResultsName {
    /// Creates the name from the source and the detector. The source is a stream such as `cam0` or `video/cam0/frame/v2`; of a rendition,
    /// it is the stream that the rendition was made from.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`] if the source is empty or the detector's name is not 1 to 64 letters, digits or `_.-`.
    pub fn new(source: &str, detector: &str) -> Result<Self> {
        let source = source_of(source);
        let refused = |reason: &str, advice: &str| Error::InvalidServiceName {
            name: format!("video/{source}/results/{detector}/v1"),
            reason: reason.to_owned(),
            advice: advice.to_owned(),
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=MAX_DETECTOR).contains(&detector.len()) || !detector.bytes().all(is_word) {
            let advice = format!("use 1 to {MAX_DETECTOR} letters, digits, \"_\", \".\" or \"-\"");
            return Err(refused("the name of the detector is invalid", &advice));
        }
        if source.is_empty() {
            return Err(refused("the name of the source is empty", "use the name of a stream, such as \"cam0\""));
        }
        Ok(Self { source: source.to_owned(), detector: detector.to_owned() })
    }

    /// Returns the name in the full name of a service: `video/cam0/results/yolo/v1`.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`] if it is not the name of a service of results.
    pub fn parse(service: &str) -> Result<Self> {
        let middle = service.strip_prefix("video/").and_then(|name| name.strip_suffix("/v1"));
        let Some((source, detector)) = middle.and_then(|name| name.rsplit_once("/results/")) else {
            return Err(Error::InvalidServiceName {
                name: service.to_owned(),
                reason: "it is not the name of a service of results".into(),
                advice: "use a name such as \"video/cam0/results/yolo/v1\"".into(),
            });
        };
        Self::new(source, detector)
    }

    /// Returns the short name of the source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the name of the detector.
    pub fn detector(&self) -> &str {
        &self.detector
    }
}

impl fmt::Display for ResultsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "video/{}/results/{}/v1", self.source, self.detector)
    }
}

/// Returns the short name of the stream to which the results of a service belong: `cam0` for `video/cam0@640x640-RGB/frame/v2` and for
/// `video/cam0@h264/packet/v1`.
pub fn source_of(service: &str) -> &str {
    let name = service.strip_prefix("video/");
    let short = name.and_then(|name| name.strip_suffix("/frame/v2").or_else(|| name.strip_suffix("/packet/v1")));
    let mut source = short.unwrap_or(service);
    while let Some(shorter) = shorter(source) {
        source = shorter;
    }
    source
}

/// Returns the name before the codec or the shape at its end.
fn shorter(name: &str) -> Option<&str> {
    // The first character belongs to the source, so that the source is not empty.
    let mut ends = name.char_indices().skip(1).filter(|&(_, character)| character == '@').map(|(at, _)| at);
    let is_codec = |text: &str| layout::CODECS.split(' ').any(|codec| codec == text);
    ends.find(|&at| is_codec(&name[at + 1..]) || is_shape(&name[at + 1..])).map(|at| &name[..at])
}

/// Whether the text is the SHAPE of a rendition: `[WxH][-FORMAT][@FPS][+crop|+stretch]` with at least one of the first three (SPEC §1).
fn is_shape(text: &str) -> bool {
    let text = text.strip_suffix("+crop").or_else(|| text.strip_suffix("+stretch")).unwrap_or(text);
    let (text, fps) = text.rsplit_once('@').map_or((text, None), |(text, fps)| (text, Some(fps)));
    let (size, format) = text.split_once('-').map_or((text, None), |(size, format)| (size, Some(format)));
    let is_side = |side: &str| side.len() <= 6 && side.bytes().all(|byte| byte.is_ascii_digit());
    let is_size = |size: &str| size.split_once('x').is_some_and(|(w, h)| is_side(w) && is_side(h) && size != "x");
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_format = |format: &str| format.starts_with(|c: char| c.is_ascii_alphabetic()) && format.bytes().all(is_word);
    (size.is_empty() || is_size(size))
        && format.is_none_or(is_format)
        && fps.is_none_or(is_fps)
        && !(size.is_empty() && format.is_none() && fps.is_none())
}

fn is_fps(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let are_digits =
        |digits: &str, most| (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole, 6) && fraction.is_none_or(|fraction| are_digits(fraction, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_rendition_belong_to_its_source() {
        for (service, source) in [
            ("video/cam0/frame/v2", "cam0"),
            ("video/cam0@640x640-RGB/frame/v2", "cam0"),
            ("video/cam0@640x@15+crop/frame/v2", "cam0"),
            ("video/cam0@-RGB/frame/v2", "cam0"),
            ("video/cam0@@7.5/frame/v2", "cam0"),
            ("video/front@left@x480+stretch/frame/v2", "front@left"),
            ("video/front@left/frame/v2", "front@left"),
            ("video/cam0@x/frame/v2", "cam0@x"),
            ("video/cam0@/frame/v2", "cam0@"),
            ("video/cam0@+crop/frame/v2", "cam0@+crop"),
            ("video/cam0@64x64@h264/packet/v1", "cam0"),
            ("video/cam0@-RGB@64x64/frame/v2", "cam0"),
            ("cam0", "cam0"),
            ("robot/eye", "robot/eye"),
            ("@640x640", "@640x640"),
        ] {
            assert_eq!(source_of(service), source);
        }
    }

    #[test]
    fn a_detector_has_a_plain_name() {
        for detector in ["", "a b", "a/b", "ö", &"x".repeat(65)] {
            let error = ResultsName::new("cam0", detector).unwrap_err();
            assert!(error.to_string().contains("detector"), "{error}");
            let full = ResultsName::new("video/cam0@640x/frame/v2", detector).unwrap_err();
            assert_eq!(full.to_string(), error.to_string());
        }
        let name = ResultsName::new("cam0", "yolo").unwrap();
        assert_eq!(ResultsName::parse("video/cam0/results/yolo/v1").unwrap(), name);
        for name in ["video/cam0/frame/v2", "video//results/yolo/v1", "video/cam0/results/a b/v1", "yolo"] {
            assert!(ResultsName::parse(name).is_err(), "{name}");
        }
        assert_eq!(
            ResultsName::new("video/cam0@64x64/frame/v2", "a-B_1.2").unwrap().to_string(),
            "video/cam0/results/a-B_1.2/v1"
        );
    }
}
