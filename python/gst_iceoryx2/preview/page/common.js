"use strict";
const POINTS = 120;            // half a second each

let socket = null, streams = [];

let maxFps = null, resultsWait = 0;
let clock = {offset: null, trip: Infinity, at: 0};  // server's clock minus ours, and the round trip of the best measurement

const find = (id) => document.getElementById(id);
const send = (message) => { if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };
const median = (list) => list.length ? list.slice().sort((a, b) => a - b)[list.length >> 1] : null;
const whole = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

function text(node, value) { if (node.textContent !== value) node.textContent = value; }
