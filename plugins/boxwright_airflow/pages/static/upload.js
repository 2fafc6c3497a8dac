// Sends the files of a folder one by one, a few at a time, annotations last: where they are, all images are.
"use strict";
(() => {
  const AT_A_TIME = 3;
  const ATTEMPTS = 5;
  const NAMED = 5;
  const find = (id) => document.getElementById(id);
  const upload = find("upload");
  if (!upload) return;
  const { address, browse, token, tokenHeader, below } = upload.dataset;
  const [place, message, progress] = ["dataset", "message", "progress"].map(find);
  let chosen = null; // {name, files: [{name, file}]}
  let working = false;

  const say = (text, kind = "") => {
    message.className = `notice ${kind}`;
    message.textContent = text;
    message.hidden = !text;
  };
  const sleep = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

  // What the server says; where it does not answer, or asks for another try, several times.
  const ask = async (path, query, body = null) => {
    for (let attempt = 1; ; attempt += 1) {
      let reason = "Airflow does not answer";
      let again = true;
      try {
        const options = { method: "POST", body, headers: { [tokenHeader]: token }, credentials: "same-origin" };
        const answer = await fetch(`${address}/${path}?${new URLSearchParams(query)}`, options);
        const said = await answer.json().catch(() => null);
        if (answer.ok && said) return said;
        // Where a log-in has ended there may be a page instead of an answer.
        const cut = answer.ok && answer.headers.get("content-type")?.startsWith("application/json");
        if (cut) reason = "Airflow's answer was cut off";
        else reason = said?.reason ?? (answer.status < 500 ? "Airflow did not allow it: load this page again" : `Airflow answered ${answer.status}`);
        again = said?.again ?? (cut || answer.status >= 500);
      } catch {
        // no answer, or a file that cannot be read: the next try tells
      }
      if (!again || attempt === ATTEMPTS) throw new Error(reason);
      await sleep(attempt);
    }
  };

  const list = (names) => names.slice(0, NAMED).join(", ") + (names.length > NAMED ? ", …" : "");

  const send = async () => {
    const dataset = place.value.trim();
    const { files } = chosen;
    const leftOut = [];
    const failed = [];
    let [done, bytes] = [0, 0];
    const one = async ({ name, file }) => {
      try {
        const said = await ask("file", { dataset, name }, file);
        if (said.left_out) leftOut.push(name);
        else if (said.bytes !== file.size) failed.push(`${name}: ${said.bytes} of ${file.size} bytes arrived`);
        else bytes += file.size;
      } catch (error) {
        failed.push(`${name}: ${error.message}`);
      }
      done += 1;
      progress.value = done / files.length;
      say(`${done} of ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`, "waits");
    };
    const all = async (waiting) => {
      const worker = async () => {
        while (waiting.length && !failed.length) await one(waiting.shift());
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, worker));
    };
    const isLast = ({ name }) => name.endsWith(".json");
    progress.hidden = false;
    await all(files.filter((one) => !isLast(one)));
    await all(files.filter(isLast));
    if (failed.length) throw new Error(`${done - failed.length} of ${files.length} files arrived, then it stopped: ${list(failed)}. Choose the folder again to go on.`);
    const { splits } = await ask("end", { dataset });
    const behind = leftOut.length ? ` Hidden files stayed behind (${leftOut.length}): ${list(leftOut)}.` : "";
    say(`${files.length - leftOut.length} files are at ${dataset}, ${(bytes / 1e6).toFixed(1)} MB.${behind}`);
    find("look").href = `${browse}?${new URLSearchParams({ dataset })}`;
    find("splits").replaceChildren(
      ...Object.entries(splits).map(([name, uri]) => {
        const item = document.createElement("li");
        item.append(`${name} `, Object.assign(document.createElement("code"), { textContent: uri }));
        return item;
      }),
    );
    find("done").hidden = false;
  };

  // One thing at a time; what goes wrong is said.
  const work = async (what) => {
    if (working) return;
    working = true;
    find("sure").hidden = true;
    try {
      await what();
    } catch (error) {
      say(error.message, "bad");
    }
    progress.hidden = true;
    working = false;
  };

  const begin = (name, files) =>
    work(async () => {
      chosen = { name, files };
      find("done").hidden = true;
      if (!files.length) throw new Error(`${name || "That"} has no file in it.`);
      if (place.value.trim() === below) place.value = below + name;
      const { there } = await ask("begin", { dataset: place.value.trim() });
      if (there) {
        say(`${there} files are there already. Choose another prefix, unless this goes on with an upload that stopped.`, "bad");
        find("sure").hidden = false;
      } else await send();
    });

  find("go-on").addEventListener("click", () => work(send));
  const folder = find("folder");
  const takeChosen = () => {
    const files = Array.from(folder.files, (file) => ({ file, path: file.webkitRelativePath.split("/") }));
    begin(files[0]?.path[0] ?? "", files.map(({ file, path }) => ({ file, name: path.slice(1).join("/") })));
    folder.value = ""; // so that the same folder can be chosen again
  };
  folder.addEventListener("change", takeChosen);
  if (folder.files.length) takeChosen(); // chosen before this script was here

  // The files below a dropped folder; a browser gives the entries of a folder some at a time.
  const filesOf = async (entry, prefix) => {
    if (entry.isFile) return [{ name: prefix + entry.name, file: await new Promise((take, fail) => entry.file(take, fail)) }];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const entries = await new Promise((take, fail) => reader.readEntries(take, fail));
      if (!entries.length) return found;
      for (const one of entries) found.push(...(await filesOf(one, `${prefix}${entry.name}/`)));
    }
  };
  acceptDrops(find("drop"), async ({ items }) => {
    const [entry, other] = Array.from(items, (item) => item.webkitGetAsEntry());
    if (other || !entry?.isDirectory) return say("Drop one folder: that of the dataset.", "bad");
    const files = await filesOf(entry, "");
    begin(entry.name, files.map(({ name, file }) => ({ file, name: name.slice(entry.name.length + 1) })));
  });
})();
