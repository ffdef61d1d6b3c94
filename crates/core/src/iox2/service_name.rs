//! Checks service names.

use iceoryx2::prelude::ServiceName;

use crate::contract::{layout, limits, messages};
use crate::error::{Error, Result};

/// Checks a service name. It does not access files.
///
/// # Errors
/// [`Error::InvalidServiceName`].
pub fn check_service_name(name: &str) -> Result<()> {
    service_name(name).map(drop)
}

pub(crate) fn service_name(name: &str) -> Result<ServiceName> {
    let refused = |reason, advice| Error::InvalidServiceName { name: name.to_owned(), reason, advice };
    let invalid = |reason| refused(reason, messages::name_advice(limits::MAX_SERVICE_NAME_BYTES));
    if name.is_empty() {
        return Err(invalid(messages::name_is_empty()));
    }
    if name.len() > limits::MAX_SERVICE_NAME_BYTES {
        return Err(invalid(messages::name_is_long(name.len())));
    }
    if let Some(c) = name.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(invalid(messages::name_contains(c.to_string())));
    }
    if let Some((source, codec)) = packets(name) {
        return Err(refused(messages::name_of_packets(codec), messages::packets_advice(source)));
    }
    ServiceName::new(name).map_err(|e| invalid(format!("{e:?}")))
}

/// The stream and the codec of a name that frames cannot have, because it is for packets: `cam0` and `h264` of
/// `video/cam0@h264/packet/v1` and of `video/cam0@h264/frame/v2` (SPEC §1).
fn packets(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("video/")?;
    let short = name.strip_suffix("/frame/v2").or_else(|| name.strip_suffix("/packet/v1"))?;
    short
        .rsplit_once('@')
        .filter(|(source, codec)| !source.is_empty() && layout::CODECS.split(' ').any(|known| known == *codec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_empty_too_long_or_not_printable_is_refused() {
        for (name, word) in [("", "empty"), ("a\nb", "\\n"), ("käse", "ä"), (&"x".repeat(256), "256 bytes")] {
            let text = service_name(name).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
        assert!(service_name("video/cam 0/frame v2").is_ok());
    }

    #[test]
    fn names_of_packets_are_refused_and_names_like_them_are_not() {
        for kind in ["frame/v2", "packet/v1"] {
            let text = service_name(&format!("video/front@left@h264/{kind}")).unwrap_err().to_string();
            assert!(text.contains("\"video/front@left/frame/v2\" for frames"), "{text}");
        }
        for name in ["video/cam0@H264/frame/v2", "video/@h264/frame/v2", "video/h264/frame/v2", "cam0@h264"] {
            assert!(service_name(name).is_ok(), "{name}");
        }
    }
}
