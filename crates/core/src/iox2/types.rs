//! iceoryx2's own types, as the SDK uses them.

use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::event;

/// iceoryx2's service type: between processes, with ports that any thread can use.
pub type Iox = ipc_threadsafe::Service;
/// A node of iceoryx2.
pub type Iox2Node = Node<Iox>;
pub(crate) type EventService = event::PortFactory<Iox>;

/// Release of iceoryx2 that this crate uses. All participants of a service must use the same one.
pub const IOX2_VERSION: &str = "0.10.0";
