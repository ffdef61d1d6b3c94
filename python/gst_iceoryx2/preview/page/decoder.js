const SLOW_QUEUE = 3;          // so many packets waiting in the decoder are too many to wait for
const LONGEST_BLANK = 100;     // while the decoder catches up, at most this time (ms) passes between two pictures
const STUCK = 3000;            // a decoder that has taken all packets, and gives no picture for this time (ms), has failed

// Why this page cannot decode packets; "" if it can.
function whyNoDecoder() {
  if (window.isSecureContext && window.VideoDecoder) return "";
  if (window.isSecureContext) return "this browser has no VideoDecoder";
  const {hostname, port, pathname} = location;
  return "browsers decode H.264 only on pages from HTTPS or from your own machine. Restart iox2-video view with --tls, or run " +
    `ssh -L ${port}:${hostname}:${port} ${hostname} and open http://127.0.0.1:${port}${pathname}`;
}

// Decodes the packets of one stream. Everything is decoded, but only the newest picture is shown.
class Decoder {
  constructor(stream) {
    this.stream = stream;
    this.decoder = null;
    this.codec = this.size = null;
    this.last = -1;           // number of the newest packet, and whether the next one must be a keyframe
    this.needsKey = true;
    this.confirmed = -1;
    this.pending = new Map(); // packets in the decoder, by number
    this.waiting = Promise.resolve();
    this.closed = false;
    this.shownAt = this.due = 0;
    this.held = null;         // the newest picture, if it must wait because of maxFps
    this.timer = 0;
    this.gaveAt = performance.now();
  }

  // Packets wait for each other, because the first one waits until the browser has checked the codec.
  take(about, data) { this.waiting = this.waiting.then(() => this.closed ? null : this.decode(about, data)); }

  async decode(about, data) {
    const isGap = about.number !== this.last + 1;
    this.last = about.number;
    if (isGap) this.needsKey = true;
    if (this.needsKey && !about.key) { this.confirm(); return; }
    const size = about.width + "x" + about.height;
    if (about.key && (!this.decoder || about.codec !== this.codec || size !== this.size)) {
      if (!await this.configure(about, size)) return;
    } else if (this.needsKey && this.decoder.decodeQueueSize > SLOW_QUEUE) {
      this.stream.passed += this.pending.size;
      this.pending.clear();
      this.decoder.reset();
      this.decoder.configure(this.settings);
    }
    this.needsKey = false;
    if (this.pending.size === 0) this.gaveAt = performance.now();
    this.pending.set(about.number, {...about, bytes: data.length});
    try {
      this.decoder.decode(new EncodedVideoChunk({type: about.key ? "key" : "delta", timestamp: about.number, data}));
    } catch (problem) {
      this.fail(problem);
    }
  }

  async configure(about, size) {
    // For streams that do not say what their colours mean, the same as elsewhere in iox2-video.
    const standard = about.height > 576 ? "bt709" : "smpte170m";
    const settings = {
      codec: about.codec, codedWidth: about.width, codedHeight: about.height, optimizeForLatency: true,
      colorSpace: {primaries: standard, transfer: standard, matrix: standard, fullRange: false},
    };
    const {supported} = await VideoDecoder.isConfigSupported(settings).catch(() => ({supported: false}));
    if (this.closed) return false;
    if (!supported) {
      this.stream.giveUp(`this browser does not decode ${about.codec}`);
      return false;
    }
    this.drop();
    const decoder = this.decoder = new VideoDecoder({
      output: (frame) => { if (decoder === this.decoder) this.give(frame); else frame.close(); },
      error: (problem) => { if (decoder === this.decoder) this.fail(problem); },
    });
    decoder.ondequeue = () => { if (decoder === this.decoder) this.confirm(); };
    decoder.configure(settings);
    [this.settings, this.codec, this.size] = [settings, about.codec, size];
    return true;
  }

  give(frame) {
    const about = this.pending.get(frame.timestamp), now = performance.now();
    // A decoder may omit pictures.
    for (const number of this.pending.keys()) if (number <= frame.timestamp) this.pending.delete(number);
    this.gaveAt = now;
    this.confirm();
    const catchesUp = this.decoder.decodeQueueSize > 0 && now - this.shownAt < LONGEST_BLANK;
    this.release();
    if (!about || catchesUp) {
      this.stream.passed++;
      frame.close();
      return;
    }
    this.held = {frame, about};
    const interval = maxFps === null ? 0 : 1000 / maxFps;
    if (now < this.due - interval / 4) this.timer = setTimeout(() => this.show(interval), this.due - now);
    else this.show(interval);
  }

  show(interval) {
    const {frame, about} = this.held, now = performance.now();
    this.due = Math.max(this.due, now - interval) + interval;
    this.shownAt = now;
    this.stream.paint({about: {...about, shown: [frame.displayWidth, frame.displayHeight]}, blob: null}, frame);
    frame.close();
    this.held = null;
  }

  // Close a picture that a newer one replaces.
  release() {
    clearTimeout(this.timer);
    if (!this.held) return;
    this.held.frame.close();
    this.held = null;
    this.stream.passed++;
  }

  confirm() {
    const number = this.last - (this.decoder && this.decoder.state === "configured" ? this.decoder.decodeQueueSize : 0);
    if (number > this.confirmed) send({decoded: [this.stream.index, this.confirmed = number]});
  }

  fail(problem) {
    console.info("H.264 cannot be decoded:", problem);
    this.drop();
    this.needsKey = true;
    this.confirm();
    this.stream.fail(problem.message || String(problem));
  }

  check() {
    const isIdle = this.decoder && this.pending.size && this.decoder.decodeQueueSize === 0;
    if (isIdle && performance.now() - this.gaveAt > STUCK) this.fail(new Error("it gives no pictures"));
  }

  drop() {
    const decoder = this.decoder;
    this.decoder = this.codec = null;
    this.pending.clear();
    this.release();
    if (decoder && decoder.state !== "closed") decoder.close();
  }

  close() {
    this.closed = true;
    this.drop();
  }
}
