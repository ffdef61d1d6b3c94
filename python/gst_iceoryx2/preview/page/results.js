const IN_TIME = 1000;          // pictures wait only for detectors whose results came in time within this time (ms)
const RECORDS = 256;           // so many pictures are known by name
const HELD = 30;               // so many pictures wait at most

// Draws what detectors found on the picture in which they found it. Pictures and results have the name of their frame.
class Results {
  constructor(stream) {
    this.stream = stream;
    this.canvas = null;       // while the stream has detectors
    this.on = true;
    this.records = new Map(); // by name of the frame: {at, found, gone} of a picture that came
    this.current = null;      // record of the picture that is shown
    this.place = null;        // {shown, width, height, part} of this picture
    this.held = [];           // {record, next} of pictures that wait for their results
    this.timer = 0;
    this.inTime = new Map();  // when a detector's results last came in time
    this.counts = new Map();  // by detector: {drawn, late}
  }

  open(well) {
    this.canvas = document.createElement("canvas");
    this.canvas.className = "overlay";
    this.context = this.canvas.getContext("2d");
    well.querySelector("canvas").after(this.canvas);
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  resize() {
    this.canvas.width = Math.round(this.canvas.clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(this.canvas.clientHeight * devicePixelRatio);
    this.draw();
  }

  count(detector) {
    if (!this.counts.has(detector)) this.counts.set(detector, {drawn: 0, late: 0});
    return this.counts.get(detector);
  }

  // Passes a picture on, now or later; returns whether it is held. Pictures never overtake each other.
  hold(about, next) {
    const record = this.record(about.frame);
    if (!this.held.length && !this.waits(record)) { next(); return false; }
    this.held.push({record, next});
    if (this.held.length > HELD) this.held.shift().next();
    this.release();
    return true;
  }

  record(name) {
    if (!name || !this.canvas) return null;
    const record = this.records.get(name) ?? {at: 0, found: new Map(), gone: false};
    record.at = performance.now();
    this.records.delete(name);
    this.records.set(name, record);
    if (this.records.size > RECORDS) this.records.delete(this.records.keys().next().value);
    return record;
  }

  waits(record) {
    const now = performance.now();
    return this.on && record !== null && now < record.at + resultsWait && this.stream.status.results.some(({detector}) =>
      !record.found.has(detector) && now - (this.inTime.get(detector) ?? -Infinity) < IN_TIME);
  }

  release() {
    clearTimeout(this.timer);
    while (this.held.length && !this.waits(this.held[0].record)) this.held.shift().next();
    if (this.held.length) {
      this.timer = setTimeout(() => this.release(), Math.max(1, this.held[0].record.at + resultsWait - performance.now()));
    }
  }

  hear(about, cells) {
    const record = about.frames.map((name) => this.records.get(name)).find(Boolean), {detector} = about;
    if (!record || record.found.has(detector)) return;
    const now = performance.now();
    if (now <= record.at + resultsWait) this.inTime.set(detector, now);
    if (record.gone) { this.count(detector).late++; return; }
    record.found.set(detector, {...about, cells});
    if (record === this.current) { this.count(detector).drawn++; this.draw(); }
    this.release();
  }

  // A picture has been painted.
  show({frame, shown, width, height, part}) {
    if (!this.canvas) return;
    const record = this.records.get(frame) ?? null, isNew = record !== this.current;
    if (isNew && this.current) this.leave(this.current);
    for (const one of record && isNew ? this.records.values() : []) {
      if (one === record) break;
      this.leave(one);
    }
    if (record) record.gone = false;
    this.current = record;
    this.place = {shown, width, height, part};
    if (record && isNew) for (const detector of record.found.keys()) this.count(detector).drawn++;
    this.draw();
  }

  leave(record) {
    record.gone = true;
    record.found.clear();
  }

  draw() {
    if (!this.canvas) return;
    const {context, canvas, current} = this;
    const found = this.on && current ? [...current.found.values()] : [];
    if (this.isBlank && !found.length) return;
    context.clearRect(0, 0, canvas.width, canvas.height);
    this.isBlank = !found.length;
    found.forEach((one, row) => new Drawing(context, this.place, one).draw(row));
  }

  toggle() {
    this.on = !this.on;
    this.stream.parts.results.ariaPressed = String(this.on);
    this.draw();
    this.release();
    watch();
  }

  rows() {
    return this.stream.status.results.map(({detector, problem, is_connected, received, dropped, invalid}) => {
      const {drawn, late} = this.count(detector);
      const counts = `${whole(received)} received, ${whole(drawn)} on their picture, ${whole(late)} too late, ${whole(dropped)} dropped, ${whole(invalid)} invalid`;
      const state = !this.on ? "not shown" : problem ?? (is_connected ? "" : "the detector does not run");
      return [`Results of ${detector}`, state ? `${state}; ${counts}` : counts];
    });
  }
}
