//! SECTION:provider-iceoryx2deviceprovider
//! @title: iceoryx2deviceprovider
//! @short_description: Lists video services as devices.
//!
//! `iceoryx2deviceprovider` lists the video services of the process's iceoryx2 domain as devices of the class `Source/Video`.
//! Programs that use GstDeviceMonitor are notified when a service appears or disappears, and can create an `iceoryx2src` from a device.
//!
//! ## Example launch line
//!
//! ```bash
//! gst-device-monitor-1.0 Source/Video
//! ```
//!
//! Lists the services that are currently published.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_plugin_iceoryx2_video::{Domain, Interrupt, video_service::video_services};

use crate::caps;
use crate::log::CAT;

/// Interval between two listings. Each listing reads a folder of small files.
const INTERVAL: Duration = Duration::from_secs(1);

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let kind = ServiceProvider::static_type();
    gst::DeviceProvider::register(Some(plugin), "iceoryx2deviceprovider", gst::Rank::PRIMARY, kind)
}

glib::wrapper! {
    /// Lists the video services of the process's iceoryx2 domain.
    pub struct ServiceProvider(ObjectSubclass<imp::ServiceProvider>) @extends gst::DeviceProvider, gst::Object;
}

glib::wrapper! {
    /// A video service that an `iceoryx2src` can receive from.
    pub struct ServiceDevice(ObjectSubclass<imp::ServiceDevice>) @extends gst::Device, gst::Object;
}

impl ServiceDevice {
    fn new(service: &str) -> Self {
        let properties = gst::Structure::builder("iceoryx2-properties").field("iceoryx2.service", service).build();
        glib::Object::builder()
            .property("display-name", service)
            .property("device-class", "Source/Video")
            .property("caps", &*caps::SYSTEM_MEMORY)
            .property("properties", properties)
            .build()
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct ServiceProvider(Mutex<Option<Watch>>);

    #[derive(Debug)]
    struct Watch {
        stop: Interrupt,
        thread: JoinHandle<()>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ServiceProvider {
        const NAME: &'static str = "GstIceoryx2DeviceProvider";
        type Type = super::ServiceProvider;
        type ParentType = gst::DeviceProvider;
    }

    impl ObjectImpl for ServiceProvider {}
    impl GstObjectImpl for ServiceProvider {}

    impl DeviceProviderImpl for ServiceProvider {
        fn metadata() -> Option<&'static gst::subclass::DeviceProviderMetadata> {
            static METADATA: LazyLock<gst::subclass::DeviceProviderMetadata> = LazyLock::new(|| {
                gst::subclass::DeviceProviderMetadata::new(
                    "iceoryx2 video services",
                    "Source/Video",
                    "Lists the video services that other processes publish over iceoryx2",
                    env!("CARGO_PKG_AUTHORS"),
                )
            });
            Some(&METADATA)
        }

        fn probe(&self) -> Vec<gst::Device> {
            services().iter().map(|service| super::ServiceDevice::new(service).upcast()).collect()
        }

        fn start(&self) -> Result<(), gst::LoggableError> {
            let failed = |error: std::io::Error| gst::loggable_error!(CAT, "cannot watch services: {error}");
            let stop = Interrupt::new().map_err(failed)?;
            let (stopped, provider) = (stop.clone(), self.obj().downgrade());
            // The first listing happens before this function returns, so that the device list is complete right after the start.
            let mut known = BTreeMap::new();
            follow(&self.obj(), &mut known);
            let watch = move || {
                while !stopped.wait(INTERVAL) {
                    let Some(provider) = provider.upgrade() else { return };
                    follow(&provider, &mut known);
                }
            };
            let thread = thread::Builder::new().name("iox2-devices".into()).spawn(watch).map_err(failed)?;
            *self.0.lock().unwrap() = Some(Watch { stop, thread });
            Ok(())
        }

        fn stop(&self) {
            if let Some(watch) = self.0.lock().unwrap().take() {
                watch.stop.set();
                let _ = watch.thread.join();
            }
        }
    }

    /// Adds and removes devices for services that appeared or disappeared.
    fn follow(provider: &super::ServiceProvider, known: &mut BTreeMap<String, gst::Device>) {
        let now = services();
        known.retain(|service, device| {
            let stays = now.contains(service);
            if !stays {
                provider.device_remove(device);
            }
            stays
        });
        for service in now {
            known.entry(service).or_insert_with_key(|service| {
                let device = super::ServiceDevice::new(service).upcast::<gst::Device>();
                provider.device_add(&device);
                device
            });
        }
    }

    fn services() -> Vec<String> {
        match Domain::from_env() {
            Ok(domain) => {
                let names = video_services(&domain).into_iter().map(|service| service.name);
                // `iceoryx2src` accepts only printable names. A backslash in the TOML file escapes a character that is not printable.
                names.filter(|name| name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')).collect()
            }
            Err(error) => {
                gst::warning!(CAT, "{error}");
                Vec::new()
            }
        }
    }

    #[derive(Debug, Default)]
    pub struct ServiceDevice;

    #[glib::object_subclass]
    impl ObjectSubclass for ServiceDevice {
        const NAME: &'static str = "GstIceoryx2Device";
        type Type = super::ServiceDevice;
        type ParentType = gst::Device;
    }

    impl ObjectImpl for ServiceDevice {}
    impl GstObjectImpl for ServiceDevice {}

    impl DeviceImpl for ServiceDevice {
        fn create_element(&self, name: Option<&str>) -> Result<gst::Element, gst::LoggableError> {
            let service = self.obj().display_name();
            Ok(gst::ElementFactory::make("iceoryx2src").property("service", service).name_if_some(name).build()?)
        }

        fn reconfigure_element(&self, element: &gst::Element) -> Result<(), gst::LoggableError> {
            if element.factory().is_none_or(|factory| factory.name() != "iceoryx2src") {
                return Err(gst::loggable_error!(CAT, "{} is not an iceoryx2src", element.name()));
            }
            element.set_property("service", self.obj().display_name());
            Ok(())
        }
    }
}
