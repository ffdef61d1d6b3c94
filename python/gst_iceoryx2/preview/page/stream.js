const STATES = {waiting: "Waiting", live: "Live", silent: "Silent", ended: "Ended", problem: "Problem"};
const FAILURES = 3, FAILURE_SPAN = 30000;  // so many failures of a decoder within this time (ms) are too many

// One card of the page: the picture of a stream, its numbers and its buttons.
class Stream {
  constructor(index) {
    this.index = index;
    this.card = find("card").content.cloneNode(true).firstElementChild;
    const get = (selector) => this.card.querySelector(selector);
    this.parts = {name: get("h2"), pill: get(".pill"), note: get(".note"), well: get(".well"), canvas: get("canvas"),
      pause: get(".pause"), size: get(".size"), exactly: get(".exactly"), results: get(".results"), save: get(".save"),
      summary: get("summary span"), list: get("dl"), details: get("details")};
    this.figures = ["fps", "latency", "lost"].map((kind) => {
      const box = get("." + kind);
      return {value: box.querySelector(".value"), hint: box.querySelector(".hint"), svg: box.querySelector("svg")};
    });
    this.context = this.parts.canvas.getContext("2d", {alpha: false});
    this.paused = false;
    this.status = null;       // newest status from the server
    this.shown = null;        // {blob, about} of the picture on the canvas
    this.next = null;         // newest picture, not yet drawn
    this.busy = false;
    this.drawn = 0;           // pictures drawn since the last sample
    this.passed = 0;          // pictures skipped since the last sample because this page was too slow
    this.unseen = 0;
    this.number = null;
    this.decoder = null;      // while packets arrive
    this.failures = [];       // when decoders failed
    this.noDecoder = whyNoDecoder();
    this.arrived = 0;         // bytes of packets since the last sample
    this.rate = null;         // of packets, in bytes per second
    this.results = new Results(this);
    this.latencies = [];
    this.history = [];        // {fps, latency, lost, skipped}
    this.before = null;
    this.parts.pause.onclick = () => pause([this], !this.paused);
    this.parts.size.onclick = () => enlarge(this.card.classList.contains("full") ? null : this);
    this.parts.exactly.onclick = () => this.showExactly(this.parts.exactly.ariaPressed !== "true");
    this.parts.results.onclick = () => this.results.toggle();
    this.parts.save.onclick = () => this.save();
    this.parts.details.ontoggle = () => { if (this.status) this.list(); };
    this.parts.canvas.ondblclick = this.parts.size.onclick;
    find("streams").append(this.card);
  }

  // A packet, a picture, or the results for one of them.
  hear(about, data) {
    if ("detector" in about) { this.results.hear(about, data); return; }
    const isHeld = this.results.hold(about, () => this.receive(about, data));
    // The server limits the pictures on their way, and this one has come.
    if (isHeld && !("key" in about)) this.confirm(about);
  }

  // A packet, or a picture. The server sends one kind at a time.
  receive(about, data) {
    if ("key" in about) {
      if (this.paused || document.hidden || this.noDecoder) return;
      this.arrived += data.length;
      this.decoder ??= new Decoder(this);
      this.decoder.take(about, data);
    } else {
      this.rest();
      this.take(about, new Blob([data], {type: "image/jpeg"}));
    }
  }

  // Close the decoder. The next packet will be a keyframe.
  rest() {
    if (this.decoder) this.decoder.close();
    this.decoder = this.rate = null;
  }

  fail(problem) {
    const now = performance.now();
    this.failures = [...this.failures.filter((at) => now - at < FAILURE_SPAN), now];
    if (this.failures.length >= FAILURES) this.giveUp(`the decoder failed ${FAILURES} times: ${problem}`);
    else send({restart: this.index});
  }

  giveUp(reason) {
    this.noDecoder = reason;
    this.rest();
    tellDecodable();
    this.render();
  }

  // How the pictures come here, in words.
  way() {
    const {status} = this;
    if (this.decoder && this.decoder.codec) return `H.264, ${this.decoder.codec}`;
    if (!status.encoder) return "JPEG, because no other process encodes this stream. iox2-video serve would";
    return `JPEG, because ${this.noDecoder || status.packet_problem || "packets have not arrived yet"}`;
  }

