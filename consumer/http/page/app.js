// The page of the gateway. Talks to /v1/jobs as any other client would.
const $ = (id) => document.getElementById(id);
const files = { video: null, audio: null };
const MB = 1024 * 1024;
let job = null;
let upload = null;

function show(...ids) {
  for (const id of ["work", "trouble", "done"]) $(id).hidden = !ids.includes(id);
}

function size(bytes) {
  return bytes >= MB ? `${(bytes / MB).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1024))} kB`;
}

// --- choosing files

function choose(side, file) {
  if (!file) return;
  files[side] = file;
  const drop = $(`drop-${side}`);
  drop.classList.add("full");
  drop.querySelector(".name bdi").textContent = file.name; // may be written from right to left
  drop.querySelector(".name span").textContent = ` · ${size(file.size)}`;
  const url = URL.createObjectURL(file);
  const picture = side === "video" && file.type.startsWith("image/");
  const player = drop.querySelector(side === "audio" ? "audio" : picture ? "img" : "video");
  for (const each of drop.querySelectorAll("audio, video, img")) {
    if (each.src) URL.revokeObjectURL(each.src);
    each.removeAttribute("src");
    each.hidden = true;
  }
  player.src = url;
  player.hidden = false;
  $("go").disabled = !(files.video && files.audio);
}

for (const side of ["video", "audio"]) {
  const drop = $(`drop-${side}`);
  $(side).addEventListener("change", (event) => choose(side, event.target.files[0]));
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) {
    drop.addEventListener(kind, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    choose(side, event.dataTransfer.files[0]);
  });
  // A click on the player must play, not open the file chooser.
  drop.querySelector("audio, video").addEventListener("click", (event) => event.preventDefault());
}
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => event.preventDefault());
}

// --- calls

function headers() {
  const key = $("key").value;
  return key ? { Authorization: `Bearer ${key}` } : {};
}

class Refused extends Error {
  constructor(problem) {
    super(problem.detail || "no reason was given");
    this.problem = problem;
  }
}

async function call(method, path) {
  const answer = await fetch(path, { method, headers: headers() });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused({ code: `HTTP ${answer.status}`, ...body });
  return body;
}

function send() {
  const options = { loop: $("loop").value };
  if ($("label").value.trim()) options.label = { text: $("label").value.trim() };
  const request = { options };
  if ($("engine").value.trim()) request.engine = $("engine").value.trim();
  const form = new FormData();
  form.append("request", JSON.stringify(request));
  form.append("audio", files.audio, files.audio.name);
  form.append("video", files.video, files.video.name);
  return new Promise((resolve, reject) => {
    upload = new XMLHttpRequest(); // fetch() tells nothing of an upload's progress
    upload.open("POST", "/v1/jobs");
    for (const [name, value] of Object.entries(headers())) upload.setRequestHeader(name, value);
    upload.responseType = "json";
    upload.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      progress("Uploading", (100 * event.loaded) / event.total, `${size(event.loaded)} of ${size(event.total)}`);
    };
    upload.onload = () => {
      if (upload.status === 202) resolve(upload.response);
      else reject(new Refused({ code: `HTTP ${upload.status}`, ...upload.response }));
    };
    upload.onerror = () => reject(new Refused({ detail: "The gateway cannot be reached.", code: "" }));
    upload.onabort = () => reject(new Refused({ detail: "The upload was cancelled.", code: "CANCELLED" }));
    upload.send(form);
  });
}

// Server-sent events by fetch(), because EventSource cannot send a key.
async function* events(id) {
  const answer = await fetch(`/v1/jobs/${id}/events`, { headers: headers() });
  if (!answer.ok) throw new Refused({ code: `HTTP ${answer.status}`, ...(await answer.json()) });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const kind = /^event: (.*)$/m.exec(block);
      const data = /^data: (.*)$/m.exec(block);
      if (kind && data) yield [kind[1], JSON.parse(data[1])];
    }
  }
}

