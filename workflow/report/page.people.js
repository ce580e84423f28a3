// Single people: choose one by the id. Ids and classes are inserted as text only.
(async () => {
  const byId = (id) => document.getElementById(id);
  if (!byId("people-data") || !canUnpack) return;
  const { methods, people } = JSON.parse(new TextDecoder().decode(await unpack(byId("people-data").textContent)));
  const field = byId("person");
  const figure = byId("person-figure");
  const picture = figure.querySelector("img");
  const caption = figure.querySelector("figcaption");
  let at = -1;

  function show(number) {
    at = (number + people.length) % people.length;
    const [id, target, prediction, details] = people[at];
    field.value = id;
    const right = target && prediction && isNaN(target) ? ` (${prediction === target ? "right" : "wrong"})` : "";
    byId("person-said").textContent = [
      id, target && `in truth ${target}`, prediction && `the network says ${prediction}${right}`,
    ].filter(Boolean).join(" · ");
    byId("person-scores").tBodies[0].replaceChildren(...details.map(([method, explained, score, place]) => make("tr", {},
      make("td", {}, methods[method]), make("td", {}, explained), make("td", { class: "number" }, score),
      make("td", {}, place.map((mm) => String(Math.round(mm)).replace("-", "−")).join(", ")))));
    byId("person-scores").hidden = false;
    picture.alt = `Maps of ${id}, method by method`;
    caption.textContent = picture.alt;
    figure.hidden = false;
    picture.hidden = false;
    picture.src = `people/sub-${encodeURIComponent(id)}.webp`;
  }

  picture.addEventListener("error", () => {
    picture.hidden = true;
    caption.textContent = "The picture lies in the folder people beside this page, and that folder is not here.";
  });
  byId("person-list").append(...people.map(([id]) => make("option", { value: id })));
  field.addEventListener("change", () => {
    const found = people.findIndex(([id]) => id === field.value.trim());
    if (found >= 0) show(found);
    else byId("person-said").textContent = `There is no map of ${field.value}.`;
  });
  field.addEventListener("focus", () => field.select());
  byId("person-before").addEventListener("click", () => show(at < 0 ? people.length - 1 : at - 1));
  byId("person-after").addEventListener("click", () => show(at + 1));
  byId("person-form").addEventListener("submit", (event) => event.preventDefault());
  byId("person-form").hidden = false;
  byId("person-said").textContent = "Nobody is chosen yet.";
})();