  take(about, blob) {
    if (this.next) { this.confirm(this.next.about); this.passed++; }
    if (this.number !== null && about.number > this.number) this.passed += about.number - this.number - 1;
    this.number = about.number;
    this.next = {about, blob};
    if (!this.busy) this.draw();
  }

  confirm(about) {
    if (!about.confirmed) send({drawn: [this.index, about.number]});
    about.confirmed = true;
  }

  async draw() {
    this.busy = true;
    while (this.next) {
      const one = this.next;
      this.next = null;
      try {
        const bitmap = this.paused ? null : await createImageBitmap(one.blob);
        // Meanwhile, packets may have replaced the pictures.
        if (bitmap && !this.paused && !this.decoder) this.paint(one, bitmap);
        if (bitmap) bitmap.close();
      } catch (problem) {
        console.warn("a picture cannot be decoded:", problem);
      }
      this.confirm(one.about);
    }
    this.busy = false;
  }

  paint(one, bitmap) {
    const {canvas, well, save} = this.parts;
    const [width, height] = one.about.shown;  // differs from the bitmap if pixels are not square
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      if (this.parts.exactly.ariaPressed === "true") this.showExactly(true);
    }
    this.context.drawImage(bitmap, 0, 0, width, height);
    this.shown = one;
    this.drawn++;
    const now = performance.now();
    if (clock.offset !== null && one.about.captured !== null) this.latencies.push(now + clock.offset - one.about.captured);
    well.classList.remove("empty");
    save.disabled = false;
    this.results.show(one.about);
    canvas.dataset.number = one.about.number;
    canvas.dataset.way = one.blob ? "JPEG" : "H.264";
  }

  showExactly(exactly) {
    const {canvas, well} = this.parts;
    this.parts.exactly.ariaPressed = String(exactly);
    well.classList.toggle("exact", exactly);
    for (const {style} of [canvas, this.results.canvas ?? canvas]) {
      style.width = exactly ? canvas.width / devicePixelRatio + "px" : "";
      style.height = exactly ? canvas.height / devicePixelRatio + "px" : "";
    }
  }

  async save() {
    if (!this.shown) return;
    const {about, blob} = this.shown, {canvas} = this.parts;
    const isStretched = about.shown[0] !== about.width || about.shown[1] !== about.height;
    const saved = isStretched || !blob ? await new Promise((done) => canvas.toBlob(done, "image/jpeg", .92)) : blob;
    const time = new Date(), two = (n) => String(n).padStart(2, "0");
    const stamp = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}-${two(time.getHours())}${two(time.getMinutes())}${two(time.getSeconds())}`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(saved);
    link.download = `${this.status.short_name.replace(/[^\w.-]+/g, "_")}-${stamp}.jpg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // Called twice per second with the server's numbers.
  update(status) {
    const first = this.status === null, now = performance.now();
    this.status = status;
    if (status.results.length && !this.results.canvas) {
      this.results.open(this.parts.well);
      this.parts.results.hidden = find("results-key").hidden = false;
    }
    const before = this.before;
    this.before = {at: now, received: status.received, encoded: status.encoded, dropped: status.dropped};
    const latency = status.state === "live" ? median(this.latencies) : null;
    if (before && !first) {
      const seconds = Math.max(.1, (now - before.at) / 1000);
      // Frames that were not encoded. One of them may still be in the encoder.
      this.unseen = Math.max(0, this.unseen + (status.received - before.received) - (status.encoded - before.encoded));
      const skipped = (this.decoder ? 0 : Math.max(0, this.unseen - 1)) + this.passed;
      this.unseen = this.decoder ? 0 : Math.min(1, this.unseen);
      this.rate = this.decoder && this.arrived ? this.arrived / seconds : null;
      this.history.push({
        fps: status.width === null ? null : status.fps,
        latency,
        lost: status.dropped === null || before.dropped === null ? 0 : Math.max(0, status.dropped - before.dropped),
        skipped: this.paused ? 0 : skipped,
        shown: this.drawn / seconds,
      });
      if (this.history.length > POINTS) this.history.shift();
    }
    this.drawn = this.passed = this.arrived = 0;
    this.latencies = [];
    if (this.decoder) this.decoder.check();
    this.render();
  }

  render() {
    const {status, parts, history} = this, [fps, delay, lost] = this.figures;
    if (!status) return;
    const state = status.state;
    text(parts.name, status.short_name);
    parts.name.title = status.name;
    const shownState = this.paused ? "paused" : state;
    text(parts.pill, this.paused ? "Paused" : STATES[state]);
    parts.pill.className = "pill " + shownState;
    this.explain();
    parts.canvas.ariaLabel = `Live picture of ${status.short_name}`;

    const last = history[history.length - 1], recent = history.slice(-4);
    const shown = recent.length ? recent.reduce((sum, one) => sum + one.shown, 0) / recent.length : null;
    const blank = "\u00a0", nothing = status.width === null;
    number(fps.value, nothing ? null : status.fps.toFixed(1), "");
    text(fps.hint, nothing ? blank : this.paused ? "picture paused" : shown === null ? blank : `${shown.toFixed(1)} shown here`);
    const delays = history.slice(-4).map((one) => one.latency).filter((one) => one !== null);
    const typical = state === "live" && !this.paused ? median(delays) : null;
    number(delay.value, typical === null ? null : typical < 100 ? typical.toFixed(1) : Math.round(typical).toString(), "ms");
    text(delay.hint, status.age === null ? blank : `${(status.age * 1000).toFixed(1)} ms on arrival`);
    number(lost.value, nothing || status.dropped === null ? null : whole(status.dropped), "");
    const seconds = history.slice(-2), skipped = seconds.reduce((sum, one) => sum + one.skipped, 0);
    text(lost.hint, nothing ? blank : status.dropped === null ? "publisher does not count drops" : `${skipped} skipped here`);
    line(fps.svg, history.map((one) => one.fps), 1.15);
    line(delay.svg, history.map((one) => one.latency), 1.3);
    bars(lost.svg, history);

    const size = status.width === null ? "no frame yet" : `${status.format === "H264" ? "H.264" : status.format} ${status.width}×${status.height}`;
    const cost = this.decoder
      ? this.rate === null ? "" : `${Math.round(this.rate / 1024)} KiB per second${status.format === "H264" ? "" : " as H.264"}`
      : status.jpeg_bytes ? `${status.encode_ms} ms to encode, ${Math.round(status.jpeg_bytes / 1024)} KiB per picture` : "";
    text(parts.summary, cost ? `${size}, ${cost}` : size);
    if (parts.details.open) this.list();
  }

  explain() {
    const {status, parts} = this, note = parts.note;
    const away = status.silence === null ? "" : `${whole(Math.round(status.silence))} s`;
    const [title, more] = {
      waiting: ["Waiting for the first frame", `${status.name} does not have a publisher yet, or the publisher has not sent a frame.`],
      silent: [`No new frame for ${away}`, "The publisher is paused or has exited. The picture resumes when frames arrive again."],
      ended: ["The stream has ended", "The picture resumes if the stream starts again."],
      problem: ["Cannot show this stream", status.problem || ""],
      live: parts.well.classList.contains("empty") && !this.paused ? ["Loading the first picture", ""] : ["", ""],
    }[status.state];
    note.hidden = title === "";
    const wanted = title + "\n" + more;
    if (note.dataset.text === wanted) return;
    note.dataset.text = wanted;
    const strong = document.createElement("strong");
    strong.textContent = title;
    note.replaceChildren(strong, more);
  }

  list() {
    const {status} = this;
    const rows = [
      ["Service", status.name],
      ["Caps", status.caps || "none"],
      ["Frames", `${whole(status.received)} received, ${status.dropped === null ? "drops unknown" : whole(status.dropped) + " dropped"}, ${whole(status.invalid)} invalid`],
      ["Shown as", this.way()],
      ["JPEG", `${whole(status.encoded)} pictures encoded, ${status.encode_ms} ms each`],
      ["Newest", this.shown ? `picture ${whole(this.shown.about.number)}, ${this.shown.about.width}×${this.shown.about.height}, ${Math.round((this.shown.blob ? this.shown.blob.size : this.shown.about.bytes) / 1024)} KiB` : "none"],
      ...this.results.rows(),
      ["Clock", clock.offset === null ? "not yet synchronised" : `synchronised to ±${(clock.trip / 2).toFixed(1)} ms`],
    ];
    const list = this.parts.list;
    if (list.children.length !== 2 * rows.length) {
      list.replaceChildren(...rows.flatMap(() => [document.createElement("dt"), document.createElement("dd")]));
    }
    rows.forEach(([name, value], row) => { text(list.children[2 * row], name); text(list.children[2 * row + 1], value); });
  }
}
