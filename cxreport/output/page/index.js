"use strict";
(() => {
  const PAGE = 200; // items laid out at a time: thousands of studies stay quick
  const field = (id) => document.getElementById(id);
  const [search, tag, certainty, state] = ["search", "tag", "certainty", "state"].map(field);
  const more = field("more");
  const count = field("count");
  const cards = [...document.querySelectorAll("#studies > li")].map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
    statements: JSON.parse(node.dataset.statements),
    state: node.dataset.state,
    warned: node.dataset.warnings !== "0",
  }));
  let limit = PAGE;

  function matches(card, words) {
    const says = ([name, assertion]) =>
      (!tag.value || name === tag.value) && (!certainty.value || assertion === certainty.value);
    const inState = !state.value || (state.value === "warned" ? card.warned : card.state === state.value);
    const stated = !(tag.value || certainty.value) || card.statements.some(says);
    return inState && stated && words.every((word) => card.text.includes(word));
  }

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const card of cards) {
      const hit = matches(card, words);
      card.node.hidden = !hit || found >= limit;
      found += hit;
    }
    more.hidden = found <= limit;
    const shown = Math.min(found, limit);
    count.textContent = `${found} of ${cards.length} studies` + (shown < found ? `, the first ${shown} shown` : "");
  }

  for (const control of [search, tag, certainty, state]) {
    control.addEventListener("input", () => {
      limit = PAGE;
      show();
    });
  }
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const next = limit;
    limit += PAGE;
    show();
    const shown = cards.filter((card) => !card.node.hidden);
    if (shown[next]) shown[next].node.querySelector("a").focus();
  });
  show();
})();
