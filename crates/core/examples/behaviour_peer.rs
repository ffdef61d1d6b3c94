//! The Rust side of `tests/behaviour`. It reads one command per line from standard input as a JSON object, and answers each command with
//! one line.
//!
//! `tests/behaviour/python_peer.py` implements the same commands.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use gst_plugin_iceoryx2_video::{
    AuxTemplate, Domain, Error, FrameParams, Interrupt, Loan, NONE, ObstacleKind, Result, VideoFrame,
    VideoFramePublisher, VideoFrameSubscriber, create_node_in, monotonic_ns, video_caps,
};
use serde_json::{Value as Json, json};

#[derive(Default)]
struct Peer {
    domain: Option<Domain>,
    publishers: BTreeMap<String, VideoFramePublisher>,
    subscribers: BTreeMap<String, VideoFrameSubscriber>,
    held: Vec<VideoFrame>,
    loans: Vec<Loan>,
}

fn main() {
    let mut peer = Peer::default();
    for line in std::io::stdin().lock().lines() {
        let command: Json = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let answer = match peer.act(&command) {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => json!({ "error": kind(&error), "text": error.to_string() }),
        };
        println!("{answer}");
        std::io::stdout().flush().expect("the test reads");
    }
}

/// Returns the name of the Python class for this error.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::InvalidServiceName { .. } => "InvalidServiceNameError",
        Error::Domain(_) => "DomainError",
        Error::TypeMismatch { .. } => "ServiceMismatchError",
        Error::VersionMismatch { .. } => "VersionMismatchError",
        Error::TooManyPorts { .. } => "TooManyPortsError",
        Error::Qos { .. } => "QosError",
        Error::SharedMemory { .. } => "OutOfSharedMemoryError",
        Error::Obstacle { obstacle, .. } if obstacle.kind() == ObstacleKind::Memory => "OutOfSharedMemoryError",
        Error::LoanLimit { .. } => "LoanLimitError",
        Error::BorrowLimit { .. } => "BorrowLimitError",
        Error::Geometry { .. } | Error::Format(_) => "FormatError",
        Error::Broken { .. } => "ServiceBrokenError",
        _ => "TransportError",
    }
}

/// Returns the pixels for a frame with this value.
fn pattern(size: usize, value: u8) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8 ^ value).collect()
}

fn text<'a>(command: &'a Json, key: &str) -> &'a str {
    command[key].as_str().unwrap_or_default()
}