async function follow(id) {
  for (let silent = 0; silent < 30; silent += 1) {
    try {
      for await (const [kind, data] of events(id)) {
        silent = 0;
        if (kind === "completed") return data;
        if (kind === "failed") throw new Refused({ ...data.error, detail: data.error.message });
        running(data);
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
  throw new Refused({ detail: "The gateway cannot be reached any more; the job goes on.", code: "" });
}

// --- what is shown

function progress(stage, percent, numbers) {
  $("stage").textContent = stage;
  $("numbers").textContent = numbers || "";
  if (percent === null) $("bar").removeAttribute("value");
  else $("bar").value = percent;
}

const STAGES = {
  admit: "Starting", fetch: "Fetching", probe: "Reading the media", decode: "Reading the media",
  track: "Finding the face", prepare: "Learning the face", plan: "Listening to the speech",
  generate: "Rendering", encode: "Encoding", mark: "Labelling", verify: "Checking", store: "Storing",
};

function running(data) {
  const frames = data.frames_total ? `${data.frames_done} of ${data.frames_total} · ` : "";
  const again = data.attempt > 1 ? ` (attempt ${data.attempt})` : "";
  progress((STAGES[data.stage] || data.stage) + again, data.percent, `${frames}${Math.round(data.percent)} %`);
}

function trouble(problem) {
  show("trouble");
  let text = problem.detail || "";
  if (problem.advice && text.endsWith(problem.advice)) text = text.slice(0, -problem.advice.length).trim();
  $("reason").textContent = text;
  $("advice").textContent = problem.advice || "";
  $("code").textContent = problem.code || "";
  if (problem.code === "UNAUTHORIZED") {
    $("more").open = true;
    $("key").focus();
  }
}

function row(list, name, value) {
  const dt = document.createElement("dt");
  const dd = document.createElement("dd");
  dt.textContent = name.replaceAll("_", " ");
  dd.append(value);
  list.append(dt, dd);
}

function plain(value) {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(3);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(plain).join(", ") || "none";
  return String(value);
}

function fill(id, facts, prefix = "") {
  const list = $(id);
  if (!prefix) list.replaceChildren();
  for (const [name, value] of Object.entries(facts || {})) {
    if (value === null) continue;
    if (typeof value === "object" && !Array.isArray(value)) fill(id, value, `${prefix}${name} `);
    else row(list, prefix + name, plain(value));
  }
  if (!prefix && !list.children.length) row(list, "nothing reported", "");
}

function timings(times) {
  const list = $("timings");
  list.replaceChildren();
  const most = Math.max(1, ...Object.values(times));
  for (const [name, ms] of Object.entries(times)) {
    const meter = document.createElement("meter");
    meter.max = most;
    meter.value = ms;
    meter.ariaHidden = "true"; // the figure stands beside it
    const both = document.createDocumentFragment();
    both.append(meter, `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`);
    row(list, name, both);
  }
}

function finished(data) {
  show("done");
  $("result").src = data.download_url;
  $("save").href = data.download_url;
  const picture = files.video.type.startsWith("image/");
  const before = document.createElement(picture ? "img" : "video");
  before.src = $("drop-video").querySelector(picture ? "img" : "video").src;
  if (!picture) Object.assign(before, { muted: true, loop: true, playsInline: true, controls: true, ariaLabel: "Reference" });
  else before.alt = "the reference";
  $("before").replaceChildren(before);
  $("result").onplay = () => { if (!picture) before.play().catch(() => {}); };
  $("result").onpause = () => { if (!picture) before.pause(); };
  const media = data.media;
  const [top, bottom] = media.fps.split("/").map(Number);
  fill("media", {
    picture: `${media.width} × ${media.height}`,
    rate: `${Number((top / (bottom || 1)).toFixed(3))} fps`,
    length: `${media.duration_s.toFixed(2)} s, ${media.frames} frames`,
    codecs: `${media.video_codec}, ${media.audio_codec}`,
    file: size(data.output.size),
    engine: `${data.engine.name} ${data.engine.version} on ${data.engine.device}`,
  });
  timings(data.timings_ms);
  fill("quality", data.quality);
  fill("labels", data.labels);
  const spans = data.spans.map((span) =>
    `${span.kind.replaceAll("_", " ")}: frames ${span.start_frame} to ${span.end_frame - 1} are shown unchanged`);
  const remarks = [...data.warnings, ...spans];
  $("remarks").hidden = !remarks.length;
  $("warnings").replaceChildren(...remarks.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  $("done").focus({ preventScroll: true }); // so that a screen reader tells of it
  $("result").scrollIntoView({ block: "nearest" });
}

// --- the course of things

function busy(is) {
  $("go").disabled = is || !(files.video && files.audio);
  $("stop").hidden = !is;
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!files.video || !files.audio) return;
  busy(true);
  show("work");
  $("job").textContent = "";
  progress("Uploading", 0, "");
  try {
    const accepted = await send();
    job = accepted.job_id;
    $("job").textContent = job;
    progress("Waiting for a worker", null, "");
    finished(await follow(job));
  } catch (error) {
    trouble(error instanceof Refused ? error.problem : { detail: String(error), code: "PAGE" });
  } finally {
    job = upload = null;
    busy(false);
  }
});

$("stop").addEventListener("click", () => {
  $("numbers").textContent = "cancelling …";
  if (job) call("DELETE", `/v1/jobs/${job}`).catch((error) => { $("numbers").textContent = error.message; });
  else if (upload) upload.abort();
});

$("again").addEventListener("click", () => {
  show();
  $("result").removeAttribute("src");
  window.scrollTo({ top: 0 });
});
