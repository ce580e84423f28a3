// Tables: sorted by a click on a column's head, searched, and saved as TSV; without this script they are read as they
// stand. Text is only ever inserted as text.
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

const canUnpack = typeof DecompressionStream !== "undefined";

function save(name, text) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function enliven(table) {
  const SEARCHED = 13; // fewer rows are seen at a glance
  const DRAWN = 400; // rows that are put into the page at once
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const numeric = heads.map((head) => head.classList.contains("number"));
  const titles = heads.map((head) => head.textContent.trim());
  const caption = table.caption.textContent.trim();
  const more = canUnpack && table.dataset.more ? document.getElementById(table.dataset.more) : null;
  let rows = [...body.rows].map((element) => ({
    element,
    cells: [...element.cells].map((cell) => ({ text: cell.textContent, sort: cell.dataset.sort })),
  }));
  let whole = !more;
  let order = null; // [column, up]

  const build = ({ cells }) =>
    make("tr", {}, ...cells.map(({ text }, i) => make("td", numeric[i] ? { class: "number" } : {}, text)));

  async function loadAll() {
    if (whole) return;
    whole = true;
    all?.remove();
    const packed = JSON.parse(new TextDecoder().decode(await unpack(more.textContent)));
    rows = packed.map((cells) => ({ cells: cells.map(([text, sort]) => ({ text, sort: sort ?? text })) }));
    table.caption.textContent = table.dataset.whole;
  }

  function matching() {
    const parts = (search?.value ?? "").toLowerCase().split(",").map((part) => part.trim()).filter(Boolean);
    const holds = ({ text }, part) => text.toLowerCase().includes(part);
    const fits = ({ cells }) => parts.every((part) => cells.some((cell) => holds(cell, part)));
    const kept = parts.length ? rows.filter(fits) : [...rows];
    if (!order) return kept;
    const [column, up] = order;
    return kept.sort((a, b) => {
      const [x, y] = [a.cells[column].sort, b.cells[column].sort];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last
      const less = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
      return up ? less : -less;
    });
  }

  function draw() {
    const kept = matching();
    body.replaceChildren(...kept.slice(0, DRAWN).map((row) => (row.element ??= build(row))));
    const shown = Math.min(kept.length, DRAWN);
    said.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
  }

  heads.forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      order = [column, up];
      draw();
    });
  });

  const said = make("span", { role: "status" });
  const tools = make("div", { class: "tools" });
  let search = null;
  let all = null;
  if (more || rows.length >= SEARCHED) {
    search = make("input", { type: "search", placeholder: "Search; a comma means and", "aria-label": `Search: ${caption}` });
    search.addEventListener("input", () => loadAll().then(draw));
    tools.append(search);
  }
  if (more) {
    all = make("button", { type: "button" }, `Show all ${table.dataset.rows} rows`);
    all.addEventListener("click", () => loadAll().then(draw));
    tools.append(all);
  }
  const tsv = make("button", { type: "button", "aria-label": `Save as TSV: ${caption}` }, "Save as TSV");
  tsv.addEventListener("click", async () => {
    await loadAll();
    draw();
    const clean = (text) => text.replace(/\s+/g, " ").trim();
    const lines = matching().map(({ cells }) =>
      cells.map(({ text, sort }, i) => clean(numeric[i] && sort !== "" ? sort : text)).join("\t"));
    const name = `${document.body.dataset.run}_${table.caption.textContent}`.replace(/[^\w-]+/g, "_").slice(0, 80);
    save(`${name}.tsv`, [titles.map(clean).join("\t"), ...lines, ""].join("\n"));
  });
  tools.append(tsv, said);
  table.closest(".scroll").before(tools);
}

for (const table of document.querySelectorAll("table:not(.plain)")) enliven(table);

const bibtex = document.getElementById("save-bibtex");
if (bibtex) {
  bibtex.hidden = false;
  bibtex.addEventListener("click", () => save("voxplain.bib", document.getElementById("bibtex").textContent));
}
