// Shows /openapi.json, with nothing from elsewhere.
const here = location.origin;

function make(tag, text, ...inside) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...inside);
  return made;
}

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.type === "string" && schema.pattern && schema.examples?.length > 1) { // may grow
    return [...schema.examples.map((each) => JSON.stringify(each)), "…"].join(" | ");
  }
  const parts = schema.anyOf || schema.oneOf;
  if (parts) return parts.map(kind).filter((each) => each !== "null").join(" | ");
  if (schema.type === "array") return `list of ${kind(schema.items) || "anything"}`;
  return schema.format ? `${schema.type}, ${schema.format}` : schema.type || "anything";
}

function fields(schema) {
  const list = make("dl");
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const needed = (schema.required || []).includes(name) ? " *" : "";
    list.append(make("dt", name + needed), make("dd", [kind(field), field.description].filter(Boolean).join(". ")));
  }
  return list;
}

function route(path, verb, facts) {
  const box = make("details");
  box.className = "route";
  const word = make("span", verb.toUpperCase());
  word.className = "verb";
  box.append(make("summary", "", word, make("code", path), ` ${facts.summary || ""}`));
  if (facts.description) box.append(make("p", facts.description));
  for (const [type, body] of Object.entries(facts.requestBody?.content || {})) {
    box.append(make("p", `Body, ${type}: ${kind(body.schema)}`));
    if (body.schema.properties) box.append(fields(body.schema));
  }
  const answers = Object.entries(facts.responses || {}).map(([status, answer]) => {
    const shapes = Object.values(answer.content || {}).map((each) => kind(each.schema)).filter(Boolean);
    return `${status} ${shapes.join(", ")}`.trim();
  });
  box.append(make("p", `Answers: ${answers.join(" · ")}`));
  return box;
}

document.getElementById("curl").textContent =
  `curl -F audio=@speech.wav -F video=@face.mp4 ${here}/v1/jobs\ncurl -N ${here}/v1/jobs/JOB/events`;
document.getElementById("python").textContent =
  `result = requests.post("${here}/api/generate_video",\n    json={"audio_url": "https://…", "video_url": "https://…"}).json()\nvideo = base64.b64decode(result["video_data"])`;

const routes = document.getElementById("routes");
try {
  const api = await (await fetch("/openapi.json")).json();
  const made = [];
  for (const [path, verbs] of Object.entries(api.paths)) {
    for (const [verb, facts] of Object.entries(verbs)) made.push(route(path, verb, facts));
  }
  routes.replaceChildren(...made);
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const box = make("details");
    box.className = "route";
    box.append(make("summary", name));
    if (schema.description) box.append(make("p", schema.description));
    box.append(schema.properties ? fields(schema) : make("p", kind(schema)));
    document.getElementById("shapes").append(box);
  }
} catch (error) {
  routes.replaceChildren(make("p", `/openapi.json cannot be read: ${error}`));
}
