//! The place where iceoryx2 keeps its files.

use std::path::PathBuf;

use iceoryx2::prelude::*;

use crate::contract::{limits, messages};
use crate::error::{Error, Result};

/// Environment variable that sets the domain for the elements and the SDK: `ROOT` or `ROOT:PREFIX`.
pub const DOMAIN_VARIABLE: &str = "IOX2_VIDEO_DOMAIN";

/// Characters that iceoryx2 does not accept in paths, in addition to control characters and non-ASCII characters. Source:
/// iceoryx2-bb/system-types/src/path.rs and container/src/string/mod.rs.
const FORBIDDEN: &str = "<>\"|?*";

/// An iceoryx2 domain: the root path and the name prefix of its files.
///
/// Only participants in the same domain see each other.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::Domain;
///
/// let domain = Domain::at("/tmp/cameras", "cam_")?;
/// assert_eq!(domain.service_dir().to_str(), Some("/tmp/cameras/services"));
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Domain {
    config: Config,
}

impl Domain {
    /// Returns the domain of this process.
    ///
    /// It comes from `IOX2_VIDEO_DOMAIN`, else from the iceoryx2 configuration of the user or the machine, else from iceoryx2's defaults.
    ///
    /// `config/iceoryx2.toml` in the working directory is not read, because a domain should not depend on the working directory.
    ///
    /// # Errors
    /// [`Error::Domain`] if the variable or a configuration file cannot be used.
    pub fn from_env() -> Result<Self> {
        let mut config = Self::configured()?;
        if let Some(value) = std::env::var_os(DOMAIN_VARIABLE) {
            let value = value.into_string().map_err(|_| Error::Domain(format!("{DOMAIN_VARIABLE} is not UTF-8")))?;
            let (root, prefix) = match value.rsplit_once(':') {
                Some((root, prefix)) => (root, Some(prefix)),
                None => (value.as_str(), None),
            };
            Self::set_place(&mut config, root, prefix)?;
        }
        Ok(Self::with_config(config))
    }

    /// Returns the domain with this root path and prefix.
    ///
    /// # Errors
    /// [`Error::Domain`] if `root` or `prefix` cannot be used.
    pub fn at(root: &str, prefix: &str) -> Result<Self> {
        let mut config = Self::configured()?;
        Self::set_place(&mut config, root, Some(prefix))?;
        Ok(Self::with_config(config))
    }

    /// Returns the domain of a node with this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self { config: config.clone() }
    }

    /// Returns the iceoryx2 configuration for nodes in this domain.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the root path of the domain.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(self.config.global.root_path().to_string())
    }

    /// Returns the prefix of the domain's file names.
    pub fn prefix(&self) -> String {
        self.config.global.prefix.to_string()
    }

    /// Returns the folder for service descriptions.
    pub fn service_dir(&self) -> PathBuf {
        PathBuf::from(self.config.global.service_dir().to_string())
    }

    /// Returns the folder for nodes.
    pub fn node_dir(&self) -> PathBuf {
        PathBuf::from(self.config.global.node_dir().to_string())
    }

    fn configured() -> Result<Config> {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config/iceoryx2/iceoryx2.toml"));
        for path in home.into_iter().chain([PathBuf::from("/etc/iceoryx2/iceoryx2.toml")]) {
            if !path.is_file() {
                continue;
            }
            check_characters("configuration path", &path.to_string_lossy(), FORBIDDEN)?;
            let unusable = |cause: String| Error::Domain(messages::no_configuration(path.display(), cause));
            let name = FilePath::new(path.as_os_str().as_encoded_bytes()).map_err(|e| unusable(format!("{e:?}")))?;
            return Config::from_file(&name).map_err(|e| unusable(format!("{e:?}")));
        }
        Ok(Config::default())
    }

    fn set_place(config: &mut Config, root: &str, prefix: Option<&str>) -> Result<()> {
        if !root.starts_with('/') {
            return Err(Error::Domain(messages::relative_root(root)));
        }
        if root.len() > limits::MAX_DOMAIN_ROOT_BYTES {
            return Err(Error::Domain(messages::long_root(root, root.len(), limits::MAX_DOMAIN_ROOT_BYTES)));
        }
        check_characters("root path", root, FORBIDDEN)?;
        let path = Path::new(root.as_bytes()).map_err(|e| Error::Domain(format!("the root path {root:?}: {e:?}")))?;
        config.global.set_root_path(&path);
        if let Some(prefix) = prefix {
            if prefix.is_empty() {
                return Err(Error::Domain(messages::empty_prefix()));
            }
            check_characters("prefix", prefix, &format!("{FORBIDDEN}/\\"))?;
            config.global.prefix =
                FileName::new(prefix.as_bytes()).map_err(|e| Error::Domain(format!("the prefix {prefix:?}: {e:?}")))?;
        }
        Ok(())
    }

    fn with_config(mut config: Config) -> Self {
        // A process may contain two copies of iceoryx2, such as the plugin's and the Python SDK's. One copy would remove the other's living
        // nodes (see `cleanup`).
        config.global.node.cleanup_dead_nodes_on_creation = false;
        config.global.node.cleanup_dead_nodes_on_destruction = false;
        config.global.service.cleanup_dead_nodes_on_open = false;
        Self { config }
    }
}

fn check_characters(what: &str, text: &str, forbidden: &str) -> Result<()> {
    let Some(found) = text.chars().find(|&c| !matches!(c, ' '..='~') || forbidden.contains(c)) else { return Ok(()) };
    Err(Error::Domain(messages::domain_contains(what, text, found.to_string(), forbidden)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_or_too_long_root_is_refused() {
        let relative = Domain::at("tmp/x", "x_").unwrap_err().to_string();
        assert!(relative.contains("not absolute"), "{relative}");
        let long = Domain::at(&format!("/tmp/{}", "x".repeat(80)), "x_").unwrap_err().to_string();
        assert!(long.contains("85 bytes long, but at most 65"), "{long}");
    }

    #[test]
    fn nodes_of_a_domain_never_clean_up() {
        let domain = Domain::at("/tmp/somewhere", "x_").unwrap();
        let global = &domain.config().global;
        assert!(!global.node.cleanup_dead_nodes_on_creation && !global.node.cleanup_dead_nodes_on_destruction);
        assert!(!global.service.cleanup_dead_nodes_on_open);
        assert_eq!(domain.service_dir(), PathBuf::from("/tmp/somewhere/services"));
    }
}
