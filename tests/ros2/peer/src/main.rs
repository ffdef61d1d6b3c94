//! A ROS 2 participant that is not ours: hiroz, ROS 2 on Zenoh in Rust.
//!
//!     ros2-peer router PORT                     a router as rmw_zenohd configures it
//!     ros2-peer relay ENDPOINT TYPE FROM TO     receive on one topic, publish on another, print a line per message
//!     ros2-peer hear ENDPOINT TYPE TOPIC        receive, and print a line per message
//!     ros2-peer graph ENDPOINT SECONDS          print nodes and topics

use std::fmt::Debug;
use std::time::Duration;

use hiroz::config::RouterConfigBuilder;
use hiroz::context::{ZContext, ZContextBuilder};
use hiroz::msg::{SerdeCdrSerdes, ZDeserializer, ZMessage};
use hiroz::{Builder, MessageTypeInfo, Result, WithTypeInfo};
use hiroz_msgs::builtin_interfaces::Time;
use hiroz_msgs::sensor_msgs::{CameraInfo, CompressedImage, Image};
use hiroz_msgs::std_msgs::Header;
use serde::{Deserialize, Serialize};
use zenoh::Wait;

#[derive(Debug, Clone, Serialize, Deserialize, MessageTypeInfo)]
#[ros_msg(type_name = "foxglove_msgs/msg/CompressedVideo")]
struct CompressedVideo {
    timestamp: Time,
    frame_id: String,
    data: Vec<u8>,
    format: String,
}

impl ZMessage for CompressedVideo {
    type Serdes = SerdeCdrSerdes<Self>;
}

#[derive(Debug, Clone, Serialize, Deserialize, MessageTypeInfo)]
#[ros_msg(type_name = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket")]
struct FFMPEGPacket {
    header: Header,
    width: i32,
    height: i32,
    encoding: String,
    pts: u64,
    flags: u8,
    is_bigendian: bool,
    data: Vec<u8>,
}

impl ZMessage for FFMPEGPacket {
    type Serdes = SerdeCdrSerdes<Self>;
}

/// What a line says about a message.
trait Told {
    fn told(&self) -> String;
}

fn stamped(header: &Header) -> String {
    format!("{}.{:09} {}", header.stamp.sec, header.stamp.nanosec, header.frame_id)
}

impl Told for Image {
    fn told(&self) -> String {
        format!("{} {}x{} {} step {}", stamped(&self.header), self.width, self.height, self.encoding, self.step)
    }
}

impl Told for CompressedImage {
    fn told(&self) -> String {
        format!("{} {}", stamped(&self.header), self.format)
    }
}

impl Told for CameraInfo {
    fn told(&self) -> String {
        let (header, model) = (stamped(&self.header), &self.distortion_model);
        format!("{header} {}x{} {model} d {:?} k {:?} p {:?}", self.width, self.height, self.d, self.k, self.p)
    }
}

impl Told for CompressedVideo {
    fn told(&self) -> String {
        let Time { sec, nanosec } = self.timestamp;
        format!("{sec}.{nanosec:09} {} {} {}", self.frame_id, self.format, self.data.len())
    }
}

impl Told for FFMPEGPacket {
    fn told(&self) -> String {
        let header = stamped(&self.header);
        format!("{header} {}x{} {} flags {} {}", self.width, self.height, self.encoding, self.flags, self.data.len())
    }
}

fn context(endpoint: &str) -> Result<ZContext> {
    ZContextBuilder::default().with_router_endpoint(endpoint)?.build()
}

fn relay<T>(endpoint: &str, from: &str, to: Option<&str>) -> Result<()>
where
    T: ZMessage + WithTypeInfo + Told + Debug,
    T::Serdes: for<'a> ZDeserializer<Input<'a> = &'a [u8], Output = T>,
{
    let context = context(endpoint)?;
    let node = context.create_node("peer").build()?;
    let publisher = to.map(|topic| node.create_pub::<T>(topic).build()).transpose()?;
    let subscriber = node.create_sub::<T>(from).build()?;
    println!("ready");
    loop {
        let message = subscriber.recv()?;
        if let Some(publisher) = &publisher {
            publisher.publish(&message)?;
        }
        println!("{}", message.told());
    }
}

fn graph(endpoint: &str, seconds: f64) -> Result<()> {
    let context = context(endpoint)?;
    std::thread::sleep(Duration::from_secs_f64(seconds));
    for (name, _) in context.graph().get_node_names() {
        println!("node {name}");
    }
    for (topic, name) in context.graph().get_topic_names_and_types() {
        println!("topic {topic} {name}");
    }
    Ok(())
}

fn router(port: &str) -> Result<()> {
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let config = RouterConfigBuilder::new().with_listen_endpoint(&endpoint).build_config()?;
    let _session = zenoh::open(config).wait()?;
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn participate(endpoint: &str, name: &str, from: &str, to: Option<&str>) -> Result<()> {
    match name {
        "image" => relay::<Image>(endpoint, from, to),
        "compressed" => relay::<CompressedImage>(endpoint, from, to),
        "info" => relay::<CameraInfo>(endpoint, from, to),
        "ffmpeg" => relay::<FFMPEGPacket>(endpoint, from, to),
        "foxglove" => relay::<CompressedVideo>(endpoint, from, to),
        _ => Err(format!("unknown type {name}").into()),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["router", port] => router(port),
        ["relay", endpoint, name, from, to] => participate(endpoint, name, from, Some(to)),
        ["hear", endpoint, name, from] => participate(endpoint, name, from, None),
        ["graph", endpoint, seconds] => graph(endpoint, seconds.parse()?),
        _ => Err("usage: ros2-peer router|relay|hear|graph …".into()),
    }
}
