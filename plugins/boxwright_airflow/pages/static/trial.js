// One image, one model: starts the model's process where need be, sends the image, draws the boxes over it, and filters
// them by score without asking again.
"use strict";
(() => {
  const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2"]; // Okabe and Ito's
  const LARGEST_SIDE = 1600; // pixels of the canvas
  const find = (id) => document.getElementById(id);
  const { address, token, tokenHeader, maxBytes, types } = find("trial").dataset;
  const [canvas, threshold, rows, message] = ["canvas", "threshold", "rows", "message"].map(find);
  let facts = null; // of the model
  let picture = null; // {bitmap, name}
  let found = []; // {label, colour, score, box: [xmin, ymin, xmax, ymax] from 0 to 1}
  let turn = 0; // a newer image makes older answers void

  const say = (text, kind = "") => {
    message.className = `notice ${kind}`;
    message.textContent = text;
    message.hidden = !text;
  };
  const sleep = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

  const ask = async (path, options = {}) => {
    const headers = { ...options.headers, [tokenHeader]: token };
    const answer = await fetch(`${address}/${path}`, { ...options, headers, credentials: "same-origin" });
    let said = null;
    try {
      said = await answer.json();
    } catch {
      // a page and not JSON: Airflow's own refusals
    }
    return { status: answer.status, said };
  };

  const refusal = ({ status, said }) => {
    if (said?.reason) return said.reason;
    if (status === 401) return "You are no longer logged in: load this page again.";
    if (status === 403) return "Airflow did not allow it: load this page again, then try again.";
    return `Airflow answered ${status}; its api-server's log says why.`;
  };

  // Waits until the model is ready, and says meanwhile what it waits for.
  const ready = async (mine) => {
    let answer = await ask("start", { method: "POST" });
    while (mine === turn) {
      if (!answer.said?.phase) throw new Error(refusal(answer));
      const { phase, reason, seconds } = answer.said;
      if (phase === "ready") return answer.said.facts;
      if (phase === "failed") throw new Error(`The model cannot be loaded: ${reason}`);
      if (phase === "busy") say(`${reason} (about ${Math.ceil(seconds)} s).`, "waits");
      else say(`Loading the model… ${Math.round(seconds)} s`, "waits");
      await sleep(phase === "busy" ? Math.min(seconds, 3) : 1);
      answer = phase === "loading" ? await ask("status") : await ask("start", { method: "POST" });
      if (answer.said?.phase === "off") answer = await ask("start", { method: "POST" });
    }
    return null;
  };

  const boxes = async (file, mine) => {
    for (let attempt = 0; mine === turn; attempt += 1) {
      const model = await ready(mine);
      if (model === null) return null;
      say("Looking at the image…", "waits");
      const answer = await ask("boxes", { method: "POST", body: file, headers: { "Content-Type": file.type } });
      if (answer.status === 200 && answer.said) return { model, said: answer.said };
      const again = answer.status === 409 || answer.status === 503;
      if (!again || attempt === 5) throw new Error(refusal(answer));
      await sleep(1);
    }
    return null;
  };

  const look = async (file) => {
    const mine = (turn += 1);
    find("result").hidden = true;
    try {
      if (!types.split(" ").includes(file.type)) throw new Error(`${file.name} is ${file.type || "of an unknown type"}; choose a JPEG or PNG.`);
      if (file.size > Number(maxBytes)) throw new Error(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most ${maxBytes / 1e6} MB are looked at. Choose a smaller image.`);
      const bitmap = createImageBitmap(file).catch(() => null);
      const answer = await boxes(file, mine);
      if (mine !== turn || answer === null) return;
      picture = { bitmap: await bitmap, name: file.name };
      if (!picture.bitmap) throw new Error(`${file.name} cannot be shown by this browser.`);
      take(answer);
      say("");
    } catch (error) {
      if (mine === turn) say(error.message, "bad");
    }
  };

  const take = ({ model, said }) => {
    if (facts === null) threshold.value = model.default_threshold;
    facts = model;
    found = said.scores.map((score, i) => {
      const row = said.classes[i];
      return { score, label: facts.classes[row] ?? `class ${row}`, colour: COLOURS[row % COLOURS.length], box: said.normalized_boxes[i] };
    });
    find("result").hidden = false;
    find("caption").textContent = `${picture.name}, ${picture.bitmap.width} x ${picture.bitmap.height} pixels`;
    show();
  };

  const show = () => {
    const least = Number(threshold.value);
    const shown = found.filter(({ score }) => score >= least);
    find("threshold-value").textContent = least.toFixed(2);
    const most = found.length ? `, the highest score is ${found[0].score.toFixed(2)}` : "";
    find("count").textContent = shown.length
      ? `${shown.length} of ${found.length} boxes.`
      : `No box of at least ${least.toFixed(2)}${most}.`;
    canvas.setAttribute("aria-label", `${picture.name} with ${shown.length} boxes, which the table lists`);
    draw(shown);
    rows.replaceChildren(...shown.map(row));
  };

  const draw = (shown) => {
    const { bitmap } = picture;
    const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    // A small image is drawn larger, so that its labels can be read.
    const factor = Math.max(scale, Math.min(640 / Math.max(bitmap.width, bitmap.height), 8));
    canvas.width = Math.round(bitmap.width * (scale < 1 ? scale : factor));
    canvas.height = Math.round(bitmap.height * (scale < 1 ? scale : factor));
    const pen = canvas.getContext("2d");
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const size = Math.max(13, Math.round(canvas.width / 60));
    pen.font = `600 ${size}px system-ui, sans-serif`;
    pen.textBaseline = "top";
    pen.lineWidth = Math.max(2, canvas.width / 400);
    for (const one of [...shown].reverse()) outline(pen, one, size); // the best lie on top
  };

  const outline = (pen, { label, score, colour, box }, size) => {
    const [left, top, right, bottom] = box.map((side, i) => side * (i % 2 ? canvas.height : canvas.width));
    pen.strokeStyle = colour;
    pen.strokeRect(left, top, right - left, bottom - top);
    const text = `${label.slice(0, 24)} ${score.toFixed(2)}`;
    const height = size + 4;
    const width = pen.measureText(text).width + 8;
    const x = Math.max(0, Math.min(left, canvas.width - width));
    const y = top >= height ? top - height : top;
    pen.fillStyle = colour;
    pen.fillRect(x, y, width, height);
    pen.fillStyle = colour === "#0072b2" ? "#fff" : "#000";
    pen.fillText(text, x + 4, y + 2);
  };

  const row = ({ label, score, colour, box }) => {
    const { width, height } = picture.bitmap;
    const [left, top, right, bottom] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
    const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of [["width", 12], ["height", 12], ["class", "swatch"], ["aria-hidden", "true"]]) swatch.setAttribute(name, value);
    const square = swatch.appendChild(document.createElementNS(swatch.namespaceURI, "rect"));
    for (const [name, value] of [["width", 12], ["height", 12], ["fill", colour]]) square.setAttribute(name, value);
    const made = document.createElement("tr");
    const cells = [label, score.toFixed(3), [left, top, right - left, bottom - top].map(Math.round).join(", ")];
    made.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    made.firstChild.prepend(swatch);
    return made;
  };

  threshold.addEventListener("input", show);
  find("own-threshold").addEventListener("click", () => {
    threshold.value = facts.default_threshold;
    show();
  });
  const file = find("file");
  const takeChosen = () => {
    if (file.files.length) look(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  };
  file.addEventListener("change", takeChosen);
  takeChosen(); // what was chosen before this script was here
  acceptDrops(find("drop"), ({ files }) => {
    if (files.length) look(files[0]);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) look(file);
  });
})();
