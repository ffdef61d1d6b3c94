//! Checks service names.

use iceoryx2::prelude::ServiceName;

use crate::contract::{limits, messages};
use crate::error::{Error, Result};

/// Checks a service name. It does not access files.
///
/// # Errors
/// [`Error::InvalidServiceName`].
pub fn check_service_name(name: &str) -> Result<()> {
    service_name(name).map(drop)
}

pub(crate) fn service_name(name: &str) -> Result<ServiceName> {
    let invalid = |reason: String| Error::InvalidServiceName { name: name.to_owned(), reason };
    if name.is_empty() {
        return Err(invalid(messages::name_is_empty()));
    }
    if name.len() > limits::MAX_SERVICE_NAME_BYTES {
        return Err(invalid(messages::name_is_long(name.len())));
    }
    if let Some(c) = name.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(invalid(messages::name_contains(c.to_string())));
    }
    ServiceName::new(name).map_err(|e| invalid(format!("{e:?}")))
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
}
