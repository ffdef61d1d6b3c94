const LABELLED = 200;          // so many boxes have text

// One result on one picture. Labels may contain anything, and are only ever drawn as text.
class Drawing {
  constructor(context, {shown: [wide, high], width, height, part}, results) {
    const {canvas} = context, scale = Math.min(canvas.width / wide, canvas.height / high);
    const [left, top, w, h, sourceX, sourceY, sourceW, sourceH] = part ?? [0, 0, width, height, 0, 0, ...results.size];
    const acrossPixel = wide / width * scale, downPixel = high / height * scale;
    this.frame = [(canvas.width - wide * scale) / 2, (canvas.height - high * scale) / 2, wide * scale, high * scale];
    this.across = w / sourceW * acrossPixel;
    this.down = h / sourceH * downPixel;
    this.x = this.frame[0] + left * acrossPixel - sourceX * this.across;
    this.y = this.frame[1] + top * downPixel - sourceY * this.down;
    this.context = context;
    this.results = results;
    this.line = Math.max(1, Math.round(1.5 * devicePixelRatio));
    this.size = 12 * devicePixelRatio;
  }

  rect([x, y, width, height]) {
    // Lines at whole pixels are sharp.
    const [left, top, right, bottom] = [x, y, x + width, y + height].map((at, axis) =>
      Math.round(axis % 2 ? this.y + at * this.down : this.x + at * this.across));
    return [left, top, right - left, bottom - top];
  }

  colour(label) { return colourOf(this.word(label) ?? this.results.detector); }

  word(label) { return label === null ? null : this.results.labels[label]; }

  draw(row) {
    const {context, results, frame} = this;
    context.save();
    context.beginPath();
    context.rect(...frame);
    context.clip();
    context.font = `600 ${this.size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    this.masks();
    this.boxes();
    for (const [box, x, y] of results.points) {
      const [left, top] = this.rect([x, y, 0, 0]);
      context.fillStyle = this.colour(box === null || !results.boxes[box] ? null : results.boxes[box][4]);
      context.fillRect(left - 1.5 * this.line, top - 1.5 * this.line, 3 * this.line, 3 * this.line);
    }
    const scene = results.classes.filter(([box]) => box === null).map(([, label, score]) => this.named(label, score));
    if (scene.length) this.text(`${results.detector}: ${scene.join(", ")}`, frame[0], frame[1] + (row + 1) * 1.6 * this.size, this.colour(null));
    if (results.left) {
      this.text(`${results.detector}: ${whole(results.left)} more not drawn`, frame[0], frame[1] + frame[3] - row * 1.6 * this.size, this.colour(null));
    }
    context.restore();
  }

  boxes() {
    const {context, results, line} = this, rects = results.boxes.map((box) => this.rect(box));
    // A dark rim, so that the boxes are seen on every picture.
    context.strokeStyle = "rgb(0 0 0 / .55)";
    context.lineWidth = line + 2;
    context.beginPath();
    for (const rect of rects) context.rect(...rect);
    context.stroke();
    context.lineWidth = line;
    results.boxes.forEach(([, , , , label], place) => {
      context.strokeStyle = this.colour(label);
      context.strokeRect(...rects[place]);
    });
    const more = new Map();
    for (const [box, label, score] of results.classes) {
      if (box !== null) more.set(box, [...(more.get(box) ?? []), this.named(label, score)]);
    }
    results.boxes.slice(0, LABELLED).forEach(([, , , , label, score, track], place) => {
      const words = [this.named(label, score) + (track === null ? "" : ` #${track}`), ...(more.get(place) ?? [])];
      this.text(words.join(", "), rects[place][0] - line, rects[place][1] - line / 2, this.colour(label));
    });
  }

  named(label, score) { return `${this.word(label) ?? "object"} ${score.toFixed(2)}`; }

  // Text whose lower left corner is at a place, moved into the picture.
  text(words, x, y, colour) {
    const {context, size, frame} = this, width = context.measureText(words).width + .6 * size, height = 1.4 * size;
    const left = Math.max(frame[0], Math.min(x, frame[0] + frame[2] - width)), top = Math.max(frame[1], y - height);
    if (top > frame[1] + frame[3]) return;
    context.fillStyle = colour;
    context.fillRect(left, top, width, height);
    context.fillStyle = "#000";
    context.fillText(words, left + .3 * size, top + height / 2);
  }

  masks() {
    const {context, results} = this;
    let start = 0;
    context.imageSmoothingEnabled = false;
    context.globalAlpha = .45;
    for (const [x, y, width, height, columns, rows, , label] of results.masks) {
      const cells = results.cells.subarray(start, start += Math.ceil(columns * rows / 8));
      context.drawImage(stencil(cells, columns, rows, this.colour(label)), ...this.rect([x, y, width, height]));
    }
    context.globalAlpha = 1;
  }
}

// A picture with a colour where bits are set.
function stencil(bits, columns, rows, colour) {
  const canvas = new OffscreenCanvas(columns, rows), context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let at = 0; at < columns * rows; at++) if (bits[at >> 3] & 128 >> (at & 7)) image.data[4 * at + 3] = 255;
  context.putImageData(image, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, columns, rows);
  return canvas;
}

// Always the same colour for a text.
function colourOf(words) {
  let hash = 7;
  for (const letter of words) hash = (hash * 31 + letter.codePointAt(0)) % 65521;
  return `hsl(${hash * 137 % 360} 95% 72%)`;
}
