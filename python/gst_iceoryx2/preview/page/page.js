const RETRY_FIRST = 500, RETRY_MOST = 5000;
let retry = RETRY_FIRST;

function watch() {
  const seen = document.hidden ? [] : streams.filter((one) => !one.paused);
  for (const stream of streams) if (!seen.includes(stream)) stream.rest();
  send({watch: seen.map((one) => one.index)});
  // Results of a paused picture may still come.
  send({results: document.hidden ? [] : streams.filter((one) => one.results.on).map((one) => one.index)});
}

function tellDecodable() { send({decodes: streams.filter((one) => !one.noDecoder).map((one) => one.index)}); }

function pause(which, paused) {
  for (const stream of which) {
    stream.paused = paused;
    stream.number = null;
    stream.latencies = [];
    stream.parts.pause.ariaPressed = String(paused);
    text(stream.parts.pause, paused ? "Resume" : "Pause");
    stream.render();
  }
  const all = streams.length > 0 && streams.every((one) => one.paused);
  find("pause-all").ariaPressed = String(all);
  text(find("pause-all"), all ? "Resume all" : "Pause all");
  watch();
}

function enlarge(stream) {
  const focus = stream || streams.find((one) => one.card.classList.contains("full"));
  for (const one of streams) {
    const full = one === stream;
    one.card.classList.toggle("full", full);
    one.parts.size.ariaPressed = String(full);
    text(one.parts.size, full ? "Back" : "Full size");
    if (!full) one.showExactly(false);
  }
  document.body.classList.toggle("full", stream !== null);
  if (focus) focus.parts.size.focus();
}

function tell(state, words) {
  find("link").className = "pill " + state;
  text(find("link"), words);
}

function hear(message) {
  if (message.clock) {
    // Assume that the answer took half of the round trip, and use the measurement with the shortest round trip.
    const [asked, theirs] = message.clock, now = performance.now(), trip = now - asked;
    if (trip <= clock.trip || now - clock.at > 60000) clock = {offset: theirs + trip / 2 - now, trip, at: now};
    return;
  }
  while (streams.length < message.streams.length) streams.push(new Stream(streams.length));
  if (!find("streams").dataset.ready) {
    find("streams").dataset.ready = "yes";
    find("streams").classList.toggle("one", streams.length === 1);
    find("pause-all").hidden = streams.length === 1;
    document.title = message.streams.map((one) => one.short_name).join(", ") + " – iox2-video";
    tellDecodable();
    watch();
  }
  maxFps = message.max_fps;
  resultsWait = message.results_wait;
  message.streams.forEach((status, index) => streams[index].update(status));
  const live = message.streams.filter((one) => one.state === "live").length;
  tell(live ? "live" : "", streams.length === 1 ? "Connected" : `${live} of ${streams.length} live`);
}

function connect() {
  const address = new URL("live", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  let asking = 0;
  socket.onopen = () => {
    retry = RETRY_FIRST;
    clock = {offset: null, trip: Infinity, at: 0};
    let asked = 0;
    const ask = () => {
      send({clock: performance.now()});
      asking = setTimeout(ask, ++asked < 6 ? 60 : 5000);
    };
    ask();
    // After a restart of the server, decoders are tried again.
    for (const stream of streams) { stream.noDecoder = whyNoDecoder(); stream.failures = []; }
    if (streams.length) { tellDecodable(); watch(); }
  };
  socket.onmessage = ({data}) => {
    if (typeof data === "string") { hear(JSON.parse(data)); return; }
    const length = new DataView(data).getUint32(0);
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const stream = streams[about.stream];
    if (stream) stream.hear(about, new Uint8Array(data, 4 + length));
  };
  socket.onclose = () => {
    clearTimeout(asking);
    tell("problem", "Connection lost, reconnecting …");
    for (const stream of streams) { stream.before = stream.next = stream.number = null; stream.rest(); }
    setTimeout(connect, retry);
    retry = Math.min(RETRY_MOST, retry * 2);
  };
}

find("pause-all").onclick = () => pause(streams, !streams.every((one) => one.paused));
document.addEventListener("visibilitychange", watch);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = document.activeElement, card = at && at.closest(".card");
  const stream = streams.find((one) => one.card.classList.contains("full")) || streams.find((one) => one.card === card) || streams[0];
  if (!stream) return;
  const key = event.key.toLowerCase();
  if (key === "p") pause([stream], !stream.paused);
  else if (key === "f") enlarge(stream.card.classList.contains("full") ? null : stream);
  else if (key === "s") stream.save();
  else if (key === "r" && stream.results.canvas) stream.results.toggle();
  else if (key === "escape") enlarge(null);
  else if (key === " " && !(at && at.closest("button, summary"))) pause(streams, !streams.every((one) => one.paused));
  else return;
  event.preventDefault();
});
text(find("host"), location.host);
connect();
