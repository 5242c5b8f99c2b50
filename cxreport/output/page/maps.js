"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("overlay");
  const caption = document.getElementById("caption");
  const hint = caption.textContent;
  const context = canvas.getContext("2d");
  canvas.width = data.columns * data.scale;
  canvas.height = data.rows * data.scale;

  // Weight at a pixel of the canvas: bilinear between the centres of the patches, as in the PNG pictures.
  function weightAt(weights, x, y) {
    const clip = (value, last) => Math.max(0, Math.min(last, value));
    const across = clip((x + 0.5) / data.scale - 0.5, data.columns - 1);
    const down = clip((y + 0.5) / data.scale - 0.5, data.rows - 1);
    const [left, top] = [Math.floor(across), Math.floor(down)];
    const [right, bottom] = [Math.min(left + 1, data.columns - 1), Math.min(top + 1, data.rows - 1)];
    const along = (row) => {
      const [from, to] = [weights[row * data.columns + left], weights[row * data.columns + right]];
      return from + (to - from) * (across - left);
    };
    return along(top) + (along(bottom) - along(top)) * (down - top);
  }

  function paint(weights) {
    const image = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < canvas.width * canvas.height; i++) {
      const weight = weightAt(weights, i % canvas.width, Math.floor(i / canvas.width));
      const place = weight * (data.colours.length - 1);
      const low = Math.min(Math.floor(place), data.colours.length - 2);
      for (let channel = 0; channel < 3; channel++) {
        const [from, to] = [data.colours[low][channel], data.colours[low + 1][channel]];
        image.data[4 * i + channel] = from + (to - from) * (place - low);
      }
      image.data[4 * i + 3] = 255 * data.opacity * weight;
    }
    context.putImageData(image, 0, 0);
  }

  function show(element) {
    const map = element && data.maps[element.dataset.map];
    canvas.classList.toggle("shown", Boolean(map));
    canvas.dataset.map = map ? element.dataset.map : "";
    caption.textContent = map ? map.caption : hint;
    if (map) paint(map.weights);
  }

  const mapped = (node) => (node instanceof Element ? node.closest("[data-map]") : null);
  document.addEventListener("pointerover", (event) => show(mapped(event.target) || mapped(document.activeElement)));
  document.documentElement.addEventListener("pointerleave", () => show(mapped(document.activeElement)));
  document.addEventListener("focusin", (event) => show(mapped(event.target)));
  document.addEventListener("focusout", () => show(null));

  const words = [...document.querySelectorAll(".word")];
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = words.indexOf(document.activeElement);
    if (step && at >= 0) {
      const next = words[at + step];
      if (next) next.focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      document.activeElement.blur();
      show(null);
    }
  });
})();