fn number(command: &Json, key: &str) -> Option<u64> {
    command[key].as_u64()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

impl Peer {
    fn act(&mut self, command: &Json) -> Result<Json> {
        let id = text(command, "id").to_owned();
        match text(command, "do") {
            "domain" => {
                *self = Self::default();
                self.domain = Some(Domain::at(text(command, "root"), text(command, "prefix"))?);
            }
            "publisher" => {
                let publisher = self.publisher(command)?;
                self.publishers.insert(id, publisher);
            }
            "publish" => return self.publish(command),
            "loan" => self.loans.push(self.publishers[&id].loan(number(command, "size").unwrap_or(1) as usize)?),
            "discard" => self.loans.clear(),
            "end" => self.publishers[&id].end_of_stream()?,
            "wait_for_subscribers" => {
                let deadline = Instant::now() + Duration::from_secs(60);
                let wanted = number(command, "count").unwrap_or(1) as usize;
                while self.publishers[&id].num_subscribers() != wanted && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(2));
                }
                return Ok(self.publishers[&id].num_subscribers().into());
            }
            "subscriber" => {
                let node = self.node()?;
                let subscriber = VideoFrameSubscriber::with_node(node, text(command, "service"))?;
                self.subscribers.insert(id, subscriber);
            }
            "receive" => {
                let frame = self.subscribers[&id].receive_blocking(number(command, "timeout_ms"))?;
                let answer = frame.as_ref().map_or(Json::Null, described);
                if command["hold"] == true {
                    self.held.extend(frame);
                }
                return Ok(answer);
            }
            "values" => {
                let mut values = Vec::new();
                while let Some(frame) = self.subscribers[&id].receive_blocking(number(command, "timeout_ms"))? {
                    if frame.is_eos() {
                        values.push(json!("end"));
                        break;
                    }
                    values.push(value_of(&frame));
                }
                return Ok(values.into());
            }
            "held" => return Ok(self.held.iter().map(value_of).collect::<Vec<_>>().into()),
            "release" => self.held.clear(),
            "stats" => {
                let stats = self.subscribers[&id].stats();
                return Ok(json!({
                    "received": stats.received,
                    "dropped": stats.dropped,
                    "invalid": stats.invalid,
                    "held": stats.held,
                    "limit": stats.limit,
                }));
            }
            "qos" => {
                return Ok(self.subscribers[&id].qos().map_or(Json::Null, |qos| {
                    json!([qos.buffer_size, qos.borrowed_max, qos.history_size, qos.safe_overflow])
                }));
            }
            "close" => {
                self.publishers.remove(&id);
                self.subscribers.remove(&id);
            }
            other => panic!("command {other}"),
        }
        Ok(Json::Null)
    }

    fn node(&self) -> Result<gst_plugin_iceoryx2_video::Iox2Node> {
        create_node_in(self.domain.as_ref().expect("the domain comes first"))
    }

    fn publisher(&self, command: &Json) -> Result<VideoFramePublisher> {
        let mut builder = VideoFramePublisher::builder(text(command, "service")).node(self.node()?);
        let count = |key| number(command, key);
        if let Some(bytes) = count("max_bytes") {
            builder = builder.max_bytes(bytes as usize);
        }
        if let Some(bytes) = count("aux_bytes") {
            builder = builder.aux_bytes(bytes as usize);
        }
        if let Some(frames) = count("max_frames") {
            builder = builder.max_frames(frames as usize);
        }
        if let Some(ports) = count("max_publishers") {
            builder = builder.max_publishers(ports as usize);
        }
        if let Some(ports) = count("max_subscribers") {
            builder = builder.max_subscribers(ports as usize);
        }
        if let Some(frames) = count("buffer_size") {
            builder = builder.buffer_size(frames as u32);
        }
        if let Some(frames) = count("borrowed_max") {
            builder = builder.borrowed_max(frames as u32);
        }
        if let Some(frames) = count("history_size") {
            builder = builder.history_size(frames as u32);
        }
        if let Some(on) = command["safe_overflow"].as_bool() {
            builder = builder.safe_overflow(on);
        }
        if command["lossless"] == true {
            let interrupt = Interrupt::new().map_err(|source| Error::Io { what: "create an interrupt", source })?;
            builder = builder.lossless(interrupt);
        }
        builder.build()
    }

    /// Sends frames with the values `value`, `value` + 1, …. A frame is left out if there is no free memory for it.
    fn publish(&self, command: &Json) -> Result<Json> {
        let publisher = &self.publishers[text(command, "id")];
        let (width, height) = (number(command, "width").unwrap_or(8), number(command, "height").unwrap_or(8));
        let format = command["format"].as_str().unwrap_or("BGR");
        let params = FrameParams { width: width as u32, height: height as u32, format, ..FrameParams::default() };
        let first = number(command, "value").unwrap_or(0);
        let mut sent = 0;
        for value in first..first + number(command, "count").unwrap_or(1) {
            let params = FrameParams { offset: value, pts: number(command, "pts").unwrap_or(NONE), ..params };
            let (header, size) = params.header().expect("a sound size");
            let pixels = pattern(size, value as u8);
            let result = if command["captured_at"].is_null() {
                publisher.publish_frame(&pixels, &params)
            } else {
                send_all_fields(publisher, command, header, &pixels)
            };
            match result {
                Ok(()) => sent += 1,
                Err(Error::OutOfFrames { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent.into())
    }
}

fn send_all_fields(
    publisher: &VideoFramePublisher,
    command: &Json,
    mut header: gst_plugin_iceoryx2_video::VideoFrameHeader,
    pixels: &[u8],
) -> Result<()> {
    let metas: Vec<Vec<u8>> =
        command["metas"].as_array().into_iter().flatten().map(|meta| unhex(meta.as_str().unwrap())).collect();
    header.dts = number(command, "dts").unwrap_or(NONE);
    header.duration = number(command, "duration").unwrap_or(NONE);
    header.flags = number(command, "flags").unwrap_or(0);
    let caps = video_caps(header.format_name(), header.width, header.height, None);
    let template = AuxTemplate::new(&caps, publisher.publisher_id());
    let mut loan = publisher.loan(pixels.len() + template.len_with(&metas))?;
    loan[..pixels.len()].copy_from_slice(pixels);
    let turn = publisher.turn();
    let tail = &mut loan[pixels.len()..];
    let capture = number(command, "captured_at");
    header.aux_size = template.write_into(tail, monotonic_ns(), capture, turn.sequence(), &metas) as u32;
    turn.send(loan, &header).map(drop)
}

/// Derives the value of a frame from its pixels. Returns null if the pixels do not match a single pattern.
fn value_of(frame: &VideoFrame) -> Json {
    let pixels = frame.pixels();
    let value = pixels.first().copied().unwrap_or_default();
    if pixels == pattern(pixels.len(), value) { value.into() } else { Json::Null }
}

fn described(frame: &VideoFrame) -> Json {
    if frame.is_eos() {
        return json!({ "end": true });
    }
    let (header, stamp, aux) = (frame.header(), frame.stamp(), frame.parse_aux());
    json!({
        "end": false,
        "value": value_of(frame),
        "header": hex(&header.to_bytes()),
        "caps": aux.caps,
        "metas": aux.metas.iter().skip(1).map(|meta| hex(meta)).collect::<Vec<_>>(),
        "stamp": aux.metas.first().map(|meta| hex(meta)),
        "sequence": stamp.sequence,
        "captured_at": stamp.capture,
        "due_at": stamp.due,
    })
}
