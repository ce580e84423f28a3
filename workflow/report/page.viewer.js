// The viewer of the maps: NiiVue draws, this puts the page's volumes into it and links its panes.
const viewer = (() => {
  const PANES = 4; // browsers keep few WebGL contexts alive
  const byId = (id) => document.getElementById(id);
  const root = byId("viewer");
  if (!root) return null;
  const missing = byId("viewer-missing");
  const data = JSON.parse(byId("viewer-data").textContent);
  const panes = []; // { method, figure, canvas, niivue, map, value, scale }
  const atlases = [];
  let place = null; // of the crosshair, mm

  const write = (value) => (value === 0 ? "0" : Number(value).toPrecision(2).replace("-", "−"));

  function hasWebGL() {
    const context = document.createElement("canvas").getContext("webgl2");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(context);
  }

  function giveUp(why) {
    root.hidden = true;
    missing.hidden = false;
    missing.textContent = `The interactive viewer cannot run here (${why}); the figures below show the same maps.`;
  }

  // Colours as NiiVue takes them; 0 is transparent.
  function scaleOf(colours) {
    const last = colours.length - 1;
    const channel = (k) => colours.map((colour) => colour[k]);
    const alpha = colours.map((_, i) => (i ? 255 : 0));
    return { R: channel(0), G: channel(1), B: channel(2), A: alpha, I: colours.map((_, i) => Math.round((255 * i) / last)) };
  }

  function gradient(map) {
    const { sequential, positive, negative } = data.colours;
    const colours = map.signed ? [...negative].reverse().concat(positive) : sequential;
    return `linear-gradient(to right, ${colours.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
  }

  const chosen = () => [...byId("viewer-methods").querySelectorAll("input:checked")].map((box) => box.value);
  const group = () => byId("viewer-group").value;
  const threshold = () => Number(byId("viewer-threshold").value) / 100;

  function voxelAt(mm) {
    // The grid's axes lie along those of the world.
    return data.shape.map((size, i) => {
      const voxel = Math.round((mm[i] - data.affine[i][3]) / data.affine[i][i]);
      return Math.min(size - 1, Math.max(0, voxel));
    });
  }

  function describePlace() {
    const [x, y, z] = voxelAt(place);
    const at = x + data.shape[0] * (y + data.shape[1] * z);
    const regions = atlases.map(({ name, labels, names }) => `${name}: ${names[labels[at]] ?? "no region"}`);
    const where = ["x", "y", "z"].map((axis, i) => `${axis} ${Math.round(place[i])}`.replace("-", "−")).join("  ");
    byId("viewer-where").textContent = [where, ...regions].join(" · ");
    for (const [i, axis] of ["x", "y", "z"].entries()) byId(`viewer-${axis}`).value = Math.round(place[i]);
    for (const pane of panes) {
      if (!pane.image) continue;
      const value = pane.image.getValue(...pane.image.mm2vox(place));
      const cut = Math.abs(value) >= 0.999 * pane.map.top && pane.map.top > 0;
      pane.value.textContent = `here ${cut ? (value < 0 ? "≤ " : "≥ ") : ""}${write(value)}`;
    }
  }

  function moveTo(mm, from = null) {
    place = [mm[0], mm[1], mm[2]];
    for (const { niivue, image } of panes) {
      if (niivue === from || !image) continue;
      niivue.scene.crosshairPos = niivue.mm2frac(place);
      niivue.drawScene();
    }
    describePlace();
  }

  function hideWeak() {
    const share = threshold();
    byId("viewer-percent").textContent = `${Math.round(100 * share)} %`;
    for (const { niivue, image, map } of panes) {
      if (!image) continue;
      // A step of the packed map is the least that can be told from 0.
      const least = Math.max(share, 0.5 / 127) * (map.top || 1);
      Object.assign(image, { cal_min: least, cal_max: map.top || 1, cal_minNeg: -least, cal_maxNeg: -(map.top || 1) });
      niivue.updateGLVolume();
    }
  }

  async function fill(pane, method) {
    const { NVImage } = globalThis.niivue;
    const map = data.maps[method][group()];
    const about = data.methods.find(({ name }) => name === method);
    const title = `${about.title}, ${data.groups.find(({ name }) => name === group()).title}`;
    pane.title.textContent = title;
    pane.warning.textContent = about.warning ? `Do not interpret: ${about.warning}` : "";
    pane.warning.hidden = !about.warning;
    pane.canvas.setAttribute("aria-label", `Three sections of the map: ${title}`);
    pane.bar.style.background = gradient(map);
    pane.low.textContent = map.signed ? write(-map.top) : "0";
    pane.high.textContent = map.top ? write(map.top) : "the map is 0 everywhere";
    pane.peak.disabled = !map.top;
    const image = await NVImage.loadFromBase64({
      base64: map.volume, name: "map.nii.gz", colormap: map.signed ? "voxplain-positive" : "voxplain-sequential",
    });
    image.colormapNegative = map.signed ? "voxplain-negative" : "";
    image.colormapType = 2; // colours run from 0, and what is hidden is hidden altogether
    if (pane.image) pane.niivue.removeVolume(pane.image);
    pane.niivue.addVolume(image);
    Object.assign(pane, { image, map, method, group: group() });
  }

  async function addPane() {
    const { Niivue, NVImage } = globalThis.niivue;
    const canvas = make("canvas", { tabindex: "0", role: "img" });
    const pane = {
      canvas, image: null, title: make("b"), value: make("span", { class: "value" }), low: make("span"), high: make("span"),
      bar: make("span", { class: "bar" }), warning: make("span", { class: "badge bad" }),
      peak: make("button", { type: "button" }, "Go to the strongest place"),
    };
    const scale = make("span", { class: "scale" }, pane.low, pane.bar, pane.high);
    const caption = make("figcaption", {}, pane.title, pane.warning, scale, pane.value, pane.peak);
    pane.figure = make("figure", { class: "pane" }, make("div", { class: "canvas" }, canvas), caption);
    byId("viewer-panes").append(pane.figure);
    pane.niivue = new Niivue({
      logLevel: "error", dragAndDropEnabled: false, loadingText: "", backColor: [0, 0, 0, 1], multiplanarShowRender: 0,
      crosshairWidth: 0.6, crosshairColor: [1, 1, 1, 0.8], isOrientCube: false, viewModeHotKey: "none",
      clipPlaneHotKey: "none", fontMinPx: 10,
    });
    const { sequential, positive, negative } = data.colours;
    await pane.niivue.attachToCanvas(canvas);
    pane.niivue.addColormap("voxplain-sequential", scaleOf(sequential));
    pane.niivue.addColormap("voxplain-positive", scaleOf(positive));
    pane.niivue.addColormap("voxplain-negative", scaleOf(negative));
    pane.niivue.setSliceType(pane.niivue.sliceTypeMultiplanar);
    pane.niivue.addVolume(await NVImage.loadFromBase64({ base64: data.mean, name: "mean.nii.gz", colormap: "gray" }));
    pane.niivue.onLocationChange = ({ mm }) => pane.image && moveTo(mm, pane.niivue);
    pane.peak.addEventListener("click", () => moveTo(pane.map.peak));
    // The wheel scrolls the page unless the picture has the focus.
    canvas.parentElement.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) event.stopPropagation();
    }, { capture: true });
    canvas.addEventListener("keydown", (event) => {
      const step = {
        ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0],
        PageDown: [0, 0, -1], PageUp: [0, 0, 1],
      }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      moveTo(place.map((mm, i) => mm + step[i] * Math.abs(data.affine[i][i])));
    }, { capture: true });
    panes.push(pane);
    return pane;
  }

  let running = Promise.resolve();
  // One change after the other, each from what is asked for when its turn comes.
  const show = () => (running = running.then(update).catch((error) => giveUp(String(error.message ?? error))));

  async function update() {
    const methods = chosen().filter((method) => data.maps[method][group()]);
    while (panes.length < methods.length) await addPane();
    for (const [i, pane] of panes.entries()) {
      pane.figure.hidden = i >= methods.length;
      if (i < methods.length && (pane.method !== methods[i] || pane.group !== group())) await fill(pane, methods[i]);
    }
    byId("viewer-panes").dataset.count = methods.length;
    for (const box of byId("viewer-methods").querySelectorAll("input")) {
      box.disabled = box.checked ? methods.length === 1 : methods.length >= PANES;
    }
    hideWeak();
    moveTo(place ?? panes[0].map.peak);
    root.dataset.ready = "yes";
  }

  async function start() {
    missing.textContent = "Starting the viewer …";
    missing.hidden = false;
    const program = document.createElement("script");
    program.textContent = new TextDecoder().decode(await unpack(byId("viewer-program").textContent));
    document.head.append(program); // the page's policy knows its checksum
    if (!globalThis.niivue) throw new Error("the program did not start");
    for (const { name, labels, names } of data.atlases) {
      atlases.push({ name, names, labels: new Uint16Array(await unpack(labels)) });
    }
    await show();
    missing.hidden = root.hidden === false;
  }

  for (const { name, title } of data.groups) byId("viewer-group").append(make("option", { value: name }, title));
  const beside = matchMedia("(min-width: 44rem)").matches ? 2 : 1;
  // Those that nothing speaks against come first.
  const ranked = [...data.methods].sort((a, b) => Boolean(a.warning) - Boolean(b.warning)).slice(0, beside);
  for (const method of data.methods) {
    const { name, title } = method;
    const box = make("input", { type: "checkbox", value: name });
    box.checked = ranked.includes(method);
    byId("viewer-methods").append(make("label", {}, box, ` ${title}`));
  }
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  byId("viewer-group").addEventListener("change", show);
  byId("viewer-methods").addEventListener("change", show);
  byId("viewer-threshold").addEventListener("input", hideWeak);
  for (const axis of ["x", "y", "z"]) {
    byId(`viewer-${axis}`).addEventListener("change", () => {
      const asked = ["x", "y", "z"].map((name) => Number(byId(`viewer-${name}`).value));
      if (panes.length) moveTo(asked);
    });
  }
  if (!canUnpack) giveUp("the browser is too old");
  else if (!hasWebGL()) giveUp("the browser has no WebGL 2");
  else {
    root.hidden = false;
    missing.hidden = true;
    // Nothing is unpacked before somebody gets near.
    const near = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      near.disconnect();
      start().catch((error) => giveUp(String(error.message ?? error)));
    }, { rootMargin: "600px" });
    near.observe(root);
  }
  return { panes, moveTo };
})();
